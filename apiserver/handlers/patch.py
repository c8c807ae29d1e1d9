"""PATCH in its four forms, of objects, of their update-like subresources and of scale. Source: apiserver `handlers/patch.go`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from apiserver.handlers import patch_bodies, scale
from apiserver.handlers.write_options import decode_options
from apiserver.handlers.negotiation import negotiate
from apiserver.handlers.read import document, object_response, shown
from apiserver.handlers.request import Request, Response
from apiserver.handlers.write import check_name, check_scope, to_hub
from apiserver.registry.kind import Context, Subresource
from apiserver.registry.registry import Served
from kube import errors
from kube.errors import BadRequest, Invalid, UnsupportedMediaType
from kube.objects import Object
from kube.patch import golang
from kube.patch.apply import apply, check_object_type
from kube.patch.json_patch import apply_json_patch, check_json_patch
from kube.patch.merge_patch import check_merge_patch, merge_patch
from kube.patch.strategic import strategic_merge
from kube.schema import gojson, goyaml
from kube.schema.decode import DecodeError, decode
from kube.schema.types import StructType

JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
ACCEPTED: Final = (JSON_PATCH, MERGE, STRATEGIC, APPLY)
REJECTED: Final = "the server rejected our request due to an error in our request"


def check_media_type(content_type: str) -> None:
    patch_bodies.check_media_type(content_type)


async def patch(request: Request, served: Served, part: Subresource | None) -> Response:
    """PATCH of an object or of one of its subresources."""
    form = negotiate(request.header(b"accept"))
    media = request.header(b"content-type").split(";", 1)[0].strip()
    if media not in ACCEPTED:
        listed = ", ".join((*ACCEPTED, "application/apply-patch+cbor"))
        raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {listed}")
    options = decode_options(request.query, "PatchOptions", patch_type=media)
    ctx = request.context(options, verb="patch")
    if media == APPLY:
        ctx.field_manager = options["fieldManager"]
    body = _parsed(await request.body(), media)
    registry, info = served.registry, request.info
    namespace = info.namespace if registry.resource.namespaced else ""
    if served.conversion is not None:
        ctx.api_version = served.resource.api_version
    is_scale = part is not None and part.name == "scale"
    of = registry.registries.definitions.type(scale.DEFINITION if is_scale else served.type_name)
    change: Callable[[Object | None], Object]
    if media == APPLY and not is_scale:
        change = _applying(request, served, of, body, ctx, options)
    elif is_scale:
        change = _scaling(request, served, of, body, media)
    else:
        change = _patching(request, served, of, body, media, options)
    written = await registry.write(
        namespace,
        info.name,
        change,
        ctx,
        subresource=info.subresource,
        may_create=media == APPLY and part is None,
        managed=media != APPLY or is_scale,
        options=options,
    )
    if is_scale:
        return document(form, 200, scale.scale_of(registry.kind, written.obj))
    return object_response(request, served, written.obj, status=201 if written.created else 200, body=written.body)


def _parsed(body: bytes, media: str) -> Any:
    if media == APPLY:
        try:
            value = goyaml.load(body).value
        except goyaml.YamlError as error:
            raise BadRequest(f"error decoding YAML: {error}") from error
        if not isinstance(value, dict):
            raise BadRequest("error decoding YAML: the applied configuration must be an object")
        return value
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        wrong = gojson.syntax_error(body)
        prefix = "" if media == STRATEGIC else "error decoding patch: "
        raise BadRequest(f"{prefix}{wrong or error}") from error
    if media == JSON_PATCH:
        check_json_patch(value)
    else:
        check_merge_patch(value)
    return value


def _patched(of: StructType, current: Object, body: Any, media: str) -> Any:
    """The patched document; `current` stays as it is. Raises ApiError."""
    if media == JSON_PATCH:
        return apply_json_patch(current, body)
    if media == MERGE:
        return merge_patch(current, body)
    return strategic_merge(of, current, body)


def _shown(value: Any, patch: Any) -> str:
    """What an error about a patched document quotes: the document, or a strategic merge patch as Go prints it."""
    return golang.plain(patch) if patch is not None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _decoded(request: Request, of: StructType, value: Any, validation: str, *, shown_as: Any = None) -> Object:
    """A patched document, decoded as strictly as asked for. Unknown fields warn, or fail. `shown_as`: what an error quotes."""
    try:
        decoded = decode(of, value)
    except DecodeError as error:
        quoted = _shown(value, shown_as)
        raise errors.invalid_object("", "", "", [errors.invalid("patch", quoted, str(error))]) from error
    if decoded.unknown and validation != "Ignore":
        texts = [f'unknown field "{each}"' for each in decoded.unknown]
        if validation == "Strict":
            quoted = _shown(value, shown_as)
            raise errors.invalid_object("", "", "", [errors.invalid("patch", quoted, f"strict decoding error: {', '.join(texts)}")])
        request.warnings.extend(texts)
    out: Object = decoded.value
    return out


def _patching(
    request: Request, served: Served, of: StructType, body: Any, media: str, options: Object
) -> Callable[[Object | None], Object]:
    """JSON, merge and strategic merge patches of the object as the client's version shows it."""
    name, validation = request.info.name, options.get("fieldValidation") or "Warn"
    already = len(request.warnings)

    def change(current: Object | None) -> Object:
        assert current is not None
        del request.warnings[already:]
        revision = current["metadata"]["resourceVersion"]
        patched = _patched(of, shown(served, current), body, media)
        if not isinstance(patched, dict):
            raise Invalid(REJECTED, details={})
        new = _decoded(request, of, patched, validation, shown_as=body if media == STRATEGIC else None)
        check_scope(request, served, new)
        check_name(name, new)
        _check_kind(served, patched)
        to_hub(served, new)
        if new["metadata"].get("resourceVersion") == revision and "resourceVersion" not in _patch_metadata(body):
            new["metadata"]["resourceVersion"] = revision
        return new

    return change


