"""URLs as Go's net/url reads them, as far as validation must tell good from bad and say why. Source: Go `net/url/url.go`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_scheme_re = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_port_re = re.compile(r"(:[0-9]*)?")
_user_re = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HOST_MARKS = "-_.~!$&'()*+,;=:[]<>\""
_escape_re = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)


class UrlError(ValueError):
    """What Go says of a URL that cannot be parsed."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"parse {json.dumps(url, ensure_ascii=False)}: {why}")


@dataclass(frozen=True, slots=True)
class Url:
    """The parts. `user` is None where there is no `@`."""

    scheme: str = ""
    host: str = ""
    user: str | None = None
    path: str = ""
    query: str = ""
    fragment: str = ""


def parse(url: str) -> Url:
    """Raises UrlError."""
    rest, _, fragment = url.partition("#")
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in rest):
        raise UrlError(rest, "net/url: invalid control character in URL")
    if rest.startswith(":"):
        raise UrlError(url, "missing protocol scheme")
    found = _scheme_re.match(rest)
    scheme, rest = (found[1].lower(), rest[found.end() :]) if found else ("", rest)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, query=query, fragment=fragment)
        if ":" in rest.partition("/")[0]:
            raise UrlError(url, "first path segment in URL cannot contain colon")
    host, user = "", None
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        user, host = _authority(url, authority)
    _check_escapes(url, rest)
    return Url(scheme, host, user, rest, query, fragment)


def _authority(url: str, authority: str) -> tuple[str | None, str]:
    before, at, host = authority.rpartition("@")
    _check_host(url, host)
    if not at:
        return None, host
    if not _user_re.fullmatch(before):
        raise UrlError(url, "net/url: invalid userinfo")
    return before, host


def _check_host(url: str, host: str) -> None:
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise UrlError(url, "missing ']' in host")
        port = host[end + 1 :]
    else:
        colon = host.rfind(":")
        port = host[colon:] if colon >= 0 else ""
    if not _port_re.fullmatch(port):
        raise UrlError(url, f"invalid port {json.dumps(port, ensure_ascii=False)} after host")
    _check_escapes(url, host)
    for char in host:
        if char.isascii() and not char.isalnum() and char not in _HOST_MARKS and char != "%":
            raise UrlError(url, f"invalid character {json.dumps(char)} in host name")


def _check_escapes(url: str, part: str) -> None:
    bad = _escape_re.search(part)
    if bad:
        raise UrlError(url, f"invalid URL escape {json.dumps(bad[0], ensure_ascii=False)}")
