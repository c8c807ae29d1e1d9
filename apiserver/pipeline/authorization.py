"""What a request asks to be allowed, and the answer to one that is not. Who decides: `registry/authorization.py` and the
authorizers beside this.

Source: apiserver `pkg/endpoints/filters/authorization.go`, `request/requestinfo.go` and `handlers/responsewriters/errors.go` (messages).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from apiserver.pipeline.request_info import RequestInfo
from apiserver.registry.authorization import Attributes, Authorizer
from apiserver.registry.kind import User
from apiserver.validation.names import is_path_segment_name
from kube import errors
from kube.errors import quoted
from kube.fields import EVERYTHING, FieldSelectorError, parse

_OF_MANY: Final = frozenset({"list", "watch", "deletecollection"})
"""Verbs of requests that may select."""


def attributes_of(info: RequestInfo, query: Mapping[str, Sequence[str]]) -> Attributes:
    """What the request asks for. A list of the one object of a name counts as that object's, where it can be a name. A selector that cannot
    be read selects nothing here (the handler will refuse it), nor does one of a request whose path names its verb."""
    if not info.is_resource:
        return Attributes(info.verb, path=info.path)
    name, selected = info.name, EVERYTHING
    if info.verb in _OF_MANY and not info.by_path and (text := query.get("fieldSelector", [""])[0]):
        with contextlib.suppress(FieldSelectorError):
            selected = parse(text)
        if not name and info.verb != "deletecollection":
            name = selected.exact("metadata.name") or ""
            name = "" if is_path_segment_name(name) else name
    return Attributes(
        info.verb, info.group, info.version, info.resource, info.subresource, info.namespace, name, info.path, selected.requirements
    )


def authorize(authorizer: Authorizer, user: User, attributes: Attributes) -> None:
    """Raises Forbidden."""
    decision = authorizer.decide(user, attributes)
    if not decision.allowed:
        raise forbidden(user, attributes, decision.reason)


def forbidden(user: User, attributes: Attributes, reason: str) -> errors.Forbidden:
    """The answer to somebody who may not."""
    verb = attributes.verb
    if not attributes.resource:
        why = f"User {quoted(user.name)} cannot {verb} path {quoted(attributes.path)}"
        return errors.Forbidden(f"forbidden: {why}{_because(reason)}", details={})
    resource = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    where = f"in the namespace {quoted(attributes.namespace)}" if attributes.namespace else "at the cluster scope"
    why = f"User {quoted(user.name)} cannot {verb} resource {quoted(resource)} in API group {quoted(attributes.group)} {where}"
    return errors.forbidden(attributes.resource, attributes.group, attributes.name, why + _because(reason))


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
