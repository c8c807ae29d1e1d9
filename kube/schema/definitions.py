"""The types of the built-in kinds, from the OpenAPI definitions that the package `kubernetes-validate` ships.

The definitions say names, nesting, list types and merge keys. What they leave out are facts of the Go structs: which fields are written
even when empty, which are pointers, and what messages call their types. A general rule covers most (`_field`); `presence.json` lists the
exceptions. Definitions are read once per version and compiled one by one, on first use. Read `types.py` first.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType, Type

DEFAULT_VERSION = "1.36"

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."

_LEAVES: dict[str, ScalarType] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ScalarType(Scalar.QUANTITY, "resource.Quantity"),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ScalarType(Scalar.INT_OR_STRING, "intstr.IntOrString"),
    "io.k8s.apimachinery.pkg.runtime.RawExtension": ScalarType(Scalar.ANY, "runtime.RawExtension"),
    _META + "Time": ScalarType(Scalar.TIME, "v1.Time"),
    _META + "MicroTime": ScalarType(Scalar.MICRO_TIME, "v1.MicroTime"),
    _META + "Duration": ScalarType(Scalar.DURATION, "v1.Duration"),
    _META + "FieldsV1": ScalarType(Scalar.ANY, "v1.FieldsV1"),
    _META + "Patch": ScalarType(Scalar.ANY, "v1.Patch"),
    _EXTENSIONS + "JSON": ScalarType(Scalar.ANY, "v1.JSON"),
    _EXTENSIONS + "JSONSchemaPropsOrArray": ScalarType(Scalar.ANY, "v1.JSONSchemaPropsOrArray"),
    _EXTENSIONS + "JSONSchemaPropsOrBool": ScalarType(Scalar.ANY, "v1.JSONSchemaPropsOrBool"),
    _EXTENSIONS + "JSONSchemaPropsOrStringArray": ScalarType(Scalar.ANY, "v1.JSONSchemaPropsOrStringArray"),
}
"""Definitions whose JSON form is a leaf: Go writes their JSON by hand."""

_SCALARS: dict[tuple[str, str], ScalarType] = {
    ("string", ""): ScalarType(Scalar.STRING, "string"),
    ("string", "byte"): ScalarType(Scalar.BYTES, "[]uint8"),
    ("string", "date-time"): ScalarType(Scalar.TIME, "v1.Time"),
    ("integer", ""): ScalarType(Scalar.INT64, "int64"),
    ("integer", "int32"): ScalarType(Scalar.INT32, "int32"),
    ("integer", "int64"): ScalarType(Scalar.INT64, "int64"),
    ("number", ""): ScalarType(Scalar.FLOAT, "float64"),
    ("number", "double"): ScalarType(Scalar.FLOAT, "float64"),
    ("boolean", ""): ScalarType(Scalar.BOOL, "bool"),
}

_ZEROES: dict[Scalar, object] = {
    Scalar.STRING: "",
    Scalar.INT32: 0,
    Scalar.INT64: 0,
    Scalar.FLOAT: 0,
    Scalar.BOOL: False,
    Scalar.QUANTITY: "0",
    Scalar.INT_OR_STRING: 0,
    Scalar.DURATION: "0s",
}
"""What Go writes for an empty leaf; `null` for all others."""

_BY_VALUE = frozenset({"metadata", "spec", "status"})
"""Optional structs that Go holds by value nearly everywhere."""

_KEY_DEFAULTS: dict[tuple[str, str], object] = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.LocalObjectReference", "name"): "",
}
"""`+default` markers of fields that are list map keys; the package leaves defaults out."""


class Definitions:
    """All definitions of one Kubernetes version. `raw` is read-only: definition name -> JSON schema.

    `fallback` has the types of definitions that this version lacks, and only those: what a server keeps for itself has a type, too."""

    def __init__(
        self,
        version: str,
        raw: Mapping[str, Mapping[str, Any]],
        presence: Mapping[str, Mapping[str, Any]],
        *,
        fallback: Definitions | None = None,
    ) -> None:
        self.version = version
        self.raw = raw
        self._fallback = fallback
        self._presence = presence
        self._types: dict[tuple[str, bool], StructType] = {}

    def has(self, name: str) -> bool:
        return name in self.raw

    @functools.cached_property
    def kinds(self) -> Mapping[tuple[str, str, str], str]:
        """(group, version, kind) -> definition name, of everything that has a kind."""
        return {
            (each["group"], each["version"], each["kind"]): name
            for name, schema in self.raw.items()
            for each in schema.get("x-kubernetes-group-version-kind") or ()
        }

    def type(self, name: str) -> StructType:
        """The struct of a definition, the same one every time. Raises KeyError for a name that is none, or that is a leaf (Quantity)."""
        if name in _LEAVES:
            raise KeyError(f"{name} is a leaf, not a struct")
        if name not in self.raw and self._fallback is not None:
            return self._fallback.type(name)
        return self._struct(name, atomic=self.raw[name].get("x-kubernetes-map-type") == "atomic")

    def _struct(self, name: str, *, atomic: bool) -> StructType:
        found = self._types.get((name, atomic))
        if found is None:
            package, _, kind = name.rpartition(".")
            go_name = f"{package.rpartition('.')[2]}.{kind}"
            found = StructType(name, go_name, functools.partial(self._fields, name), atomic=atomic)
            self._types[(name, atomic)] = found
        return found

    def _fields(self, name: str) -> dict[str, Field]:
        schema = self.raw[name]
        required = frozenset(schema.get("required") or ())
        facts = self._presence.get(name.removeprefix("io.k8s."), {})
        exceptions = {key: frozenset(facts[key].split()) for key in ("always", "omit", "pointer", "value") if key in facts}
        go_names = facts.get("types", {})
        embedded = {each: outer for outer, names in facts.get("embedded", {}).items() for each in names.split()}
        properties: Mapping[str, Any] = schema.get("properties") or {}
        return {
            each: replace(
                _field(each, self._type_of(prop, go_names.get(each, "")), prop, required=each in required, exceptions=exceptions),
                embedded=embedded.get(each, ""),
            )
            for each, prop in properties.items()
        }

    def _type_of(self, schema: Mapping[str, Any], go_name: str = "") -> Type:
        go_name = go_name.lstrip("*")
        ref = schema.get("$ref")
        if ref is not None:
            return self._referenced(ref.rpartition("/")[2], schema)
        kind = _kind_of(schema)
        if kind == "array":
            return self._list(schema, go_name)
        if kind == "object":
            return self._map(schema, go_name)
        scalar = _SCALARS.get((kind, schema.get("format") or "")) or _SCALARS.get((kind, "")) or ScalarType(Scalar.ANY, "interface {}")
        return replace(scalar, go_name=go_name) if go_name and go_name != scalar.go_name else scalar

    def _referenced(self, name: str, schema: Mapping[str, Any]) -> Type:
        leaf = _LEAVES.get(name)
        if leaf is not None:
            return leaf
        here = schema.get("x-kubernetes-map-type") or self.raw[name].get("x-kubernetes-map-type")
        return self._struct(name, atomic=here == "atomic")

    def _list(self, schema: Mapping[str, Any], go_name: str) -> ListType:
        item = self._type_of(schema["items"], go_name[2:] if go_name.startswith("[]") else "")
        kind, keys = _relation(schema)
        of = schema["items"].get("$ref", "").rpartition("/")[2]
        return ListType(
            item,
            kind=kind,
            keys=keys,
            key_defaults=tuple((key, _KEY_DEFAULTS[of, key]) for key in keys if (of, key) in _KEY_DEFAULTS),
            merge_key=schema.get("x-kubernetes-patch-merge-key") or "",
            strategies=_strategies(schema),
            go_name=go_name or f"[]{item.go_name}",
        )

    def _map(self, schema: Mapping[str, Any], go_name: str) -> Type:
        values = schema.get("additionalProperties")
        if not isinstance(values, Mapping):
            return ScalarType(Scalar.ANY, go_name)
        value = self._type_of(values, go_name.partition("]")[2] if go_name.startswith("map[") else "")
        return MapType(value, atomic=schema.get("x-kubernetes-map-type") == "atomic", go_name=go_name or f"map[string]{value.go_name}")


def _kind_of(schema: Mapping[str, Any]) -> str:
    """The JSON type; the package turned optional ones into `[type, "null"]`."""
    kind = schema.get("type") or ""
    return kind if isinstance(kind, str) else next(each for each in kind if each != "null")


def _relation(schema: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """How apply sees a list (atomic, set or map), and the keys of a map. Where a version does not say (up to 1.29), it follows from how the
    list is merged. Source: kube-openapi `schemaconv/openapi.go`."""
    said = schema.get("x-kubernetes-list-type")
    if said or "merge" not in _strategies(schema):
        return said or "atomic", tuple(schema.get("x-kubernetes-list-map-keys") or ())
    key = schema.get("x-kubernetes-patch-merge-key")
    return ("map", (key,)) if key else ("set", ())


def _strategies(schema: Mapping[str, Any]) -> tuple[str, ...]:
    text = schema.get("x-kubernetes-patch-strategy") or ""
    return tuple(text.split(",")) if text else ()


def _is_struct_in_go(of: Type) -> bool:
    """What `omitempty` never leaves out when held by value: structs, and the leaves that are structs in Go."""
    return isinstance(of, StructType) or (isinstance(of, ScalarType) and of in _LEAVES.values())


def _zero(of: Type, *, pointer: bool) -> object:
    if pointer:
        return None
    if isinstance(of, StructType):
        return {}
    return _ZEROES.get(of.scalar) if isinstance(of, ScalarType) else None


def _field(name: str, of: Type, schema: Mapping[str, Any], *, required: bool, exceptions: Mapping[str, frozenset[str]]) -> Field:
    """The general rule: what is required is written always; of the optional ones, structs are pointers and everything else is a value
    that is left out when empty. `exceptions` (presence.json): `always` and `omit` turn the first part round, `pointer` and `value` the
    second."""

    def listed(which: str) -> bool:
        return name in exceptions.get(which, ())

    struct = _is_struct_in_go(of)
    always = listed("always") or ((required or (struct and name in _BY_VALUE)) and not listed("omit"))
    pointer = listed("pointer") or (struct and not always and not required and not listed("value"))
    return Field(
        name,
        of,
        required=required,
        always=always,
        zero=_zero(of, pointer=pointer) if always else None,
        pointer=pointer,
        strategies=_strategies(schema) if isinstance(of, StructType) else (),
    )


def _folder() -> Path:
    """Where the package keeps its schemas. Found without importing it: its own imports cost more than reading the definitions."""
    found = importlib.util.find_spec("kubernetes_validate")
    if found is None or found.origin is None:
        raise RuntimeError("the package kubernetes-validate is not installed")
    return Path(found.origin).parent / "kubernetes-json-schema"


def load(version: str = DEFAULT_VERSION) -> Definitions:
    """The definitions of a Kubernetes minor version ("1.25" to "1.37"), read once. Raises ValueError for one the package lacks."""
    return _load(version)


@functools.cache
def _load(version: str) -> Definitions:
    try:
        text = (_folder() / f"v{version}.0-local" / "_definitions.json").read_bytes()
    except FileNotFoundError:
        raise ValueError(f"no OpenAPI definitions for Kubernetes {version}") from None
    presence = orjson.loads(Path(__file__).with_name("presence.json").read_bytes())
    fallback = load() if version != DEFAULT_VERSION else None
    return Definitions(version, orjson.loads(text)["$defs"], presence, fallback=fallback)
