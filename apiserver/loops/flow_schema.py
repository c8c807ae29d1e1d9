"""Says of each FlowSchema whether its priority level is there (condition `Dangling`).

Source: apiserver `pkg/util/flowcontrol/apf_controller.go` (syncOne, digestFlowSchemasLocked).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apiserver.bootstrap.flow_control import CONSUMER, FLOW_SCHEMAS, MANDATORY, PRIORITY_LEVELS
from apiserver.loops.follow import Concerns
from apiserver.loops.status import apply_condition, says
from apiserver.registry.cache import MODIFIED, Change
from apiserver.registry.registry import Registries
from kube.objects import Object, condition_of
from kube.resources import Resource


def dangling(level: str, *, exists: bool) -> Object:
    """The condition of a FlowSchema that names `level`, without a time."""
    text = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if exists:
        return {"type": "Dangling", "status": "False", "reason": "Found", "message": f"{text} and it exists"}
    return {"type": "Dangling", "status": "True", "reason": "NotFound", "message": f"{text} but there is no such object"}


class FlowSchemaLoop:
    """Keys are names of FlowSchemas."""

    name = "flow-schema"

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._schemas = registries.get(FLOW_SCHEMAS).cache
        self._levels = registries.get(PRIORITY_LEVELS).cache

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((FLOW_SCHEMAS, lambda change: (change.entry.name,)), (PRIORITY_LEVELS, self._of_level))

    def reset(self) -> Iterable[str]:
        return [entry.name for entry in self._schemas.entries()]

    def _of_level(self, change: Change) -> Iterable[str]:
        """A level that comes or goes may concern any FlowSchema; a change of one concerns none."""
        return () if change.type == MODIFIED else self.reset()

    async def settle(self, key: str) -> float | None:
        entry = self._schemas.get("", key)
        if entry is None:
            return None
        schema = self._schemas.object_of(entry)
        level = ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name", "")
        condition = dangling(level, exists=level in MANDATORY or self._levels.get("", level) is not None)
        if not says(condition_of(schema, "Dangling"), condition):
            await apply_condition(self._registries, FLOW_SCHEMAS, key, condition, manager=CONSUMER)
        return None
