"""Everything that configures simulated nodes, by kind: KWOK's objects (`kwok.x-k8s.io/v1alpha1`), from files or from the cluster.

Understood: Stage (`stage.py`), ResourceUsage and ClusterResourceUsage (`usage.py`), Metric (`metric.py`), Exec, ClusterExec, Logs and
ClusterLogs (`inside.py`). Others are refused by name. Logs name files of this machine, so they are read from files only, never from the
cluster: whoever may write an object could read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from kube.objects import Object, key_of
from kubelet.stages.inside import Execs, Logs, compiled_execs, compiled_logs
from kubelet.stages.metric import Metric, compiled_metric
from kubelet.stages.query import StageError
from kubelet.stages.stage import Stage, StageSet, compiled, defaults
from kubelet.stages.usage import PodUsage, UsageSet, compiled_usage

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GROUP: Final = "kwok.x-k8s.io"
KINDS: Final = ("Stage", "ResourceUsage", "ClusterResourceUsage", "Metric", "Exec", "ClusterExec")
"""What may come from the cluster."""
FROM_FILES: Final = (*KINDS, "Logs", "ClusterLogs")
_HOST: Final = "it would act on this machine itself; simulated containers answer by themselves (docs/simulation.md)"
REFUSED: Final[Mapping[str, str]] = dict.fromkeys(("Attach", "ClusterAttach", "PortForward", "ClusterPortForward"), _HOST)

_ONLY: Final = f"only {', '.join(FROM_FILES)} are"

Compiled = Stage | PodUsage | Metric | Execs | Logs


def compiled_object(obj: Object) -> Compiled:
    """One object, ready to use. Raises StageError for one that is not understood."""
    kind = str(obj.get("kind") or "")
    if kind == "Stage" or not str(obj.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return compiled(obj)
    if kind in ("ResourceUsage", "ClusterResourceUsage"):
        return compiled_usage(obj)
    if kind == "Metric":
        return compiled_metric(obj)
    if kind in ("Exec", "ClusterExec"):
        return compiled_execs(obj)
    if kind in ("Logs", "ClusterLogs"):
        return compiled_logs(obj)
    raise StageError(f"kind {kind!r} is not understood: {REFUSED.get(kind, _ONLY)}")


def documents(path: Path) -> list[Object]:
    """The objects of a YAML file: several documents, or Lists. Raises StageError, naming the file, for what is not understood; OSError."""
    found: list[Object] = []
    try:
        for document in yaml.load_all(path.read_text(encoding="utf-8"), _LOADER):
            if document is not None and not isinstance(document, dict):
                raise StageError("not an object")
            objects = document or {}
            found += filter(None, (objects.get("items") or ()) if objects.get("kind") == "List" else [objects])
        for each in found:
            compiled_object(each)
    except (StageError, yaml.YAMLError) as error:
        raise StageError(f"{path}: {error}") from error
    return found


@dataclass(slots=True)
class Simulation:
    """What applies now. `put` and `remove` change it for everyone who has it; an object replaces the one of its kind and name."""

    stages: StageSet = field(default_factory=lambda: StageSet(defaults()))
    usages: UsageSet = field(default_factory=UsageSet)
    metrics: tuple[Metric, ...] = ()
    execs: tuple[Execs, ...] = ()
    logs: tuple[Logs, ...] = ()
    _known: dict[tuple[str, str], Compiled] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Iterable[Object]) -> Simulation:
        """The defaults and these. Raises StageError."""
        made = cls()
        for each in objects:
            made._known[_key(each)] = compiled_object(each)
        made._settle()
        return made

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Simulation:
        """The defaults and what is in these files. Raises StageError, OSError, naming the file."""
        return cls.of(each for path in paths for each in documents(path))

    def put(self, obj: Object) -> None:
        """Raises StageError; then what was there of that name is gone."""
        self._known.pop(_key(obj), None)
        try:
            self._known[_key(obj)] = compiled_object(obj)
        finally:
            self._settle()

    def remove(self, obj: Object) -> None:
        if self._known.pop(_key(obj), None) is not None:
            self._settle()

    def _settle(self) -> None:
        known = list(self._known.values())
        stages = {each.name: each for each in defaults()} | {each.name: each for each in known if isinstance(each, Stage)}
        self.stages = StageSet(stages.values())
        self.usages = UsageSet(each for each in known if isinstance(each, PodUsage))
        self.metrics = tuple(each for each in known if isinstance(each, Metric))
        self.execs = tuple(each for each in known if isinstance(each, Execs))
        self.logs = tuple(each for each in known if isinstance(each, Logs))


def _key(obj: Mapping[str, Any]) -> tuple[str, str]:
    return str(obj.get("kind") or ""), key_of(obj)
