"""ComponentStatuses: deprecated, never stored, read-only. deviates: the list is always empty (upstream asks the components on the node)."""

from __future__ import annotations

from apiserver.registry.kind import Column, Kind
from kube.resources import Resource

COMPONENT_STATUS = Kind(
    resource=Resource("", "v1", "componentstatuses", "ComponentStatus", namespaced=False),
    definition="io.k8s.api.core.v1.ComponentStatus",
    singular="componentstatus",
    short_names=("cs",),
    verbs=("get", "list"),
    columns=(Column("Name", format="name"), Column("Status"), Column("Message"), Column("Error")),
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
)

KINDS = [COMPONENT_STATUS]
