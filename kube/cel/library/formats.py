"""Named formats. Source: apiserver `pkg/cel/library/format.go`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from kube.cel.library import urls
from kube.cel.literals import parse_timestamp
from kube.cel.syntax import CelError
from kube.cel.values import NONE, Opaque, Optional

_LABEL, _LABEL_1035 = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", r"[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME_PART: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_LABEL_WHY: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
    f"character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_WHY: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'example.com', regex used for validation is '{_LABEL}(\\.{_LABEL})*')"
)
_LABEL_1035_WHY: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
    f"alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_LABEL_1035}')"
)
_VALUE_WHY: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_NAME_PART})?')"
)
_NAME_WHY: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME_PART}')"
)

Check = Callable[[str], Sequence[str]]


def _named(longest: int, expression: str, why: str) -> Check:
    pattern = re.compile(expression)

    def check(text: str) -> list[str]:
        found = [f"must be no more than {longest} characters"] if len(text.encode()) > longest else []
        return found if pattern.fullmatch(text) else [*found, why]

    return check


def _prefix(of: Check) -> Check:
    """A name that something is still to be added to."""
    return lambda text: of(text[:-1] + "a" if text.endswith("-") else text)


def _qualified(text: str) -> list[str]:
    parts = text.split("/")
    if len(parts) > 2:
        return [f"a qualified name {_NAME_WHY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    found: list[str] = []
    if len(parts) == 2:
        found += ["prefix part must be non-empty"] if not parts[0] else [f"prefix part {each}" for each in _SUBDOMAIN(parts[0])]
    name = parts[-1]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 characters")
    return found if re.fullmatch(_NAME_PART, name) else [*found, f"name part {_NAME_WHY}"]


def _whether(test: Callable[[str], bool], why: str) -> Check:
    return lambda text: [] if test(text) else [why]


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is not None


def _is_moment(text: str) -> bool:
    try:
        parse_timestamp(text)
    except CelError:
        return False
    return True


_SUBDOMAIN: Final = _named(253, rf"{_LABEL}(\.{_LABEL})*", _SUBDOMAIN_WHY)
_CHECKS: Final[Mapping[str, Check]] = {
    "dns1123Label": _named(63, _LABEL, _LABEL_WHY),
    "dns1123Subdomain": _SUBDOMAIN,
    "dns1035Label": _named(63, _LABEL_1035, _LABEL_1035_WHY),
    "qualifiedName": _qualified,
    "dns1123LabelPrefix": _prefix(_named(63, _LABEL, _LABEL_WHY)),
    "dns1123SubdomainPrefix": _prefix(_SUBDOMAIN),
    "dns1035LabelPrefix": _prefix(_named(63, _LABEL_1035, _LABEL_1035_WHY)),
    "labelValue": _named(63, rf"({_NAME_PART})?", _VALUE_WHY),
    "uri": _whether(urls.is_url, "invalid URI"),
    "uuid": _whether(lambda text: _UUID.fullmatch(text) is not None, "does not match the UUID format"),
    "byte": _whether(lambda text: _BASE64.fullmatch(text) is not None, "invalid base64"),
    "date": _whether(_is_date, "invalid date"),
    "datetime": _whether(_is_moment, "invalid datetime"),
}


def problems(name: str, text: str) -> Sequence[str]:
    """What is wrong with a text by a named format."""
    return _CHECKS[name](text)


class NamedFormat(Opaque):
    type_name = "kubernetes.NamedFormat"
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def key(self) -> str:
        return self.name


def validated(of: NamedFormat, text: str) -> Optional:
    found = _CHECKS[of.name](text)
    return Optional(list(found)) if found else NONE


def _constant(name: str) -> Callable[[], NamedFormat]:
    found = NamedFormat(name)
    return lambda: found


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "format.named": lambda name: Optional(NamedFormat(name)) if name in _CHECKS else NONE,
    "validate": validated,
    **{f"format.{name}": _constant(name) for name in _CHECKS},
}
