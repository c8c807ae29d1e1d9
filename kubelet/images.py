"""Image references as container engines read them: `nginx` is `docker.io/library/nginx:latest`. Pure.

Grammar and messages: distribution/reference (`reference-regexp`), which the kubelet and containerd both use.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = re.compile(r"^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?$")
_PATH = re.compile(rf"^{_COMPONENT}(?:/{_COMPONENT})*$")
_TAG = re.compile(r"^[\w][\w.-]{0,127}$", re.ASCII)
_DIGEST = re.compile(r"^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$")
_NAME_LENGTH_MAX = 255


class InvalidImageName(ValueError):
    """The text is no image reference; the message says why, in the reference library's words."""


@dataclass(frozen=True, slots=True)
class Reference:
    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        if self.digest:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}"


def parse(image: str) -> Reference:
    """The fully qualified reference, with the tag `latest` where there is neither tag nor digest. Raises InvalidImageName."""
    rest, _, digest = image.partition("@")
    if "@" in image and not _DIGEST.match(digest):
        raise InvalidImageName("invalid reference format")
    domain, remainder = _split_domain(rest)
    path, colon, tag = remainder.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = remainder, "", ""
    if path != path.lower():
        raise InvalidImageName(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _PATH.match(path) or not _DOMAIN.match(domain) or (colon and not _TAG.match(tag)):
        raise InvalidImageName("invalid reference format")
    if len(domain) + 1 + len(path) > _NAME_LENGTH_MAX:
        raise InvalidImageName(f"repository name must not be more than {_NAME_LENGTH_MAX} characters")
    return Reference(domain, path, tag or ("" if digest else "latest"), digest)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost" or first != first.lower()):
        domain, remainder = "docker.io", name
    else:
        domain, remainder = first, rest
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in remainder:
        remainder = "library/" + remainder
    return domain, remainder


def made_up_digest(text: str) -> str:
    """A stable `sha256:...` for things that have no content: simulated images."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
