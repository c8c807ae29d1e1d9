"""CEL expressions: values, errors while evaluating, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from kube.cel import types
from kube.cel.cost import estimate
from kube.cel.environment import CelError, CompileError, compile_expression
from kube.cel.values import Optional

VARIABLES = {
    "s": types.STRING,
    "i": types.INT,
    "f": types.DOUBLE,
    "b": types.BOOL,
    "l": types.list_of(types.INT),
    "names": types.list_of(types.STRING),
    "m": types.map_of(types.STRING, types.INT),
    "d": types.DYN,
    "o": types.optional_of(types.INT),
    "n": types.DYN,
}
VALUES = {
    "s": "abc",
    "i": 3,
    "f": 1.5,
    "b": True,
    "l": [1, 2, 3],
    "names": ["b", "a"],
    "m": {"a": 1},
    "d": {"x": 1},
    "o": Optional(4),
    "n": None,
}


def value(text: str) -> Any:
    return compile_expression(text, VARIABLES).evaluate(VALUES)


TRUE = """
1 + 2 * 3 == 7
-7 / 2 == -3 && -7 % 3 == -1
1.0 / 0.0 > 1e308
'a' + 'b' == "ab" && [1] + [2] == [1, 2] && b'a' + b'b' == b'ab'
1u < 2 && i < 4.5 && !(i < 2u)
1 in [1, 2] && 'a' in m && !('z' in m)
has(m.a) && !has(m.z) && has(d.x)
m.a == m['a'] && d.x + 1 == 2
true || 1 / 0 == 1
1 / 0 == 1 || true
!(false && 1 / 0 == 1)
!(1 / 0 == 1 && false)
(b ? 'yes' : 'no') == 'yes'
dyn(1) != 'a' && dyn(1) == 1.0
null == null
type(1) == int && type('a') == string && type([1]) == list && type(f) == double
"\\u00e9" == 'é' && r'\\d' == '\\\\d' && 0x1F == 31
int('12') == 12 && int(1.9) == 1 && uint(3) == 3u && double('1.5') == 1.5 && bool('true')
string(1.5) == '1.5' && string(1e21) == '1e+21' && string(true) == 'true' && string(b'abc') == 'abc'
bytes('é').size() == 2 && 'é'.size() == 1
l.all(x, x > 0) && l.exists(x, x > 2) && l.exists_one(x, x > 2)
l.map(x, x * 2) == [2, 4, 6] && l.map(x, x > 1, x * 2) == [4, 6] && l.filter(x, x != 2) == [1, 3]
m.all(k, m[k] > 0) && {'a': 1}.exists(k, k == 'a')
l.all(at, x, x > at) && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2} && l.transformList(at, x, x * at) == [0, 2, 6]
[1, 0].exists(x, 1 / x == 1) && [0, 1].exists(x, 1 / x == 1)
duration('1h30m') > duration('1h') && duration('90m').getHours() == 1 && string(duration('1h30m')) == '5400s'
timestamp('2023-01-01T00:00:00Z') + duration('24h') == timestamp('2023-01-02T00:00:00Z')
timestamp('2023-01-01T23:00:00Z').getHours('+02:00') == 1 && timestamp('2023-01-01T23:00:00Z').getDayOfWeek() == 0
string(timestamp('2023-01-01T00:00:00.5Z')) == '2023-01-01T00:00:00.5Z' && int(timestamp('1970-01-01T00:01:00Z')) == 60
s.startsWith('a') && s.endsWith('c') && s.contains('b') && s.matches('^a.c$') && size(s) == s.size()
'abc'.charAt(1) == 'b' && 'abc'.indexOf('c') == 2 && 'abcabc'.lastIndexOf('b') == 4 && 'hello'.substring(1, 3) == 'el'
'a,b,c'.split(',', 2) == ['a', 'b,c'] && names.join('-') == 'b-a' && ' x '.trim() == 'x'
'aBc'.lowerAscii() == 'abc' && 'aBc'.upperAscii() == 'ABC' && 'hello hello'.replace('he', 'we', 1) == 'wello hello'
'%s is %d %.2f %x %b %o %e'.format(['a', 1, 1.234, 255, 5, 8, 12345.678]) == 'a is 1 1.23 ff 101 10 1.234568 × 10⁰⁴'
'%s'.format([[dyn(1), dyn('a'), dyn({'k': true}), dyn(2.5)]]) == '[1, "a", {"k":true}, 2.500000]' && strings.quote('a"b') == r'"a\\"b"'
'abc 123'.find('[0-9]+') == '123' && '1 2 3'.findAll('[0-9]') == ['1', '2', '3'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']
l.isSorted() && !names.isSorted() && l.sum() == 6 && l.min() == 1 && l.max() == 3 && l.indexOf(2) == 1 && l.lastIndexOf(9) == -1
names.sortBy(e, e) == ['a', 'b'] && l.sortBy(e, -e)[0] == 3
sets.contains([1, 2], [2]) && !sets.intersects([1], [2]) && sets.equivalent([1, 2], [2, 1])
url('https://a.b:80/p%20x?q=1').getHost() == 'a.b:80' && url('https://a.b:80/').getHostname() == 'a.b' && !isURL('a b')
url('https://a.b:80/p%20x').getEscapedPath() == '/p%20x' && url('https://a.b/?q=1&q=2').getQuery() == {'q': ['1', '2']}
isIP('1.2.3.4') && !isIP('1.2.3.4/8') && ip('::1').isLoopback() && ip('1.2.3.4').family() == 4 && !ip.isCanonical('::0:1')
cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.0.0.0/8').prefixLength() == 8
string(cidr('10.1.0.0/8').masked()) == '10.0.0.0/8' && string(ip('1.2.3.4')) == '1.2.3.4'
isQuantity('1Gi') && !isQuantity('x') && quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('50k').add(20).asInteger() == 50020
quantity('50k').compareTo(quantity('1')) == 1 && quantity('-5').sign() == -1 && quantity('1.5').asApproximateFloat() == 1.5
semver('1.2.3').isLessThan(semver('1.3.0')) && semver('v1.0', true).major() == 1 && !isSemver('1.2')
format.named('dns1123Label').hasValue() && !format.named('nope').hasValue() && !format.dns1123Label().validate('abc').hasValue()
format.dns1123Label().validate('Abc').hasValue()
optional.of(1).hasValue() && optional.none().orValue(3) == 3 && o.value() == 4 && o.optMap(x, x + 1).value() == 5
d.?x.orValue(0) == 1 && d.?y.orValue(0) == 0 && !m[?'z'].hasValue()
!has(n.x)
d.map(k, k).sortBy(k, k).join(',') == 'x'
"""


@pytest.mark.parametrize("text", [pytest.param(each, id=each) for each in TRUE.strip().splitlines()])
def test_these_are_true(text: str) -> None:
    assert value(text) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9223372036854775807 + 1", "integer overflow"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("m['b']", "no such key: b"),
        ("d.y", "no such key: y"),
        ("d.x + 'a'", "no such overload"),
        ("d + 1", "no such overload: _+_"),
        ("n.x", "no such key: x"),
        ("n['x']", "no such key: x"),
        ("d.x.y", "no such key: y"),
        ("dyn([1]).x", "unsupported index type 'string' in list"),
        ("n.all(x, true)", "got 'types.Null', expected iterable type"),
        ("string(d)", "no such overload: string(map)"),
        ("d.sum()", "no such overload: sum(map)"),
        ("d.x.indexOf('a')", "no such overload: indexOf(int, string)"),
        ("timestamp(dyn('x'))", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
        (
            "cidr('x')",
            "network address parse error during conversion from string: network address parse error during conversion from string: "
            "netip.ParsePrefix(\"x\"): no '/'",
        ),
        ("l[5]", "index out of bounds: 5"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("{'a': 1, 'a': 2}", "insert failed: key a already exists"),
        ("'hello'.substring(9)", "index out of range: 9"),
        ("[1, 0].all(x, 1 / x == 1)", "division by zero"),
        ("'%d'.format([dyn('a')])", "error during formatting: decimal clause can only be used on integers, was given string"),
        ("ip('x')", 'IP Address "x" parse error during conversion from string: ParseAddr("x"): unable to parse IP'),
        ("url('nope')", 'URL parse error during conversion from string: parse "nope": invalid URI for request'),
    ],
)
def test_errors_while_evaluating(text: str, expected: str) -> None:
    with pytest.raises(CelError) as caught:
        value(text)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i + 'a'", "1:3: found no matching overload for '_+_' applied to '(int, string)'\n | i + 'a'\n | ..^"),
        ("1 == 1.0", "1:3: found no matching overload for '_==_' applied to '(int, double)'\n | 1 == 1.0\n | ..^"),
        ("unknown", "1:1: undeclared reference to 'unknown' (in container '')\n | unknown\n | ^"),
        ("s.foo", "1:2: type 'string' does not support field selection\n | s.foo\n | .^"),
        ("[1, 'a']", "1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
        ("'a'.matches('(')", "1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^"),
        ("duration('x')", "1:10: invalid duration argument\n | duration('x')\n | .........^"),
        ("l.all(x, x)", "1:6: found no matching overload for '_&&_' applied to '(bool, int)'\n | l.all(x, x)\n | .....^"),
        ("has(s)", "1:5: invalid argument to has() macro\n | has(s)\n | ....^"),
        ("9223372036854775808", "1:1: invalid int literal\n | 9223372036854775808\n | ^"),
        ("s ==\n  i", "1:3: found no matching overload for '_==_' applied to '(string, int)'\n | s ==\n | ..^"),
        (
            "1 +",
            "1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
            "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 +\n | ...^",
        ),
        ("a..b", "1:3: Syntax error: no viable alternative at input '..'\n | a..b\n | ..^"),
        ("a.", "1:3: Syntax error: no viable alternative at input '.'\n | a.\n | ..^"),
        ("a. in", "1:4: Syntax error: no viable alternative at input '. in'\n | a. in\n | ...^"),
        ("a.true", "1:3: Syntax error: mismatched input 'true' expecting IDENTIFIER\n | a.true\n | ..^"),
        ("a.?", "1:4: Syntax error: mismatched input '<EOF>' expecting {IDENTIFIER, ESC_IDENTIFIER}\n | a.?\n | ...^"),
        ("import(a)", "1:1: reserved identifier: import\n | import(a)\n | ^"),
        ("(a", "1:3: Syntax error: missing ')' at '<EOF>'\n | (a\n | ..^"),
        ("((a", "1:4: Syntax error: mismatched input '<EOF>' expecting ')'\n | ((a\n | ...^"),
        ("[(a]", "1:4: Syntax error: missing ')' at ']'\n | [(a]\n | ...^"),
        ("[a", "1:3: Syntax error: mismatched input '<EOF>' expecting {']', ','}\n | [a\n | ..^"),
        ("[a,", "1:4: Syntax error: missing ']' at '<EOF>'\n | [a,\n | ...^"),
        ("[a b]", "1:4: Syntax error: extraneous input 'b' expecting {']', ','}\n | [a b]\n | ...^"),
        ("{'a': 1", "1:8: Syntax error: mismatched input '<EOF>' expecting {'}', ','}\n | {'a': 1\n | .......^"),
        ("{'a' 1}", "1:6: Syntax error: missing ':' at '1'\n | {'a' 1}\n | .....^"),
        ("a ? b c", "1:7: Syntax error: missing ':' at 'c'\n | a ? b c\n | ......^"),
        ("-", "1:2: Syntax error: no viable alternative at input '-'\n | -\n | .^"),
        ("a ==' 'x'", "1:8: Syntax error: extraneous input 'x' expecting <EOF>\n | a ==' 'x'\n | .......^"),
        (r"'a\qb'", "1:1: Syntax error: token recognition error at: ''a\\q'\n | 'a\\qb'\n | ^"),
        (r"'\u12'", "1:1: Syntax error: token recognition error at: ''\\u12''\n | '\\u12'\n | ^"),
        (r"'\ud800'", "1:1: invalid unicode code point\n | '\\ud800'\n | ^"),
        ("url('a').foo", "1:9: unexpected failed resolution of 'kubernetes.URL'\n | url('a').foo\n | ........^"),
        ("s.size().true", "1:10: Syntax error: no viable alternative at input '.true'\n | s.size().true\n | .........^"),
        (
            "'%d'.format([s])",
            "1:14: error during formatting: decimal clause can only be used on integers, was given string\n"
            " | '%d'.format([s])\n | .............^",
        ),
        (
            "'%d'.format([i, i])",
            "1:12: too many arguments supplied to string.format (expected 1, got 2)\n | '%d'.format([i, i])\n | ...........^",
        ),
    ],
)
def test_what_does_not_compile(text: str, expected: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_expression(text, VARIABLES)
    assert str(caught.value) == f"ERROR: <input>:{expected}"


@pytest.mark.parametrize(
    ("text", "size", "most"),
    [
        pytest.param("i > 0", None, 2, id="a comparison"),
        pytest.param("b || i == 3", None, 3, id="the dearer way"),
        pytest.param("l.all(x, x > 0)", 10, 52, id="every item costs"),
        pytest.param("s.contains('abc')", 100, 11, id="text by its length"),
    ],
)
def test_costs_by_what_is_known_of_sizes(text: str, size: int | None, most: int) -> None:
    tree = compile_expression(text, VARIABLES).tree
    assert estimate(tree, lambda path: size if path in (("l",), ("s",)) else None).most == most
