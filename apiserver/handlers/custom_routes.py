"""What paths of custom resources take. Upstream routes them by hand and not with its router, so refusals come later and in other words.

Source: apiextensions-apiserver `apiserver/customresource_handler.go` (ServeHTTP).
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from apiserver.handlers.negotiation import negotiate
from apiserver.handlers.patch_bodies import APPLY, JSON_PATCH, MERGE
from apiserver.handlers.request import Request
from apiserver.pipeline.request_info import RequestInfo
from apiserver.registry.kind import Kind, Subresource
from kube import errors
from kube.errors import MethodNotAllowed, UnsupportedMediaType
from kube.resources import Resource

PATCH_TYPES: Final = (JSON_PATCH, MERGE, APPLY)
_ACROSS_NAMESPACES: Final = frozenset({"list", "watch"})


def is_placed(resource: Resource, info: RequestInfo) -> bool:
    """Whether the path names a namespace where one is needed, and none where there is none."""
    if resource.namespaced:
        return bool(info.namespace) or (info.verb in _ACROSS_NAMESPACES and not info.name)
    return not info.namespace


def part_of(kind: Kind, info: RequestInfo) -> Subresource | None:
    """The subresource that a path names; None for the object itself. Raises NotFound for one that this version has not."""
    if not info.subresource:
        return None
    found = next((each for each in kind.subresources if each.name == info.subresource and not info.rest), None)
    if found is None:
        raise errors.not_found(kind.resource.plural, kind.resource.group, info.name)
    return found


def verbs_of(part: Subresource | None, info: RequestInfo) -> frozenset[str]:
    """The verbs of a path. (What a kind itself names are those that discovery tells: fewer while its definition is removed.)"""
    if part is not None:
        return frozenset(part.verbs)
    return frozenset({"get", "watch", "update", "patch", "delete"} if info.name else {"create", "list", "watch", "deletecollection"})


def check_route(request: Request, resource: Resource, verbs: Set[str]) -> None:
    """Refuse what cannot be done at a path. Raises MethodNotAllowed, UnsupportedMediaType, NotAcceptable."""
    info = request.info
    verb = "get" if info.subresource and info.verb == "watch" else info.verb
    if verb not in verbs or request.method == "HEAD":
        why = f'{info.verb} is not supported on resources of kind "{resource.qualified}"'
        raise MethodNotAllowed(why, details={"group": resource.group, "kind": resource.plural})
    if request.method == "PATCH":
        _check_media_type(request.header(b"content-type"))
    negotiate(request.header(b"accept"))


def _check_media_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip() not in PATCH_TYPES:
        known = ", ".join(PATCH_TYPES)
        raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {known}")
