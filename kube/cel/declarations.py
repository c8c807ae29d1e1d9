"""What can be called, with what: the overloads of every operator and function, written as signatures.

`id receiver.name(types) -> type`; operators are named as in the tree. A, B are type parameters. Source: cel-go `common/stdlib`, `ext`,
apiserver `pkg/cel/library`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kube.cel import types
from kube.cel.types import Type


@dataclass(frozen=True, slots=True)
class Overload:
    """`params` begin with the receiver of a member; `free` are the names of types that it leaves open."""

    id: str
    name: str
    is_member: bool
    params: tuple[Type, ...]
    result: Type
    free: tuple[str, ...] = ()


_STANDARD: Final = """
logical_not !_(bool) -> bool
negate_int64 -_(int) -> int
negate_double -_(double) -> double
not_strictly_false @not_strictly_false(bool) -> bool
conditional _?_:_(bool, A, A) -> A
logical_and _&&_(bool, bool) -> bool
logical_or _||_(bool, bool) -> bool
equals _==_(A, A) -> bool
not_equals _!=_(A, A) -> bool
in_list @in(A, list(A)) -> bool
in_map @in(A, map(A, B)) -> bool
index_list _[_](list(A), int) -> A
index_map _[_](map(A, B), A) -> B
optional_list_index_value _[_](optional_type(list(A)), int) -> optional_type(A)
optional_map_index_value _[_](optional_type(map(A, B)), A) -> optional_type(B)
list_optindex_optional_int _[?_](list(A), int) -> optional_type(A)
map_optindex_optional_value _[?_](map(A, B), A) -> optional_type(B)
optional_list_optindex_optional_int _[?_](optional_type(list(A)), int) -> optional_type(A)
optional_map_optindex_optional_value _[?_](optional_type(map(A, B)), A) -> optional_type(B)
map_insert_map cel.@mapInsert(map(A, B), map(A, B)) -> map(A, B)
map_insert_key_value cel.@mapInsert(map(A, B), A, B) -> map(A, B)
add_int64 _+_(int, int) -> int
add_uint64 _+_(uint, uint) -> uint
add_double _+_(double, double) -> double
add_string _+_(string, string) -> string
add_bytes _+_(bytes, bytes) -> bytes
add_list _+_(list(A), list(A)) -> list(A)
add_duration_duration _+_(duration, duration) -> duration
add_duration_timestamp _+_(duration, timestamp) -> timestamp
add_timestamp_duration _+_(timestamp, duration) -> timestamp
subtract_int64 _-_(int, int) -> int
subtract_uint64 _-_(uint, uint) -> uint
subtract_double _-_(double, double) -> double
subtract_duration_duration _-_(duration, duration) -> duration
subtract_timestamp_duration _-_(timestamp, duration) -> timestamp
subtract_timestamp_timestamp _-_(timestamp, timestamp) -> duration
multiply_int64 _*_(int, int) -> int
multiply_uint64 _*_(uint, uint) -> uint
multiply_double _*_(double, double) -> double
divide_int64 _/_(int, int) -> int
divide_uint64 _/_(uint, uint) -> uint
divide_double _/_(double, double) -> double
modulo_int64 _%_(int, int) -> int
modulo_uint64 _%_(uint, uint) -> uint
size_string size(string) -> int
size_bytes size(bytes) -> int
size_list size(list(A)) -> int
size_map size(map(A, B)) -> int
string_size string.size() -> int
bytes_size bytes.size() -> int
list_size list(A).size() -> int
map_size map(A, B).size() -> int
type type(A) -> type(A)
to_dyn dyn(A) -> dyn
int64_to_int64 int(int) -> int
uint64_to_int64 int(uint) -> int
double_to_int64 int(double) -> int
string_to_int64 int(string) -> int
timestamp_to_int64 int(timestamp) -> int
duration_to_int64 int(duration) -> int
uint64_to_uint64 uint(uint) -> uint
int64_to_uint64 uint(int) -> uint
double_to_uint64 uint(double) -> uint
string_to_uint64 uint(string) -> uint
double_to_double double(double) -> double
int64_to_double double(int) -> double
uint64_to_double double(uint) -> double
string_to_double double(string) -> double
bool_to_bool bool(bool) -> bool
string_to_bool bool(string) -> bool
string_to_string string(string) -> string
bool_to_string string(bool) -> string
int64_to_string string(int) -> string
uint64_to_string string(uint) -> string
double_to_string string(double) -> string
bytes_to_string string(bytes) -> string
timestamp_to_string string(timestamp) -> string
duration_to_string string(duration) -> string
bytes_to_bytes bytes(bytes) -> bytes
string_to_bytes bytes(string) -> bytes
duration_to_duration duration(duration) -> duration
int64_to_duration duration(int) -> duration
string_to_duration duration(string) -> duration
timestamp_to_timestamp timestamp(timestamp) -> timestamp
int64_to_timestamp timestamp(int) -> timestamp
string_to_timestamp timestamp(string) -> timestamp
contains_string string.contains(string) -> bool
ends_with_string string.endsWith(string) -> bool
starts_with_string string.startsWith(string) -> bool
matches matches(string, string) -> bool
matches_string string.matches(string) -> bool
duration_to_hours duration.getHours() -> int
duration_to_minutes duration.getMinutes() -> int
duration_to_seconds duration.getSeconds() -> int
duration_to_milliseconds duration.getMilliseconds() -> int
"""

_OPTIONAL: Final = """
optional_of optional.of(A) -> optional_type(A)
optional_ofNonZeroValue optional.ofNonZeroValue(A) -> optional_type(A)
optional_none optional.none() -> optional_type(A)
optional_value optional_type(A).value() -> A
optional_hasValue optional_type(A).hasValue() -> bool
optional_or_optional optional_type(A).or(optional_type(A)) -> optional_type(A)
optional_orValue_value optional_type(A).orValue(A) -> A
optional_unwrap optional.unwrap(list(optional_type(A))) -> list(A)
optional_unwrapOpt list(optional_type(A)).unwrapOpt() -> list(A)
"""

_STRINGS: Final = """
string_char_at_int string.charAt(int) -> string
string_index_of_string string.indexOf(string) -> int
string_index_of_string_int string.indexOf(string, int) -> int
list_join list(string).join() -> string
list_join_string list(string).join(string) -> string
string_last_index_of_string string.lastIndexOf(string) -> int
string_last_index_of_string_int string.lastIndexOf(string, int) -> int
string_lower_ascii string.lowerAscii() -> string
string_upper_ascii string.upperAscii() -> string
string_replace_string_string string.replace(string, string) -> string
string_replace_string_string_int string.replace(string, string, int) -> string
string_split_string string.split(string) -> list(string)
string_split_string_int string.split(string, int) -> list(string)
string_substring_int string.substring(int) -> string
string_substring_int_int string.substring(int, int) -> string
string_trim string.trim() -> string
string_format string.format(list(dyn)) -> string
strings_quote strings.quote(string) -> string
string_find_string string.find(string) -> string
string_find_all_string string.findAll(string) -> list(string)
string_find_all_string_int string.findAll(string, int) -> list(string)
"""

_LISTS: Final = """
list_a_index_of_int list(A).indexOf(A) -> int
list_a_last_index_of_int list(A).lastIndexOf(A) -> int
list_slice list(A).slice(int, int) -> list(A)
list_flatten list(list(A)).flatten() -> list(A)
list_flatten_int list(dyn).flatten(int) -> list(dyn)
list_distinct list(A).distinct() -> list(A)
list_reverse list(A).reverse() -> list(A)
lists_range lists.range(int) -> list(int)
list_first list(A).first() -> optional_type(A)
list_last list(A).last() -> optional_type(A)
list_sets_contains sets.contains(list(A), list(A)) -> bool
list_sets_equivalent sets.equivalent(list(A), list(A)) -> bool
list_sets_intersects sets.intersects(list(A), list(A)) -> bool
"""

_KUBERNETES: Final = """
string_to_url url(string) -> kubernetes.URL
is_url_string isURL(string) -> bool
url_get_scheme kubernetes.URL.getScheme() -> string
url_get_host kubernetes.URL.getHost() -> string
url_get_hostname kubernetes.URL.getHostname() -> string
url_get_port kubernetes.URL.getPort() -> string
url_get_escaped_path kubernetes.URL.getEscapedPath() -> string
url_get_query kubernetes.URL.getQuery() -> map(string, list(string))
string_to_ip ip(string) -> net.IP
is_ip isIP(string) -> bool
ip_is_canonical ip.isCanonical(string) -> bool
ip_family net.IP.family() -> int
ip_is_unspecified net.IP.isUnspecified() -> bool
ip_is_loopback net.IP.isLoopback() -> bool
ip_is_link_local_multicast net.IP.isLinkLocalMulticast() -> bool
ip_is_link_local_unicast net.IP.isLinkLocalUnicast() -> bool
ip_is_global_unicast net.IP.isGlobalUnicast() -> bool
ip_to_string string(net.IP) -> string
string_to_cidr cidr(string) -> net.CIDR
is_cidr isCIDR(string) -> bool
cidr_contains_ip_string net.CIDR.containsIP(string) -> bool
cidr_contains_ip_ip net.CIDR.containsIP(net.IP) -> bool
cidr_contains_cidr_string net.CIDR.containsCIDR(string) -> bool
cidr_contains_cidr net.CIDR.containsCIDR(net.CIDR) -> bool
cidr_ip net.CIDR.ip() -> net.IP
cidr_masked net.CIDR.masked() -> net.CIDR
cidr_prefix_length net.CIDR.prefixLength() -> int
cidr_to_string string(net.CIDR) -> string
string_to_quantity quantity(string) -> kubernetes.Quantity
is_quantity_string isQuantity(string) -> bool
quantity_sign kubernetes.Quantity.sign() -> int
quantity_is_greater_than kubernetes.Quantity.isGreaterThan(kubernetes.Quantity) -> bool
quantity_is_less_than kubernetes.Quantity.isLessThan(kubernetes.Quantity) -> bool
quantity_compare_to kubernetes.Quantity.compareTo(kubernetes.Quantity) -> int
quantity_get_float kubernetes.Quantity.asApproximateFloat() -> double
quantity_get_int kubernetes.Quantity.asInteger() -> int
quantity_is_integer kubernetes.Quantity.isInteger() -> bool
quantity_add kubernetes.Quantity.add(kubernetes.Quantity) -> kubernetes.Quantity
quantity_add_int kubernetes.Quantity.add(int) -> kubernetes.Quantity
quantity_sub kubernetes.Quantity.sub(kubernetes.Quantity) -> kubernetes.Quantity
quantity_sub_int kubernetes.Quantity.sub(int) -> kubernetes.Quantity
format-named format.named(string) -> optional_type(kubernetes.NamedFormat)
format-validate kubernetes.NamedFormat.validate(string) -> optional_type(list(string))
string_to_semver semver(string) -> kubernetes.Semver
string_bool_to_semver semver(string, bool) -> kubernetes.Semver
is_semver_string isSemver(string) -> bool
is_semver_string_bool isSemver(string, bool) -> bool
semver_major kubernetes.Semver.major() -> int
semver_minor kubernetes.Semver.minor() -> int
semver_patch kubernetes.Semver.patch() -> int
semver_is_greater_than kubernetes.Semver.isGreaterThan(kubernetes.Semver) -> bool
semver_is_less_than kubernetes.Semver.isLessThan(kubernetes.Semver) -> bool
semver_compare_to kubernetes.Semver.compareTo(kubernetes.Semver) -> int
string_jsonpatch_escapeKey_string jsonpatch.escapeKey(string) -> string
"""

_AUTHORIZATION: Final = """
authorizer_path Authorizer.path(string) -> PathCheck
authorizer_group Authorizer.group(string) -> GroupCheck
authorizer_serviceaccount Authorizer.serviceAccount(string, string) -> Authorizer
groupcheck_resource GroupCheck.resource(string) -> ResourceCheck
resourcecheck_subresource ResourceCheck.subresource(string) -> ResourceCheck
resourcecheck_namespace ResourceCheck.namespace(string) -> ResourceCheck
resourcecheck_name ResourceCheck.name(string) -> ResourceCheck
authorizer_fieldselector ResourceCheck.fieldSelector(string) -> ResourceCheck
authorizer_labelselector ResourceCheck.labelSelector(string) -> ResourceCheck
pathcheck_check PathCheck.check(string) -> Decision
resourcecheck_check ResourceCheck.check(string) -> Decision
decision_errored Decision.errored() -> bool
decision_error Decision.error() -> string
decision_allowed Decision.allowed() -> bool
decision_reason Decision.reason() -> string
"""
_CHECKS: Final = ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")

_OPAQUE: Final = frozenset(["kubernetes.URL", "net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.NamedFormat", "kubernetes.Semver"])
_FORMATS: Final = (
    "dns1123Label dns1123Subdomain dns1035Label qualifiedName dns1123LabelPrefix dns1123SubdomainPrefix dns1035LabelPrefix labelValue "
    "uri uuid byte date datetime"
)
_WORD: Final = re.compile(r"[A-Za-z_@][\w.@]*|[(),]")


def _comparisons() -> list[str]:
    """Numbers compare across their types."""
    out = []
    for name, symbol in (("less", "<"), ("less_equals", "<="), ("greater", ">"), ("greater_equals", ">=")):
        out += [f"{name}_{of} _{symbol}_({of}, {of}) -> bool" for of in ("bool", "string", "bytes", "timestamp", "duration")]
        for one in ("int", "uint", "double"):
            out += [f"{name}_{one}_{other} _{symbol}_({one}, {other}) -> bool" for other in ("int", "uint", "double")]
    return out


def _orders() -> list[str]:
    """Lists of what has an order, or can be summed up."""
    out = []
    for of in ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"):
        out += [f"list_{of}_is_sorted_bool list({of}).isSorted() -> bool"]
        out += [f"list_{of}_{name}_{of} list({of}).{name}() -> {of}" for name in ("max", "min")]
        out += [f"list_{of}_sort list({of}).sort() -> list({of})"]
        out += [f"list_{of}_sortByAssociatedKeys list(A).@sortByAssociatedKeys(list({of})) -> list(A)"]
    return out + [f"list_{of}_sum_{of} list({of}).sum() -> {of}" for of in ("int", "uint", "double", "duration")]


def _moments() -> list[str]:
    names = "FullYear Month Date DayOfMonth DayOfWeek DayOfYear Hours Minutes Seconds Milliseconds"
    return [
        f"timestamp_to_{name.lower()}{'_with_tz' if zone else ''} timestamp.get{name}({zone}) -> int"
        for name in names.split()
        for zone in ("", "string")
    ]


def _format_constants() -> list[str]:
    return [f"format-{name} format.{name}() -> kubernetes.NamedFormat" for name in _FORMATS.split()]


def _type(text: str) -> Type:
    words = _WORD.findall(text)
    found, _ = _read(words, 0)
    return found


def _read(words: Sequence[str], at: int) -> tuple[Type, int]:
    name, params = words[at], []
    at += 1
    if at < len(words) and words[at] == "(":
        at += 1
        while words[at] != ")":
            each, at = _read(words, at)
            params.append(each)
            at += words[at] == ","
        at += 1
    if len(name) == 1:
        return types.param(name), at
    if name in _OPAQUE:
        return types.opaque(name), at
    if name in _CHECKS:
        return types.opaque(f"kubernetes.authorization.{name}"), at
    return (Type(name, tuple(params)) if params else types.SIMPLE[name]), at


_SIGNATURE: Final = re.compile(r"(\S+) (.+) -> (.+)")


def _overload(line: str) -> Overload:
    found = _SIGNATURE.fullmatch(line)
    assert found is not None, line
    of, result = found[2], _type(found[3])
    head, _, arguments = of.removesuffix(")").rpartition("(") if of.count("(") == 1 else _split(of)
    receiver, dot, name = head.rpartition(".") if not head.startswith(_NAMESPACES) else ("", "", head)
    params = tuple(_type(each) for each in _arguments(arguments))
    is_member = bool(dot) and (name[:1].islower() or name[:1] == "@")
    if is_member:
        params = (_type(receiver), *params)
    free = sorted({each for of_type in (*params, result) for each in _free(of_type)})
    return Overload(found[1], name if is_member else head, is_member, params, result, tuple(free))


def _free(of: Type) -> set[str]:
    return {of.name} if of.kind == "param" else {name for each in of.params for name in _free(each)}


_NAMESPACES: Final = ("optional.", "strings.", "lists.", "sets.", "cel.", "format.", "ip.isCanonical", "jsonpatch.", "_", "@", "!", "-")


def _split(of: str) -> tuple[str, str, str]:
    """A signature with brackets in it: the last pair at the top is the arguments'."""
    depth = 0
    for at in range(len(of) - 1, -1, -1):
        depth += (of[at] == ")") - (of[at] == "(")
        if not depth:
            return of[:at], "(", of[at + 1 : -1]
    raise ValueError(of)


