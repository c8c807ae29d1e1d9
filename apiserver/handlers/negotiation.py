"""What form a client wants its answer in, from the Accept header. Pure. Source: apiserver `handlers/negotiation/negotiate.go`.

Served are JSON and YAML; protobuf and CBOR are not (a client that lists JSON too gets JSON). Forms besides the object itself:
Table, PartialObjectMetadata and PartialObjectMetadataList of meta.k8s.io/v1 (v1beta1 is accepted, too).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from apiserver.handlers.request import JSON, YAML
from kube.errors import NotAcceptable

ACCEPTED: Final = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_FORMS: Final = frozenset({"Table", "PartialObjectMetadata", "PartialObjectMetadataList"})
_WILD: Final = frozenset({"*/*", "application/*"})


@dataclass(frozen=True, slots=True)
class Form:
    """How to answer: `media` is the Content-Type to send, `as_` "" (the object itself) or one of the forms of meta.k8s.io."""

    media: str = JSON
    as_: str = ""
    version: str = "v1"
    stream: bool = False


@lru_cache(maxsize=1024)
def negotiate(accept: str) -> Form:
    """The first acceptable form of an Accept header, by its order and q values. Raises NotAcceptable."""
    if not accept.strip():
        return Form()
    clauses = []
    for index, clause in enumerate(accept.split(",")):
        media, *rest = (part.strip() for part in clause.split(";"))
        params = dict(part.partition("=")[::2] for part in rest)
        try:
            quality = float(params.get("q", "1"))
        except ValueError:
            quality = 1.0
        clauses.append((-quality, index, media, params))
    unknown_form = False
    for _, _, media, params in sorted(clauses, key=lambda each: each[:2]):
        served = JSON if media in _WILD or media == JSON else YAML if media in (YAML, "application/x-yaml", "text/yaml") else ""
        if not served:
            continue
        as_ = params.get("as", "")
        if not as_:
            return Form(served, stream=params.get("stream") == "watch")
        if as_ in _FORMS and params.get("g") == "meta.k8s.io" and params.get("v") in ("v1", "v1beta1"):
            return Form(served, as_, params["v"], stream=params.get("stream") == "watch")
        unknown_form = True
    if unknown_form or any("as" in params for _, _, _, params in clauses):
        raise NotAcceptable(f"only the following media types are accepted: {ACCEPTED}")
    raise NotAcceptable(f"only the following media types are accepted: {ACCEPTED}")
