"""Asking as somebody else: what the `Impersonate-*` headers want, whether they may have it, and who the request's user is then.

A request may be made as another in one of several ways, `MODES`. Constrained ones (KEP-5284) ask twice: may the requestor be that user
(`impersonate:<mode>`), and may they do this thing as such a user (`impersonate-on:<mode>:<verb>`)? The one that was there first
(`impersonate`) asks only the former. Any one that allows is enough; where none does, the first refusal is the answer.

Nothing that was allowed is remembered, as upstream does for ten seconds: who decides here does so from memory.

Source: apiserver `pkg/endpoints/filters/impersonation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote_to_bytes

from apiserver.pipeline.authentication import ANONYMOUS, AUTHENTICATED
from apiserver.pipeline.authorization import forbidden
from apiserver.registry.authorization import MASTERS, Attributes, Authorizer
from apiserver.registry.kind import User
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_http_path
from kube.errors import BadRequest, FieldError, Forbidden, invalid, quoted
from kube.memo import Memo

PREFIX: Final = b"impersonate-"
"""What the names of all the headers begin with; names are in lower case."""
BEHIND: Final = b"impersonate."
"""Where names that begin so end, in their order: `PREFIX <= name < BEHIND` is the cheapest way to ask, and every request is asked."""
NODES: Final = "system:nodes"
NODE_NAME: Final = "authentication.kubernetes.io/node-name"
NODE_KEYS: Final = "authentication.kubernetes.io/associated-node-keys"
ALL: Final = "*"
MANY: Final = 4
"""From so many groups or extras on, it is first asked whether all are allowed."""
REQUESTORS_MAX: Final = 10_000
"""Whose last mode is remembered."""

_USER, _UID, _GROUP, _EXTRA = b"impersonate-user", b"impersonate-uid", b"impersonate-group", b"impersonate-extra-"
_ACCOUNT, _NODE = "system:serviceaccount:", "system:node:"
_GROUP_OF_USERS = "authentication.k8s.io"
_UNAUTHENTICATED = ANONYMOUS.groups[0]
_escape_re = re.compile("%(?![0-9a-fA-F]{2})")

Headers = Sequence[tuple[bytes, bytes]]


# --- what the headers want ----------------------------------------------------------------------------------------------


def wanted_user(headers: Headers) -> User | None:
    """The user as the headers name it, None where they name none. Raises BadRequest where they tell of a user without naming one."""
    names: dict[bytes, str] = {}
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        if name in (_USER, _UID):
            names.setdefault(name, _text(value))
        elif name == _GROUP:
            groups.append(_text(value))
        elif name.startswith(_EXTRA):
            key = _key(name.removeprefix(_EXTRA))
            extra[key] = (*extra.get(key, ()), _text(value))
    wanted = User(names.get(_USER, ""), tuple(groups), names.get(_UID, ""), extra)
    if wanted.name:
        return wanted
    if wanted.uid or groups or extra:
        raise BadRequest(f"requested {_in_go(wanted)} without impersonating a user name")
    return None


def without_wishes(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers that are for everybody else: nobody is told that a user is impersonated."""
    return [each for each in headers if not each[0].startswith(PREFIX)]


def _text(value: bytes) -> str:
    return value.strip(b" \t").decode("utf-8", "replace")


def _key(encoded: bytes) -> str:
    """The key of an extra: percent-decoded; as it is where it cannot be decoded."""
    text = _text(encoded)
    return text if _escape_re.search(text) else unquote_to_bytes(text).decode("utf-8", "replace")


def _in_go(user: User) -> str:
    """A user as Go prints one (`%#v`)."""
    entries = ", ".join(f"{quoted(key)}:{_strings(values)}" for key, values in sorted(user.extra.items()))
    extra = f"map[string][]string{{{entries}}}" if entries else "map[string][]string(nil)"
    return f"&user.DefaultInfo{{Name:{quoted(user.name)}, UID:{quoted(user.uid)}, Groups:{_strings(user.groups)}, Extra:{extra}}}"


def _strings(values: Sequence[str]) -> str:
    return f"[]string{{{', '.join(map(quoted, values))}}}" if values else "[]string(nil)"


# --- the ways of being somebody else ------------------------------------------------------------------------------------


def account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that has this user name."""
    namespace, colon, account = name.removeprefix(_ACCOUNT).partition(":")
    is_one = name.startswith(_ACCOUNT) and colon and not is_dns1123_label(namespace) and not is_dns1123_subdomain(account)
    return (namespace, account) if is_one else None


def node_of(name: str) -> str:
    """The node that has this user name, "" where none has."""
    node = name.removeprefix(_NODE)
    return node if name.startswith(_NODE) and not is_dns1123_subdomain(node) else ""


def _only_named(wanted: User) -> bool:
    return not (wanted.uid or wanted.groups or wanted.extra)


def _is_own_node(wanted: User, requestor: User) -> bool:
    node = node_of(wanted.name)
    is_own = bool(node) and account_of(requestor.name) is not None and tuple(requestor.extra.get(NODE_NAME, ())) == (node,)
    return is_own and _only_named(wanted)


@dataclass(frozen=True, slots=True)
class Mode:
    """A way of being somebody else; `applies(wanted, requestor)` says for whom. `name` "": the one without constraints."""

    name: str
    applies: Callable[[User, User], bool]

    @property
    def verb(self) -> str:
        return f"impersonate:{self.name}" if self.name else "impersonate"


ASSOCIATED_NODE: Final = Mode("associated-node", _is_own_node)
MODES: Final = (
    ASSOCIATED_NODE,
    Mode("arbitrary-node", lambda wanted, _: bool(node_of(wanted.name)) and _only_named(wanted)),
    Mode("serviceaccount", lambda wanted, _: account_of(wanted.name) is not None and _only_named(wanted)),
    Mode("user-info", lambda wanted, _: not node_of(wanted.name) and account_of(wanted.name) is None),
    Mode("", lambda _wanted, _requestor: True),
)


class Impersonation:
    """Decides who a request's user is. Remembers which mode served a requestor last, which is then tried first: they mostly use one."""

    def __init__(self) -> None:
        self._last: Memo[Mode] = Memo(REQUESTORS_MAX)

    def user(self, authorizer: Authorizer, requestor: User, wanted: User, request: Attributes) -> User:
        """The user that `wanted` becomes, for this one request. Raises Forbidden."""
        last = self._last.get(requestor.name)
        refusals: list[Forbidden] = []
        for mode in (*(() if last is None else (last,)), *(each for each in MODES if each is not last)):
            if not mode.applies(wanted, requestor):
                continue
            try:
                user = _Check(authorizer, requestor, mode).user(wanted, request)
            except Forbidden as error:
                refusals.append(error)
                continue
            self._last.put(requestor.name, mode)
            return user
        raise refusals[0]


