"""The formats of names, labels, keys and ports: each function answers with upstream's complaints, an empty list when all is well.

It says nothing of where the value stands: `metadata.py` and the kinds' own validation put the field path in front.
Source: apimachinery `pkg/util/validation/validation.go` and `pkg/api/validate/content`. Lengths count UTF-8 bytes, as Go's do.
"""

from __future__ import annotations

import functools
import re

from apiserver.validation.ip import is_valid_ip

__all__ = ["is_valid_ip"]

DNS_LABEL_MAX = 63
DNS_SUBDOMAIN_MAX = 253
LABEL_VALUE_MAX = 63

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_UNDERSCORE = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_UNDERSCORE = _LABEL_UNDERSCORE + r"(\." + _LABEL_UNDERSCORE + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD_SUBDOMAIN = r"\*\." + _SUBDOMAIN
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_ENV = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"
_HEADER = "[-A-Za-z0-9]+"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_label_re = re.compile(_LABEL)
_subdomain_re = re.compile(_SUBDOMAIN)
_subdomain_caseless_re = re.compile(_SUBDOMAIN, re.IGNORECASE | re.ASCII)
_subdomain_underscore_re = re.compile(_SUBDOMAIN_UNDERSCORE)
_label_1035_re = re.compile(_LABEL_1035)
_wildcard_re = re.compile(_WILDCARD_SUBDOMAIN)
_KEY_MAX = DNS_SUBDOMAIN_MAX + 1 + LABEL_VALUE_MAX
_key_re = re.compile(_KEY)
_value_re = re.compile(_VALUE)
_config_key_re = re.compile(_CONFIG_KEY)
_env_re = re.compile(_ENV)
_c_identifier_re = re.compile(_C_IDENTIFIER)
_percent_re = re.compile(_PERCENT)
_header_re = re.compile(_HEADER)
_http_path_re = re.compile(_HTTP_PATH)
_port_chars_re = re.compile("[-a-z0-9]+")
_port_letter_re = re.compile("[a-z]")

_KEY_RULE = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"


def byte_length(text: str) -> int:
    """Go's `len` of a string."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def max_length_error(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


def regex_error(rule: str, pattern: str, *examples: str) -> str:
    """`rule (e.g. 'a',  or 'b', regex used for validation is '...')`: the double blank is upstream's."""
    if not examples:
        return f"{rule} (regex used for validation is '{pattern}')"
    listed = " or ".join(f"'{each}', " for each in examples)
    return f"{rule} (e.g. {listed}regex used for validation is '{pattern}')"


def range_error(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def _within(value: str, limit: int) -> list[str]:
    return [max_length_error(limit)] if byte_length(value) > limit else []


# --- DNS names --------------------------------------------------------------------------------------------------------


def is_dns1123_label(value: str) -> list[str]:
    """A DNS label (RFC 1123): lower case letters, digits and inner dashes, at most 63."""
    errors = _within(value, DNS_LABEL_MAX)
    if _label_re.fullmatch(value):
        return errors
    if _subdomain_re.fullmatch(value):
        return [*errors, "must not contain dots"]
    rule = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    )
    return [*errors, regex_error(rule, _LABEL, "my-name", "123-abc")]


def is_dns1123_subdomain(value: str) -> list[str]:
    """DNS labels joined by dots, at most 253 in all."""
    errors = _within(value, DNS_SUBDOMAIN_MAX)
    if not _subdomain_re.fullmatch(value):
        rule = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(regex_error(rule, _SUBDOMAIN, "example.com"))
    return errors


def is_dns1123_subdomain_caseless(value: str) -> list[str]:
    """A subdomain that may have upper case letters (CSI and DRA driver names)."""
    errors = [max_length_error(DNS_SUBDOMAIN_MAX, "bytes")] if byte_length(value) > DNS_SUBDOMAIN_MAX else []
    if not _subdomain_caseless_re.fullmatch(value):
        rule = (
            "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(regex_error(rule, _SUBDOMAIN, "Example.com"))
    return errors


def is_dns1123_subdomain_with_underscore(value: str) -> list[str]:
    """A subdomain whose labels may begin with and contain underscores (dnsConfig searches)."""
    errors = _within(value, DNS_SUBDOMAIN_MAX)
    if not _subdomain_underscore_re.fullmatch(value):
        rule = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(regex_error(rule, _SUBDOMAIN_UNDERSCORE, "example.com"))
    return errors


def is_dns1035_label(value: str) -> list[str]:
    """A DNS label (RFC 1035): as RFC 1123's, but it begins with a letter."""
    errors = _within(value, DNS_LABEL_MAX)
    if not _label_1035_re.fullmatch(value):
        rule = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
            "and end with an alphanumeric character"
        )
        errors.append(regex_error(rule, _LABEL_1035, "my-name", "abc-123"))
    return errors


def is_wildcard_dns1123_subdomain(value: str) -> list[str]:
    """`*.` and a subdomain."""
    errors = _within(value, DNS_SUBDOMAIN_MAX)
    if not _wildcard_re.fullmatch(value):
        rule = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
            "which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        errors.append(regex_error(rule, _WILDCARD_SUBDOMAIN, "*.example.com"))
    return errors


# --- keys and values --------------------------------------------------------------------------------------------------


