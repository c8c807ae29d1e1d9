"""Image names: just enough of their grammar to tell a `latest` tag, which decides the default pull policy.

Source: distribution/reference (`[registry/]path[:tag][@digest]`) and kubernetes `pkg/util/parsers`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?", re.ASCII
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_NAME_MAX = 255


def _is_domain(text: str) -> bool:
    """Whether the part before the first slash is a registry's address (and not the first part of a path)."""
    return "." in text or ":" in text or text == "localhost" or text.lower() != text


def _tag(image: str) -> str:
    """The tag that an image name ends up with: `latest` where neither tag nor digest is given, "" for what is no image name."""
    first, slash, rest = image.partition("/")
    path = rest if slash and _is_domain(first) else image
    path_name = path.split("@", 1)[0].split(":", 1)[0]
    found = _REFERENCE.fullmatch(image)
    if found is None or path_name != path_name.lower() or _IDENTIFIER.fullmatch(image) or len(found["name"]) > _NAME_MAX:
        return ""
    return found["tag"] or ("" if found["digest"] else "latest")


@lru_cache(maxsize=4096)
def default_pull_policy(image: str) -> str:
    """`Always` for the tag `latest` (also when it is only implied), else `IfNotPresent`, also for what is no image name."""
    return "Always" if _tag(image) == "latest" else "IfNotPresent"
