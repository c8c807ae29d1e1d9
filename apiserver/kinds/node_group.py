"""node.k8s.io: RuntimeClasses. Source: kubernetes `pkg/registry/node/runtimeclass`; rules in `validation/runtime_class.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.kinds.podspec import round_resources
from apiserver.registry.kind import Column, Kind
from apiserver.validation import runtime_class as validation
from kube.objects import Object
from kube.resources import Resource


def default(runtime_class: Object) -> None:
    overhead = (runtime_class.get("overhead") or {}).get("podFixed")
    if overhead:
        round_resources(overhead)


def _row(runtime_class: Object, now: datetime) -> list[Any]:
    return [runtime_class["metadata"].get("name", ""), runtime_class.get("handler", ""), age(runtime_class, now)]


RUNTIME_CLASS = Kind(
    resource=Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False),
    definition="io.k8s.api.node.v1.RuntimeClass",
    singular="runtimeclass",
    columns=(NAME, Column("Handler"), AGE),
    row=_row,
    default=default,
    validate=validation.validate,
    create_on_update=True,
    unconditional_update=False,
)

KINDS = [RUNTIME_CLASS]
