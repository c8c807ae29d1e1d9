"""KWOK's `Exec` and `Logs` (of one pod), `ClusterExec` and `ClusterLogs` (of all that they select): what is found inside a container.

# deviates: KWOK runs exec'd commands on the node's own machine; here they are the simulated shell's, with the environment that is named

Source: https://kwok.sigs.k8s.io/docs/user/kwok-in-cluster/ (exec, logs), `pkg/kwok/server/debugging_exec.go`, `debugging_logs.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from kube.objects import Object, name_of, namespace_of
from kubelet.stages.query import StageError
from kubelet.stages.usage import Selector, selector_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shell:
    """The environment of exec'd commands, and where they run."""

    envs: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""


@dataclass(frozen=True, slots=True)
class ForContainers(Generic[T]):
    """What holds for some containers; none named: for all."""

    containers: frozenset[str]
    what: T


@dataclass(frozen=True, slots=True)
class Inside(Generic[T]):
    """One object, compiled."""

    name: str
    selector: Selector
    is_of_one_pod: bool
    entries: Sequence[ForContainers[T]]

    def of(self, container: str) -> T | None:
        own = next((each for each in self.entries if container in each.containers), None)
        found = own or next((each for each in self.entries if not each.containers), None)
        return found.what if found is not None else None


class Execs(Inside[Shell]):
    __slots__ = ()


class Logs(Inside[Path]):
    """The file whose lines a container's log begins with."""

    __slots__ = ()


def first(objects: Iterable[Inside[T]], pod: Object, container: str) -> T | None:
    """What the first object that selects the pod says of a container; a pod's own come first."""
    for each in sorted(objects, key=lambda each: not each.is_of_one_pod):
        if each.selector.matches(pod):
            found = each.of(container)
            if found is not None or each.is_of_one_pod:
                return found
    return None


# --- reading ------------------------------------------------------------------------------------------------------------------------


def compiled_execs(obj: Object) -> Execs:
    """An Exec or ClusterExec. Raises StageError."""
    return Execs(*_parts(obj, "execs", _shell))


def compiled_logs(obj: Object) -> Logs:
    """A Logs or ClusterLogs. Raises StageError."""
    return Logs(*_parts(obj, "logs", _file))


def _parts(obj: Object, key: str, read: Callable[[Mapping[str, Any]], T]) -> tuple[str, Selector, bool, tuple[ForContainers[T], ...]]:
    name, kind, spec = name_of(obj), str(obj.get("kind")), obj.get("spec") or {}
    is_one = not kind.startswith("Cluster")
    selector = Selector(frozenset([namespace_of(obj) or "default"]), frozenset([name])) if is_one else selector_of(spec)
    try:
        entries = tuple(ForContainers(frozenset(each.get("containers") or ()), read(each)) for each in spec.get(key) or ())
    except StageError as error:
        raise StageError(f"{kind} {name}: {error}") from error
    return name, selector, is_one, entries


def _shell(entry: Mapping[str, Any]) -> Shell:
    local = entry.get("local")
    if local is None:
        raise StageError("an exec target needs `local`")
    if local.get("securityContext"):
        raise StageError("local.securityContext is not understood: simulated containers have one user")
    return Shell({str(each["name"]): str(each.get("value") or "") for each in local.get("envs") or ()}, str(local.get("workDir") or ""))


def _file(entry: Mapping[str, Any]) -> Path:
    if entry.get("previousLogsFile"):
        raise StageError("previousLogsFile is not understood: the log of the container before is its own")
    if not entry.get("logsFile"):
        raise StageError("a log needs a logsFile")
    return Path(str(entry["logsFile"]))
