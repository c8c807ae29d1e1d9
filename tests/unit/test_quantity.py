"""Quantities: what upstream accepts, and the text it stores."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube import quantity
from kube.quantity import MILLI, Format, Quantity, QuantityError, canonical, from_milli, from_value, parse, total

CANONICAL: list[tuple[str | int | float | None, str]] = [
    ("1", "1"),
    (1, "1"),
    ("1000", "1k"),
    ("1k", "1k"),
    ("1000k", "1M"),
    ("1024", "1024"),
    ("1024Ki", "1Mi"),
    ("1Ki", "1Ki"),
    ("1.5Gi", "1536Mi"),
    ("0.5Gi", "512Mi"),
    ("0.5Ki", "512"),
    ("8Gi", "8Gi"),
    ("1024Mi", "1Gi"),
    ("0.5", "500m"),
    ("1000m", "1"),
    ("100m", "100m"),
    ("2000000u", "2"),
    ("3000000000n", "3"),
    ("0.000001M", "1"),
    ("0.001Ti", "1099511627776m"),
    ("1e3", "1e3"),
    ("1E3", "1E3"),
    ("12e6", "12e6"),
    ("1.2e1", "1.2e1"),
    ("100e-2", "1"),
    ("1e10", "10e9"),
    ("1e-3", "1e-3"),
    ("001", "001"),
    ("+5Gi", "+5Gi"),
    ("5.00", "5"),
    ("1Ei", "1Ei"),
    ("1000P", "1E"),
    ("9223372036854775807", "9223372036854775807"),
    ("99999999999999999999", "99999999999999999999"),
    ("-0.5Gi", "-512Mi"),
    ("-1.5", "-1500m"),
    ("0.0Gi", "0"),
    ("-0", "0"),
    ("0.1n", "1n"),
    ("-0.1n", "-1n"),
    ("1.0000000001", "1000000001n"),
    ("1024Ei", "9223372036854775807"),
    ("e3", "0"),
    (".", "0"),
    ("+", "0"),
    ("000", "0"),
    ("Gi", "0"),
    (" 1 ", "1"),
    (1.5, "1500m"),
    (1000.0, "1k"),
    (1e21, "1e+21"),
    (None, "0"),
    ("1e4294967296", "1e4294967296"),
    ("1e999999999", "1e999999999"),
    ("1000E", "1"),
]


@pytest.mark.parametrize(("given_value", "text"), CANONICAL, ids=[f"{value!r} is stored as {text}" for value, text in CANONICAL])
def test_canonical_text(given_value: str | int | float | None, text: str) -> None:
    assert canonical(given_value) == text


WRONG: list[tuple[object, str]] = [
    *[(each, quantity.FORMAT_WRONG) for each in ("", " ", "abc", "1 Gi", "1KI", "1g", "1GB", "1e3Gi", "1e1.5", "1..5", "0x1F", "NaN", "١")],
    *[(each, quantity.FORMAT_WRONG) for each in (True, [1], {"v": 1}, float("nan"), float("inf"))],
    *[(each, quantity.SUFFIX_WRONG) for each in ("1K", "1e", "--1", "1Gi1", "1m3", "1eE5", "1e99999999999999999999")],
    *[(each, quantity.NUMERIC_WRONG) for each in ("e-10", "9" * 5000, ".e-12")],
]


@pytest.mark.parametrize(("given_value", "message"), WRONG, ids=[f"{str(value)[:12]!r} is refused" for value, _ in WRONG])
def test_what_is_no_quantity_is_refused_in_upstreams_words(given_value: object, message: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(given_value)  # type: ignore[arg-type]
    assert str(caught.value) == message


VALUES = [
    ("1.5", 2, 1500),
    ("-1.5", -2, -1500),
    ("100m", 1, 100),
    ("1n", 1, 1),
    ("1Gi", 2**30, 2**30 * 1000),
    ("0", 0, 0),
    ("1e3", 1000, 10**6),
]


@pytest.mark.parametrize(("text", "value", "milli"), VALUES, ids=[f"{text} is {value}" for text, value, _ in VALUES])
def test_values_are_rounded_away_from_zero(text: str, value: int, milli: int) -> None:
    assert (parse(text).value(), parse(text).milli_value()) == (value, milli)


ROUNDED = [("0.1n", "1m"), ("0.0001", "1m"), ("1e-6", "1e-3"), ("-0.0001", "-1m"), ("1.5", "1500m"), ("001", "001"), ("100m", "100m")]


@pytest.mark.parametrize(("text", "rounded"), ROUNDED, ids=[f"{text} becomes {rounded}" for text, rounded in ROUNDED])
def test_rounding_up_to_milli(text: str, rounded: str) -> None:
    assert str(parse(text).rounded_up(MILLI)) == rounded


def test_sums_keep_the_format_of_the_first_that_is_not_zero() -> None:
    assert str(parse("1Gi") + parse("1Gi")) == "2Gi"
    assert str(parse("0") + parse("512Mi") + parse("512Mi")) == "1Gi"
    assert str(parse("1500m") - parse("500m")) == "1"
    assert str(total(map(parse, ["100m", "200m", "700m"]))) == "1"
    assert str(total([])) == "0"
    assert str(parse("1Gi") - parse("1")) == "1073741823"
    assert str(-parse("1Gi")) == "-1Gi"
    assert str(parse("250m") * 4) == "1"


def test_comparison_is_by_amount_alone() -> None:
    assert parse("1") == parse("1000m") == parse("1e0")
    assert len({parse("1Gi"), parse("1024Mi"), parse("1073741824")}) == 1
    assert parse("1G") < parse("1Gi") <= parse("1024Mi")
    assert parse("2") > parse("1999m") >= parse("1.999")
    assert [parse("1").compare(parse(each)) for each in ("2", "1", "0")] == [-1, 0, 1]
    assert parse("1") != 1
    assert not parse("0m")
    assert parse("1").is_whole()
    assert not parse("1m").is_whole()


def test_quantities_can_be_made_of_numbers() -> None:
    assert str(from_value(2**30, Format.BINARY_SI)) == "1Gi"
    assert str(from_value(1000)) == "1k"
    assert str(from_milli(1500)) == "1500m"
    assert repr(from_value(5)) == "Quantity('5')"


@settings(deadline=None, max_examples=500)
@given(st.integers(-(10**12), 10**12), st.integers(0, 9), st.sampled_from(["", "m", "u", "k", "M", "Ki", "Mi", "Gi", "e3", "e-2"]))
def test_the_amount_is_exact_and_the_text_reads_back_as_the_same(number: int, places: int, suffix: str) -> None:
    sign, digits = ("-" if number < 0 else ""), str(abs(number)).rjust(places + 1, "0")
    text = f"{sign}{digits[: len(digits) - places]}.{digits[len(digits) - places :]}{suffix}"
    units: dict[str, Fraction | int] = {
        "": 1,
        "m": Fraction(1, 1000),
        "u": Fraction(1, 10**6),
        "k": 1000,
        "M": 10**6,
        "Ki": 2**10,
        "Mi": 2**20,
        "Gi": 2**30,
    }
    units |= {"e3": 1000, "e-2": Fraction(1, 100)}
    exact = Fraction(number, 10**places) * units[suffix] * 10**9
    found = parse(text)
    rounded = -(-exact.numerator // exact.denominator) if exact > 0 else exact.numerator // exact.denominator
    if not (suffix in ("Ki", "Mi", "Gi") and abs(exact) > (2**63 - 1) * 10**9):
        assert found.nano == rounded
    again = parse(str(found))
    assert (again.nano, str(again)) == (found.nano, str(found))


def test_long_and_wild_texts_cost_little() -> None:
    began = time.process_time()
    for text in ("0" * 100_000 + "!", "1" * 100_000 + "x", "E" * 100_000, "1e" + "0" * 100_000 + "1", "1e-999999999", "9" * 100_000):
        try:
            parse(text)
        except QuantityError:
            pass
    assert time.process_time() - began < 1  # CPU time: it takes milliseconds where nothing is quadratic
    assert isinstance(parse("1e999999999") + parse("1"), Quantity)
