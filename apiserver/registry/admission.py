"""What the registry asks of admission: the interface that `apiserver/admission/` fills. Mutating first, validating last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from apiserver.registry.kind import Context, Kind
from kube.objects import Object


@dataclass(slots=True)
class Reinvocation:
    """Whether the mutating plugins are to run once more for a write (`is_wanted`), or do (`is_again`). `memory` is the plugins', by name.
    Source: apiserver `pkg/admission/reinvocation.go`."""

    is_wanted: bool = False
    is_again: bool = False
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Memory:
    """What has run for one write: `invoked` would run again if something changed, `wanted` will. `output` is the object as it was left."""

    invoked: set[Any] = field(default_factory=set)
    wanted: set[Any] = field(default_factory=set)
    output: Object | None = None

    def changed(self) -> None:
        """The object is another: whoever has run and wants to may look at it again."""
        self.wanted |= self.invoked
        self.invoked.clear()


@dataclass(slots=True)
class Attributes:
    """One write on its way in. `obj` may be changed by `mutate`; `old` never. `operation` is CREATE, UPDATE, DELETE or CONNECT."""

    kind: Kind
    operation: str
    namespace: str
    name: str
    obj: Object | None
    old: Object | None
    ctx: Context
    registries: Any
    options: Object = field(default_factory=dict)
    reinvocation: Reinvocation | None = None

    @property
    def subresource(self) -> str:
        return self.ctx.subresource


class Admission(Protocol):
    """A chain of plugins, or one. Refuses by raising `kube.errors.Forbidden` (or Invalid, ...)."""

    async def mutate(self, attributes: Attributes) -> None: ...

    async def validate(self, attributes: Attributes) -> None: ...

    def metrics(self) -> str:
        """What the plugins count, in the Prometheus exposition format."""
        ...


class NoAdmission:
    """Admits everything as it is."""

    async def mutate(self, attributes: Attributes) -> None:
        return

    async def validate(self, attributes: Attributes) -> None:
        return

    def metrics(self) -> str:
        return ""
