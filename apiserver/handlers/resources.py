"""The one route of all resources: from a RequestInfo to the handler of its verb. Knows which verbs there are, and no kind.

The order in which a request is refused is upstream's router's: no such path (404), no such method there (405), a body that is not taken
(415, patches only), no form to answer in (406); only then comes the handler. A failure is answered here, in the client's media type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apiserver.handlers import connect, custom_routes, patch, patch_bodies, pretty, read, scale, watch, write
from apiserver.handlers.negotiation import OBJECTS, STREAMS, check_acceptable
from apiserver.handlers.request import PAGE_NOT_FOUND, Answer, Request, Response
from apiserver.pipeline.request_info import RequestInfo
from apiserver.registry.kind import Kind, Subresource
from apiserver.registry.registry import Served
from kube import errors
from kube.errors import ApiError, BadRequest, MethodNotAllowed, NotFound

_NOT_FOUND: Final = "the server could not find the requested resource"
NOT_ALLOWED: Final = "the server does not allow this method on the requested resource"
_COLLECTION_VERBS: Final = frozenset({"list", "watch", "create", "deletecollection"})
_OBJECT_VERBS: Final = frozenset({"get", "watch", "update", "patch", "delete"})
_UNPLACED_VERBS: Final = frozenset({"list", "watch"})
_WITH_TABLES: Final = frozenset({"status"})
"""The subresources that upstream shows as Tables; scale does so by itself."""
_WITHOUT_TABLES: Final = frozenset({"customresourcedefinitions", "apiservices", "resourceclaims"})
"""Resources whose status it does not."""


def no_such_path() -> ApiError:
    """The 404 for a resource that no version serves."""
    return NotFound(_NOT_FOUND, details={})


def not_allowed() -> ApiError:
    """The 405 for a method that a path does not have."""
    return MethodNotAllowed(NOT_ALLOWED, details={})


async def serve(request: Request) -> Answer:
    """Answer a resource request."""
    try:
        answer = await _serve(request)
    except ApiError as error:
        _say_group(error, request.info)
        answer = read.error_response(error, request.header(b"accept"))
    return pretty.indented(answer) if isinstance(answer, Response) and _is_read(request) else answer


def _is_read(request: Request) -> bool:
    headers = request.headers
    return pretty.is_wanted(request.scope["query_string"], headers.get(b"user-agent", b""), headers.get(b"accept", b""))


def _say_group(error: ApiError, info: RequestInfo) -> None:
    """Failures name the resource as it is stored; a client of another group's version is told that group's."""
    details = error.details or {}
    if info.group and details.get("kind") == info.resource and not details.get("group") and details.get("name"):
        error.message = error.message.replace(f'{info.resource} "', f'{info.resource}.{info.group} "')
        error.details = {"name": details["name"], "group": info.group, **details}


@dataclass(frozen=True, slots=True)
class _Route:
    """What a path of a resource takes and gives. `produces` None: whatever is behind it answers as it likes."""

    part: Subresource | None
    verbs: frozenset[str]
    produces: tuple[str, ...] | None


async def _serve(request: Request) -> Answer:
    info = request.info
    served = request.server.registries.served(info.group, info.version, info.resource)
    if served is None or (info.verb == "proxy" and served.registry.kind.custom is None):
        raise no_such_path()
    kind = served.registry.kind
    if kind.custom is not None and not custom_routes.is_placed(served.resource, info):
        return PAGE_NOT_FOUND
    if kind.custom is not None and kind.deprecation:
        request.warnings.append(kind.deprecation)
    if info.namespace and not served.resource.namespaced and (info.resource != "namespaces" or info.namespace != info.name):
        raise no_such_path()
    shape = (info.subresource, bool(info.rest), bool(info.name), bool(info.namespace), info.by_path)
    route: _Route | None = served.derived.get(shape)
    if route is None:
        route = served.derived[shape] = _route(kind, info)
    if kind.custom is not None:
        custom_routes.check_route(request, served.resource, route.verbs)
    else:
        _check_route(request, route)
        if kind.deprecation and served.conversion is None:
            request.warnings.append(kind.deprecation)
    check_path_segment(info.name)
    return await (_object(request, served) if route.part is None else _subresource(request, served, route.part))


def _route(kind: Kind, info: RequestInfo) -> _Route:
    """The route of a path of this kind. Raises NotFound where there is none."""
    namespaced = kind.resource.namespaced
    if info.name and namespaced and not info.namespace:
        raise no_such_path()
    part: Subresource | None
    if kind.custom is not None:
        part = custom_routes.part_of(kind, info)
        return _Route(part, custom_routes.verbs_of(part, info), None)
    if info.subresource:
        if info.by_path:
            raise no_such_path()
        part = next((each for each in kind.subresources if each.name == info.subresource), None)
        if part is None or (info.rest and part.name != "proxy"):
            raise no_such_path()
        produces = OBJECTS if not part.connect else ("text/plain", *OBJECTS) if part.name == "log" else None
        return _Route(part, frozenset(part.verbs), produces)
    verbs = frozenset(kind.verbs)
    if info.by_path:
        if "watch" not in verbs:
            raise no_such_path()
        return _Route(None, frozenset({"watch"}), OBJECTS + STREAMS)
    if info.name:
        verbs &= _OBJECT_VERBS if "get" in verbs else _OBJECT_VERBS - {"watch"}
    else:
        verbs &= _UNPLACED_VERBS if namespaced and not info.namespace else _COLLECTION_VERBS
    if not verbs:
        raise no_such_path()
    return _Route(None, verbs, OBJECTS)


def _check_route(request: Request, route: _Route) -> None:
    """What upstream's router refuses before any handler. Raises MethodNotAllowed, UnsupportedMediaType, NotAcceptable."""
    verb, method = request.info.verb, request.method
    if route.part is not None and route.part.name == "proxy":
        return  # takes what a proxy takes, HEAD and OPTIONS too: `proxy.py`
    if verb == "watch" and not request.info.by_path and (route.part is not None or not request.info.name):
        verb = "get" if route.part is not None else "list"  # whether a list can be watched is the handler's to say
    if verb not in route.verbs or method == "HEAD" or (request.info.by_path and method != "GET"):
        raise not_allowed()
    if method == "PATCH":
        patch_bodies.check_media_type(request.header(b"content-type"))
    if route.produces is not None:
        check_acceptable(request.header(b"accept"), OBJECTS + STREAMS if verb == "list" else route.produces)


