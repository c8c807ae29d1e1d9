"""x-kubernetes-validations: rules, compiled once per schema, evaluated on every write.

`RuleSet` stands for a schema that has rules, or that holds one that has. What a rule says when it is broken, and which rules look at what
has changed, is upstream's. Source: apiextensions-apiserver `pkg/apiserver/schema/cel/{compilation,validation}.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.validation.custom.correlation import Correlation
from apiserver.validation.custom.field_path import FieldPathError, field_at
from apiserver.validation.custom.rule_types import Declared, converter, declared, size_at
from apiserver.validation.custom.schema import Node, additional, is_embedded, items, properties
from kube.cel import types
from kube.cel.cost import estimate
from kube.cel.environment import CelError, CompileError, CostError, Program, compile_expression
from kube.cel.values import NONE, Optional
from kube.errors import FieldError, quoted

OBJECT_COST_MAX: Final = 10_000_000
"""Of all rules for one object."""

MESSAGE_BYTES_MAX: Final = 5 * 1024
_SPACE: Final = " \t\n\v\f\r\x85\xa0"
_BLOCKING: Final = frozenset(
    ["FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"]
)
_OMITTED: Final = object()
NOT_CHECKED: Final = FieldError(
    "FieldValueInvalid",
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


def has_rules(node: Node) -> bool:
    """Whether there is a rule anywhere in a schema."""
    below = [*properties(node).values(), additional(node), items(node), *(node.get("allOf") or ())]
    return bool(node.get("x-kubernetes-validations")) or any(each is not None and has_rules(each) for each in below)


def is_blocked(errors: Sequence[FieldError]) -> bool:
    """Whether an object is so wrong that rules are not asked."""
    return any(each.reason in _BLOCKING for each in errors)


# --- compiling


@dataclass(slots=True)
class CompiledRule:
    """A rule, or why it is none. `cost` and `message_cost` are estimates."""

    rule: Mapping[str, Any]
    program: Program | None = None
    problem: str = ""
    uses_old: bool = False
    cost: int = 0
    message: Program | None = None
    message_problem: str = ""
    message_cost: int = 0
    path: str = ""


def compile_rules(rules: Sequence[Mapping[str, Any]], of: Declared) -> list[CompiledRule]:
    """The rules of one schema."""
    return [_compiled(rule, of) for rule in rules]


def _compiled(rule: Mapping[str, Any], of: Declared) -> CompiledRule:
    out = CompiledRule(rule)
    if not (rule.get("rule") or "").strip(_SPACE):
        return out
    variables = {"self": of.type, "oldSelf": types.optional_of(of.type) if rule.get("optionalOldSelf") else of.type}
    try:
        program = compile_expression(rule["rule"], variables)
    except CompileError as problem:
        out.problem = f"compilation failed: {problem}"
        return out
    if program.problem:
        out.problem = f"program instantiation failed: {program.problem}"
        return out
    if program.type != types.BOOL:
        out.problem = "cel expression must evaluate to a bool"
        return out
    out.program, out.uses_old = program, "oldSelf" in program.uses
    out.cost = estimate(program.tree, lambda path: size_at(of, path)).most
    if rule.get("messageExpression"):
        _compile_message(out, rule["messageExpression"], variables, of)
    if rule.get("fieldPath") and not out.message_problem:
        try:
            out.path = field_at(of.node, rule["fieldPath"])[0]
        except FieldPathError:
            out.path = ""
    return out


def _compile_message(out: CompiledRule, expression: str, variables: Mapping[str, types.Type], of: Declared) -> None:
    try:
        program = compile_expression(expression, variables)
    except CompileError as problem:
        out.message_problem = f"messageExpression compilation failed: {problem}"
        return
    if program.problem:
        out.message_problem = f"messageExpression instantiation failed: {program.problem}"
        return
    if program.type != types.STRING:
        out.message_problem = "messageExpression must evaluate to a string"
        return
    out.message = program
    out.message_cost = estimate(program.tree, lambda path: size_at(of, path)).most


# --- the rules of a schema, and of those in it


@dataclass(slots=True)
class RuleSet:
    node: Node
    rules: Sequence[CompiledRule]
    convert: Callable[[Any], Any] | None
    items: RuleSet | None = None
    rest: RuleSet | None = None
    properties: Mapping[str, RuleSet] = field(default_factory=dict)
    all_of: Sequence[RuleSet] = ()


def rule_set(node: Node, *, is_root: bool) -> RuleSet | None:
    """None where there are no rules at all."""
    return _made(node, node, declared(node, is_root=is_root), is_root=is_root) if has_rules(node) else None


def _made(values: Node, node: Node, of: Declared | None, *, is_root: bool) -> RuleSet | None:
    """`values` is where the rules are written (an alternative of allOf, or the schema itself), `node` the schema that has the types."""
    own = values.get("x-kubernetes-validations") or ()
    made = RuleSet(node, compile_rules(own, of) if of is not None else (), None)
    inner, below = items(values), items(node)
    if inner is not None and below is not None:
        made.items = _made(inner, below, of.item if of is not None else None, is_root=is_embedded(below))
    rest, further = additional(values), additional(node)
    if rest is not None and further is not None:
        made.rest = _made(rest, further, of.item if of is not None else None, is_root=is_embedded(further))
    made.properties = dict(_properties(values, node))
    found = [_made(each, node, of, is_root=is_root) for each in values.get("allOf") or ()]
    made.all_of = [each for each in found if each is not None]
    if not (made.rules or made.items or made.rest or made.properties or made.all_of):
        return None
    if made.rules:
        made.convert = converter(node)
    return made


def _properties(values: Node, node: Node) -> list[tuple[str, RuleSet]]:
    out = []
    for name, each in properties(values).items():
        below = properties(node).get(name)
        if below is None:
            continue
        found = _made(each, below, declared(below, is_root=is_embedded(below)), is_root=is_embedded(below))
        if found is not None:
            out.append((name, found))
    return out


# --- evaluating


@dataclass(slots=True)
class Outcome:
    """What is wrong, and what would be, had it not been so before."""

    errors: list[FieldError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    spent: int = 0
    is_spent: bool = False  # no further rule is asked

    def end(self, why: FieldError) -> bool:
        self.errors.append(why)
        self.is_spent = True
        return True


@dataclass(frozen=True, slots=True)
class _Before:
    """What the value is compared with: itself before, or else the nearest around it that can be compared."""

    current: Correlation | None = None
    around: Correlation | None = None

    def is_same(self) -> bool:
        of = self.current or self.around
        return of is not None and of.is_equal()

    def key(self, name: str) -> _Before:
        if self.current is None:
            return self
        if self.around is None and name in ("apiVersion", "kind"):
            return _Before()
        return _Before(self.current.key(name), self.current)

    def index(self, at: int) -> _Before:
        return self if self.current is None else _Before(self.current.index(at), self.current)


def evaluate(rules: RuleSet, value: Any, old: Any = None, *, correlation: Correlation | None = None, path: str = "") -> Outcome:
    """Ask all rules. `old` is the value that is replaced, if any."""
    out = Outcome()
    _evaluate(rules, value, old, _Before(correlation), path, out)
    return out


def _evaluate(rules: RuleSet, value: Any, old: Any, before: _Before, path: str, out: Outcome) -> None:
    if value is None or out.is_spent:
        return
    if rules.rules:
        _own(rules, value, old, before, path, out)
    for each in rules.all_of:
        _evaluate(each, value, old, _Before(None, before.around), path, out)
    if isinstance(value, list):
        _in_list(rules, value, old if isinstance(old, list) else [], before, path, out)
    elif isinstance(value, dict):
        _in_map(rules, value, old if isinstance(old, dict) else {}, before, path, out)


def _in_list(rules: RuleSet, value: list[Any], old: list[Any], before: _Before, path: str, out: Outcome) -> None:
    if rules.items is None:
        return
    pairs = Correlation(value, old, rules.node)
    for at, each in enumerate(value):
        pair = pairs.index(at)
        _evaluate(rules.items, each, pair.old if pair is not None else None, before.index(at), f"{path}[{at}]", out)


def _in_map(rules: RuleSet, value: dict[str, Any], old: dict[str, Any], before: _Before, path: str, out: Outcome) -> None:
    for name, each in value.items():
        if rules.rest is not None:
            _evaluate(rules.rest, each, old.get(name), before.key(name), f"{path}[{name}]", out)
        below = rules.properties.get(name)
        if below is not None:
            _evaluate(below, each, old.get(name), before.key(name), f"{path}.{name}" if path else name, out)


def _own(rules: RuleSet, value: Any, old: Any, before: _Before, path: str, out: Outcome) -> None:
    shown = rules.convert(value) if rules.convert is not None else value
    previous = rules.convert(old) if rules.convert is not None and old is not None else old
    kind = rules.node.get("type") or ""
    for compiled in rules.rules:
        rule, optional = compiled.rule, bool(compiled.rule.get("optionalOldSelf"))
        if compiled.problem:
            out.errors.append(_invalid(path, kind, f"rule compile error: {compiled.problem}"))
        if compiled.program is None or (compiled.uses_old and old is None and not optional):
            continue
        was = (Optional(previous) if old is not None else NONE) if optional else previous
        variables = {"self": shown, "oldSelf": was}
        if _is_kept(compiled, compiled.program, variables, path, kind, out):
            if out.is_spent:
                return
            continue
        at = ".".join(filter(None, (path, compiled.path)))
        broken = _broken(at, _OMITTED if kind in ("object", "array") else value, _detail(compiled, variables), rule.get("reason"))
        if not compiled.uses_old and before.is_same():
            out.warnings.append(str(broken))
        else:
            out.errors.append(broken)


def _is_kept(compiled: CompiledRule, program: Program, variables: Mapping[str, Any], path: str, kind: str, out: Outcome) -> bool:
    """Whether there is nothing more to say of a rule: it is kept, or it could not be asked, which is told here."""
    try:
        is_kept = program.evaluate(variables) is True
    except CelError as error:
        out.errors.append(_invalid(path, kind, _failed(error, compiled.rule)))
        return True
    except CostError as error:
        end = f"no further validation rules will be run due to call cost exceeds limit for rule: {_named(compiled.rule)}"
        return out.end(_invalid(path, kind, f"'{error}': {end}"))
    out.spent += 1 + program.spent
    if out.spent > OBJECT_COST_MAX:
        why = "validation failed due to running out of cost budget, no further validation rules will be run"
        return out.end(_invalid(path, kind, why))
    return is_kept


def _failed(error: CelError, rule: Mapping[str, Any]) -> str:
    if str(error).startswith("no such overload"):
        why = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{error}': {why}: {_named(rule)}"
    return f"{error} evaluating rule: {_named(rule)}"


def _named(rule: Mapping[str, Any]) -> str:
    return str(rule.get("message") or rule["rule"]).strip(_SPACE)


def _detail(compiled: CompiledRule, variables: Mapping[str, Any]) -> str:
    rule = compiled.rule
    if compiled.message is not None:
        try:
            text = compiled.message.evaluate(variables)
        except (CelError, CostError):
            text = ""
        text = text.strip(_SPACE) if isinstance(text, str) else ""
        if text and len(text.encode()) <= MESSAGE_BYTES_MAX and not re.search(r"\n", text):
            return text
    return str(rule["message"]).strip(_SPACE) if rule.get("message") else f"failed rule: {_named(rule)}"


def _invalid(path: str, value: Any, why: str) -> FieldError:
    return FieldError("FieldValueInvalid", path or "<nil>", f"Invalid value: {quoted(value)}: {why}")


def _broken(path: str, value: Any, detail: str, reason: str | None) -> FieldError:
    at, shown = path or "<nil>", "" if value is _OMITTED else f": {quoted(_plain(value))}"
    if reason == "FieldValueForbidden":
        return FieldError(reason, at, f"Forbidden: {detail}" if detail else "Forbidden")
    if reason == "FieldValueRequired":
        return FieldError(reason, at, f"Required value: {detail}" if detail else "Required value")
    if reason == "FieldValueDuplicate":
        return FieldError(reason, at, f"Duplicate value{shown}")
    return FieldError("FieldValueInvalid", at, f"Invalid value{shown}" + (f": {detail}" if detail else ""))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value