def is_qualified_name(value: str) -> list[str]:
    """A label key: a name, with an optional `subdomain/` before it."""
    parts = value.split("/")
    if len(parts) > 2:
        rule = regex_error(_KEY_RULE, _KEY, "MyName", "my.name", "123-abc")
        return [f"a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    errors = _prefix_errors(parts[0]) if len(parts) == 2 else []
    name = parts[-1]
    if not name:
        errors.append("name part must be non-empty")
    elif byte_length(name) > LABEL_VALUE_MAX:
        errors.append("name part " + max_length_error(LABEL_VALUE_MAX, "bytes"))
    if not _key_re.fullmatch(name):
        errors.append("name part " + regex_error(_KEY_RULE, _KEY, "MyName", "my.name", "123-abc"))
    return errors


def _prefix_errors(prefix: str) -> list[str]:
    if not prefix:
        return ["prefix part must be non-empty"]
    return [
        "prefix part " + each.replace("characters", "bytes") if "no more than" in each else "prefix part " + each
        for each in is_dns1123_subdomain(prefix)
    ]


def is_valid_label_value(value: str) -> list[str]:
    """Empty, or at most 63 of letters, digits, `-`, `_`, `.`, with a letter or digit at both ends."""
    errors = [max_length_error(LABEL_VALUE_MAX, "bytes")] if byte_length(value) > LABEL_VALUE_MAX else []
    if not _value_re.fullmatch(value):
        errors.append(
            regex_error(
                "a valid label must be an empty string or " + _KEY_RULE.removeprefix("must "), _VALUE, "MyValue", "my_value", "12345"
            )
        )
    return errors


def is_good_key(value: str) -> bool:
    """Whether `is_qualified_name` finds nothing. Label keys are few and asked about on every write, so answers are remembered."""
    return _is_good_key(value) if len(value) <= _KEY_MAX else False


def is_good_value(value: str) -> bool:
    """Whether `is_valid_label_value` finds nothing; answers are remembered."""
    return _is_good_value(value) if len(value) <= LABEL_VALUE_MAX else False


@functools.lru_cache(maxsize=4096)
def _is_good_key(value: str) -> bool:
    return not is_qualified_name(value)


@functools.lru_cache(maxsize=4096)
def _is_good_value(value: str) -> bool:
    return not is_valid_label_value(value)


def is_config_map_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret: usable as a file name."""
    errors = _within(value, DNS_SUBDOMAIN_MAX)
    if not _config_key_re.fullmatch(value):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        errors.append(regex_error(rule, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return errors + _parent_errors(value)


def _parent_errors(value: str) -> list[str]:
    if value in {".", ".."}:
        return [f"must not be '{value}'"]
    return ["must not start with '..'"] if value.startswith("..") else []


def is_env_var_name(value: str) -> list[str]:
    """The strict form of an environment variable's name (upstream's before RelaxedEnvironmentVariableValidation)."""
    errors = []
    if not _env_re.fullmatch(value):
        rule = (
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', "
            "and must not start with a digit"
        )
        errors.append(regex_error(rule, _ENV, "my.env-name", "MY_ENV.NAME", "MyEnvName1"))
    return errors + _parent_errors(value)


def is_relaxed_env_var_name(value: str) -> list[str]:
    """The form accepted since v1.30's feature gate: printable ASCII without `=`."""
    if not value:
        return ["environment variable name must be non-empty"]
    if any(not " " <= char <= "~" or char == "=" for char in value):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def is_c_identifier(value: str) -> list[str]:
    if _c_identifier_re.fullmatch(value):
        return []
    rule = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'"
    return [regex_error(rule, _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")]


# --- ports, numbers, HTTP ---------------------------------------------------------------------------------------------


def is_in_range(value: int, low: int, high: int) -> list[str]:
    return [] if low <= value <= high else [range_error(low, high)]


def is_valid_port_num(port: int) -> list[str]:
    return is_in_range(port, 1, 65535)


def is_valid_id(number: int) -> list[str]:
    """A Unix user or group id."""
    return is_in_range(number, 0, 2**31 - 1)


def is_valid_port_name(port: str) -> list[str]:
    """An IANA service name (RFC 6335): at most 15, lower case, with a letter in it."""
    errors = _within(port, 15)
    if not _port_chars_re.fullmatch(port):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _port_letter_re.search(port):
        errors.append("must contain at least one letter (a-z)")
    if "--" in port:
        errors.append("must not contain consecutive hyphens")
    if port.startswith("-") or port.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def is_valid_percent(value: str) -> list[str]:
    if _percent_re.fullmatch(value):
        return []
    return [regex_error("a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%")]


def is_http_header_name(value: str) -> list[str]:
    if _header_re.fullmatch(value):
        return []
    return [regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")]


def is_http_path(value: str) -> list[str]:
    """The characters that RFC 3986 allows in a path."""
    return [] if _http_path_re.fullmatch(value) else [regex_error("Invalid path", _HTTP_PATH)]


# --- the names of objects ---------------------------------------------------------------------------------------------


def is_path_segment_name(value: str, *, prefix: bool = False) -> list[str]:
    """What can stand in a URL path and a store's key; `prefix`: something will be appended."""
    if not prefix and value in {".", ".."}:
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


_RULES = {
    "subdomain": is_dns1123_subdomain,
    "label": is_dns1123_label,
    "label1035": is_dns1035_label,
}


def name_errors(rule: str, name: str, *, prefix: bool = False) -> list[str]:
    """What is wrong with an object's name under a `Kind.name_rule`; `prefix`: it is a generateName.

    Rules: subdomain, label, label1035, path-segment, any (the kind's own validation says everything)."""
    if rule == "any":
        return []
    if rule == "path-segment":
        return is_path_segment_name(name, prefix=prefix)
    if prefix and len(name) > 1 and name.endswith("-"):
        name = name[:-2] + "a"  # upstream's maskTrailingDash takes two characters and gives one
    return _RULES[rule](name)
