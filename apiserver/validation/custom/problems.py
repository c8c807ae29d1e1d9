"""What exactly does not fit a schema, in upstream's words and order.

The slow way, taken when `checks.py` has not said yes. Upstream's validator is a fork of go-openapi's: it runs eight little validators over
every value and merges what they say, each text once; of alternatives (anyOf, oneOf) it tells what is wrong with the one that matched most
checks, which is why matches are counted here. Source: kube-openapi `pkg/validation/validate`, apiextensions-apiserver
`apiserver/validation/validation.go` (field errors) and `ratcheting.go` (what was wrong before and has not changed is left alone:
`correlation.py`; within alternatives only what is below is compared).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.validation.custom import formats
from apiserver.validation.custom.correlation import Correlation
from apiserver.validation.custom.numbers import number_problems
from apiserver.validation.custom.schema import Node, additional, items, json_type, properties, types
from kube import regexps
from kube.errors import FieldError, invalid, not_supported, required, too_long, too_many, type_invalid
from kube.schema.goquote import quote

NO_PATH: Final = "<nil>"
_GO_FORMAT: Final = {"integer": "int64", "number": "float64"}


@dataclass(slots=True)
class Result:
    """What validating one value came to. `matches` counts the checks that were made."""

    errors: dict[str, FieldError] = field(default_factory=dict)  # by upstream's text, which is what tells them apart
    matches: int = 0

    def add(self, text: str, error: FieldError) -> None:
        self.errors.setdefault(text, error)

    def merge(self, other: Result | None) -> None:
        if other is not None:
            for text, error in other.errors.items():
                self.errors.setdefault(text, error)
            self.matches += other.matches


def problems(node: Node, value: Any, prefix: str = "", *, correlation: Correlation | None = None) -> list[FieldError]:
    """Everything wrong with a value. `prefix` goes before every path (`status`); `correlation` tells what the value replaces."""
    found = _Validator(prefix).value(node, value, "", correlation)
    return list(found.errors.values())


class _Validator:
    """One validation. Paths within are upstream's: `.spec.size` reads `spec.size in body`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def _at(self, path: str) -> str:
        return ".".join(each for each in (self._prefix, path.removeprefix(".")) if each) or NO_PATH

    def _say(self, result: Result, path: str, value: Any, why: str) -> None:
        result.add(why, invalid(self._at(path), value, why))

    def _say_of_all(self, result: Result, why: str) -> None:
        """Errors that upstream cannot place."""
        result.add(why, invalid(self._prefix or NO_PATH, "", why))

    def _wrong_type(self, result: Result, path: str, wanted: str, found: str) -> None:
        why = f"{path} in body must be of type {wanted}: {quote(found)}"
        result.add(why, type_invalid(self._at(path), found, why))

    # --- one value

    def value(self, node: Node, value: Any, path: str, old: Correlation | None = None) -> Result:
        """What is wrong with a value that is not what it was."""
        result = self._checked(node, value, path, old)
        if result.errors and old is not None and old.is_equal():
            result.errors.clear()
        return result

    def _checked(self, node: Node, value: Any, path: str, old: Correlation | None) -> Result:
        result = Result()
        result.merge(self._type(node, value, path))
        if value is None:
            result.merge(self._enum(node, value, path))
        else:
            result.matches += bool(types(node) or formats.format_of(node))
            result.merge(self._logic(node, value, path, old))
            result.matches += 1
            self._by_kind(result, node, value, path, old)
            result.merge(self._enum(node, value, path))
            result.matches += 2
            if isinstance(value, dict):
                result.merge(self._object(node, value, path, old))
                result.matches += 1
        return result

    def _by_kind(self, result: Result, node: Node, value: Any, path: str, old: Correlation | None) -> None:
        if isinstance(value, str):
            result.merge(self._string(node, value, path))
            result.matches += 1
            form = formats.format_of(node)
            if form and form not in ("int32", "int64", "float", "double"):
                if not formats.matches(form, value):
                    self._wrong_type(result, path, form, value)
                result.matches += 1
        elif isinstance(value, list):
            result.merge(self._array(node, value, path, old))
            result.matches += 1
        elif isinstance(value, int | float) and not isinstance(value, bool):
            for where, shown, why in number_problems(node, value, path):
                if where is None:
                    self._say_of_all(result, why)
                else:
                    self._say(result, where, shown, why)
            result.matches += 2

    def _type(self, node: Node, value: Any, path: str) -> Result:
        result, wanted, form = Result(), types(node), formats.format_of(node)
        if not wanted and (not form or value is None):
            return result
        if value is None:
            if not node.get("nullable"):
                self._wrong_type(result, path, ",".join(wanted), "null")
            else:
                result.matches += 1
            return result
        found = json_type(value)
        go_format = _GO_FORMAT.get(found, "")
        textual = isinstance(value, str | list)
        is_whole = found == "number" and "integer" in wanted and _is_whole(value)
        fits = found in wanted or is_whole or (found == "integer" and "number" in wanted)
        if not textual and form and not fits and go_format != form:
            self._wrong_type(result, path, form, go_format)
        elif form and textual and not ({"number", "integer"} & set(wanted)):
            result.matches += 1
        elif not fits:
            self._wrong_type(result, path, ",".join(wanted), found)
        else:
            result.matches += 1
        return result

    def _enum(self, node: Node, value: Any, path: str) -> Result:
        result, allowed = Result(), node.get("enum")
        if allowed and not any(value is not None and _is_one(value, each) for each in allowed):
            shown = [each if isinstance(each, str) else json.dumps(each, separators=(",", ":")) for each in allowed]
            result.add(f"{path} in body should be one of {allowed}", not_supported(self._at(path), value, shown))
        return result

    def _string(self, node: Node, value: str, path: str) -> Result:
        """The first thing that is wrong."""
        result, pattern = Result(), node.get("pattern")
        longest, shortest = node.get("maxLength"), node.get("minLength")
        if longest is not None and len(value) > longest:
            result.add(f"{path} in body should be at most {longest} chars long", too_long(self._at(path), longest))
        elif shortest is not None and len(value) < shortest:
            self._say(result, path, value, f"{path} in body should be at least {shortest} chars long")
        elif pattern:
            expression = regexps.compiled(pattern)
            if expression is None:
                self._say(result, path, value, f"{path} in body should match '{pattern}, but this server cannot read the pattern'")
            elif expression.search(value) is None:
                self._say(result, path, value, f"{path} in body should match '{pattern}'")
        return result

    # --- what holds others

    def _array(self, node: Node, value: list[Any], path: str, old: Correlation | None) -> Result:
        result, inner = Result(), items(node)
        if inner is not None:
            for index, each in enumerate(value):
                result.merge(self.value(inner, each, f"{path}[{index}]", old.index(index) if old is not None else None))
        least, most = node.get("minItems"), node.get("maxItems")
        if least is not None and len(value) < least:
            self._say(result, path, len(value), f"{path} in body should have at least {least} items")
        if most is not None and len(value) > most:
            result.add(f"{path} in body should have at most {most} items", too_many(self._at(path), len(value), most))
        if node.get("uniqueItems") and any(json_equal(a, b) for i, a in enumerate(value) for b in value[:i]):
            self._say(result, path, "", f"{path} in body shouldn't contain duplicates")
        result.matches += 1
        return result

    def _object(self, node: Node, value: dict[str, Any], path: str, old: Correlation | None) -> Result:
        result = Result()
        least, most = node.get("minProperties"), node.get("maxProperties")
        if least is not None and len(value) < least:
            self._say(result, path, len(value), f"{path} in body should have at least {least} properties")
        if most is not None and len(value) > most:
            result.add(f"{path} in body should have at most {most} properties", too_many(self._at(path), len(value), most))
        known, rest = properties(node), additional(node)
        if node.get("additionalProperties") is False:
            for name in sorted(value.keys() - known.keys()):
                self._say(result, path, name, f"{path}.{name} in body is a forbidden property")
        if rest is not None:
            for name in value:
                if name not in known:
                    result.merge(self.value(rest, value[name], f"{path}.{name}", _key(old, name)))
        for name, each in known.items():
            if name in value:
                before = _key(old, name) if path or name not in ("apiVersion", "kind") else None
                result.merge(self.value(each, value[name], f"{path}.{name}" if path else name, before))
        for name in node.get("required") or ():
            if name not in value:
                result.add(f"{path}.{name} in body is required", required(self._at(f"{path}.{name}")))
        return result

    # --- alternatives

    def _logic(self, node: Node, value: Any, path: str, old: Correlation | None) -> Result:
        result = Result()
        self._any_of(result, node.get("anyOf") or (), value, path, old)
        self._one_of(result, node.get("oneOf") or (), value, path, old)
        self._all_of(result, node.get("allOf") or (), value, path, old)
        if node.get("not") is not None and not self._checked(node["not"], value, path, old).errors:
            self._say_of_all(result, f"{quote(path)} must not validate the schema (not)")
        result.matches += 1
        return result

    def _any_of(self, result: Result, alternatives: Iterable[Node], value: Any, path: str, old: Correlation | None) -> None:
        best: Result | None = None
        for each in alternatives:
            found = self._checked(each, value, path, old)
            if not found.errors:
                result.merge(found)
                return
            if best is None or found.matches > best.matches:
                best = found
        if best is not None:
            self._say_of_all(result, f"{quote(path)} must validate at least one schema (anyOf)")
            result.merge(best)

    def _one_of(self, result: Result, alternatives: Iterable[Node], value: Any, path: str, old: Correlation | None) -> None:
        best: Result | None = None
        valid: list[Result] = []
        for each in alternatives:
            found = self._checked(each, value, path, old)
            if not found.errors:
                valid.append(found)
                best = None
            elif not valid and (best is None or found.matches > best.matches):
                best = found
        if len(valid) == 1:
            result.merge(valid[0])
        elif valid or best is not None:
            how_many = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
            self._say_of_all(result, f"{quote(path)} must validate one and only one schema (oneOf). {how_many}")
            result.merge(best)

    def _all_of(self, result: Result, parts: Iterable[Node], value: Any, path: str, old: Correlation | None) -> None:
        found = [self._checked(each, value, path, old) for each in parts]
        for each in found:
            result.merge(each)
        if any(each.errors for each in found):
            none = "" if any(not each.errors for each in found) else ". None validated"
            self._say_of_all(result, f"{quote(path)} must validate all the schemas (allOf){none}")


def _key(old: Correlation | None, name: str) -> Correlation | None:
    return old.key(name) if old is not None else None


def _is_whole(value: float) -> bool:
    """swag.IsFloat64AJSONInteger, nearly."""
    return abs(value) < 2**53 and abs(value - round(value)) < 1e-9


def _is_one(value: Any, allowed: Any) -> bool:
    """Whether a value is an allowed one, made into its type (1.5 becomes 1)."""
    if isinstance(value, float) and type(allowed) is int:
        return int(value) == allowed
    return json_equal(value, allowed)


def json_equal(a: Any, b: Any) -> bool:
    """Equal as JSON values: true is not 1, but 1 is 1.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(json_equal(one, other) for one, other in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(json_equal(a[name], b[name]) for name in a)
    return bool(a == b)


__all__ = ["json_equal", "problems"]
