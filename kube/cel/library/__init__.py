"""What functions do. By name; the receiver of a member comes first. They are told apart by the values that they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.library import authorization, formats, lists, mutation, network, optionals, quantities, semver, standard, strings, times, urls

FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **standard.FUNCTIONS,
    **times.FUNCTIONS,
    **strings.FUNCTIONS,
    **lists.FUNCTIONS,
    **optionals.FUNCTIONS,
    **formats.FUNCTIONS,
    **network.FUNCTIONS,
    **quantities.FUNCTIONS,
    **semver.FUNCTIONS,
    **urls.FUNCTIONS,
    **authorization.FUNCTIONS,
    **mutation.FUNCTIONS,
}
