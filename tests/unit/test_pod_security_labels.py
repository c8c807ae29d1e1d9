"""The policy labels of namespaces: which are refused, and when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apiserver.admission.pod_security_labels import PodSecurityLabels, label_errors
from apiserver.kinds.core.namespace import NAMESPACE
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, User
from kube.errors import Invalid

P = "pod-security.kubernetes.io"
LEVEL, VERSION = "must be one of privileged, baseline, restricted", 'must be "latest" or "v1.x"'

LABELS: dict[str, tuple[dict[str, str], list[str]]] = {
    "none": ({}, []),
    "other labels say nothing": ({"enforce": "x", f"{P}/other": "x"}, []),
    "known levels and versions": ({f"{P}/enforce": "baseline", f"{P}/warn": "privileged", f"{P}/audit-version": "v1.36"}, []),
    "the latest version": ({f"{P}/enforce-version": "latest", f"{P}/warn-version": "v1.0"}, []),
    "an unknown level": ({f"{P}/audit": "tight"}, [f'metadata.labels[{P}/audit]: Invalid value: "tight": {LEVEL}']),
    "an empty level": ({f"{P}/warn": ""}, [f'metadata.labels[{P}/warn]: Invalid value: "": {LEVEL}']),
    "levels are in lower case": ({f"{P}/enforce": "Baseline"}, [f'metadata.labels[{P}/enforce]: Invalid value: "Baseline": {LEVEL}']),
    "a version without its v": ({f"{P}/warn-version": "1.30"}, [f'metadata.labels[{P}/warn-version]: Invalid value: "1.30": {VERSION}']),
    "a version with a leading zero": (
        {f"{P}/enforce-version": "v1.01"},
        [f'metadata.labels[{P}/enforce-version]: Invalid value: "v1.01": {VERSION}'],
    ),
    "all that is wrong, mode by mode": (
        {f"{P}/warn": "x", f"{P}/enforce-version": "v2.0", f"{P}/enforce": "x"},
        [
            f'metadata.labels[{P}/enforce]: Invalid value: "x": {LEVEL}',
            f'metadata.labels[{P}/enforce-version]: Invalid value: "v2.0": {VERSION}',
            f'metadata.labels[{P}/warn]: Invalid value: "x": {LEVEL}',
        ],
    ),
}


@pytest.mark.parametrize(("labels", "errors"), LABELS.values(), ids=LABELS.keys())
def test_label_errors(labels: dict[str, str], errors: list[str]) -> None:
    assert [str(each) for each in label_errors(labels)] == errors


def update(new: str, old: str | None, subresource: str = "") -> Attributes:
    def namespace(level: str) -> dict[str, dict[str, object]]:
        return {"metadata": {"name": "n", "labels": {f"{P}/enforce": level}}}

    ctx = Context(User("u"), datetime.now(UTC), "update", subresource=subresource)
    return Attributes(
        NAMESPACE, "CREATE" if old is None else "UPDATE", "", "n", namespace(new), None if old is None else namespace(old), ctx, None
    )


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        pytest.param(update("x", None), True, id="a new namespace"),
        pytest.param(update("x", "baseline"), True, id="a label that becomes bad"),
        pytest.param(update("x", "y"), True, id="a bad label that becomes another bad one"),
        pytest.param(update("x", "x"), False, id="a label that was bad already"),
        pytest.param(update("x", "baseline", "status"), False, id="a write of the status"),
    ],
)
async def test_only_new_trouble_is_refused(attributes: Attributes, refused: bool) -> None:
    if not refused:
        await PodSecurityLabels().validate(attributes)
        return
    with pytest.raises(Invalid, match='Namespace "n" is invalid'):
        await PodSecurityLabels().validate(attributes)
