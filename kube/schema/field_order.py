"""The order in which Go writes the fields of an object: that of its structs, where custom resources and maps are sorted.

JSON has no order, but messages that quote a document do (see `kube/patch/patched_text.py`). The order of a definition is that of its
protobuf fields, which are generated from the structs and kept in the order of the file (`protobuf.json`); the few groups without protobuf
are in `field_order.json`. Source: the `types.go` of k8s.io/api, apimachinery, apiextensions-apiserver and kube-aggregator.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from kube.schema import protobuf
from kube.schema.strict import Pairs
from kube.schema.types import ListType, MapType, ScalarType, StructType, Type

_TYPE_META = ("kind", "apiVersion")


@cache
def _others() -> dict[str, str]:
    found: dict[str, str] = orjson.loads(files(__package__).joinpath("field_order.json").read_bytes())
    return found


@cache
def _rank(definition: str) -> dict[str, int]:
    """Field name -> its place in the struct. Empty for what is no struct in Go: custom resources."""
    names = _others()[definition].split() if definition in _others() else list(protobuf.names(definition))
    return {name: place for place, name in enumerate((*_TYPE_META, *names))} if names else {}


def rank_of(of: Type | None) -> dict[str, int]:
    """Field name -> its place in the struct of that type. Empty for what is no struct in Go."""
    return _rank(of.name) if isinstance(of, StructType) else {}


def in_go_order(of: Type | None, value: Any) -> Any:
    """The value of that type with the members of its objects as Go would write them: objects become `Pairs`. None is the type of maps
    and custom resources; free-form JSON keeps the order it came in."""
    if isinstance(value, dict):
        rank = rank_of(of)
        if not rank and isinstance(of, StructType):
            of = None
        names = value if isinstance(of, ScalarType) else sorted(value, key=lambda name: (rank.get(name, len(rank)), name))
        return Pairs((name, in_go_order(_below(of, name), value[name])) for name in names)
    if isinstance(value, list):
        item = of.item if isinstance(of, ListType) else of
        return [in_go_order(item, each) for each in value]
    return value


def _below(of: Type | None, name: str) -> Type | None:
    if isinstance(of, StructType):
        field = of.fields.get(name)
        return field.type if field is not None else None
    return of.value if isinstance(of, MapType) else of
