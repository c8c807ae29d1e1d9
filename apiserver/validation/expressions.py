"""CEL outside of custom resources: what expressions of admission and of device selectors may mention, and whether they compile.

Objects are of unknown type; the request, its namespace and a device are known. Expressions that ask the `authorizer` are not looked into:
CEL here has none. Source: apiserver `pkg/admission/plugin/cel/compile.go`, dynamic-resource-allocation `cel/compile.go`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kube.errors import FieldError, invalid

if TYPE_CHECKING:  # a server without such objects need not load CEL
    from kube.cel.types import Type

BOOL, STRING, NULL = "bool", "string", "null_type"


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions about a request may mention beside it and its objects: `params`, and `variables` with these fields (None: there is
    no such thing)."""

    has_params: bool = False
    variables: Mapping[str, Type] | None = None

    def with_variable(self, name: str, expression: str) -> Scope:
        """With one more, of the type that its expression has (any, where that does not compile)."""
        from kube.cel.types import DYN

        found = _type_of(expression, "", self.declared())
        return Scope(self.has_params, {**(self.variables or {}), name: DYN if found is None or isinstance(found, FieldError) else found})

    def declared(self) -> Mapping[str, Type]:
        """All that may be mentioned, with its type."""
        from kube.cel import types

        declared = dict(_of_admission())
        if self.has_params:
            declared["params"] = types.DYN
        if self.variables is not None:
            declared["variables"] = types.Type("object", (), "kubernetes.variables", self.variables)
        return declared


NO_PARAMS = Scope()


def admission_error(expression: str, path: str, *, returns: Sequence[str], scope: Scope = NO_PARAMS) -> FieldError | None:
    """What is wrong with an expression that is asked about a request. `returns`: the types it may evaluate to, none for any."""
    found = _type_of(expression, path, scope.declared())
    if found is None or isinstance(found, FieldError) or not returns or _name(found) in returns:
        return found if isinstance(found, FieldError) else None
    wanted = returns[0] if len(returns) == 1 else f"one of [{' '.join(returns)}]"
    return invalid(path, expression, f"must evaluate to {wanted} but got {_name(found)}")


def device_error(expression: str, path: str) -> FieldError | None:
    """What is wrong with an expression that is asked about a device."""
    found = _type_of(expression, path, _of_devices())
    if found is None or isinstance(found, FieldError):
        return found
    if _name(found) in (BOOL, "dyn"):
        return None
    return invalid(path, expression, f"must evaluate to bool or the unknown type, not {_name(found)}")


def _type_of(expression: str, path: str, declared: Mapping[str, Type]) -> Type | FieldError | None:
    """The type it evaluates to, or what keeps it from compiling; None where nobody looks."""
    from kube.cel.environment import CompileError, compile_expression

    if "authorizer" in expression:
        return None
    try:
        return compile_expression(expression, declared).type
    except CompileError as problem:
        return invalid(path, expression, f"compilation failed: {problem}")


def _name(of: Type) -> str:
    """As Go prints a type by itself."""
    return NULL if of.kind == NULL else str(of)


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
def _of_devices() -> Mapping[str, Type]:
    from kube.cel.types import BOOL, DYN, STRING, Type, map_of, opaque

    capacity = map_of(STRING, map_of(STRING, opaque("kubernetes.Quantity")))
    attributes = map_of(STRING, map_of(STRING, DYN))
    fields = {"driver": STRING, "attributes": attributes, "capacity": capacity, "allowMultipleAllocations": BOOL}
    return {"device": Type("object", (), "kubernetes.DRADevice", fields)}
