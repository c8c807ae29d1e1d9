"""CEL outside of custom resources: what expressions of admission and of device selectors may mention, and whether they compile.

Objects are of unknown type; the request, its namespace, the authorizer and a device are known.
Source: apiserver `pkg/admission/plugin/cel/{compile,composition}.go`, dynamic-resource-allocation `cel/compile.go`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kube.errors import FieldError, invalid

if TYPE_CHECKING:  # a server without such objects need not load CEL
    from kube.cel.checker import Structs
    from kube.cel.environment import Program
    from kube.cel.types import Type

BOOL, STRING, NULL = "bool", "string", "null_type"
APPLY_CONFIGURATION, JSON_PATCH = "Object", "list(JSONPatch)"
"""What the two kinds of mutations evaluate to."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions about a request may mention beside it and its objects: `params`, `authorizer`, `variables` with these fields (None:
    there is no such thing), and the types that mutations are made of."""

    has_params: bool = False
    variables: Mapping[str, Type] | None = None
    has_authorizer: bool = True
    has_patch_types: bool = False

    def with_variable(self, name: str, expression: str) -> Scope:
        """With one more, of the type that its expression has (any, where that does not compile)."""
        from kube.cel.types import DYN

        try:
            found = _of_variable(compile_admission(expression, self).type)
        except ExpressionError:
            found = DYN
        return replace(self, variables={**(self.variables or {}), name: found})

    def declared(self) -> Mapping[str, Type]:
        """All that may be mentioned, with its type."""
        from kube.cel import types

        declared = dict(_of_admission())
        if self.has_params:
            declared["params"] = types.DYN
        if self.has_authorizer:
            declared |= _of_authorizer()
        if self.variables is not None:
            declared["variables"] = types.Type("object", (), "kubernetes.variables", self.variables)
        return declared


NO_PARAMS = Scope()


class ExpressionError(ValueError):
    """An expression that cannot be asked; the text is upstream's."""


class ProgramError(ExpressionError):
    """An expression that compiles and could not be run all the same."""


def compile_admission(expression: str, scope: Scope, returns: Sequence[str] = ()) -> Program:
    """An expression that is asked about a request. `returns`: the types it may evaluate to, none for any. Raises ExpressionError."""
    from kube.cel.library.mutation import struct

    program = _compiled(expression, scope.declared(), struct if scope.has_patch_types else None)
    found = _name(program.type)
    if returns and found not in returns:
        wanted = returns[0] if len(returns) == 1 else f"one of [{' '.join(returns)}]"
        raise ExpressionError(f"must evaluate to {wanted} but got {found}")
    if program.problem:
        raise ProgramError(f"program instantiation failed: {program.problem}")
    return program


def admission_error(expression: str, path: str, *, returns: Sequence[str], scope: Scope = NO_PARAMS) -> FieldError | None:
    """What is wrong with an expression that is asked about a request. `returns`: the types it may evaluate to, none for any."""
    try:
        compile_admission(expression, scope, returns)
    except ProgramError as problem:
        return FieldError("InternalError", path, f"Internal error: {problem}")
    except ExpressionError as problem:
        return invalid(path, expression, str(problem))
    return None


def device_error(expression: str, path: str) -> FieldError | None:
    """What is wrong with an expression that is asked about a device."""
    try:
        found = _compiled(expression, _of_devices()).type
    except ExpressionError as problem:
        return invalid(path, expression, str(problem))
    if _name(found) in (BOOL, "dyn"):
        return None
    return invalid(path, expression, f"must evaluate to bool or the unknown type, not {_name(found)}")


def _compiled(expression: str, declared: Mapping[str, Type], structs: Structs | None = None) -> Program:
    from kube.cel.environment import CompileError, compile_expression

    try:
        return compile_expression(expression, declared, structs)
    except CompileError as problem:
        raise ExpressionError(f"compilation failed: {problem}") from None


def _of_variable(of: Type) -> Type:
    """The type as those see it who mention the variable: of what is not plain, nothing is known."""
    from kube.cel import types

    if of.kind in ("list", "map"):
        return types.Type(of.kind, tuple(map(_of_variable, of.params)))
    return types.SIMPLE.get(of.kind, types.DYN)


def _name(of: Type) -> str:
    """As Go prints a type by itself."""
    if of.kind in _GO_NAMES:
        return _GO_NAMES[of.kind]
    return f"{of.kind}({', '.join(map(_name, of.params))})" if of.params else str(of)


_GO_NAMES = {NULL: NULL, "timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}


@functools.cache
def _of_admission() -> Mapping[str, Type]:
    from kube.cel.types import BOOL, DYN, INT, STRING, TIMESTAMP, Type, list_of, map_of

    def struct(name: str, /, **fields: Type) -> Type:
        return Type("object", (), f"kubernetes.{name}", fields)

    kind = struct("GroupVersionKind", group=STRING, version=STRING, kind=STRING)
    resource = struct("GroupVersionResource", group=STRING, version=STRING, resource=STRING)
    user = struct("UserInfo", username=STRING, uid=STRING, groups=list_of(STRING), extra=map_of(STRING, list_of(STRING)))
    request = struct(
        "AdmissionRequest", kind=kind, resource=resource, subResource=STRING, requestKind=kind, requestResource=resource,
        requestSubResource=STRING, name=STRING, namespace=STRING, operation=STRING, userInfo=user, dryRun=BOOL, options=DYN,
    )  # fmt: skip
    texts = map_of(STRING, STRING)
    metadata = struct(
        "NamespaceMetadata", name=STRING, generateName=STRING, namespace=STRING, labels=texts, annotations=texts, UID=STRING,
        creationTimestamp=TIMESTAMP, deletionGracePeriodSeconds=INT, deletionTimestamp=TIMESTAMP, generation=INT, resourceVersion=STRING,
        finalizers=list_of(STRING),
    )  # fmt: skip
    condition = struct("NamespaceCondition", status=STRING, type=STRING, lastTransitionTime=TIMESTAMP, message=STRING, reason=STRING)
    status = struct("NamespaceStatus", conditions=list_of(condition), phase=STRING)
    namespace = struct("Namespace", metadata=metadata, spec=struct("NamespaceSpec", finalizers=list_of(STRING)), status=status)
    return {"object": DYN, "oldObject": DYN, "request": request, "namespaceObject": namespace}


@functools.cache
def _of_authorizer() -> Mapping[str, Type]:
    from kube.cel.library.authorization import AUTHORIZER, RESOURCE_CHECK
    from kube.cel.types import opaque

    return {"authorizer": opaque(AUTHORIZER), "authorizer.requestResource": opaque(RESOURCE_CHECK)}


@functools.cache
def _of_devices() -> Mapping[str, Type]:
    from kube.cel.types import BOOL, DYN, STRING, Type, map_of, opaque

    capacity = map_of(STRING, map_of(STRING, opaque("kubernetes.Quantity")))
    attributes = map_of(STRING, map_of(STRING, DYN))
    fields = {"driver": STRING, "attributes": attributes, "capacity": capacity, "allowMultipleAllocations": BOOL}
    return {"device": Type("object", (), "kubernetes.DRADevice", fields)}
