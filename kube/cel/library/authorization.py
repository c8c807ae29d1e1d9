"""Questions to the authorizer: what the user of a request, or a service account, may do. Source: apiserver `pkg/cel/library/authz.go`.

Who answers is handed in: `Authorizer.decide` is called for each `check` whose question it has not answered before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from kube.cel.library.formats import problems
from kube.cel.syntax import CelError
from kube.cel.values import Opaque, no_overload

SPACE: Final = "kubernetes.authorization."
AUTHORIZER, RESOURCE_CHECK = f"{SPACE}Authorizer", f"{SPACE}ResourceCheck"


@dataclass(frozen=True, slots=True)
class Question:
    """A request that might be made: of a resource, or of a `path`."""

    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Ruling(Protocol):
    """An answer; `reason` says why, as far as anybody does, `error` what could not be found out."""

    @property
    def allowed(self) -> bool: ...

    @property
    def reason(self) -> str: ...

    @property
    def error(self) -> str: ...


Decide = Callable[[Any, Question], Ruling]
"""(user, question)"""


class _Receiver(Opaque):
    """A value that only has functions: equal to what is the same in all parts."""

    __slots__ = ()

    def key(self) -> Any:
        return self


@dataclass(frozen=True, slots=True)
class Authorizer(_Receiver):
    """Asks for `user`. `account(namespace, name)` makes the user that a service account is."""

    type_name = AUTHORIZER
    user: Any
    decide: Decide
    account: Callable[[str, str], Any]

    def resource_of(self, question: Question) -> ResourceCheck:
        """The check of a resource that is known already: `authorizer.requestResource`."""
        return ResourceCheck(self, question)


@dataclass(frozen=True, slots=True)
class PathCheck(_Receiver):
    type_name = f"{SPACE}PathCheck"
    of: Authorizer
    question: Question


@dataclass(frozen=True, slots=True)
class GroupCheck(_Receiver):
    type_name = f"{SPACE}GroupCheck"
    of: Authorizer
    group: str


@dataclass(frozen=True, slots=True)
class ResourceCheck(_Receiver):
    type_name = RESOURCE_CHECK
    of: Authorizer
    question: Question


@dataclass(frozen=True, slots=True)
class Decision(_Receiver):
    type_name = f"{SPACE}Decision"
    ruling: Ruling


@dataclass(slots=True)
class Remembering:
    """A `Decide` that asks each question once."""

    decide: Decide
    _known: dict[tuple[str, Question], Ruling] = field(default_factory=dict)

    def __call__(self, user: Any, question: Question) -> Ruling:
        key = (repr(user), question)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.decide(user, question)
        return found


@dataclass(frozen=True, slots=True)
class Missing(_Receiver):
    """Stands where expressions may mention the authorizer and there is none."""

    variable: str

    def fail(self) -> CelError:
        return CelError(f"no such attribute(s): {self.variable}")


def _of(kind: type, value: Any, *texts: Any) -> None:
    """Raises CelError unless these are what the function takes."""
    if isinstance(value, Missing):
        raise value.fail()
    if not isinstance(value, kind) or not all(isinstance(each, str) for each in texts):
        raise no_overload()


def _path(authorizer: Any, path: Any) -> PathCheck:
    _of(Authorizer, authorizer, path)
    if not path.strip():
        raise CelError("path must not be empty")
    return PathCheck(authorizer, Question(path=path))


def _group(authorizer: Any, group: Any) -> GroupCheck:
    _of(Authorizer, authorizer, group)
    return GroupCheck(authorizer, group)


def _account(authorizer: Any, namespace: Any, name: Any) -> Any:
    _of(Authorizer, authorizer, namespace, name)
    if problems("dns1123Subdomain", name):
        raise CelError("Invalid service account name")
    if problems("dns1123Label", namespace):
        raise CelError("Invalid service account namespace")
    return replace(authorizer, user=authorizer.account(namespace, name))


def _resource(check: Any, resource: Any) -> ResourceCheck:
    _of(GroupCheck, check, resource)
    if not resource.strip():
        raise CelError("resource must not be empty")
    return ResourceCheck(check.of, Question(group=check.group, version="*", resource=resource))


def _part(name: str, check: Any, value: Any) -> Any:
    _of(ResourceCheck, check, value)
    return replace(check, question=replace(check.question, **{name: value}))


def _selector(check: Any, selector: Any) -> Any:
    """Selectors narrow what is asked for; nobody here grants less than a whole resource, so they change nothing."""
    _of(ResourceCheck, check, selector)
    return check


def _check(check: Any, verb: Any) -> Decision:
    _of(PathCheck | ResourceCheck, check, verb)  # type: ignore[arg-type]
    return Decision(check.of.decide(check.of.user, replace(check.question, verb=verb)))


def _decided(of: Callable[[Ruling], Any]) -> Callable[[Any], Any]:
    def read(decision: Any) -> Any:
        _of(Decision, decision)
        return of(decision.ruling)

    return read


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "path": _path,
    "group": _group,
    "serviceAccount": _account,
    "resource": _resource,
    **{name: functools.partial(_part, name) for name in ("subresource", "namespace", "name")},
    **dict.fromkeys(["fieldSelector", "labelSelector"], _selector),
    "check": _check,
    "allowed": _decided(lambda ruling: ruling.allowed),
    "reason": _decided(lambda ruling: ruling.reason),
    "errored": _decided(lambda ruling: bool(ruling.error)),
    "error": _decided(lambda ruling: ruling.error),
}
