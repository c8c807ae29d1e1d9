"""Telling an extension API server who asks: the headers that only the front proxy may send. Pure.

Source: client-go `transport/round_trippers.go` (SetAuthProxyHeaders), apiserver `authentication/request/headerrequest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from apiserver.registry.kind import User

Headers = list[tuple[bytes, bytes]]

_ONES: Final = frozenset((b"x-remote-user", b"x-remote-uid", b"x-remote-group"))
_EXTRA: Final = b"x-remote-extra-"
_NOT_IN_NAMES: Final = re.compile(rb"[^!#$&'*+\-.^_`|~0-9A-Za-z]")


def user_headers(user: User) -> Headers:
    """The headers that say who a user is."""
    headers = [(b"X-Remote-User", _value(user.name))]
    if user.uid:
        headers.append((b"X-Remote-Uid", _value(user.uid)))
    headers += [(b"X-Remote-Group", _value(each)) for each in user.groups]
    return headers + [(b"X-Remote-Extra-" + _escaped(key), _value(each)) for key, values in user.extra.items() for each in values]


def without_users(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers that do not say who a user is: a client's own word for it counts for nothing. Names are in lower case."""
    return [(name, value) for name, value in headers if name not in _ONES and not name.startswith(_EXTRA)]


def _escaped(key: str) -> bytes:
    """A key as part of a header's name: what cannot be in one, and %, is percent-encoded."""
    return _NOT_IN_NAMES.sub(lambda found: b"%%%02X" % found[0][0], key.encode())


def _value(text: str) -> bytes:
    """As a header's value: it must not end its line."""
    return text.replace("\r", " ").replace("\n", " ").replace("\0", " ").encode()
