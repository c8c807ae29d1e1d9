"""Names as upstream accepts and refuses them, word for word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.validation import names
from apiserver.validation.ip import is_valid_cidr, is_valid_ip, is_valid_legacy_cidr, is_valid_legacy_ip

GOOD: list[tuple[str, Callable[[str], list[str]], str]] = [
    ("a label may begin with a digit", names.is_dns1123_label, "1a-b"),
    ("a label may have 63 characters", names.is_dns1123_label, "a" * 63),
    ("a subdomain is labels joined by dots", names.is_dns1123_subdomain, "a-1.b.c"),
    ("an RFC 1035 label begins with a letter", names.is_dns1035_label, "a1"),
    ("a wildcard stands for the first label", names.is_wildcard_dns1123_subdomain, "*.example.com"),
    ("a qualified name may have a prefix", names.is_qualified_name, "example.com/My_name.1"),
    ("a label value may be empty", names.is_valid_label_value, ""),
    ("a config key is a file name", names.is_config_map_key, ".hidden_file-1"),
    ("an environment variable may have dots and dashes", names.is_env_var_name, "MY.name-1"),
    ("a port name needs a letter", names.is_valid_port_name, "8080-http"),
    ("a percentage is digits and a sign", names.is_valid_percent, "0150%"),
    ("a path segment may have blanks and colons", names.is_path_segment_name, "Any Name: fine"),
    ("an IPv6 address in canonical form", is_valid_ip, "2001:db8::1"),
    ("an old field takes leading zeros", is_valid_legacy_ip, "010.0.0.1"),
    ("a network without host bits", is_valid_cidr, "10.0.0.0/8"),
    ("an old field takes host bits", is_valid_legacy_cidr, "10.0.0.1/8"),
]
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
    "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
BAD: list[tuple[str, Callable[[str], list[str]], str, list[str]]] = [
    ("upper case in a label", names.is_dns1123_label, "A", [LABEL_RULE]),
    ("a label of 64 characters", names.is_dns1123_label, "a" * 64, ["must be no more than 63 characters"]),
    ("an empty name part says it twice", names.is_qualified_name, "", ["name part must be non-empty", KEY_RULE]),
    ("an empty prefix", names.is_qualified_name, "/a", ["prefix part must be non-empty"]),
    ("a long label value is counted in bytes", names.is_valid_label_value, "a" * 64, ["must be no more than 63 bytes"]),
    ("a config key that climbs", names.is_config_map_key, "..", ["must not be '..'"]),
    ("a config key that begins with two dots", names.is_config_map_key, "..a", ["must not start with '..'"]),
    ("a path segment with a slash", names.is_path_segment_name, "a/b", ["may not contain '/'"]),
    ("a path segment of two dots", names.is_path_segment_name, "..", ["may not be '..'"]),
    (
        "a port name of upper case letters",
        names.is_valid_port_name,
        "HTTP",
        ["must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)", "must contain at least one letter (a-z)"],
    ),
    ("leading zeros in an address", is_valid_ip, "010.0.0.1", ["must not have leading 0s"]),
    ("an address that is not canonical", is_valid_ip, "fd00:0::2", ['must be in canonical form ("fd00::2")']),
    ("no address at all", is_valid_ip, "a", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    ("host bits in a network", is_valid_cidr, "10.97.0.5/24", ["must not have bits set beyond the prefix length"]),
]


@pytest.mark.parametrize(("rule", "value"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_good_names_pass(rule: Callable[[str], list[str]], value: str) -> None:
    assert rule(value) == []


@pytest.mark.parametrize(("rule", "value", "why"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_names_are_refused_in_upstreams_words(rule: Callable[[str], list[str]], value: str, why: list[str]) -> None:
    assert rule(value) == why


@pytest.mark.parametrize(
    ("rule", "name", "is_good"),
    [
        pytest.param("label", "web-", True, id="a dash at the end of a label will have a suffix after it"),
        pytest.param("subdomain", "a.b-", True, id="so will one of a subdomain"),
        pytest.param("label", "-web", False, id="a dash at the beginning stays wrong"),
        pytest.param("any", "Whatever/", True, id="a kind that checks its names itself"),
        pytest.param("path-segment", "..", True, id="two dots with something after them are a fine segment"),
    ],
)
def test_generate_name_is_checked_as_a_beginning(rule: str, name: str, *, is_good: bool) -> None:
    assert (names.name_errors(rule, name, prefix=True) == []) is is_good


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True))
def test_every_label_is_a_subdomain_a_label_value_and_a_segment(label: str) -> None:
    for rule in (names.is_dns1123_label, names.is_dns1123_subdomain, names.is_valid_label_value, names.is_path_segment_name):
        assert rule(label) == []


@given(st.text(max_size=300))
def test_no_text_breaks_a_rule(text: str) -> None:
    for _, rule, _ in GOOD:
        assert all(isinstance(each, str) for each in rule(text))
