"""POST, PUT and DELETE of objects and of their update-like subresources. Source: apiserver `handlers/{create,update,delete}.go`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from apiserver.handlers.bodies import JSON, KindNames, Unrecognized, parse_body
from apiserver.handlers.decoding import decode_recognized, named_by_itself, recognize
from apiserver.handlers.empty_lists import keep_empty
from apiserver.handlers.negotiation import negotiate
from apiserver.handlers.options import ListOptions, list_options
from apiserver.handlers.read import document, list_response, object_response, select
from apiserver.handlers.request import Request, Response
from apiserver.handlers.table import include_policy, partial
from apiserver.handlers.write_options import decode_options
from apiserver.registry.admission import Attributes
from apiserver.registry.alike import Alike
from apiserver.registry.kind import Context, Subresource
from apiserver.registry.registry import Served, Written
from apiserver.registry.unstored import own
from kube import errors
from kube.errors import BadRequest, MethodNotAllowed
from kube.objects import Object, name_of, namespace_of
from kube.schema.member_text import member_text
from kube.schema.types import StructType


def _names(served: Served, part: Subresource | None) -> tuple[str, str, str]:
    if part is not None and part.kind:
        return (part.group, part.version, part.kind) if part.version else (served.resource.group, served.resource.version, part.kind)
    return served.resource.group, served.resource.version, served.resource.kind


async def read_object(request: Request, served: Served, part: Subresource | None, options: Object) -> Object:
    """The body as an object of the hub version, decoded and defaulted. Adds decoding warnings to the request's."""
    body, content_type = await request.body(), request.header(b"content-type")
    if part is None and served.registry.kind.alike and content_type == JSON:
        obj = _of_known_tail(request, served, body)
        if obj is not None:
            return obj
    own = part is None or not part.definition
    of = served.type if own or part is None else served.registry.registries.definitions.type(part.definition)
    validation = options.get("fieldValidation") or "Warn"
    expected = KindNames(*_names(served, part))
    parsed, found = recognize(body, content_type, expected)
    request.sent = lambda: parse_body(body, content_type).value
    is_custom = served.registry.kind.custom is not None
    if is_custom and own:
        found = named_by_itself(parsed, body, found, expected, validation)
    keeps_empty = b"[]" in body and not is_custom
    likeness = None
    if part is None and served.registry.kind.alike and found is expected and not parsed.repeats_keys and parsed.text and not keeps_empty:
        likeness = request.likeness = _alike(served).likeness(parsed.value)
        known = likeness.recall(parsed.value) if likeness is not None else None
        if known is not None:
            known["apiVersion"], known["kind"] = expected.api_version, expected.kind
            return known
    obj, warnings = decode_recognized(parsed, found, expected, of, validation, request.warnings)
    for name in served.registry.kind.texts if parsed.text and own else ():
        text = member_text(body, name)
        if text is not None:
            request.texts[name] = text
    if keeps_empty:
        _keep_empty(of, obj, request.sent() or {}, served.registry.kind.fills_lists)
    if part is None or own:
        to_hub(served, obj, part)
    elif part.default is not None:
        part.default(obj)
    if likeness is not None and not warnings:
        likeness.learn(obj)
        likeness.of.learn_tail(body, parsed.value, likeness)
    return obj


def _of_known_tail(request: Request, served: Served, body: bytes) -> Object | None:
    """The object of a body that is, but for its metadata, one that came before to the letter; only the metadata is parsed."""
    found = _alike(served).known_tail(body)
    if found is None:
        return None
    head, likeness = found
    try:
        parsed = parse_body(head, JSON)
    except Unrecognized:
        return None
    sent, resource = parsed.value, served.resource
    if not isinstance(sent, dict) or parsed.repeats_keys or not sent.keys() <= _HEAD or b"[]" in head:
        return None
    if sent.get("kind") != resource.kind or sent.get("apiVersion") != resource.api_version:
        return None
    known = likeness.recall(sent)
    if known is not None:
        known["apiVersion"], known["kind"] = resource.api_version, resource.kind
        request.likeness = likeness
        request.sent = lambda: parse_body(body, JSON).value
    return known


