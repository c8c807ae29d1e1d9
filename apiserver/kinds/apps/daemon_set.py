"""apps/v1 DaemonSet. Source: kubernetes `pkg/registry/apps/daemonset`, `pkg/apis/apps/v1/{defaults,conversion}.go`.

Upstream keeps a count of template changes in a field that v1 does not have, and shows it as an annotation; so does this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload import status_subresource, template_owner
from apiserver.kinds.workload_columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, container_cells, labels_cell, selector_cell
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import daemon_set as validation
from apiserver.validation.metadata import same
from kube.objects import Object, annotations_of, name_of
from kube.resources import DAEMON_SETS

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def default(daemon_set: Object) -> None:
    """The count is written down from the start, so it belongs to who creates the object."""
    _set_template_generation(daemon_set, _template_generation(daemon_set))
    spec = daemon_set.setdefault("spec", {})
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            rolling = strategy["rollingUpdate"] = {}
        for name, value in (("maxUnavailable", 1), ("maxSurge", 0)):
            if rolling.get(name) is None:
                rolling[name] = value
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    default_template(spec)


def _template_generation(daemon_set: Object) -> int:
    text = annotations_of(daemon_set).get(TEMPLATE_GENERATION, "")
    return int(text) if text.removeprefix("-").isdecimal() else 0


def _set_template_generation(daemon_set: Object, count: int) -> None:
    meta = daemon_set.setdefault("metadata", {})
    meta["annotations"] = {**(meta.get("annotations") or {}), TEMPLATE_GENERATION: str(count)}


_keep = template_owner({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0})


def prepare(new: Object, old: Object | None, ctx: Context) -> None:
    _keep(new, old, ctx)
    if old is None:
        _set_template_generation(new, _template_generation(new) or 1)
        return
    changed = not same(new["spec"].get("template"), old["spec"].get("template"))
    _set_template_generation(new, _template_generation(old) + changed)


def _row(daemon_set: Object, now: datetime) -> list[Any]:
    spec, status = daemon_set["spec"], daemon_set.get("status") or {}
    pod_spec = (spec.get("template") or {}).get("spec") or {}
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    return [
        name_of(daemon_set),
        *(status.get(each) or 0 for each in counts),
        labels_cell(pod_spec.get("nodeSelector")),
        age(daemon_set, now),
        *container_cells(spec.get("template")),
        selector_cell(spec.get("selector")),
    ]


DAEMON_SET = Kind(
    resource=DAEMON_SETS,
    definition="io.k8s.api.apps.v1.DaemonSet",
    singular="daemonset",
    short_names=("ds",),
    categories=("all",),
    subresources=(status_subresource(validation.validate_status),),
    columns=(
        NAME,
        Column("Desired", "integer", description="Nodes that should run the pod."),
        Column("Current", "integer", description="Nodes that have the pod, of those that should."),
        Column("Ready", "integer", description="Nodes whose pod is ready."),
        Column("Up-to-date", "integer", description="Nodes whose pod is made from the present template."),
        Column("Available", "integer", description="Nodes whose pod has been ready for minReadySeconds."),
        Column("Node Selector", description="The node selector of the pod template."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=default,
    prepare=prepare,
    validate=validation.validate,
    metadata_passes=("update",),
    has_generation=True,
    hidden_annotations=(TEMPLATE_GENERATION,),
)

KINDS = [DAEMON_SET]
