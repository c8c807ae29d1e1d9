"""JSON Patch (RFC 6902), with the answers of the library behind kube-apiserver (evanphx/json-patch v4).

Why not PyPI's `jsonpatch`: it follows the RFC where upstream does not. Upstream replaces and copies members that are not there, counts
negative indexes from the end, ignores what stands before a path's first slash, takes `+1` and `01` for indexes, and tests numbers by how
they are written. Clients see all of that.

The document is never changed: containers on the way to a change are copied once, everything else is shared with the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from kube.errors import BadRequest, Invalid, RequestEntityTooLarge
from kube.patch.golang import json_string
from kube.schema.gojson import Quoted, TooDeep, encoded

OPERATIONS_MAX = 10_000
COPY_BYTES_MAX = 3 * 1024 * 1024
"""How much the copy operations of one patch may add to the document, in bytes of JSON (upstream: JSONPatchMaxCopyBytes)."""

SHIFTED_ITEMS_MAX = 50_000_000
"""deviates: upstream shifts the items of lists without a limit; here, a patch of 10,000 insertions may do so with lists of 5,000 items."""

_TEXT_FIELDS = ("op", "path", "from")
_KNOWN_FIELDS = frozenset((*_TEXT_FIELDS, "value"))
_INDEX = re.compile(r"[+-]?[0-9]{1,18}")
_ABSENT: Any = object()
_GO_KINDS = ((bool, "bool"), (int, "number"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))


class PatchFailed(Exception):
    """An operation that does not apply. The text is the library's: who sends a patch is told only that the request was wrong, who has a
    policy patch is told more."""


class TestFailed(PatchFailed):
    """A test operation that found something else."""

    __test__ = False  # pytest need not look here


def json_kind(value: Any) -> str:
    """What Go's JSON decoder calls the value."""
    return next((name for kind, name in _GO_KINDS if isinstance(value, kind)), "null")


def check_json_patch(operations: Any) -> list[str]:
    """Looks at a parsed patch as field validation does (Warn, the default, and Strict): returns the texts of unknown fields.
    Raises BadRequest for what is no list of operations."""
    if operations is None:
        return []
    prefix = "error decoding patch: json: cannot unmarshal"
    if not isinstance(operations, list):
        raise BadRequest(f"{prefix} {json_kind(operations)} into Go value of type []handlers.jsonPatchOp")
    unknown: list[str] = []
    for index, operation in enumerate(operations):
        if operation is None:
            continue
        if not isinstance(operation, dict):
            raise BadRequest(f"{prefix} {json_kind(operation)} into Go value of type handlers.jsonPatchOp")
        for name, value in operation.items():
            if name in _TEXT_FIELDS and not isinstance(value, str | None):
                raise BadRequest(f"{prefix} {json_kind(value)} into Go struct field jsonPatchOp.{name} of type string")
            if name not in _KNOWN_FIELDS:
                unknown.append(f'json patch unknown field "[{index}].{name}"')
    return unknown


def apply_json_patch(document: Any, operations: Any, *, copy_bytes_max: int = COPY_BYTES_MAX) -> Any:
    """The document with the operations done, in order and all or none. `document` and `operations` are parsed JSON and stay as they are.

    Raises BadRequest (400) for what is no list of objects, RequestEntityTooLarge (413) for more than OPERATIONS_MAX operations,
    Invalid (422) for an operation that does not apply, is unknown, or copies too much.
    """
    if operations is None:
        return document
    _check(operations)
    try:
        return patched(document, operations, copy_bytes_max=copy_bytes_max)
    except (PatchFailed, TooDeep, RecursionError) as error:
        # Upstream gives the reason away to its log only.
        raise Invalid("the server rejected our request due to an error in our request", details={}) from error


def patched(document: Any, operations: Sequence[Any], *, copy_bytes_max: int = COPY_BYTES_MAX) -> Any:
    """As `apply_json_patch`, of operations that are objects. Raises PatchFailed, and TooDeep."""
    patch = _Patch(document, operations, copy_bytes_max)
    for operation in operations:
        patch.do(operation or {})
    return patch.result()


def _check(operations: Any) -> None:
    prefix = "json: cannot unmarshal"
    if not isinstance(operations, list):
        raise BadRequest(f"{prefix} {json_kind(operations)} into Go value of type jsonpatch.Patch")
    for operation in operations:
        if operation is not None and not isinstance(operation, dict):
            raise BadRequest(f"{prefix} {json_kind(operation)} into Go value of type jsonpatch.Operation")
    if len(operations) > OPERATIONS_MAX:
        raise RequestEntityTooLarge(
            f"Request entity too large: The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}"
        )