_HEAD = frozenset({"apiVersion", "kind", "metadata"})


def _alike(served: Served) -> Alike:
    """The memory of a served type."""
    found: Alike | None = served.derived.get("alike")
    if found is None:
        found = served.derived["alike"] = Alike(served.type)
    return found


def _keep_empty(of: StructType, obj: Object, sent: Object, filled: Collection[str]) -> None:
    keep_empty(of, obj, sent, filled)
    if (sent.get("metadata") or {}).get("managedFields") == []:
        obj["metadata"]["managedFields"] = []  # a wish to start over


def to_hub(served: Served, obj: Object, part: Subresource | None = None) -> None:
    """Default an object of the served version and make it one of the hub, in place. `part`: it is written through this subresource."""
    if served.conversion is not None:
        served.conversion.default(obj)
        served.conversion.to_hub(obj)
        obj["kind"], obj["apiVersion"] = served.registry.resource.kind, served.registry.resource.api_version
    default = served.registry.kind.default if part is None or part.default is None else part.default
    default(obj)


def check_scope(request: Request, served: Served, obj: Object) -> str:
    """The namespace the object belongs to. Raises BadRequest where body and URL disagree."""
    if not served.registry.resource.namespaced:
        return ""
    namespace, given = request.info.namespace, namespace_of(obj)
    if given and given != namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    obj.setdefault("metadata", {})["namespace"] = namespace
    return namespace


async def create(request: Request, served: Served) -> Response:
    """POST to a collection."""
    form = negotiate(request.header(b"accept"), tables=served.registry.kind.create is None)
    registry = served.registry
    options = decode_options(request.query, "CreateOptions")
    obj = await read_object(request, served, None, options)
    namespace = check_scope(request, served, obj)
    ctx = request.context(options, verb="create")
    if served.conversion is not None:
        ctx.api_version = served.resource.api_version
    custom = registry.kind.create
    if custom is not None:
        await _admit(served, namespace, name_of(obj), obj, ctx, options)
        answer = await custom(registry.registries, namespace, obj, ctx)
        return document(form, 201, partial(answer, form) if form.as_ else answer)
    written = await registry.write_new(namespace, obj, ctx, options=options)
    await settle(served, written)
    return object_response(request, served, written.obj, status=201, body=written.body)


async def settle(served: Served, written: Written) -> None:
    """Wait for what the server itself makes of a write, where the kind has it so."""
    if served.registry.kind.settle is not None and written.body is not None:
        await served.registry.kind.settle(written.obj, served.registry.registries)


async def _admit(served: Served, namespace: str, name: str, obj: Object, ctx: Context, options: Object) -> None:
    """Admission for what is created and never stored. (The registry sees to the rest.)"""
    registries = served.registry.registries
    attributes = Attributes(served.registry.kind, "CREATE", namespace, name, obj, None, ctx, registries, options)
    await registries.admission.mutate(attributes)
    await registries.admission.validate(attributes)


async def update(request: Request, served: Served, part: Subresource | None, *, tables: bool = True) -> Response:
    """PUT of an object or of an update-like subresource."""
    negotiate(request.header(b"accept"), tables=tables)
    registry, info = served.registry, request.info
    options = decode_options(request.query, "UpdateOptions")
    obj = await read_object(request, served, part, options)
    namespace = check_scope(request, served, obj)
    check_name(info.name, obj)
    ctx = request.context(options, verb="update")
    if served.conversion is not None:
        ctx.api_version = served.resource.api_version
    written = await registry.write(
        namespace,
        info.name,
        lambda _current: obj,
        ctx,
        subresource=info.subresource,
        may_create=registry.kind.create_on_update and part is None,
        replace=True,
        shares=True,
        options=options,
    )
    await settle(served, written)
    return object_response(request, served, written.obj, status=201 if written.created else 200, body=written.body, tables=tables)


