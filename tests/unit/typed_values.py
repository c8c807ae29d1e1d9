"""Values of any type, made by hypothesis: what a client might send, every field now and then, lists without repeated items."""

from __future__ import annotations

import functools
from typing import Any

from hypothesis import strategies as st

from kube.patch.elements import ElementError, element_of
from kube.schema.strict import UNIONS
from kube.schema.types import ListType, MapType, Scalar, ScalarType, StructType, Type

Values = st.SearchStrategy[Any]

NAMES = ("a", "b", "web", "x/y", "é")
FIELDS_MAX, ITEMS_MAX, DEPTH_MAX = 5, 3, 6

ANY_JSON: Values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(NAMES) | st.just(1.5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)

SCALARS: dict[Scalar, Values] = {
    Scalar.STRING: st.sampled_from(("", *NAMES, "<&>", "1", "true")),
    Scalar.INT32: st.sampled_from((0, 1, -1, 80, 2**31 - 1, -(2**31))),
    Scalar.INT64: st.sampled_from((0, 1, 30, 2**53, -(2**63))),
    Scalar.FLOAT: st.sampled_from((0, 1, 1.5, -0.25)),
    Scalar.BOOL: st.booleans(),
    Scalar.BYTES: st.sampled_from(("", "YQ==", "3q2+7w==")),
    Scalar.QUANTITY: st.sampled_from(("1", "0", "100m", "1Gi", "1.5", 2, "1e3", "0.1")),
    Scalar.INT_OR_STRING: st.sampled_from((0, 80, "25%", "http")),
    Scalar.TIME: st.sampled_from(("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+02:00")),
    Scalar.MICRO_TIME: st.sampled_from(("2026-01-02T03:04:05.000001Z",)),
    Scalar.DURATION: st.sampled_from(("0s", "1h30m", "1.5s")),
    Scalar.ANY: ANY_JSON,
}


@functools.cache
def values_of(of: Type, depth: int = DEPTH_MAX) -> Values:
    """Values of that type. At `depth` 0 structs are empty."""
    if isinstance(of, ScalarType):
        return _union(of, depth) if of.go_name in UNIONS else SCALARS[of.scalar]
    if isinstance(of, MapType):
        return st.dictionaries(st.sampled_from(NAMES), values_of(of.value, depth - 1), max_size=ITEMS_MAX)
    if isinstance(of, ListType):
        return _lists(of, depth)
    return _structs(of, depth) if depth > 0 else st.just({})


def _union(of: ScalarType, depth: int) -> Values:
    if of.go_name == "v1.JSONSchemaPropsOrBool":
        return st.booleans()
    return st.just([]) if depth <= 0 else st.just(["a"] if of.go_name == "v1.JSONSchemaPropsOrStringArray" else [{"type": "string"}])


def _lists(of: ListType, depth: int) -> Values:
    items = st.lists(values_of(of.item, depth - 1), max_size=ITEMS_MAX)
    return items if of.kind == "atomic" else items.map(lambda found: _told_apart(of, found))


def _told_apart(of: ListType, items: list[Any]) -> list[Any]:
    """The items without those that have no key (an empty one is left out, too), or another's."""
    out: dict[str, Any] = {}
    for each in items:
        if of.keys and isinstance(each, dict) and "" in [each.get(key) for key in of.keys]:
            continue
        try:
            out.setdefault(element_of(of)(each), each)
        except ElementError:
            continue
    return list(out.values())


@st.composite
def _structs(draw: st.DrawFn, of: StructType, depth: int) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(of.fields)), max_size=FIELDS_MAX, unique=True)) if of.fields else []
    keyed = [name for name, each in of.fields.items() if each.required and name in ("name", "type", "containerPort", "key", "mountPath")]
    return {name: draw(values_of(of.fields[name].type, depth - 1)) for name in dict.fromkeys((*keyed, *names))}