def _index(key: str) -> int:
    if not _INDEX.fullmatch(key):
        raise PatchFailed(f'strconv.Atoi: parsing "{key}": invalid syntax')
    return int(key)


def place_of(items: list[Any], key: str, *, size: int) -> int:
    """The index that `key` means in a list of `size` places; negative ones count from the end."""
    index = _index(key)
    if not -size <= index < size:
        raise PatchFailed(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + size if index < 0 else index


def _get(container: Any, key: str) -> Any:
    """The value there; a member that is missing counts as null (upstream's surprise), an item that is missing fails."""
    if isinstance(container, dict):
        return container.get(key)
    return container[place_of(container, key, size=len(container))]


def _same(one: Any, other: Any) -> bool:
    """Equal as upstream tests it: scalars by how they are written, so that 1 is not 1.0, and a patch's "<" not the document's "\\u003c"."""
    if isinstance(one, str):
        return isinstance(other, str) and _written(one) == _written(other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _written(text: str) -> str:
    """A string's JSON text; that of the document's is Go's."""
    return text.text if isinstance(text, Quoted) else json_string(text)


class _Patch:
    """A document on its way. `_fresh` holds (and keeps alive) the containers that are copies already and may be written to."""

    def __init__(self, document: Any, operations: Sequence[Any], copy_bytes_max: int) -> None:
        self.document = document
        self._copy_bytes_left = self._copy_bytes_max = copy_bytes_max
        self._shifts_left = SHIFTED_ITEMS_MAX
        self._quoted = any(isinstance(each, dict) and isinstance(each.get("op"), Quoted) for each in operations)
        self._fresh: dict[int, Any] = {}
        self._operations: dict[Any, Callable[[dict[str, Any]], None]] = {
            "add": self._add,
            "remove": self._remove,
            "replace": self._replace,
            "move": self._move,
            "copy": self._copy,
            "test": self._test,
        }

    def result(self) -> Any:
        """The document as plain JSON. Raises TooDeep when the operations have nested it so."""
        text = encoded(self.document)
        return orjson.loads(text) if self._quoted else self.document

    def do(self, operation: dict[str, Any]) -> None:
        kind = operation.get("op")
        known = self._operations.get(kind) if isinstance(kind, str) else None
        if known is None:
            raise PatchFailed(f"Unexpected kind: {kind if isinstance(kind, str) else 'unknown'}")
        known(operation)

    def _add(self, operation: dict[str, Any]) -> None:
        path = _pointer(operation, "path")
        container, key = self._writable(path, f'add operation does not apply: doc is missing path: "{path}"')
        self._put(container, key, operation.get("value"), f"error in add for path: '{path}'")

    def _remove(self, operation: dict[str, Any]) -> None:
        path = _pointer(operation, "path")
        container, key = self._writable(path, f'remove operation does not apply: doc is missing path: "{path}"')
        self._take(container, key, f"error in remove for path: '{path}'")

    def _replace(self, operation: dict[str, Any]) -> None:
        path, value = _pointer(operation, "path"), operation.get("value")
        if path == "":
            if not isinstance(value, dict | list):
                raise PatchFailed("replace operation value must be object or array")
            self.document = value
            return
        container, key = self._writable(path, f"replace operation does not apply: doc is missing path: {path}")
        if isinstance(container, dict):
            container[key] = value
            return
        try:
            container[place_of(container, key, size=len(container))] = value
        except PatchFailed:
            raise PatchFailed(f"replace operation does not apply: doc is missing key: {path}: missing value") from None

    def _move(self, operation: dict[str, Any]) -> None:
        source = _pointer(operation, "from")
        container, key = self._writable(source, f"move operation does not apply: doc is missing from path: {source}")
        value = self._take(container, key, f"error in move for path: '{key}'")
        path = _pointer(operation, "path")
        container, key = self._writable(path, f"move operation does not apply: doc is missing destination path: {path}")
        self._put(container, key, value, f"error in move for path: '{path}'")

    def _copy(self, operation: dict[str, Any]) -> None:
        source = _pointer(operation, "from")
        container, key = self._container(source, f"copy operation does not apply: doc is missing from path: {source}")
        value = _found(container, key, f"error in copy for from: '{source}'")
        path = _pointer(operation, "path")
        container, key = self._writable(path, f"copy operation does not apply: doc is missing destination path: {path}")
        size = len(encoded(value))
        self._copy_bytes_left -= size
        if self._copy_bytes_left < 0:
            why = "Unable to complete the copy, the accumulated size increase of copy is"
            limit = self._copy_bytes_max
            raise PatchFailed(f"{why} {limit - self._copy_bytes_left}, exceeding the limit {limit}")
        self._share(value)
        self._put(container, key, value, "error while adding value during copy")

    def _share(self, value: Any) -> None:
        """The value is in two places from now on: whoever writes to it must copy it first."""
        open_ = [value]
        while open_:
            each = open_.pop()
            if isinstance(each, dict | list):
                self._fresh.pop(id(each), None)
                open_.extend(each.values() if isinstance(each, dict) else each)

    def _test(self, operation: dict[str, Any]) -> None:
        path, wanted = _pointer(operation, "path"), operation.get("value")
        found = self.document
        if path:
            container, key = self._container(path, f"test operation does not apply: is missing path: {path}")
            found = _found(container, key, f"error in test for path: '{path}'")
        if not _same(found, wanted):
            raise TestFailed(f"testing value {path} failed: test failed")

    def _put(self, container: Any, key: str, value: Any, failing: str) -> None:
        """`failing`: what is said before the reason why it cannot be put there."""
        if isinstance(container, dict):
            container[key] = value
        elif key == "-":
            container.append(value)
        else:
            self._shift(len(container))
            try:
                place = place_of(container, key, size=len(container) + 1)
            except PatchFailed as error:
                why = "" if _INDEX.fullmatch(key) else f"value was not a proper array index: '{key}': "
                raise PatchFailed(f"{failing}: {why}{error}") from None
            container.insert(place, value)

    def _take(self, container: Any, key: str, failing: str) -> Any:
        if isinstance(container, dict):
            if key not in container:
                raise PatchFailed(f"{failing}: Unable to remove nonexistent key: {key}: missing value")
            return container.pop(key)
        self._shift(len(container))
        try:
            return container.pop(place_of(container, key, size=len(container)))
        except PatchFailed as error:
            raise PatchFailed(f"{failing}: {error}") from None

    def _shift(self, items: int) -> None:
        self._shifts_left -= items
        if self._shifts_left < 0:
            raise PatchFailed("the operations move too many items of lists")

    def _container(self, path: str, missing: str) -> tuple[Any, str]:
        """The object or list that holds what `path` names, and the last key. `missing`: what is said where there is none."""
        parents, key = split(path, missing)
        here = self.document
        for part in parents:
            here = _next(here, part, missing)
        return here, key

    def _writable(self, path: str, missing: str) -> tuple[Any, str]:
        """As `_container`, copied so far that it may be written to."""
        parents, key = split(path, missing)
        here = self.document = self._own(self.document)
        for part in parents:
            value = _next(here, part, missing)
            copy = self._own(value)
            if copy is not value:
                here[part if isinstance(here, dict) else place_of(here, part, size=len(here))] = copy
            here = copy
        return here, key

    def _own(self, container: Any) -> Any:
        if id(container) in self._fresh:
            return container
        copy = container.copy()
        self._fresh[id(copy)] = copy
        return copy


def _found(container: Any, key: str, failing: str) -> Any:
    try:
        return _get(container, key)
    except PatchFailed as error:
        raise PatchFailed(f"{failing}: {error}") from None


def _next(here: Any, part: str, missing: str) -> Any:
    try:
        found = _get(here, part)
    except PatchFailed:
        found = None
    if not isinstance(found, dict | list):
        raise PatchFailed(f"{missing}: missing value")
    return found


def _pointer(operation: dict[str, Any], name: str) -> str:
    path = operation.get(name)
    if not isinstance(path, str):
        comma = "," if name == "from" else ""
        raise PatchFailed(f"{operation.get('op')} operation failed to decode {name}: operation{comma} missing {name} field: missing value")
    return path


def split(path: str, missing: str = "doc is missing path") -> tuple[list[str], str]:
    """The keys on the way, and the last one. What stands before the first slash does not count."""
    keys = [_unescaped(part) for part in path.split("/")[1:]]
    if not keys:
        raise PatchFailed(f"{missing}: missing value")
    return keys[:-1], keys[-1]


_ESCAPES = re.compile("~[01]")


def _unescaped(part: str) -> str:
    return _ESCAPES.sub(lambda found: "/" if found[0] == "~1" else "~", part)
