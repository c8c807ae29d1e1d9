"""One PATCH request on its way from the body to an object: what `patch.py` and `scale.py` share.

`Patching` reads the request; the body itself is only looked at when there is an object to patch (a patch of what is not there is 404,
whatever it says), and again for each try after a conflict. Source: apiserver `endpoints/handlers/patch.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from apiserver.handlers import patch_bodies
from apiserver.handlers.bodies import KindNames, Parsed, Unrecognized, names_of
from apiserver.handlers.decoding import decode_as
from apiserver.handlers.empty_lists import keep_empty
from apiserver.handlers.patch_bodies import APPLY, JSON_PATCH, MERGE, STRATEGIC, TOO_DEEP, PatchBody
from apiserver.handlers.request import Request
from apiserver.handlers.write_options import decode_options
from apiserver.registry.kind import Context
from kube import errors
from kube.errors import ApiError, BadRequest
from kube.objects import Object
from kube.patch import golang
from kube.patch.apply import apply, check_object_type, described
from kube.patch.json_patch import apply_json_patch
from kube.patch.managed import Convert, ResetFields
from kube.patch.merge_patch import merge_patch
from kube.patch.patched_text import after_json_patch, after_merge_patch, text_of
from kube.patch.strategic import strategic_merge, used_up
from kube.schema import gojson, unstructured
from kube.schema.decode import Decoded, DecodeError
from kube.schema.field_order import in_go_order
from kube.schema.types import StructType

_EMPTY_LIST = re.compile(rb"\[[ \t\r\n]*\]")
TAKES_ITEMS = re.compile(rb"\$(?!setElementOrder/)|\\u0024")
"""A directive that takes items away; keys can be written with escapes."""


_BUILT_IN = "io.k8s."
"""How names of types that are not custom begin."""


@dataclass(slots=True)
class Patching:
    """See the module. `of` and `names` are those of the objects that the client sees and patches."""

    of: StructType
    names: KindNames
    media: str
    options: Object
    ctx: Context
    text: bytes
    filled: tuple[str, ...] = ()
    """See `Kind.fills_lists`."""
    _body: PatchBody | None = None

    @property
    def is_apply(self) -> bool:
        return self.media == APPLY

    @property
    def validation(self) -> str:
        return self.options.get("fieldValidation") or "Warn"

    @property
    def body(self) -> PatchBody:
        """The parsed body. Raises BadRequest."""
        if self._body is None:
            self._body = patch_bodies.parse(self.text, self.media, validation=self.validation)
        return self._body

    def patched(self, current: Object) -> Object:
        """`current` (which stays as it is) with a JSON, merge or strategic merge patch applied, decoded. Raises ApiError."""
        try:
            document = self._document(current)
            new: Object = self._decoded(current, document)
        except RecursionError:
            raise BadRequest(TOO_DEEP) from None
        self.ctx.sent = lambda: document
        if self._may_empty():
            keep_empty(self.of, new, document, self.filled)
            if self.of.name.startswith(_BUILT_IN) and (document.get("metadata") or {}).get("managedFields") == []:
                new["metadata"]["managedFields"] = []  # a wish to start over
        return new

    def _may_empty(self) -> bool:
        """Whether the patch may leave empty lists: by saying so, or by taking their items away."""
        takes = self.media == JSON_PATCH or (self.media == STRATEGIC and TAKES_ITEMS.search(self.text) is not None)
        return takes or _EMPTY_LIST.search(self.text) is not None

    def _document(self, current: Object) -> Any:
        body = self.body
        if self.media == JSON_PATCH:
            return apply_json_patch(current, body.value)
        if self.media == MERGE:
            return merge_patch(current, body.value)
        return strategic_merge(self.of, current, body.value)

    def _decoded(self, current: Object, document: Any) -> Object:
        out, strict = self._clean(current, document)
        if out is None or strict:
            out, strict = self._told(current, document)
        self.ctx.warnings.extend(strict)
        if self.media != STRATEGIC and self.of.name.startswith(_BUILT_IN) and not document.get("apiVersion"):
            out["metadata"].pop("name", None)  # upstream takes it for its internal version, which has no such members
        said = out if self.of.named is not None else {}
        out["apiVersion"], out["kind"] = said.get("apiVersion") or self.names.api_version, said.get("kind") or self.names.kind
        return out

    def _clean(self, current: Object, document: Any) -> tuple[Object | None, list[str]]:
        """The object, and what field validation has to say; None for a document that is none. Members that are still the current
        object's own are canonical already, and are not looked at again."""
        kept = _kept(current, document)
        try:
            decoded = self._in_type(Parsed({name: value for name, value in document.items() if name not in kept} if kept else document))
        except (DecodeError, Unrecognized):
            return None, []
        return (_with(kept, document, decoded.value) if kept else decoded.value), self._strict(decoded)

    def _strict(self, decoded: Decoded) -> list[str]:
        return [*self.body.strict_errors, *decoded.strict_errors] if self.validation != "Ignore" else []

    def _told(self, current: Object, document: Any) -> tuple[Object, list[str]]:
        """As `_clean`, for what is to be told in upstream's words: those quote the text, and find errors in the order of the text."""
        if self.media == STRATEGIC:
            text, parsed = golang.plain(used_up(self.of, current, self.body.value or {})), Parsed(document)
        else:
            text = self._text(current)
            parsed = Parsed(document, text.encode(), repeats_keys=True)
        try:
            decoded = self._in_type(parsed)
            strict = self._strict(decoded)
            if strict and self.validation == "Strict":
                raise DecodeError(f"strict decoding error: {', '.join(strict)}")
        except (DecodeError, Unrecognized) as error:
            raise errors.invalid_object("", "", "", [errors.invalid("patch", text, str(error))]) from None
        return decoded.value, strict

    def _text(self, current: Object) -> str:
        """The patched document as upstream's patch library writes it."""
        live, patch = in_go_order(self.of, current), gojson.load(self.text)
        return text_of(after_json_patch(live, patch or ()) if self.media == JSON_PATCH else after_merge_patch(live, patch))

    def _in_type(self, parsed: Parsed) -> Decoded:
        if self.media == STRATEGIC:
            return unstructured.convert(self.of, parsed.value)
        found, is_custom = names_of(parsed, self.names), not self.of.name.startswith(_BUILT_IN)
        if is_custom and not parsed.value.get("kind"):
            raise DecodeError(f"Object 'Kind' is missing in '{parsed.text.decode()}'")
        decoded = decode_as(parsed, found, self.names, self.of)
        if is_custom and not parsed.value.get("apiVersion"):
            why = "Object 'apiVersion' is missing in 'object has no apiVersion field'"
            raise errors.InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
        if not is_custom and (found.group, found.version) != (self.names.group, self.names.version):
            raise BadRequest(
                f"the API version in the data ({found.api_version}) does not match the expected API version ({self.names.api_version})"
            )
        return decoded

    def applied(self, live: Object | None, *, reset_fields: ResetFields | None = None, convert: Convert | None = None) -> Object:
        """`live` (None: there is none yet) with the body applied, decoded, managedFields included. Raises ApiError."""
        config, ctx = self.body.value, self.ctx
        check_object_type(config, api_version=self.names.api_version, kind=self.names.kind)
        try:
            merged = apply(
                self.of,
                live,
                config,
                manager=ctx.field_manager,
                api_version=self.names.api_version,
                subresource=ctx.subresource,
                time=ctx.timestamp,
                force=bool(self.options.get("force")),
                reset_fields=reset_fields,
                convert=convert,
            )
            new: Object = unstructured.convert(self.of, merged).value
            ctx.sent = lambda: merged
        except DecodeError as error:
            names = f"{self.names.group}/{self.names.version}, Kind={self.names.kind}"
            why = f"unable to convert unstructured object to {names}: {error}"
            raise ApiError(f"failed to convert new object ({described(config)}) to proper version: {why}") from None
        except RecursionError:
            raise BadRequest(TOO_DEEP) from None
        self._check_repeated()
        new["apiVersion"], new["kind"] = self.names.api_version, self.names.kind
        return new

    def _check_repeated(self) -> None:
        told = self.body.strict_errors
        if told and self.validation == "Strict":
            lines = "".join(f"\n  {each}" for each in told)
            raise BadRequest(f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:{lines}")
        self.ctx.warnings.extend(told)


def _kept(current: Object, document: Any) -> set[str]:
    """The members of a patched document that the patch has left alone."""
    if not isinstance(document, dict):
        return set()
    kept = {name for name, value in document.items() if value is current.get(name) and isinstance(value, dict)}
    return kept if len(kept) < len(document) else set()


def _with(kept: set[str], document: Object, decoded: Object) -> Object:
    """The decoded members and the kept ones, in the document's order."""
    out = {name: document[name] if name in kept else decoded[name] for name in document if name in kept or name in decoded}
    for name, value in decoded.items():
        if name not in out:
            out[name] = value
    if "metadata" in kept:
        out["metadata"] = dict(out["metadata"])  # the server's own fields in it are set in place
    return out


async def read_patch(
    request: Request, *, of: StructType, names: KindNames, api_version: str = "", filled: tuple[str, ...] = ()
) -> Patching:
    """The PATCH that a request carries. `api_version`: see `Context`. Raises ApiError."""
    media = patch_bodies.media_type_of(request.header(b"content-type"))
    text = await request.body()
    options = decode_options(request.query, "PatchOptions", patch_type=media)
    ctx = request.context(options, verb="patch")
    ctx.api_version = api_version
    return Patching(of, names, media, options, ctx, text, filled)