def check_name(name: str, obj: Object) -> None:
    """The object must say the name that the URL says."""
    given = name_of(obj)
    if not given:
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given != name:
        raise BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")


# --- delete -----------------------------------------------------------------------------------------------------------


async def _delete_options(request: Request) -> Object:
    """DeleteOptions of the body, or else of the query."""
    return decode_options(request.query, "DeleteOptions", body=await request.body(), content_type=request.header(b"content-type"))


def _propagation_warning(request: Request, served: Served, options: Object) -> None:
    kind = served.registry.kind
    if (
        kind.default_orphan
        and kind.resource.plural == "jobs"
        and options.get("propagationPolicy") is None
        and options.get("orphanDependents") is None
    ):
        request.warnings.append(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
            "propagationPolicy=Orphan to suppress this warning"
        )


async def delete(request: Request, served: Served) -> Response:
    """DELETE of one object."""
    negotiate(request.header(b"accept"))
    registry, info = served.registry, request.info
    options = await _delete_options(request)
    namespace = info.namespace if registry.resource.namespaced else ""
    _propagation_warning(request, served, options)
    ctx = request.context(options, verb="delete")
    if served.conversion is not None:
        ctx.api_version = served.resource.api_version
    written = await registry.remove(namespace, info.name, options, ctx)
    waiting = not written.deleted
    status = 202 if waiting and options.get("orphanDependents") is False else 200
    if waiting or registry.kind.delete_answers_object:
        return object_response(request, served, written.obj, status=status)
    resource = registry.resource
    details: dict[str, Any] = {"name": info.name}
    if served.resource.group:
        details["group"] = served.resource.group
    details |= {"kind": resource.plural, "uid": written.obj["metadata"]["uid"]}
    form = negotiate(request.header(b"accept"))
    if form.as_ == "Table":
        include_policy(request.param("includeObject"))
    return document(form, status, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})


async def delete_collection(request: Request, served: Served) -> Response:
    """DELETE of a collection: each object that the selectors choose, as `delete` would; answers with those it found."""
    form = negotiate(request.header(b"accept"))
    registry = served.registry
    chosen = list_options(request, served)
    options = await _delete_options(request)
    namespace = request.info.namespace if registry.resource.namespaced else ""
    _propagation_warning(request, served, options)
    entries, metadata = await select(served, _in_pages(chosen), namespace)
    ctx = request.context(options, verb="deletecollection")
    if served.conversion is not None:
        ctx.api_version = served.resource.api_version
    for entry in entries:
        try:
            await registry.remove(entry.namespace, entry.name, options, ctx)
        except errors.NotFound:
            continue
    return list_response(request, served, form, entries, metadata)


def _in_pages(options: ListOptions) -> ListOptions:
    """Upstream lists what it deletes in pages, and pages are of exactly the version that was asked for."""
    if options.resource_version in ("", "0") or options.resource_version_match or options.continue_:
        return options
    return replace(options, resource_version_match="Exact")


# --- subresources by POST -----------------------------------------------------------------------------------------------


async def create_subresource(request: Request, served: Served, part: Subresource) -> Response:
    """POST to binding, eviction, token: what the kind's hook answers."""
    form = negotiate(request.header(b"accept"), tables=False)
    registry, info = served.registry, request.info
    if part.create is None:
        raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})
    options = decode_options(request.query, "CreateOptions")
    body = await read_object(request, served, part, options)
    namespace = check_scope(request, served, body)
    if not part.version and name_of(body) != info.name:  # bodies of other groups (Eviction, TokenRequest) are checked by their hooks
        raise BadRequest(f"name in URL does not match name in {part.kind} object")
    await registry.cache.catch_up()
    entry = registry.cache.get(namespace, info.name)
    parent = registry.cache.object_of(entry) if entry is not None else None
    ctx = request.context(options, verb="create")
    if part.definition:
        own(registry.registries, body, part.definition, ctx)
    await _admit(served, namespace, info.name, body, ctx, options)
    return document(form, 201, await part.create(registry.registries, parent, namespace, info.name, body, ctx))
