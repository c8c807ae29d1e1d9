"""Which of a manager's controllers run: how each is registered, and what `--controllers` selects of them.

Source: upstream `cmd/kube-controller-manager/app/controllermanager.go` and component-base `controller-manager/app`, IsControllerEnabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kube.runtime.controller import Controller

O = TypeVar("O")  # noqa: E741 - the options that controllers are made with


class UnknownController(ValueError):
    """`--controllers` names one that does not exist."""


@dataclass(frozen=True, slots=True)
class Registered(Generic[O]):
    """How a controller is made, its old name, what its events call it, and how many keys it works on at once."""

    build: Callable[[O], Controller]
    alias: str
    component: str
    workers: int = 5
    is_on: bool = True
    """Whether `*` is meant to include it."""
    gate: str = ""
    """The feature gate without which it does not run, whoever asks for it."""

    def __call__(self, options: O) -> Controller:
        return self.build(options)


def selected(spec: Iterable[str], known: Mapping[str, Registered[Any]]) -> list[str]:
    """The names that `--controllers` selects: `*` all that are on by default, `name` that one, `-name` all but that one; the first word
    about one counts. Raises UnknownController."""
    words = list(spec)
    names = {name: name for name in known} | {each.alias: name for name, each in known.items()}
    wanted: dict[str, bool] = {}
    for word in words:
        if word == "*":
            continue
        name = names.get(word.removeprefix("-"))
        if name is None:
            raise UnknownController(f'"{word.removeprefix("-")}" is not in the list of known controllers')
        wanted.setdefault(name, not word.startswith("-"))
    return [name for name, each in known.items() if wanted.get(name, "*" in words and each.is_on)]
