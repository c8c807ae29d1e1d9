"""The text of a document after a JSON patch or a merge patch, as the library behind kube-apiserver leaves it.

A message about a patched document quotes this text, and errors in it are found in its order. The library (evanphx/json-patch v4) looks
into a value only when it must. What it has looked into is written with sorted keys; what it has not stays as it was: in the order of Go's
structs (`in_go_order` of the live object), or as the client wrote it. Here, an object that nobody has looked into is a `Pairs`, any other
a dict. Only for patches that are known to apply: `json_patch.py` and `merge_patch.py` come first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from kube.patch.golang import json_string
from kube.patch.json_patch import place_of, split
from kube.schema.strict import Number, Pairs


def text_of(value: Any) -> str:
    """Compact JSON as Go writes it, opened objects with sorted keys."""
    if isinstance(value, Pairs):
        return _object(value)
    if isinstance(value, dict):
        return _object(sorted(value.items()))
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    if isinstance(value, str):
        return json_string(value)
    return value.text if isinstance(value, Number) else json.dumps(value)


def _object(members: Iterable[tuple[str, Any]]) -> str:
    return "{" + ",".join(f"{json_string(name)}:{text_of(each)}" for name, each in members) + "}"


# --- merge patch ------------------------------------------------------------------------------------------------------------------


def after_merge_patch(document: Pairs, patch: Any) -> Any:
    """The document (see `in_go_order`) with a patch as `gojson.load` gives it: an object, or a list that replaces the document."""
    return _merged(dict(document), dict(patch)) if isinstance(patch, Pairs) else _pruned(patch)


def _merged(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    for name, value in patch.items():
        old = document.get(name)
        if value is None:
            document.pop(name, None)
        elif not isinstance(old, dict | Pairs):
            document[name] = _pruned(value)
        else:
            document[name] = _merged(dict(old), dict(value)) if isinstance(value, Pairs) else value
    return document


def _pruned(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {name: _pruned(each) for name, each in dict(value).items() if each is not None}
    return [_pruned(each) for each in value] if isinstance(value, list) else value


# --- JSON patch -------------------------------------------------------------------------------------------------------------------


def after_json_patch(document: Pairs, operations: Iterable[Pairs | None]) -> Any:
    """The document (see `in_go_order`) with the operations of a patch as `gojson.load` gives it."""
    patch = _Patch(dict(document))
    for each in operations:
        patch.do(dict(each or ()))
    return patch.document


class _Patch:
    def __init__(self, document: Any) -> None:
        self.document = document
        self._operations: dict[str, Callable[[dict[str, Any]], None]] = {
            "add": lambda each: self._put(each["path"], each.get("value")),
            "remove": lambda each: self._taken(each["path"]),
            "replace": self._replace,
            "move": lambda each: self._put(each["path"], self._taken(each["from"])),
            "copy": lambda each: self._put(each["path"], _closed(self._got(each["from"]))),
            "test": self._test,
        }

    def do(self, operation: dict[str, Any]) -> None:
        self._operations[operation["op"]](operation)

    def _replace(self, operation: dict[str, Any]) -> None:
        path, value = operation["path"], operation.get("value")
        if path == "":
            self.document = _opened(value)
        else:
            container, key = self._at(path)
            container[_place(container, key)] = value

    def _test(self, operation: dict[str, Any]) -> None:
        if operation["path"] == "":
            self.document = _opened_through(self.document)
            return
        container, key = self._at(operation["path"])
        if isinstance(container, list) or key in container:
            container[_place(container, key)] = _opened_through(container[_place(container, key)])

    def _got(self, path: str) -> Any:
        container, key = self._at(path)
        return container.get(key) if isinstance(container, dict) else container[_place(container, key)]

    def _put(self, path: str, value: Any) -> None:
        container, key = self._at(path)
        if isinstance(container, dict):
            container[key] = value
        elif key == "-":
            container.append(value)
        else:
            container.insert(place_of(container, key, size=len(container) + 1), value)

    def _taken(self, path: str) -> Any:
        container, key = self._at(path)
        return container.pop(_place(container, key))

    def _at(self, path: str) -> tuple[Any, str]:
        """What holds the value at `path`, opened all the way, and the last key."""
        parents, key = split(path)
        here = self.document
        for part in parents:
            place = _place(here, part)
            here[place] = here = _opened(here[place])
        return here, key


def _place(container: Any, key: str) -> Any:
    return key if isinstance(container, dict) else place_of(container, key, size=len(container))


def _opened(value: Any) -> Any:
    return dict(value) if isinstance(value, Pairs) else value


def _opened_through(value: Any) -> Any:
    if isinstance(value, dict | Pairs):
        return {name: _opened_through(each) for name, each in dict(value).items()}
    return [_opened_through(each) for each in value] if isinstance(value, list) else value


def _closed(value: Any) -> Any:
    """A copy: its text, which nobody has looked into."""
    if isinstance(value, Pairs):
        return Pairs((name, _closed(each)) for name, each in value)
    if isinstance(value, dict):
        return Pairs((name, _closed(value[name])) for name in sorted(value))
    return [_closed(each) for each in value] if isinstance(value, list) else value
