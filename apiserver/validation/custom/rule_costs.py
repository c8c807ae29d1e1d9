"""Rules of a definition: whether they compile, and whether they cost too much. (See `standard.Rules`.)

Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/{validation,cel_validation}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.validation.custom.rule_types import REQUEST_BYTES_MAX, Declared, declared, escaped
from apiserver.validation.custom.rules import CompiledRule, compile_rules
from apiserver.validation.custom.schema import Node, is_embedded
from kube.errors import FieldError, invalid, not_allowed

RULE_COST_MAX: Final = 10_000_000
DEFINITION_COST_MAX: Final = 100_000_000
EXPENSIVE_SHOWN: Final = 4
_MOST: Final = 2**64 - 1
_X: Final = "x-kubernetes-"


_PARTS: Final = {"rule": "", "message": "", "messageExpression": "", "reason": None, "fieldPath": "", "optionalOldSelf": None}


@dataclass(slots=True)
class Total:
    """What all rules of a schema cost, and which cost most."""

    cost: int = 0
    expensive: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: str, cost: int) -> None:
        self.cost = min(_MOST, self.cost + cost)
        if cost >= DEFINITION_COST_MAX // 100:
            self.expensive = sorted([*self.expensive, (cost, path)], key=lambda each: -each[0])[:EXPENSIVE_SHOWN]

    def problems(self, path: str) -> list[FieldError]:
        if self.cost <= DEFINITION_COST_MAX:
            return []
        why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        found = [not_allowed(each, why) for _, each in self.expensive]
        what = f"{_X}validations estimated rule cost total for entire OpenAPIv3 schema"
        return [*found, not_allowed(path, _too_much(what, self.cost, DEFINITION_COST_MAX))]


class SchemaRules:
    """Where in a schema rules are compiled; see `standard.Rules`. `count` is how many values there can be, None: nobody knows."""

    def __init__(self, node: Node, total: Total, parent: SchemaRules | None = None, part: str = "", name: str = "") -> None:
        self._node, self.total, self._parent, self._part, self._name = node, total, parent, part, name
        self._in_scope: bool = bool(node.get(f"{_X}validations")) or (parent is not None and parent._in_scope)
        self._count: int | None = 1 if parent is None else _product(parent._count, _elements(parent._node))
        self._declared: Declared | None = None

    def child(self, part: str, node: Node, name: str = "") -> SchemaRules:
        return SchemaRules(node, self.total, self, part, name)

    def _type(self) -> Declared | None:
        if self._declared is None:
            if self._parent is not None and self._parent._in_scope:
                self._declared = self._from_parent(self._parent._type())
            if self._declared is None:
                self._declared = declared(self._node, is_root=self._parent is None or is_embedded(self._node))
        return self._declared

    def _from_parent(self, of: Declared | None) -> Declared | None:
        if of is None:
            return None
        return of.fields.get(escaped(self._name) or "") if self._part == "properties" else of.item

    def problems(self, path: str, uncorrelatable: str) -> list[FieldError]:
        of = self._type()
        if of is None:
            why = "Internal error: internal error: failed to construct type information for x-kubernetes-validations rules"
            return [FieldError("InternalError", path, f"{why}: unable to convert structural schema to CEL declarations")]
        found: list[FieldError] = []
        for index, compiled in enumerate(compile_rules(self._node[f"{_X}validations"], of)):
            found += self._of_rule(compiled, f"{path}[{index}]", of, uncorrelatable)
        return found

    def _of_rule(self, compiled: CompiledRule, path: str, of: Declared, uncorrelatable: str) -> list[FieldError]:
        rule, found = compiled.rule, []
        count = self._count if self._count is not None else REQUEST_BYTES_MAX // (of.least_bytes + 1)
        cost = min(_MOST, compiled.cost * count)
        if cost > RULE_COST_MAX:
            found.append(not_allowed(f"{path}.rule", _too_much("estimated rule cost", cost, RULE_COST_MAX)))
        self.total.add(f"{path}.rule", cost)
        if compiled.problem:
            found.append(invalid(f"{path}.rule", _shown(rule), compiled.problem))
        if compiled.message_problem:
            found.append(invalid(f"{path}.messageExpression", _shown(rule), compiled.message_problem))
        elif compiled.message is not None:
            if compiled.message_cost > RULE_COST_MAX:
                why = _too_much("estimated messageExpression cost", compiled.message_cost, RULE_COST_MAX)
                found.append(not_allowed(f"{path}.messageExpression", why))
            self.total.add(f"{path}.messageExpression", compiled.message_cost)
        return found + _old_self(compiled, rule, path, uncorrelatable)


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as upstream's internal type prints it."""
    return {name[0].upper() + name[1:]: rule.get(name, none) for name, none in _PARTS.items()}


def _old_self(compiled: CompiledRule, rule: Any, path: str, uncorrelatable: str) -> list[FieldError]:
    if compiled.uses_old:
        why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
        return [invalid(f"{path}.rule", rule["rule"], why)] if uncorrelatable else []
    optional = rule.get("optionalOldSelf")
    why = "may not be set if oldSelf is not used in rule"
    return [invalid(f"{path}.optionalOldSelf", optional, why)] if optional is not None else []


def _elements(node: Node) -> int | None:
    """How many children each value has."""
    kind = node.get("type")
    if kind == "object" and node.get("additionalProperties") is not None:
        most = node.get("maxProperties")
        return max(0, most) if most is not None else None
    if kind == "array":
        most = node.get("maxItems")
        return max(0, most) if most is not None else None
    return 1


def _product(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(_MOST, one * other)


def _too_much(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    advice = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared"
    return f"{what} exceeds budget by factor of {shown} ({advice})"