def _patch_metadata(body: Any) -> Object:
    return (body.get("metadata") or {}) if isinstance(body, dict) else {}


def _check_kind(served: Served, patched: Object) -> None:
    resource = served.resource
    if patched.get("kind") != resource.kind or patched.get("apiVersion") != resource.api_version:
        raise BadRequest(
            f"the API version in the data ({patched.get('apiVersion', '')}) does not match the expected API version ({resource.api_version})"
            if patched.get("apiVersion") != resource.api_version
            else f"the kind in the data ({patched.get('kind', '')}) does not match the expected kind ({resource.kind})"
        )


def _applying(
    request: Request, served: Served, of: StructType, config: Object, ctx: Context, options: Object
) -> Callable[[Object | None], Object]:
    """Server-side apply."""
    registry, info = served.registry, request.info
    resource = served.resource
    check_object_type(config, api_version=resource.api_version, kind=resource.kind)
    given = config.get("metadata") or {}
    named = given.get("name") if isinstance(given, dict) else None
    if named is not None and named != info.name:
        raise BadRequest(f"the name of the object ({named}) does not match the name on the URL ({info.name})")

    def change(current: Object | None) -> Object:
        live = shown(served, current) if current is not None else None
        merged = apply(
            of,
            live,
            config,
            manager=ctx.field_manager,
            api_version=resource.api_version,
            subresource=ctx.subresource,
            time=ctx.timestamp,
            force=bool(options.get("force")),
            reset_fields=registry.reset_fields(ctx.subresource),
        )
        merged = {**merged, "kind": resource.kind, "apiVersion": resource.api_version}
        new = _decoded(request, of, merged, options.get("fieldValidation") or "Warn")
        check_scope(request, served, new)
        check_name(info.name, new)
        to_hub(served, new)
        return new

    return change


def _scaling(request: Request, served: Served, of: StructType, body: Any, media: str) -> Callable[[Object | None], Object]:
    """Any patch of a Scale is a patch of the Scale that GET shows, written back as PUT would."""
    kind = served.registry.kind

    def change(current: Object | None) -> Object:
        assert current is not None
        shown_scale = scale.scale_of(kind, current)
        patched = merge_patch(shown_scale, body) if media == APPLY else _patched(of, shown_scale, body, media)
        new = _decoded(request, of, patched, "Warn")
        check_name(request.info.name, new)
        scale.set_scale(kind, current, new)
        return current

    return change
