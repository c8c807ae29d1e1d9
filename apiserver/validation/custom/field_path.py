"""Paths to fields of a schema, as selectable fields and rules name them: `.spec.size`, `.spec['a.b']`.

Source: apiextensions-apiserver `pkg/apiserver/schema/cel/validation.go` (ValidFieldPath).
"""

from __future__ import annotations

import re
from typing import Final

from apiserver.validation.custom.schema import Node, additional, has_additional, properties

_TOKEN: Final = re.compile(r"'(?:[^'\\]|\\.|\\)*'|[.\[\]]|(?!')[^.\[\]]+|.+", re.DOTALL)
_NOWHERE: Final = "does not refer to a valid field"
_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"', "`": "`"}


class FieldPathError(ValueError):
    """A path that cannot be read, or that leads nowhere; the text is upstream's."""


def field_at(node: Node, path: str, *, brackets: bool = True) -> tuple[str, Node | None]:
    """(the path as field errors write it, the schema there; None below additionalProperties without a schema). Raises FieldPathError."""
    tokens = _TOKEN.findall(path)
    here: Node | None = node
    where, at = "", 0

    def next_token() -> str:
        nonlocal at
        at += 1
        if at > len(tokens):
            raise FieldPathError("unexpected end of JSON path")
        return str(tokens[at - 1])

    while at < len(tokens):
        token = next_token()
        if token == "[":
            if not brackets:
                raise FieldPathError("array notation is not allowed")
            name = _unquoted(next_token())
            where, here = _step(here, where, name)
            closing = next_token()
            if closing != "]":
                raise FieldPathError(f"expected ] but got {closing}")
        elif token == ".":
            where, here = _step(here, where, next_token())
        else:
            raise FieldPathError(f"expected [ or . but got: {token}")
    return where, here


def _step(node: Node | None, where: str, name: str) -> tuple[str, Node | None]:
    if node is not None and properties(node):
        found = properties(node).get(name)
        if found is None:
            raise FieldPathError(_NOWHERE)
        return f"{where}.{name}" if where else name, found
    if node is None or not has_additional(node):
        raise FieldPathError(_NOWHERE)
    return f"{where}[{name}]", additional(node)


def _unquoted(token: str) -> str:
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise FieldPathError(f"expected single quoted string but got {token}")
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), token[1:-1])
