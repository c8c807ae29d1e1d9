"""The type model: what the OpenAPI definitions say of a kind, in the form that decoding, patches and apply read.

A `Type` is built once per definition (built-in kinds: `definitions.py`; later, custom resources' structural schemas) and shared.
Types are recursive (JSONSchemaProps), so `StructType.fields` is filled lazily on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Scalar(StrEnum):
    """The leaf types, by what Go decodes them into."""

    STRING = "string"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT = "float64"
    BOOL = "bool"
    BYTES = "bytes"  # base64
    QUANTITY = "quantity"  # resource.Quantity: string or number in, canonical string out
    INT_OR_STRING = "intstr"
    TIME = "time"  # metav1.Time, whole seconds
    MICRO_TIME = "microtime"  # metav1.MicroTime
    DURATION = "duration"  # metav1.Duration
    ANY = "any"  # any JSON, kept as it is (RawExtension, JSON, FieldsV1)


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A leaf. `go_name` is what upstream's messages call its Go type."""

    scalar: Scalar
    go_name: str = ""


@dataclass(frozen=True, slots=True)
class ListType:
    """`kind` is the list type of server-side apply; `keys` those of a `map`. `merge_key`/`strategies` are the strategic merge patch's
    (x-kubernetes-patch-merge-key, and x-kubernetes-patch-strategy split at commas: merge, replace, retainKeys)."""

    item: Type
    kind: str = "atomic"  # atomic | set | map
    keys: tuple[str, ...] = ()
    key_defaults: tuple[tuple[str, object], ...] = ()  # e.g. (("protocol", "TCP"),) : a key field's default when absent
    merge_key: str = ""
    strategies: tuple[str, ...] = ()
    go_name: str = ""  # `[]v1.Container`, in messages


@dataclass(frozen=True, slots=True)
class MapType:
    """A string-keyed map; atomic maps are owned as a whole by server-side apply."""

    value: Type
    atomic: bool = False
    go_name: str = ""  # `map[string]string`, `v1.ResourceList`, in messages


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct.

    `always`: Go writes it even when empty (no omitempty, or a struct by value), as `zero`; `{}` stands for the struct's own empty form.
    `pointer`: a zero value that was given is kept (`replicas: 0`); without it Go drops zero values on output."""

    name: str
    type: Type
    required: bool = False
    always: bool = False
    zero: object = None
    pointer: bool = False
    strategies: tuple[str, ...] = ()  # patch strategies of a struct field: retainKeys, replace
    embedded: str = ""  # the Go structs that it is embedded by, which messages name: `VolumeSource` of a Volume's hostPath


@dataclass(slots=True, eq=False)
class StructType:
    """A definition with named fields. `name` is the OpenAPI name (`io.k8s.api.core.v1.Pod`), `go_name` the message one (`v1.Pod`).

    `atomic`: x-kubernetes-map-type atomic (owned as a whole). `open`: unknown fields are kept (custom resources)."""

    name: str
    go_name: str
    load: Callable[[], dict[str, Field]]
    atomic: bool = False
    open: bool = False
    _fields: dict[str, Field] | None = field(default=None, repr=False)
    decoder: Callable[[object], object] | None = field(default=None, repr=False)  # decode.py keeps its compiled form here
    walk: Callable[[object], tuple[Any, list[str]]] | None = field(default=None, repr=False)
    """Custom resources: what decodes in place of `strict.walk`."""
    named: Callable[[str, str, str], StructType] | None = field(default=None, repr=False)
    """Custom resources: the type of a body that says it is of this (group, version, kind)."""

    @property
    def fields(self) -> dict[str, Field]:
        if self._fields is None:
            self._fields = self.load()
        return self._fields


Type = ScalarType | ListType | MapType | StructType