def check_path_segment(name: str) -> None:
    """A name that no object can have is refused before anything is looked up. Raises BadRequest."""
    if name in (".", ".."):
        raise BadRequest(f"Name parameter invalid: {errors.quoted(name)}: may not be '{name}'")
    if "%" in name:
        raise BadRequest(f"Name parameter invalid: {errors.quoted(name)}: may not contain '%'")


async def _object(request: Request, served: Served) -> Answer:
    verb = request.info.verb
    if verb == "get":
        return await read.get(request, served)
    if verb == "list":
        return await read.list_(request, served)
    if verb == "watch":
        if "watch" not in served.registry.kind.verbs:
            plural = served.resource.plural
            raise MethodNotAllowed(f'watch is not supported on resources of kind "{plural}"', details={"kind": plural})
        return await watch.watch(request, served)
    if verb == "create":
        return await write.create(request, served)
    if verb == "update":
        return await write.update(request, served, None)
    if verb == "patch":
        return await patch.patch(request, served, None)
    if verb == "delete":
        return await write.delete(request, served)
    return await write.delete_collection(request, served)


async def _subresource(request: Request, served: Served, part: Subresource) -> Answer:
    if part.connect:
        return await connect.connect(request, served, part)
    verb = request.info.verb
    if part.name == "scale":
        if verb == "update":
            return await scale.update(request, served, part)
        if verb == "patch":
            return await scale.patch(request, served)
        return await scale.get(request, served)
    if verb == "create":
        return await write.create_subresource(request, served, part)
    tables = part.name in _WITH_TABLES and served.resource.plural not in _WITHOUT_TABLES
    if verb == "update":
        return await write.update(request, served, part, tables=tables)
    if verb == "patch":
        return await patch.patch(request, served, part, tables=tables)
    return await read.get(request, served, tables=tables)
