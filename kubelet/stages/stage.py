"""Stages: what comes next for a simulated thing, after how long. Data in, decision out; pure but for the `random.Random` handed in.

A Stage (https://kwok.sigs.k8s.io/docs/user/stages-configuration/) selects objects by expressions, waits for a delay with jitter, and
says what happens `next`. Three kinds of object (`spec.resourceRef.kind`) are simulated here:

    Image      apiGroup wherry.dev/v1   an image about to be pulled: `{metadata, spec, image: {name, repository, tag, digest}}` of
                                        the pod that wants it. next.statusTemplate: `sizeBytes`, or `error` (and `reason`)
    Container  apiGroup wherry.dev/v1   a container that has just started: `{metadata, spec, container: {name, image,
                                        restartCount, runsOnce, isSidecar, known}}` (known: its command is interpreted, and ends it).
                                        next.statusTemplate: how it ends (`exitCode`, `reason`, `message`)
    Pod        KWOK's own               a pod whose state has changed. Of next.statusTemplate (or the first status patch) the simulated
                                        runtime obeys `containerStatuses[].state.terminated`: such a container ends like that.
                                        The rest of what KWOK would do (phases, events, deletes) is the kubelet's own work here

`metadata.annotations` of an Image's or Container's object are the pod's, with `<container>.wherry.dev/x` standing in for `wherry.dev/x`.
The defaults are the YAML files beside this one; other kinds of KWOK's are in `simulation.py`.
Not understood (StageError): CEL expressions, `steps` with `apply`, finalizers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kube.clock import parse_time
from kube.objects import Object
from kubelet.stages.query import Query, StageError, as_text
from kubelet.stages.template import Functions, Template

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_GO_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One matchExpression."""

    query: Query
    operator: str
    values: frozenset[str]

    def holds(self, obj: Object) -> bool:
        found = self.query.values(obj)
        if self.operator == "Exists":
            return bool(found)
        if self.operator == "DoesNotExist":
            return not found
        matched = any(as_text(each) in self.values for each in found)
        return matched if self.operator == "In" else not matched


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with an expression that may replace it (`durationMilliseconds`/`durationFrom`, `weight`/`weightFrom`)."""

    value: float | None
    source: Query | None

    def of(self, obj: Object) -> Any:
        found = self.source.values(obj) if self.source else []
        return found[0] if found else self.value


@dataclass(frozen=True, slots=True)
class Stage:
    """One Stage, compiled. Times in seconds."""

    name: str
    kind: str
    requirements: tuple[Requirement, ...]
    weight: Amount
    delay: Amount
    jitter: Amount
    template: Template | None
    event: Mapping[str, str] | None
    deletes: bool

    def matches(self, obj: Object) -> bool:
        return all(each.holds(obj) for each in self.requirements)

    def delay_s(self, obj: Object, rng: random.Random, now: datetime) -> float:
        """The delay, somewhere between `delay` and `jitter` when there is a jitter (KWOK's meaning of the field)."""
        base_s = seconds(self.delay.of(obj), now) or 0.0
        upper_s = seconds(self.jitter.of(obj), now)
        if upper_s is None:
            return base_s
        return rng.uniform(base_s, upper_s) if upper_s > base_s else upper_s

    def status(self, obj: Object, functions: Functions) -> Object:
        """What next.statusTemplate says of `obj`."""
        if self.template is None:
            return {}
        text = self.template.text if self.template.is_static else self.template.render(obj, functions)
        answer = _loaded(text) if self.template.is_static else yaml.load(text, _LOADER)
        if not isinstance(answer, dict | None):
            raise StageError(f"Stage {self.name}: statusTemplate is no mapping")
        return answer or {}


@cache
def _loaded(text: str) -> Any:
    return yaml.load(text, _LOADER)


def seconds(value: Any, now: datetime) -> float | None:
    """A delay in seconds: a number of them, a Go duration ("1m30s"), or a time to wait for. None stays None. Raises StageError."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(rf"(?:{_GO_DURATION.pattern})+", text):
        return sum(float(match[1]) * _UNIT_S[match[2]] for match in _GO_DURATION.finditer(text))
    try:
        moment = parse_time(text)
    except ValueError:
        moment = None
    if moment is None:
        raise StageError(f"{text!r} is neither a duration nor a time")
    return max((moment - now).total_seconds(), 0.0)


class StageSet:
    """All stages that apply, by kind."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._by_kind: dict[str, list[Stage]] = {}
        for stage in stages:
            self._by_kind.setdefault(stage.kind, []).append(stage)

    def has(self, kind: str) -> bool:
        return kind in self._by_kind

    def next(self, kind: str, obj: Object, rng: random.Random) -> Stage | None:
        """The stage that comes next for `obj`: of those that match, one at random by weight (all alike if none has a weight)."""
        found = [stage for stage in self._by_kind.get(kind, ()) if stage.matches(obj)]
        if len(found) < 2:
            return found[0] if found else None
        weights = [int(stage.weight.of(obj) or 0) for stage in found]
        return rng.choices(found, weights if any(weights) else None)[0]


# --- reading --------------------------------------------------------------------------------------------------------------


def load(paths: Iterable[Path]) -> list[Stage]:
    """The stages of YAML files: several documents each, or a List. Raises StageError, naming the file."""
    stages: list[Stage] = []
    for path in paths:
        try:
            for document in yaml.load_all(path.read_text(encoding="utf-8"), _LOADER):
                objects = document.get("items") or () if (document or {}).get("kind") == "List" else [document]
                stages.extend(compiled(each) for each in objects if each)
        except (StageError, yaml.YAMLError) as error:
            raise StageError(f"{path}: {error}") from error
    return stages


@cache
def defaults() -> tuple[Stage, ...]:
    """The stages that come with Wherry."""
    return tuple(load(sorted(Path(__file__).parent.glob("*.yaml"))))


def compiled(obj: Object) -> Stage:
    """A Stage object, ready to use. Raises StageError for what is not understood."""
    name = str(obj.get("metadata", {}).get("name", ""))
    if obj.get("kind") != "Stage" or not str(obj.get("apiVersion", "")).startswith("kwok.x-k8s.io/"):
        raise StageError(f"{name or obj.get('kind')!r}: not a Stage of kwok.x-k8s.io")
    spec = obj.get("spec") or {}
    try:
        return _compiled(name, spec)
    except StageError as error:
        raise StageError(f"Stage {name}: {error}") from error


def _compiled(name: str, spec: Mapping[str, Any]) -> Stage:
    if "selector" not in spec:
        raise StageError("spec.selector is missing: it would match nothing")
    delay, follows = spec.get("delay") or {}, _next(spec)
    return Stage(
        name=name,
        kind=str((spec.get("resourceRef") or {}).get("kind", "")),
        requirements=tuple(_requirements(spec["selector"] or {})),
        weight=_amount(spec, "weight", "weightFrom", 1.0),
        delay=_amount(delay, "durationMilliseconds", "durationFrom", 1e-3),
        jitter=_amount(delay, "jitterDurationMilliseconds", "jitterDurationFrom", 1e-3),
        template=_template(follows),
        event=follows.get("event"),
        deletes=bool(follows.get("delete")),
    )


def _next(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """`next`, or the newer `steps` folded into one."""
    if "steps" not in spec:
        return spec.get("next") or {}
    folded: dict[str, Any] = {}
    for step in spec["steps"] or ():
        if unknown := set(step) - {"patch", "event", "delete"}:
            raise StageError(f"steps: {', '.join(sorted(unknown))} is not understood")
        if "patch" in step:
            folded.setdefault("patches", []).append(step["patch"])
        folded |= {key: step[key] for key in ("event", "delete") if key in step}
    return folded


def _template(follows: Mapping[str, Any]) -> Template | None:
    if follows.get("finalizers"):
        raise StageError("next.finalizers is not understood")
    if text := follows.get("statusTemplate"):
        return Template(text)
    for patch in follows.get("patches") or ():
        if patch.get("subresource") == "status" and patch.get("root") == "status":
            return Template(patch.get("template") or "")
    return None


def _amount(spec: Mapping[str, Any], key: str, source: str, scale: float) -> Amount:
    value = spec.get(key)
    return Amount(None if value is None else value * scale, _source(spec.get(source)))


def _source(source: Mapping[str, Any] | None) -> Query | None:
    if not source:
        return None
    if "cel" in source:
        raise StageError("CEL expressions are not understood, only jq ones")
    return Query(source.get("expressionFrom") or (source.get("jq") or {}).get("expression") or "")


def _requirements(selector: Mapping[str, Any]) -> Iterable[Requirement]:
    for field in ("labels", "annotations"):
        for key, value in (selector.get(f"match{field.capitalize()}") or {}).items():
            yield Requirement(Query(f'.metadata.{field}["{key}"]'), "In", frozenset([value]))
    for each in selector.get("matchExpressions") or ():
        yield _requirement(each)


def _requirement(expression: Mapping[str, Any]) -> Requirement:
    if "cel" in expression:
        raise StageError("CEL expressions are not understood, only jq ones")
    expression = expression.get("jq") or expression
    operator = expression.get("operator", "")
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
        raise StageError(f"operator {operator!r} is not understood")
    values: Sequence[Any] = expression.get("values") or ()
    return Requirement(Query(expression.get("key") or expression.get("expression") or ""), operator, frozenset(map(as_text, values)))
