"""The one route of all resources: from a RequestInfo to the handler of its verb. Knows which verbs there are, and no kind."""

from __future__ import annotations

from apiserver.handlers import connect, patch, read, scale, watch, write
from apiserver.handlers.request import Answer, Request
from apiserver.registry.kind import Subresource
from apiserver.registry.registry import Served
from kube import errors
from kube.errors import ApiError, BadRequest, MethodNotAllowed, NotFound

_NOT_FOUND = "the server could not find the requested resource"
_NOT_ALLOWED = "the server does not allow this method on the requested resource"


def no_such_path() -> ApiError:
    """The 404 for a resource that no version serves."""
    return NotFound(_NOT_FOUND, details={})


def _not_allowed() -> ApiError:
    return MethodNotAllowed(_NOT_ALLOWED, details={})


async def serve(request: Request) -> Answer:
    """Answer a resource request. Raises ApiError."""
    info = request.info
    registries = request.server.registries
    served = registries.served(info.group, info.version, info.resource)
    if served is None:
        raise no_such_path()
    kind = served.registry.kind
    if info.namespace and not kind.resource.namespaced and (info.resource != "namespaces" or info.namespace != info.name):
        raise no_such_path()
    check_path_segment(info.name)
    if info.subresource:
        part = next((each for each in kind.subresources if each.name == info.subresource), None)
        if part is None or (info.rest and not part.connect) or (kind.resource.namespaced and not info.namespace):
            raise no_such_path()
        return await _subresource(request, served, part)
    if info.name and kind.resource.namespaced and not info.namespace:
        raise no_such_path()
    return await _object(request, served)


def check_path_segment(name: str) -> None:
    """A name that no object can have is refused before anything is looked up. Raises BadRequest."""
    if name in (".", ".."):
        raise BadRequest(f"Name parameter invalid: {errors.quoted(name)}: may not be '{name}'")
    if "%" in name:
        raise BadRequest(f"Name parameter invalid: {errors.quoted(name)}: may not contain '%'")


async def _object(request: Request, served: Served) -> Answer:
    verb, info, kind = request.info.verb, request.info, served.registry.kind
    if info.name and kind.verbs == ("create",):
        raise no_such_path()
    if verb == "watch" and "list" in kind.verbs and "watch" not in kind.verbs:
        plural = kind.resource.plural
        raise MethodNotAllowed(f'watch is not supported on resources of kind "{plural}"', details={"kind": plural})
    if verb not in kind.verbs or request.method == "HEAD":
        raise _not_allowed()
    collection_only = verb in ("create", "list", "deletecollection")
    if bool(info.name) is collection_only and verb != "watch":
        raise _not_allowed()
    if verb in ("create", "deletecollection") and kind.resource.namespaced and not info.namespace and kind.create is None:
        raise _not_allowed()
    if verb == "get":
        return await read.get(request, served)
    if verb == "list":
        return await read.list_(request, served)
    if verb == "watch":
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
    if verb not in part.verbs or request.method == "HEAD":
        raise _not_allowed()
    if part.name == "scale":
        if verb == "get":
            return await scale.get(request, served)
        if verb == "update":
            return await scale.update(request, served, part)
        return await patch.patch(request, served, part)
    if verb == "create":
        return await write.create_subresource(request, served, part)
    if verb == "get":
        return await read.get(request, served)
    if verb == "update":
        return await write.update(request, served, part)
    return await patch.patch(request, served, part)