# --- what each of them asks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Check:
    """Asks whether a requestor may impersonate in one mode. Whoever raises here raises Forbidden."""

    authorizer: Authorizer
    requestor: User
    mode: Mode

    def user(self, wanted: User, request: Attributes) -> User:
        if self.mode.name:
            self._demand(request._replace(verb=f"impersonate-on:{self.mode.name}:{request.verb}"))
        who, natural = self._named(wanted.name)
        self._demand(who)
        if wanted.uid:
            self._demand(self._thing("uids", wanted.uid))
        self._demand_groups(wanted.groups)
        self._demand_extra(wanted.extra)
        return replace(wanted, groups=_completed(wanted.name, wanted.groups or natural))

    def _thing(self, resource: str, name: str = "", *, group: str = _GROUP_OF_USERS) -> Attributes:
        return Attributes(self.mode.verb, group, "v1", resource, name=name)

    def _things(self, resource: str, name: str = "") -> Attributes:
        """Users and groups, which were in the core group at first."""
        return self._thing(resource, name, group=_GROUP_OF_USERS if self.mode.name else "")

    def _named(self, name: str) -> tuple[Attributes, tuple[str, ...]]:
        """What stands for the name, and the groups that belong to it."""
        if self.mode.name and (node := node_of(name)):
            return self._things("nodes", node), (NODES,)
        if account := account_of(name):
            return self._things("serviceaccounts", account[1])._replace(namespace=account[0]), account_groups(account[0])
        return self._things("users", name), ()

    def _demand_groups(self, groups: Sequence[str]) -> None:
        if not groups:
            return
        group = self._things("groups")
        if self.mode.name:
            if "" in groups:
                raise forbidden(self.requestor, group, "impersonating the empty string group is not allowed")
            if MASTERS in groups:
                raise forbidden(self.requestor, group._replace(name=MASTERS), f"impersonating the {MASTERS} group is not allowed")
            if len(groups) >= MANY and self._allows(group._replace(name=ALL)):
                return
        for name in groups:
            self._demand(group._replace(name=name))

    def _demand_extra(self, extra: Mapping[str, Sequence[str]]) -> None:
        if not extra:
            return
        value = self._thing("userextras")
        if self.mode.name:
            if problem := next(_extra_problems(extra), ""):
                raise forbidden(self.requestor, value, problem)
            if sum(map(len, extra.values())) >= MANY and self._allows(value._replace(subresource=ALL, name=ALL)):
                return
        for key, values in extra.items():
            for each in values:
                self._demand(value._replace(subresource=key, name=each))

    def _demand(self, attributes: Attributes) -> None:
        asking = self.requestor
        if self.mode is ASSOCIATED_NODE:  # the node has been looked at: the same account asks the same on each of its nodes
            asking = replace(asking, extra={NODE_KEYS: tuple(sorted(asking.extra))})
            if attributes.verb == self.mode.verb:
                attributes = attributes._replace(name=ALL)
        decision = self.authorizer.decide(asking, attributes)
        if not decision.allowed:
            raise forbidden(asking, attributes, ": ".join(filter(None, (decision.error, decision.reason))))

    def _allows(self, attributes: Attributes) -> bool:
        return self.authorizer.decide(self.requestor, attributes).allowed


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace, but for who is authenticated at all."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def _completed(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """With the group of all who are known, or of all who are not."""
    if name == ANONYMOUS.name:
        more = _UNAUTHENTICATED
    elif _UNAUTHENTICATED in groups:
        return groups
    else:
        more = AUTHENTICATED
    return groups if more in groups else (*groups, more)


def _extra_problems(extra: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What constrained modes do not take, though the first one does."""
    for key, values in extra.items():
        if not key:
            yield "impersonating the empty string key in extra is not allowed"
        if problems := _not_domain_prefixed(key):
            said = [str(each) for each in problems]
            yield "impersonating an invalid key in extra is not allowed: " + (said[0] if len(said) == 1 else f"[{', '.join(said)}]")
        if key != key.lower():
            yield f"impersonating a non-lowercase key in extra is not allowed: {quoted(key)}"
        if "" in values:
            yield "impersonating the empty string value in extra is not allowed"


def _not_domain_prefixed(key: str) -> list[FieldError]:
    domain, _, path = key.partition("/")
    if not domain or not path:
        return [invalid("extra.key", key, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    return [
        *(invalid("extra.key", domain, each) for each in is_dns1123_subdomain(domain)),
        *(invalid("extra.key", path, each) for each in is_http_path(path)),
    ]
