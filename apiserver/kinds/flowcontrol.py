"""flowcontrol.apiserver.k8s.io: FlowSchemas and PriorityLevelConfigurations as data. Source: kubernetes `pkg/registry/flowcontrol`;
rules in `validation/flowcontrol.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, NONE
from apiserver.kinds.strategy import status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Kind
from apiserver.validation import flowcontrol as validation
from kube.objects import Object, condition_of
from kube.resources import Resource

GROUP = "flowcontrol.apiserver.k8s.io"
DEFINITION = "io.k8s.api.flowcontrol.v1."
PRECEDENCE, SHARES = 1000, 30
QUEUES, HAND_SIZE, QUEUE_LENGTH = 64, 8, 50


def default_flow_schema(schema: Object) -> None:
    spec = schema.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = PRECEDENCE


def default_priority_level(level: Object) -> None:
    spec = level.setdefault("spec", {})
    limited, exempt = spec.get("limited"), spec.get("exempt")
    if limited is not None:
        if limited.get("nominalConcurrencyShares") is None:
            limited["nominalConcurrencyShares"] = SHARES
        if limited.get("lendablePercent") is None:
            limited["lendablePercent"] = 0
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for name, value in (("handSize", HAND_SIZE), ("queues", QUEUES), ("queueLengthLimit", QUEUE_LENGTH)):
                if not queuing.get(name):
                    queuing[name] = value
    if exempt is not None:
        if exempt.get("nominalConcurrencyShares") is None:
            exempt["nominalConcurrencyShares"] = 0
        if exempt.get("lendablePercent") is None:
            exempt["lendablePercent"] = 0


def _schema_row(schema: Object, now: datetime) -> list[Any]:
    spec, dangling = schema.get("spec") or {}, condition_of(schema, "Dangling")
    method = spec.get("distinguisherMethod")
    return [
        schema["metadata"].get("name", ""),
        (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        method.get("type", "") if method else NONE,
        age(schema, now),
        dangling.get("status", "") if dangling else "?",
    ]


def _in_order_of_matching(schema: Object) -> tuple[int, str]:
    return (schema.get("spec") or {}).get("matchingPrecedence", 0), schema["metadata"].get("name", "")


def _level_row(level: Object, now: datetime) -> list[Any]:
    spec = level.get("spec") or {}
    limited = spec.get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    return [
        level["metadata"].get("name", ""),
        spec.get("type", ""),
        limited.get("nominalConcurrencyShares", NONE),
        *(queuing.get(name, NONE) for name in ("queues", "handSize", "queueLengthLimit")),
        age(level, now),
    ]


FLOW_SCHEMA = Kind(
    resource=Resource(GROUP, "v1", "flowschemas", "FlowSchema", namespaced=False),
    definition=DEFINITION + "FlowSchema",
    singular="flowschema",
    subresources=(status_subresource(validation.validate_flow_schema_status, keeps_metadata=True, metadata_passes=()),),
    columns=(
        NAME,
        Column("PriorityLevel"),
        Column("MatchingPrecedence"),
        Column("DistinguisherMethod"),
        AGE,
        Column("MissingPL"),
    ),
    row=_schema_row,
    row_order=_in_order_of_matching,
    default=default_flow_schema,
    prepare=status_is_the_servers({}),
    validate=validation.validate_flow_schema,
    metadata_passes=("create",),
    has_generation=True,
)

PRIORITY_LEVEL_CONFIGURATION = Kind(
    resource=Resource(GROUP, "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", namespaced=False),
    definition=DEFINITION + "PriorityLevelConfiguration",
    singular="prioritylevelconfiguration",
    subresources=(status_subresource(validation.validate_priority_level_status, keeps_metadata=True, metadata_passes=()),),
    columns=(
        NAME,
        Column("Type"),
        Column("NominalConcurrencyShares"),
        Column("Queues"),
        Column("HandSize"),
        Column("QueueLengthLimit"),
        AGE,
    ),
    row=_level_row,
    default=default_priority_level,
    prepare=status_is_the_servers({}),
    validate=validation.validate_priority_level,
    metadata_passes=("create",),
    has_generation=True,
)

KINDS = [FLOW_SCHEMA, PRIORITY_LEVEL_CONFIGURATION]
