"""What is remembered by the bytes of a value, and for how long."""

from __future__ import annotations

import pytest

from kube.memo import KEY_BYTES_MAX, Memo, bytes_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(1, 1.0, id="whole and floating numbers"),
        pytest.param(1, True, id="numbers and booleans"),
        pytest.param("1", 1, id="texts and numbers"),
        pytest.param({"a": None}, {}, id="null and nothing"),
        pytest.param([], None, id="an empty list and null"),
    ],
)
def test_values_that_differ_in_json_have_different_keys(one: object, other: object) -> None:
    assert bytes_of({"x": one}) != bytes_of({"x": other})


@pytest.mark.parametrize(
    "value",
    [pytest.param("x" * KEY_BYTES_MAX, id="a long value"), pytest.param({"a": 1 << 80}, id="a number that JSON libraries refuse")],
)
def test_some_values_have_no_key(value: object) -> None:
    assert bytes_of(value) is None


def test_the_oldest_entry_goes_when_it_is_full() -> None:
    memo: Memo[int] = Memo(2)
    for number, key in enumerate(("a", "b", "b", "c")):
        memo.put(key, number)
    assert [memo.get(key) for key in ("a", "b", "c")] == [None, 2, 3]
    assert len(memo) == 2
