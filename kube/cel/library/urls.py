"""URLs. Source: apiserver `pkg/cel/library/urls.go`, Go `net/url`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

from kube.cel.syntax import CelError
from kube.cel.values import Opaque, no_overload

_URL: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%A-Za-z]+\]|[^\[\]:\s<>\"^`{}|\\]*)(?::[0-9]*)?")


class URL(Opaque):
    type_name = "kubernetes.URL"
    __slots__ = ("host", "path", "query", "scheme", "text")

    def __init__(self, text: str) -> None:
        found = _URL.fullmatch(text)
        if not text or found is None or _ESCAPE.search(text) or any(ord(each) < 0x20 or ord(each) == 0x7F for each in text):
            raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
        scheme, authority, path, query, _ = found.groups()
        if not scheme and (not path.startswith("/") or authority is not None):
            raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
        host = (authority or "").rpartition("@")[2]
        if _HOST.fullmatch(host) is None:
            raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid character in host name')
        self.text, self.scheme, self.host, self.path, self.query = text, (scheme or "").lower(), unquote(host), path, query or ""

    def key(self) -> str:
        return self.text

    @property
    def hostname(self) -> str:
        return self.host[1 : self.host.index("]")] if self.host.startswith("[") else self.host.partition(":")[0]

    @property
    def port(self) -> str:
        return self.host[self.host.index("]") + 1 :].removeprefix(":") if self.host.startswith("[") else self.host.partition(":")[2]


def parse(text: Any) -> URL:
    if not isinstance(text, str):
        raise no_overload()
    return URL(text)


def is_url(text: Any) -> bool:
    try:
        parse(text)
    except CelError:
        return False
    return True


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "url": parse,
    "isURL": is_url,
    "getScheme": lambda url: url.scheme,
    "getHost": lambda url: url.host,
    "getHostname": lambda url: url.hostname,
    "getPort": lambda url: url.port,
    "getEscapedPath": lambda url: quote(unquote(url.path), safe="/:@!$&'()*+,;=~-._") if "%" not in url.path else url.path,
    "getQuery": lambda url: parse_qs(url.query, keep_blank_values=True),
}
