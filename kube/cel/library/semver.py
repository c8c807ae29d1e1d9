"""Versions. Source: apiserver `pkg/cel/library/semverlib.go`, semver.org 2.0."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.syntax import CelError
from kube.cel.values import Opaque, no_overload

_VERSION: Final = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


class Semver(Opaque):
    type_name = "kubernetes.Semver"
    __slots__ = ("numbers", "pre")

    def __init__(self, numbers: tuple[int, int, int], pre: str) -> None:
        self.numbers, self.pre = numbers, pre

    def key(self) -> Any:
        return self.numbers, self.pre

    def order(self) -> Any:
        """A version before its release comes first; numbers before words."""
        words = [(0, int(each), "") if each.isdigit() else (1, 0, each) for each in self.pre.split(".")] if self.pre else []
        return self.numbers, not self.pre, words


def _normalized(text: str) -> str:
    text = text.removeprefix("v")
    numbers, mark, rest = re.match(r"([^-+]*)([-+]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    parts = [each.lstrip("0") or ("0" if each else "") for each in numbers.split(".")]
    return ".".join([*parts, *["0"] * (3 - len(parts))]) + mark + rest


def parse(text: Any, normalize: bool = False) -> Semver:
    if not isinstance(text, str):
        raise no_overload()
    found = _VERSION.fullmatch(_normalized(text) if normalize else text)
    if found is None or any(each.isdigit() and len(each) > 1 and each[0] == "0" for each in (found[4] or "").split(".")):
        raise CelError("No Major.Minor.Patch elements found" if text.count(".") < 2 else f'Invalid character(s) found in "{text}"')
    return Semver((int(found[1]), int(found[2]), int(found[3])), found[4] or "")


def is_semver(text: Any, normalize: bool = False) -> bool:
    try:
        parse(text, normalize)
    except CelError:
        return False
    return True


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "semver": parse,
    "isSemver": is_semver,
    "major": lambda of: of.numbers[0],
    "minor": lambda of: of.numbers[1],
    "patch": lambda of: of.numbers[2],
}
