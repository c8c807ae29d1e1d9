"""The string formats that schemas of custom resources may ask for. Unknown formats are ignored, as upstream does.

Each check takes the text and answers yes or no. Source: kube-openapi `pkg/validation/strfmt`, apiextensions-apiserver
`apiserver/validation/formats.go` (which formats count for which type).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from apiserver.validation.custom.schema import Node, types
from apiserver.validation.go_url import UrlError, parse
from apiserver.validation.ip import parse_cidr, parse_ip
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain
from kube.schema.gotime import GoTimeError, parse_duration

HOSTNAME_BYTES_MAX: Final = 255
LABEL_BYTES_MAX: Final = 63

_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_ANY_DIGIT, _VARIANT = "[0-9a-f]", "[89ab]"
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK: Final = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})")
_DURATION: Final = re.compile(r"\s*(?:[0-9]+\s*[A-Za-zµ]+\s*)+")
_DURATION_PART: Final = re.compile(r"[0-9]+\s*([A-Za-zµ]+)")
_DURATION_UNITS: Final = tuple(
    names.split() for names in ("ns nano", "us µs micro", "ms milli", "s sec", "m min", "h hr hour", "d day", "w wk week")
)
_ADDRESS: Final = re.compile(r"""[^\s<>@,;:\\"()\[\]]+@[^\s<>@,;:\\"()\[\]]+|"[^"\\]+"@[^\s<>@,;:\\"()]+""")
_NAMED_ADDRESS: Final = re.compile(r"""(?:"[^"]*"|[^<>@,;:\\"()\[\]]*)\s*<(.+)>""")
_CARD: Final = re.compile(
    r"(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|(?:2131|1800|35[0-9]{3})[0-9]{11})"
)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_RGB_PART = r"\s*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])\s*"
_MAC_GROUPS: Final = (("[:-]", 2, (6, 8, 20)), (r"\.", 4, (3, 4, 10)))


def format_of(node: Node) -> str:
    """The format that counts for a node; "" where there is none, or one that is not known for its type."""
    given = node.get("format") or ""
    if not given:
        return ""
    of = types(node)
    kind = of[0] if len(of) == 1 else ""
    if kind in ("", "string"):
        return given if given.replace("-", "") in STRINGS else ""
    known = {"integer": ("int32", "int64"), "number": ("float", "double")}.get(kind, ())
    return given if given in known else ""


def matches(name: str, text: str) -> bool:
    """Whether a text has the format (which must be a known one of strings)."""
    return STRINGS[name.replace("-", "")](text)


# --- the checks -------------------------------------------------------------------------------------------------------


def _whole(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.fullmatch(text) is not None


def _uuid(version: str = _ANY_DIGIT, variant: str = _ANY_DIGIT) -> Callable[[str], bool]:
    return _whole(_UUID % (version, variant), re.IGNORECASE)


def is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if found is None:
        return False
    try:
        date(int(found[1]) or 4, int(found[2]), int(found[3]))  # the year 0 is a leap year, and none of Python's
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    day, found, clock = text.lower().partition("t")
    parts = _CLOCK.fullmatch(clock)
    return bool(found) and is_date(day) and parts is not None and parts[1] <= "23" and parts[2] <= "59" and parts[3] <= "59"


def is_duration(text: str) -> bool:
    """Go's own form, or words: `3 days 2 hours`."""
    try:
        parse_duration(text)
    except GoTimeError:
        if not _DURATION.fullmatch(text):
            return False
        return any(_is_unit(each.lower()) for each in _DURATION_PART.findall(text))
    return True


def _is_unit(word: str) -> bool:
    return any(word in names or word.startswith(names[-1]) for names in _DURATION_UNITS)


def is_hostname(text: str) -> bool:
    """Labels of letters, digits and hyphens; the last of several must be a word (RFC 1034, RFC 1123)."""
    labels = text.split(".")
    if len(text.encode()) > HOSTNAME_BYTES_MAX or not all(_is_host_label(each) for each in labels):
        return False
    return len(labels) == 1 or (len(labels[-1]) > 1 and all(char.isalpha() for char in labels[-1]))


def _is_host_label(label: str) -> bool:
    if not label or len(label.encode()) > LABEL_BYTES_MAX or label[0] == "-" or label[-1] == "-":
        return False
    return all(_is_host_char(char) for char in label)


def _is_host_char(char: str) -> bool:
    return char.isalnum() or char == "-" if char.isascii() else unicodedata.category(char)[0] in "LS"


def is_email(text: str) -> bool:
    """An address, with or without a name before it (RFC 5322)."""
    named = _NAMED_ADDRESS.fullmatch(text.strip())
    address = named[1] if named else text.strip()
    return _ADDRESS.fullmatch(address) is not None and not address.startswith(".") and ".." not in address.partition("@")[2]


def is_uri(text: str) -> bool:
    """What a request line takes: an absolute URI, or an absolute path."""
    try:
        found = parse(text)
    except UrlError:
        return False
    return bool(text) and "#" not in text and (bool(found.scheme) or text.startswith("/"))


def is_mac(text: str) -> bool:
    for separator, digits, counts in _MAC_GROUPS:
        parts = re.split(separator, text)
        if len(parts) in counts and all(re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", each) for each in parts):
            return len(set(re.findall(separator, text))) == 1
    return False


def is_isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        return False
    return sum((index + 1) * (10 if char == "X" else int(char)) for index, char in enumerate(digits)) % 11 == 0


def is_isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{13}", digits):
        return False
    return sum((3 if index % 2 else 1) * int(char) for index, char in enumerate(digits)) % 10 == 0


def is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = (int(char) * (2 if index % 2 else 1) for index, char in enumerate(reversed(digits)))
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


STRINGS: Final[Mapping[str, Callable[[str], bool]]] = {
    "bsonobjectid": _whole("[0-9a-f]{24}", re.IGNORECASE),
    "uri": is_uri,
    "email": is_email,
    "hostname": is_hostname,
    "ipv4": lambda text: "." in text and parse_ip(text) is not None,
    "ipv6": lambda text: ":" in text and parse_ip(text) is not None,
    "cidr": lambda text: parse_cidr(text) is not None,
    "mac": is_mac,
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", _VARIANT),
    "uuid5": _uuid("5", _VARIANT),
    "isbn": lambda text: is_isbn10(text) or is_isbn13(text),
    "isbn10": is_isbn10,
    "isbn13": is_isbn13,
    "creditcard": is_credit_card,
    "ssn": _whole("[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}"),
    "hexcolor": _whole("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _whole(rf"rgb\({_RGB_PART},{_RGB_PART},{_RGB_PART}\)"),
    "byte": lambda text: _BASE64.fullmatch(text) is not None,
    "password": lambda _text: True,
    "date": is_date,
    "duration": is_duration,
    "datetime": is_date_time,
    "k8sshortname": lambda text: not is_dns1123_label(text),
    "k8slongname": lambda text: not is_dns1123_subdomain(text),
}
"""By name without hyphens: `date-time` and `datetime` are one."""
