"""Access reviews: what is told of selectors that cannot be read, and in which order a review's mistakes are told."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.kinds.authorization import review_subject
from apiserver.registry.authorization import Attributes, Decision
from apiserver.validation.access_review import validate_subject_review
from kube.objects import Object

ONE = {"key": "metadata.name", "operator": "In", "values": ["a"]}
UNKNOWN = {"key": "metadata.name", "operator": "Exists"}
NO_LABEL = {"key": "a", "operator": "Gt", "values": ["1"]}
LABEL = {"key": "a", "operator": "Exists"}
IGNORED = "spec.resourceAttributes.{} ignored due to parse error"
PARTIALLY = "spec.resourceAttributes.{} partially ignored due to parse error"

TOLD: dict[str, tuple[Object, str, int]] = {
    "selectors that can be read": ({"fieldSelector": {"requirements": [ONE]}, "labelSelector": {"requirements": [LABEL]}}, "", 1),
    "a field selector that cannot": ({"fieldSelector": {"requirements": [UNKNOWN]}}, IGNORED.format("fieldSelector"), 0),
    "one that can in part": ({"fieldSelector": {"requirements": [UNKNOWN, ONE]}}, PARTIALLY.format("fieldSelector"), 1),
    "a raw one": ({"fieldSelector": {"rawSelector": "a in (b"}}, IGNORED.format("fieldSelector"), 0),
    "labels in part": ({"labelSelector": {"requirements": [NO_LABEL, LABEL]}}, PARTIALLY.format("labelSelector"), 0),
    "both": (
        {"fieldSelector": {"requirements": [UNKNOWN]}, "labelSelector": {"rawSelector": "a in (b"}},
        f"{IGNORED.format('fieldSelector')}; {IGNORED.format('labelSelector')}",
        0,
    ),
}


class Registries:
    """What a review needs of them: an authorizer, which keeps what it was asked."""

    def __init__(self) -> None:
        self.authorizer = self
        self.asked: list[Attributes] = []

    def decide(self, _user: Any, attributes: Attributes) -> Decision:
        self.asked.append(attributes)
        return Decision(False, error="who knows")


@pytest.mark.parametrize(("selectors", "told", "kept"), TOLD.values(), ids=TOLD.keys())
async def test_selectors(monkeypatch: pytest.MonkeyPatch, selectors: Object, told: str, kept: int) -> None:
    monkeypatch.setattr("apiserver.kinds.authorization.own", lambda *_: None)
    registries = Registries()
    body: Object = {"spec": {"user": "u", "resourceAttributes": {"verb": "list", "resource": "pods", **selectors}}}
    answer = await review_subject(registries, "", body, None)  # type: ignore[arg-type]
    assert answer["status"]["evaluationError"] == "; ".join(filter(None, ["who knows", told]))
    assert len(registries.asked[0].field_selector) == kept


def test_the_order_of_mistakes() -> None:
    errors = validate_subject_review({"spec": {"resourceAttributes": {"fieldSelector": {}}}})
    assert [each.field for each in errors] == ["spec.user", "spec.resourceAttributes.fieldSelector.requirements"]
