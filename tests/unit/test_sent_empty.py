"""What is empty in a body: dropped by decoding, but told from what is absent in messages and by some defaults."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.handlers.empty_lists import keep_empty
from apiserver.handlers.negotiation import Form
from apiserver.handlers.table import partial, table
from apiserver.kinds.apps.daemon_set import DAEMON_SET, TEMPLATE_GENERATION
from apiserver.kinds.apps.deployment import DEPLOYMENT
from apiserver.kinds.autoscaling import HORIZONTAL_POD_AUTOSCALER
from apiserver.kinds.networking import INGRESS
from apiserver.registry.kind import Context, Kind, User
from kube.objects import Object
from kube.schema import definitions
from kube.schema.decode import decode

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def problems(kind: Kind, sent: Object) -> list[str]:
    """What is said of a new object that was sent like this."""
    of = definitions.load().type(kind.definition)
    obj: Object = decode(of, sent).value
    keep_empty(of, obj, sent, kind.fills_lists)
    ctx = Context(User("admin"), NOW, "create", sent=lambda: sent)
    kind.default(obj)
    kind.prepare(obj, None, ctx)
    return [str(each) for each in kind.validate(obj, None, ctx)]


def deployment(metadata: Object) -> Object:
    template = {"metadata": metadata, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    return {"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}


@pytest.mark.parametrize(
    ("kind", "sent", "said"),
    [
        pytest.param(
            DEPLOYMENT,
            deployment({}),
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            id="labels that were not sent are null",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment({"labels": {}}),
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`",
            id="labels that were sent empty are an empty map",
        ),
        pytest.param(
            INGRESS,
            {"metadata": {"name": "a"}, "spec": {}},
            "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
            id="rules that were not sent are null",
        ),
        pytest.param(
            INGRESS,
            {"metadata": {"name": "a"}, "spec": {"rules": []}},
            "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified",
            id="rules that were sent empty are an empty list",
        ),
    ],
)
def test_messages_tell_empty_from_absent(kind: Kind, sent: Object, said: str) -> None:
    assert problems(kind, sent) == [said]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param({}, [], id="absent policies are filled in"),
        pytest.param(
            {"policies": []},
            ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"],
            id="policies that were sent empty stay empty",
        ),
    ],
)
def test_scaling_policies_are_filled_in_only_where_absent(rules: Object, said: list[str]) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
    sent = {"metadata": {"name": "a"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3, "behavior": {"scaleUp": rules}}}
    assert problems(HORIZONTAL_POD_AUTOSCALER, sent) == said


def metadata_shown(annotations: dict[str, str]) -> list[Any]:
    """The annotations of a DaemonSet, in a Table and as metadata alone."""
    obj: Object = {"metadata": {"name": "a", "annotations": annotations}, "spec": {}}
    row = table(DAEMON_SET, [obj], NOW, metadata={}, include="Metadata")["rows"][0]
    alone = partial(obj, Form("application/json", "PartialObjectMetadata", "v1"), DAEMON_SET)
    return [each["metadata"].get("annotations") for each in (row["object"], alone)]


def test_annotations_that_stand_for_internal_fields_are_not_in_metadata_alone() -> None:
    assert metadata_shown({TEMPLATE_GENERATION: "1"}) == [None, None]
    assert metadata_shown({TEMPLATE_GENERATION: "1", "a": "b"}) == [{"a": "b"}, {"a": "b"}]
