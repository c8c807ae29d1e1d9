"""HorizontalPodAutoscaler: autoscaling/v2, which is stored, and autoscaling/v1 by conversion (`autoscaling_v1.py`).

Source: kubernetes `pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go` and `pkg/apis/autoscaling/v2/defaults.go`.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from typing import Any

from apiserver.kinds.ages import UNKNOWN, age
from apiserver.kinds.autoscaling_v1 import default_v1, drop_round_trip_annotations, from_hub, to_hub
from apiserver.kinds.workload import keep_status, status_subresource
from apiserver.kinds.workload_columns import AGE, NAME, NONE
from apiserver.registry.kind import Column, Context, Conversion, Kind
from apiserver.validation import autoscaling as validation
from kube.objects import Object, name_of
from kube.resources import Resource

AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
AUTOSCALERS_V1 = Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
CPU_UTILIZATION_PERCENT = 80
METRICS_SHOWN_MAX = 2
NIL = "<nil>"

_SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}],
}
_SCALE_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
_EMPTY_STATUS = {"desiredReplicas": 0, "currentMetrics": None}


def default(hpa: Object) -> None:
    """Defaults of v2: CPU at 80 %, and complete scaling rules where there are any."""
    drop_round_trip_annotations(hpa)
    spec = hpa.setdefault("spec", {})
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": CPU_UTILIZATION_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        for name, rules in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
            given = {key: value for key, value in (behavior.get(name) or {}).items() if value is not None}
            behavior[name] = deepcopy(rules) | given


def prepare(hpa: Object, old: Object | None, _ctx: Context) -> None:
    keep_status(hpa, old, _EMPTY_STATUS)


# --- rows -------------------------------------------------------------------------------------------------------------


def _either(target: Object, current: Object | None) -> str:
    """Object and External metrics: a value per pod when there is one, else the value."""
    if target.get("averageValue") is not None:
        return f"{(current or {}).get('averageValue') or UNKNOWN}/{target['averageValue']} (avg)"
    return f"{_now(current, 'value')}/{target.get('value') or NIL}"


def _now(current: Object | None, name: str) -> str:
    """A present value, as Go prints what is not there, or unknown where the status says nothing of the metric."""
    return UNKNOWN if current is None else current.get(name) or NIL


def _resource(name: str, target: Object, current: Object | None) -> str:
    if target.get("averageValue") is not None:
        return f"{name}: {_now(current, 'averageValue')}/{target['averageValue']}"
    used, wanted = (current or {}).get("averageUtilization"), target.get("averageUtilization")
    return f"{name}: {UNKNOWN if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _metric_cell(spec: Object, status: Object) -> str:
    kind = spec.get("type") or ""
    source = kind[:1].lower() + kind[1:]
    wanted, known = spec.get(source) or {}, status.get(source)
    current = known.get("current") or {} if known is not None else None
    target = wanted.get("target") or {}
    if kind in ("External", "Object"):
        return _either(target, current)
    if kind == "Pods":
        return f"{_now(current, 'averageValue')}/{target.get('averageValue') or NIL}"
    if kind in ("Resource", "ContainerResource"):
        return _resource(wanted.get("name", ""), target, current)
    return "<unknown type>"


def metrics_cell(specs: list[Object], statuses: list[Object]) -> str:
    """The Targets cell: current over wanted, for the first two metrics."""
    if not specs:
        return NONE
    shown = [_metric_cell(each, statuses[index] if index < len(statuses) else {}) for index, each in enumerate(specs[:METRICS_SHOWN_MAX])]
    more = len(specs) - METRICS_SHOWN_MAX
    return ", ".join(shown) + (f" + {more} more..." if more > 0 else "")


def _row(hpa: Object, now: datetime) -> list[Any]:
    spec, status = hpa["spec"], hpa.get("status") or {}
    target, least = spec.get("scaleTargetRef") or {}, spec.get("minReplicas")
    return [
        name_of(hpa),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        metrics_cell(spec.get("metrics") or [], status.get("currentMetrics") or []),
        "<unset>" if least is None else str(least),
        spec.get("maxReplicas") or 0,
        status.get("currentReplicas") or 0,
        age(hpa, now),
    ]


HORIZONTAL_POD_AUTOSCALER = Kind(
    resource=AUTOSCALERS,
    definition="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    singular="horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(status_subresource(validation.validate_status),),
    conversions=(Conversion(AUTOSCALERS_V1, "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", to_hub, from_hub, default_v1),),
    columns=(
        NAME,
        Column("Reference", description="What is scaled."),
        Column("Targets", description="Each metric: current over wanted."),
        Column("MinPods", description="Pods at least."),
        Column("MaxPods", description="Pods at most."),
        Column("Replicas", description="Pods now."),
        AGE,
    ),
    row=_row,
    default=default,
    fills_lists=("policies",),
    prepare=prepare,
    validate=validation.validate,
    metadata_passes=("update",),
)

KINDS: list[Kind] = [HORIZONTAL_POD_AUTOSCALER]
