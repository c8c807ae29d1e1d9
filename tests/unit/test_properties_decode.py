"""Decoding, for generated objects of every kind: canonical forms stay as they are, and the decoders agree."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.patch.fieldset import parse
from kube.patch.ownership import changes
from kube.patch.patched_text import text_of
from kube.schema import definitions, gojson, strict, unstructured
from kube.schema.decode import decode, decode_clean
from kube.schema.field_order import in_go_order
from kube.schema.types import StructType
from tests.fuzz.budget import examples
from tests.unit.typed_values import values_of

KINDS = sorted(name for (_, _, kind), name in definitions.load().kinds.items() if not kind.endswith(("List", "Options")))
FEW = examples(4)


def type_of(name: str) -> StructType:
    return definitions.load().type(name)


@pytest.mark.parametrize("name", sorted(set(KINDS)))
@FEW
@given(data=st.data())
def test_objects_of_every_kind(name: str, data: st.DataObject) -> None:
    of = type_of(name)
    sent = data.draw(values_of(of))
    once = decode(of, sent)
    assert once.strict_errors == []
    check_canonical(of, once.value)
    check_decoders_agree(of, sent)


def check_canonical(of: StructType, canonical: Any) -> None:
    """Written and read again, it is the same; so is what it owns; and Go's order changes nothing but the order."""
    again = decode(of, orjson.loads(orjson.dumps(canonical)))
    assert again.value == canonical
    assert again.strict_errors == []
    owned = changes(of, None, canonical).owned
    assert orjson.dumps(parse(orjson.loads(orjson.dumps(owned)))) == orjson.dumps(owned)
    assert orjson.loads(text_of(in_go_order(of, canonical))) == canonical


def check_decoders_agree(of: StructType, sent: Any) -> None:
    """The quick decoder and the exact one, and the one for results of strategic merge and apply."""
    exact = strict.walk(of, gojson.load(orjson.dumps(sent)))[0]
    assert strict.walk(of, sent)[0] == exact
    quick = decode_clean(of, sent)
    assert quick is None or quick.value == exact
    assert unstructured.convert(of, sent).value == exact