def _arguments(text: str) -> list[str]:
    out, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            out.append(text[start:at].strip())
            start = at + 1
    return [*out, text[start:].strip()] if text.strip() else []


@functools.cache
def functions() -> Mapping[str, Sequence[Overload]]:
    """The overloads of each function, by name."""
    texts = (_STANDARD, _OPTIONAL, _STRINGS, _LISTS, _KUBERNETES, _AUTHORIZATION)
    lines = [line for text in texts for line in text.strip().splitlines()]
    lines += _comparisons() + _orders() + _moments() + _format_constants()
    found: dict[str, list[Overload]] = {}
    for line in lines:
        overload = _overload(line)
        found.setdefault(overload.name, []).append(overload)
    return found


TYPE_NAMES: Final[Mapping[str, Type]] = {
    "bool": types.BOOL,
    "int": types.INT,
    "uint": types.UINT,
    "double": types.DOUBLE,
    "string": types.STRING,
    "bytes": types.BYTES,
    "null_type": types.NULL,
    "list": types.list_of(types.DYN),
    "map": types.map_of(types.DYN, types.DYN),
    "type": types.type_of(types.DYN),
    "optional_type": types.optional_of(types.DYN),
    "google.protobuf.Timestamp": types.TIMESTAMP,
    "google.protobuf.Duration": types.DURATION,
    **{name: types.opaque(name) for name in _OPAQUE},
}
"""Names that stand for a type, as in `type(x) == int`."""
