"""Nodes. Source: kubernetes `pkg/registry/core/node`; rules in `validation/node.py`. The not-ready taint of new nodes is admission's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import UNKNOWN, age
from apiserver.kinds.cells import AGE, NAME, NONE, wide
from apiserver.kinds.podspec import round_resources
from apiserver.kinds.strategy import flag, keep, only_status, status_subresource
from apiserver.registry.kind import Column, Context, Kind, Subresource
from apiserver.validation import node as validation
from kube.objects import Object, condition_of, labels_of
from kube.resources import NODES

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"


def default(node: Object) -> None:
    """podCIDR is the first of podCIDRs; allocatable is the capacity where it is not given."""
    spec, status = node.setdefault("spec", {}), node.setdefault("status", {})
    single, several = spec.get("podCIDR"), spec.get("podCIDRs")
    if single and (not several or several[0] != single):
        spec["podCIDRs"] = [single]
    elif several:
        spec["podCIDR"] = several[0]
    for name in ("capacity", "allocatable"):
        if status.get(name):
            round_resources(status[name])
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    """Kubelets' dynamic configuration is no more: what names it stays only where it is stored already."""
    before = ((old or {}).get("spec") or {}).get("configSource")
    if before is None:
        new["spec"].pop("configSource", None)
    if old is not None:
        keep(new, old, "status")
    else:
        (new.get("status") or {}).pop("config", None)


def _prepare_status(new: Object, old: Object | None, ctx: Context) -> None:
    assert old is not None
    only_status(new, old, ctx)
    if ((old.get("status") or {}).get("config")) is None:
        (new.get("status") or {}).pop("config", None)


def _row(node: Object, now: datetime) -> list[Any]:
    status = node.get("status") or {}
    info = status.get("nodeInfo") or {}
    kernel, architecture = info.get("kernelVersion") or UNKNOWN, info.get("architecture")
    return [
        node["metadata"].get("name", ""),
        _status_cell(node),
        ",".join(sorted(_roles(node))) or NONE,
        age(node, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        f"{kernel} ({architecture})" if architecture else kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _status_cell(node: Object) -> str:
    ready = condition_of(node, "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if (node.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Object) -> set[str]:
    labels = labels_of(node)
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    return (roles | {labels.get(ROLE_LABEL, "")}) - {""}


def _address(status: Object, kind: str) -> str:
    return next((each["address"] for each in status.get("addresses") or () if each.get("type") == kind), NONE)


NODE = Kind(
    resource=NODES,
    definition="io.k8s.api.core.v1.Node",
    singular="node",
    short_names=("no",),
    storage="minions",
    subresources=(
        Subresource("proxy", ("create", "delete", "get", "patch", "update"), kind="NodeProxyOptions", connect=True),
        status_subresource(validation.validate_status, prepare=_prepare_status),
    ),
    columns=(
        NAME,
        Column("Status"),
        Column("Roles"),
        AGE,
        Column("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ),
    row=_row,
    selectable={"spec.unschedulable": flag("spec", "unschedulable")},
    default=default,
    prepare=_prepare,
    validate=validation.validate,
    metadata_passes=("create", "update"),
)

KINDS = [NODE]
