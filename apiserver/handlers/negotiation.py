"""What form a client wants its answer in, from the Accept header. Pure. Source: apiserver `handlers/negotiation/negotiate.go`.

Upstream looks twice, and so do we: its router asks whether the path can answer in any listed media type at all, parameters
aside (`check_acceptable`); then the handler picks the first clause, by q value, whose parameters it can satisfy (`negotiate`). Served are
JSON and YAML; protobuf and CBOR are not (a client that lists JSON too gets JSON). Forms besides the object itself: Table,
PartialObjectMetadata and PartialObjectMetadataList of meta.k8s.io/v1 (v1beta1 is accepted, too).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from apiserver.handlers.request import JSON, YAML
from kube.errors import NotAcceptable

PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
OBJECTS: Final = (JSON, YAML, PROTOBUF)
"""What paths of resources produce."""
STREAMS: Final = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_ACCEPTED: Final = "only the following media types are accepted: "
_FORMS: Final = frozenset({"PartialObjectMetadata", "PartialObjectMetadataList"})


@dataclass(frozen=True, slots=True)
class Form:
    """How to answer: `media` is the Content-Type to send, `as_` "" (the object itself) or one of the forms of meta.k8s.io."""

    media: str = JSON
    as_: str = ""
    version: str = "v1"


@dataclass(frozen=True, slots=True)
class Clause:
    """A media type of an Accept header, its q value, and its other parameters."""

    media: str
    quality: float
    params: dict[str, str]


def _is_acceptable(accept: str, produces: tuple[str, ...]) -> bool:
    listed = [each.partition(";")[0].strip(" \t") for each in accept.split(",")] if accept else ["*/*"]
    return any(each == "*/*" or each in produces for each in listed)


@lru_cache(maxsize=1024)
def _refused(accept: str, produces: tuple[str, ...]) -> bool:
    return not _is_acceptable(accept, produces)


def check_acceptable(accept: str, produces: tuple[str, ...] = OBJECTS) -> None:
    """Raises NotAcceptable where none of the listed media types (taken literally, but for `*/*`) is one that the path produces."""
    if _refused(accept, produces):
        raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {', '.join(produces)}", details={})


def negotiate(accept: str, *, tables: bool = True) -> Form:
    """The first acceptable form of an Accept header, by its order and q values. `tables` False: not as a Table. Raises NotAcceptable."""
    form = _negotiated(accept, tables=tables)
    if form is None:
        served = OBJECTS if any(each.media != PROTOBUF for each in clauses(accept)) else (JSON, YAML)
        raise NotAcceptable(_ACCEPTED + ", ".join(served))
    return form


def negotiate_stream(accept: str) -> Form:
    """The form of a watch's events, which come as JSON only. Raises NotAcceptable."""
    form = negotiate(accept)
    if form.media != JSON:
        raise NotAcceptable(_ACCEPTED + ", ".join(STREAMS))
    return form


@lru_cache(maxsize=1024)
def error_media(accept: str) -> str:
    """The media type of an error's Status: what was asked for, but always something."""
    form = _negotiated(accept, tables=False)
    return form.media if form is not None and not form.as_ else JSON


@lru_cache(maxsize=1024)
def _negotiated(accept: str, *, tables: bool) -> Form | None:
    if not accept:
        return Form()
    return next((form for clause in clauses(accept) if (form := _form(clause, tables=tables)) is not None), None)


def clauses(accept: str) -> list[Clause]:
    """The clauses, best first. Source: munnerz/goautoneg."""
    found = []
    for text in accept.split(","):
        media, *rest = text.split(";")
        kind, slash, subtype = media.strip(" ").partition("/")
        if not slash and kind != "*":
            continue
        params = {name.strip(" "): value.strip(" ") for name, equals, value in (each.partition("=") for each in rest) if equals}
        found.append(Clause(f"{kind}/{subtype.strip(' ') or '*'}", _quality(params.pop("q", "1")), params))
    return sorted(found, key=lambda each: (-each.quality, each.media.startswith("*/"), each.media.endswith("/*")))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _form(clause: Clause, *, tables: bool) -> Form | None:
    """How to satisfy one clause; None where that cannot be."""
    media = {"*/*": JSON, "application/*": JSON, JSON: JSON, YAML: YAML}.get(clause.media)
    params = clause.params
    if (
        media is None
        or (params.get("stream") and (params["stream"] != "watch" or media == YAML))
        or params.get("sv", "v1") not in ("", "v1")
    ):
        return None
    if not params.keys() & {"as", "g", "v"}:
        return Form(media)
    as_, version = params.get("as", ""), params.get("v", "")
    if params.get("g") != "meta.k8s.io" or version not in ("v1", "v1beta1") or not (as_ in _FORMS or (as_ == "Table" and tables)):
        return None
    return Form(media, as_, version)
