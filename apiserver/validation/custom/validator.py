"""Everything that is validated about a custom resource of one version: its schema, its embedded objects, its lists, its scale.

`Validator` is made once per version and knows what there is to look at. Source: apiextensions-apiserver `registry/customresource`
(`strategy.go`, `status_strategy.go`, `validator.go`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from apiserver.validation.custom.checks import compile_check
from apiserver.validation.custom.correlation import Correlation
from apiserver.validation.custom.embedded import embedded_problems, has_embedded
from apiserver.validation.custom.list_types import compile_unique, repeated_items
from apiserver.validation.custom.problems import problems
from apiserver.validation.custom.schema import Node, properties
from apiserver.validation.names import is_qualified_name
from kube.errors import FieldError, invalid
from kube.objects import Object
from kube.patch.golang import go_type, plain

if TYPE_CHECKING:
    from apiserver.validation.custom.rules import RuleSet

INT32_MAX: Final = 2**31 - 1
_OWN_FINALIZERS: Final = frozenset({"orphan", "foregroundDeletion", "kubernetes"})


class Validator:
    """`node` is the schema of the whole object; `scale` is what the version's `subresources.scale` says, if anything. Without an
    `api_version` objects may say any."""

    def __init__(self, node: Node, kind: str, scale: Mapping[str, str] | None = None, *, api_version: str = "") -> None:
        self._node, self._kind, self._scale, self._api_version = node, kind, scale, api_version
        self._fits = compile_check(node)
        status = properties(node).get("status")
        self._status, self._status_fits = status, compile_check(status) if status is not None else None
        self._is_unique, self._has_embedded = compile_unique(node), has_embedded(node)

    def whole(self, new: Object, old: Object | None, warnings: list[str] | None = None) -> list[FieldError]:
        """Everything wrong with an object, and with changing `old` into it. `warnings` gets what is wrong but was so before."""
        found = self._type_problems(new)
        if found:
            return found
        if not self._fits(new):
            found += problems(self._node, new, correlation=Correlation(new, old, self._node) if old is not None else None)
        found += self._spec_scale(new) + self._status_scale(new)
        if self._has_embedded:
            found += embedded_problems(self._node, new)
        found += self._lists(new, old)
        return found + self._broken(new, old, found, warnings)

    def _type_problems(self, new: Object) -> list[FieldError]:
        wanted = {"kind": self._kind, "apiVersion": self._api_version}
        return [invalid(name, new.get(name), f"must be {value}") for name, value in wanted.items() if value and new.get(name) != value]

    def status(self, new: Object, old: Object, warnings: list[str] | None = None) -> list[FieldError]:
        """Everything wrong with a write to `/status`."""
        found: list[FieldError] = []
        if self._status is not None and self._status_fits is not None and "status" in new and not self._status_fits(new["status"]):
            found += problems(self._status, new["status"], "status", correlation=Correlation(new, old, self._node).key("status"))
        found += self._status_scale(new) + self._lists(new, old)
        return found + self._broken(new, old, found, warnings)

    @functools.cached_property
    def _rules(self) -> RuleSet | None:
        from apiserver.validation.custom.rules import rule_set  # and with it CEL, which a starting server can do without

        return rule_set(self._node, is_root=True)

    def _broken(self, new: Object, old: Object | None, found: list[FieldError], warnings: list[str] | None) -> list[FieldError]:
        """The rules that are broken; not asked where the object is too wrong."""
        if self._rules is None:
            return []
        from apiserver.validation.custom.rules import NOT_CHECKED, evaluate, is_blocked

        if is_blocked(found):
            return [NOT_CHECKED]
        outcome = evaluate(self._rules, new, old, correlation=Correlation(new, old, self._node) if old is not None else None)
        if warnings is not None:
            warnings += outcome.warnings
        return outcome.errors

    def _lists(self, new: Object, old: Object | None) -> list[FieldError]:
        """What was repeated before may stay."""
        if self._is_unique is None or self._is_unique(new):
            return []
        found = repeated_items(self._node, new)
        return [] if found and old is not None and repeated_items(self._node, old) else found

    # --- scale

    def _spec_scale(self, obj: Object) -> list[FieldError]:
        return _count(obj, self._scale["specReplicasPath"]) if self._scale else []

    def _status_scale(self, obj: Object) -> list[FieldError]:
        if not self._scale:
            return []
        found, selector = _count(obj, self._scale["statusReplicasPath"]), self._scale.get("labelSelectorPath")
        if selector:
            value, why = nested(obj, split_path(selector), str)
            if why:
                found.append(invalid(selector, value, why))
        return found


def split_path(path: str) -> tuple[str, ...]:
    """A simple JSON path, `.spec.replicas`, as its names."""
    return tuple(path.removeprefix(".").split("."))


def nested(obj: Any, path: Sequence[str], of: type) -> tuple[Any, str]:
    """(the value at a path, what is wrong): the type's zero value where there is none, or where it is not of that type."""
    found, so_far = obj, ""
    for name in path:
        so_far += f".{name}"
        if found is None:
            return of(), ""
        if not isinstance(found, dict):
            return of(), f"{so_far} accessor error: {plain(found)} is of the type {go_type(found)}, expected map[string]interface{{}}"
        if name not in found:
            return of(), ""
        found = found[name]
    if type(found) is not of:
        wanted = "int64" if of is int else "string"
        return of(), f"{so_far} accessor error: {plain(found)} is of the type {go_type(found)}, expected {wanted}"
    return found, ""


def _count(obj: Object, path: str) -> list[FieldError]:
    value, why = nested(obj, split_path(path), int)
    if not why and value < 0:
        why = "should be a non-negative integer"
    elif not why and value > INT32_MAX:
        why = f"should be less than or equal to {INT32_MAX}"
    return [invalid(path, value, why)] if why else []


def finalizer_warnings(new: Object, old: Object | None) -> list[str]:
    """About new finalizers that have no domain, or are no names at all."""
    before = (old["metadata"].get("finalizers") or ()) if old is not None else ()
    found: list[str] = []
    for each in sorted(set(new["metadata"].get("finalizers") or ()) - set(before)):
        found += [f'metadata.finalizers: "{each}": {why}' for why in is_qualified_name(each)]
        if "/" not in each and each not in _OWN_FINALIZERS:
            path = " including a path (/)" if "." in each else ""
            why = f"prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            found.append(f'metadata.finalizers: "{each}": {why}')
    return found
