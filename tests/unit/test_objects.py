"""Which of two objects is the later one."""

from __future__ import annotations

import pytest

from kube.objects import is_newer


@pytest.mark.parametrize(
    ("version", "uid", "than", "expected"),
    [
        ("10", "a", "9", True),
        ("9", "a", "10", False),
        ("10", "a", "10", False),
        ("3", "b", "10", True),  # another object of the name
        ("x", "a", "10", True),
        ("10", "a", "", True),
    ],
)
def test_later_versions_are_newer_and_so_is_what_cannot_be_compared(version: str, uid: str, than: str, expected: bool) -> None:
    new, old = ({"metadata": {"uid": each, "resourceVersion": at}} for each, at in ((uid, version), ("a", than)))
    assert is_newer(new, old) == expected
