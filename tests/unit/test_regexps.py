"""Patterns mean what they mean in Go, and take linear time."""

from __future__ import annotations

import pytest

from kube.regexps import compiled


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        pytest.param(r"^[a-z]+$", "abc", True, id="a plain pattern"),
        pytest.param(r"^[a-z]+$", "abc\n", False, id="the end is the end, not before a line break"),
        pytest.param(r"b", "abc", True, id="anywhere in the text"),
        pytest.param(r"^\p{Lu}+$", "ÉA", True, id="classes of Unicode"),
        pytest.param(r"^[[:alpha:]]+$", "abc", True, id="classes of POSIX"),
        pytest.param(r"^\w+$", "é", False, id="word characters are those of ASCII"),
        pytest.param(r"(?i)^ABC\z", "abc", True, id="flags"),
        pytest.param(r"^(a+)+$", "a" * 5000 + "b", False, id="what would take a backtracking engine for ever"),
    ],
)
def test_pattern(pattern: str, text: str, matches: bool) -> None:
    expression = compiled(pattern)
    assert expression is not None
    assert (expression.search(text) is not None) == matches


@pytest.mark.parametrize("pattern", ["(?=x)", "[a", r"(a)\1", "a{1001}", "a**"])
def test_what_go_does_not_know_is_no_pattern(pattern: str) -> None:
    assert compiled(pattern) is None
