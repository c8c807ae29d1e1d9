"""Reading a configuration file's content into dataclasses: what is taken, what is refused and in which words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from controllers.scheduler.config.models import Extender, ExtenderTLSConfig, KubeSchedulerConfiguration
from controllers.scheduler.config.reading import Unreadable, read


@dataclass(frozen=True, slots=True)
class Inner:
    name: str = ""
    weight: int = 0


def upper(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a word")
    return value.upper()


@dataclass(frozen=True, slots=True)
class Outer:
    first_name: str
    share: float = 0.5
    is_on: bool = False
    loud: Annotated[str, upper] = ""
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    words: tuple[str, ...] | None = None
    anything: dict[str, Any] = field(default_factory=dict)
    odd: int = field(default=0, metadata={"name": "oddHTTP"})


def test_what_is_left_out_or_null_is_the_default() -> None:
    assert read(Outer, {"firstName": "x", "inner": None, "words": None}) == Outer("x")


def test_everything_can_be_said() -> None:
    content = {
        "firstName": "x",
        "share": 2,
        "isOn": True,
        "loud": "abc",
        "kind": "b",
        "inner": {"name": "i", "weight": None},
        "maybe": {"weight": 3},
        "many": [{"name": "a"}, {}],
        "words": ["p", "q"],
        "anything": {"a": [None, 1]},
        "oddHTTP": 7,
    }
    inner, maybe, many = Inner("i"), Inner(weight=3), (Inner("a"), Inner())
    assert read(Outer, content) == Outer("x", 2, True, "ABC", "b", inner, maybe, many, ("p", "q"), {"a": [None, 1]}, 7)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a number that is a text": ({"oddHTTP": "7"}, "f.oddHTTP: should be a valid integer"),
    "a number that is a truth": ({"oddHTTP": True}, "f.oddHTTP: should be a valid integer"),
    "a fraction for a whole number": ({"oddHTTP": 1.0}, "f.oddHTTP: should be a valid integer"),
    "a truth for a fraction": ({"share": False}, "f.share: should be a valid number"),
    "a number for a truth": ({"isOn": 1}, "f.isOn: should be a valid boolean"),
    "a list for a mapping": ({"anything": []}, "f.anything: should be a valid mapping"),
    "a text for a part": ({"inner": "x"}, "f.inner: should be a valid mapping"),
    "a mapping for a list": ({"many": {}}, "f.many: should be a valid list"),
    "a text for a list": ({"words": "ab"}, "f.words: should be a valid list"),
    "null in a list": ({"words": ["a", None]}, "f.words[1]: should be a valid string"),
    "none of the choices": ({"kind": "c"}, "f.kind: should be 'a' or 'b'"),
    "no choice at all": ({"kind": ["a"]}, "f.kind: should be 'a' or 'b'"),
    "what a function refuses": ({"loud": 1}, "f.loud: must be a word"),
    "Python's name of a field": ({"is_on": True}, "f.is_on: unknown field"),
    "the usual name of a field with another": ({"odd": 1}, "f.odd: unknown field"),
    "several things": (
        {"many": [{"weight": "1"}, {}, {"x": 1, "name": 2}], "y": 1, "kind": 1},
        "f.kind: should be 'a' or 'b'\nf.many[0].weight: should be a valid integer\nf.many[2].name: should be a valid string\n"
        "f.many[2].x: unknown field\nf.y: unknown field",
    ),
}


@pytest.mark.parametrize(("content", "problem"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_field(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(Outer, {"firstName": "x", **content}, "f")
    assert str(refused.value) == problem


def test_what_must_be_said_is_missed() -> None:
    with pytest.raises(Unreadable, match=r"^firstName: Required value$"):
        read(Outer, {"firstName": None})
    with pytest.raises(Unreadable, match="should be a valid mapping"):
        read(Outer, [])


def test_every_field_of_the_file_has_a_type_that_can_be_read() -> None:
    extender = {
        "urlPrefix": "http://x",
        "enableHTTPS": True,
        "httpTimeout": "1m30s",
        "tlsConfig": {"caFile": "f", "caData": "eA==", "certData": "eQ=="},
        "managedResources": [{"name": "a/b"}],
    }
    found = read(KubeSchedulerConfiguration, {"extenders": [extender], "clientConnection": {"qps": 7}})
    (told,) = found.extenders
    assert isinstance(told, Extender)
    assert (told.enable_https, told.http_timeout) == (True, 90.0)
    assert told.tls_config == ExtenderTLSConfig(ca_file="f", ca_data=b"x", cert_data=b"y")
    assert found.client_connection.qps == 7
    with pytest.raises(Unreadable, match=r"tlsConfig\.keyData: must be base64"):
        read(Extender, {"urlPrefix": "x", "tlsConfig": {"keyData": "%"}})
