"""Options of lists and watches, Tables and ages."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from apiserver.handlers.options import field_selector, list_options, parse_version, version_number
from apiserver.handlers.request import Request
from apiserver.handlers.table import age, human_duration, include_policy, table
from apiserver.kinds import all_kinds
from apiserver.pipeline.request_info import RequestInfo
from apiserver.registry.kind import Column, Kind, User
from apiserver.registry.registry import Registries, Served
from apiserver.store.memory import MemoryStore
from kube.clock import RealClock
from kube.errors import ApiError, BadRequest, Invalid
from kube.resources import CONFIG_MAPS
from kube.schema import definitions

REGISTRIES = Registries(all_kinds(), MemoryStore(RealClock()), definitions=definitions.load(), clock=RealClock(), rng=random.Random(1))


def served(group: str, plural: str) -> Served:
    found = REGISTRIES.served(group, "v1", plural)
    assert found is not None
    return found


def request(**query: str) -> Request:
    async def receive() -> Any:
        raise AssertionError("nobody asked for the body")

    scope = {"method": "GET", "headers": [], "query_string": urlencode(query).encode()}
    return Request(scope, receive, RequestInfo("/", "list"), User("u"), None)  # type: ignore[arg-type]


def test_nothing_asked_is_everything() -> None:
    options = list_options(request(), served("", "configmaps"))
    assert (options.selects, options.limit, options.timeout_s, options.bookmarks, options.send_initial_events) == (
        False,
        0,
        None,
        False,
        None,
    )


WORDS = {"true": True, "1": True, "yes": True, "": True, "no": True, "f": True, "false": False, "0": False, "FALSE": False}


@pytest.mark.parametrize(("word", "value"), WORDS.items())
def test_flags(word: str, value: bool) -> None:
    assert list_options(request(allowWatchBookmarks=word), served("", "configmaps")).bookmarks is value


CONTRADICTIONS: dict[str, tuple[bool, dict[str, str], list[str]]] = {
    "a match of nothing": (False, {"resourceVersionMatch": "Exact"}, ["is forbidden unless resourceVersion is provided"]),
    "exactly any": (False, {"resourceVersionMatch": "Exact", "resourceVersion": "0"}, ['"exact" is forbidden for resourceVersion "0"']),
    "an unknown match": (
        False,
        {"resourceVersionMatch": "Newest", "resourceVersion": "1"},
        ['supported values: "Exact", "NotOlderThan", ""'],
    ),
    "the state of a list": (False, {"sendInitialEvents": "true"}, ["sendInitialEvents is forbidden for list"]),
    "several at once": (False, {"resourceVersionMatch": "Exact", "continue": "x"}, ["unless resourceVersion", "when continue is provided"]),
    "a match of a watch": (True, {"resourceVersionMatch": "NotOlderThan"}, ["for watch unless sendInitialEvents is provided"]),
    "the state without a match": (True, {"sendInitialEvents": "true"}, ["requires setting resourceVersionMatch to NotOlderThan"]),
    "the state with another match": (
        True,
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
        ["requires setting resourceVersionMatch", 'supported values: "NotOlderThan"'],
    ),
    "a page of a watch from now": (True, {"continue": "x"}, ["when continue is provided"]),
    "exactly any, and a page of it": (
        False,
        {"resourceVersionMatch": "Exact", "resourceVersion": "0", "continue": "x"},
        ["when continue is provided", '"exact" is forbidden'],
    ),
}


@pytest.mark.parametrize(("watch", "query", "told"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_contradictions(watch: bool, query: dict[str, str], told: list[str]) -> None:
    asked = {**query, "watch": "1"} if watch else query
    with pytest.raises(Invalid) as caught:
        list_options(request(**asked), served("", "configmaps"))
    causes = [each["message"] for each in (caught.value.details or {})["causes"]]
    assert len(causes) == len(told)
    assert all(part in cause for part, cause in zip(told, causes, strict=True))


STATE: dict[str, tuple[dict[str, str], bool | None]] = {
    "a watch from now sends what there is first": ({"watch": "1"}, True),
    "so does one from any version": ({"watch": "1", "resourceVersion": "0"}, True),
    "one from a version does not": ({"watch": "1", "resourceVersion": "7"}, None),
    "one that says no does not": ({"watch": "1", "sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan"}, False),
    "a watch by its path alone has not asked for the mark at its end": ({}, None),
}


@pytest.mark.parametrize(("query", "expected"), STATE.values(), ids=STATE.keys())
def test_which_watches_begin_with_the_state(query: dict[str, str], expected: bool | None) -> None:
    assert list_options(request(**query), served("", "configmaps")).send_initial_events is expected


def test_a_page_of_a_watch_from_a_version_is_not_refused() -> None:
    assert list_options(request(**{"watch": "1", "resourceVersion": "7", "continue": "x"}), served("", "configmaps")).continue_ == "x"


ORDER: dict[str, tuple[dict[str, str], str]] = {
    "numbers before selectors": ({"labelSelector": "a in b", "limit": "x"}, "strconv.ParseInt"),
    "the time before the limit": ({"limit": "x", "timeoutSeconds": "y"}, 'parsing "y"'),
    "labels before fields": ({"labelSelector": "a in b", "fieldSelector": "a"}, "unable to parse requirement"),
    "contradictions before fields that are not offered": ({"fieldSelector": "data.k=1", "resourceVersionMatch": "Exact"}, "ListOptions"),
}


@pytest.mark.parametrize(("query", "told"), ORDER.values(), ids=ORDER.keys())
def test_what_is_refused_first(query: dict[str, str], told: str) -> None:
    with pytest.raises(ApiError) as caught:
        list_options(request(**query), served("", "configmaps"))
    assert told in caught.value.message


UNREADABLE = {
    "a limit": ({"limit": "many"}, 'strconv.ParseInt: parsing "many": invalid syntax'),
    "a time": ({"timeoutSeconds": "9" * 30}, "value out of range"),
    "a label selector": ({"labelSelector": "a in b"}, "unable to parse requirement: found 'b' expected: '('"),
    "a field selector": ({"fieldSelector": "a"}, "invalid selector: 'a'; can't understand 'a'"),
}


@pytest.mark.parametrize(("query", "why"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_options_that_cannot_be_read(query: dict[str, str], why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        list_options(request(**query), served("", "configmaps"))
    assert why in caught.value.message


def test_fields_that_a_kind_offers() -> None:
    assert str(field_selector(served("", "pods"), "spec.nodeName=n,metadata.name!=a")) == "metadata.name!=a,spec.nodeName=n"
    with pytest.raises(BadRequest, match=r"field label not supported: spec\.other"):
        field_selector(served("", "pods"), "spec.other=1")
    with pytest.raises(BadRequest) as caught:
        field_selector(served("", "configmaps"), "data.k=1")
    assert caught.value.message == '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"'


UNKNOWN: dict[str, tuple[str, str, str, str]] = {
    "a kind with selectors": ("", "secrets", "data", "field label not supported: data"),
    "jobs": ("batch", "jobs", "spec.a", 'field label "spec.a" not supported for batchv1.Job'),
    "slices": ("resource.k8s.io", "resourceslices", "a", "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: a"),
    "no namespaces of nodes": ("", "nodes", "metadata.namespace", "field label not supported: metadata.namespace"),
    "no namespaces of namespaces": ("", "namespaces", "metadata.namespace", "field label not supported: metadata.namespace"),
    "no namespaces of certificate requests": (
        "certificates.k8s.io",
        "certificatesigningrequests",
        "metadata.namespace",
        "field label not supported: metadata.namespace",
    ),
    "a kind without": ("apps", "deployments", "a", '"a" is not a known field selector: only "metadata.name", "metadata.namespace"'),
}


@pytest.mark.parametrize(("group", "plural", "name", "told"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_fields_that_a_kind_does_not_offer(group: str, plural: str, name: str, told: str) -> None:
    with pytest.raises(BadRequest) as caught:
        field_selector(served(group, plural), f"{name}=1")
    assert caught.value.message == told


def test_kinds_without_selectors_of_their_own_take_a_namespace_even_where_there_is_none() -> None:
    assert not field_selector(served("storage.k8s.io", "storageclasses"), "metadata.namespace=a").is_empty


def test_another_version_has_other_names_for_its_fields() -> None:
    assert field_selector(served("events.k8s.io", "events"), "regarding.name=a").requirements[0].field == "involvedObject.name"
    with pytest.raises(BadRequest, match=r"field label not supported: involvedObject\.name"):
        field_selector(served("events.k8s.io", "events"), "involvedObject.name=a")
    with pytest.raises(BadRequest, match=r"field label not supported: regarding\.name"):
        field_selector(served("", "events"), "regarding.name=a")


def test_versions_of_lists_are_400_and_of_gets_500() -> None:
    assert (parse_version("7"), version_number("7"), version_number("")) == (7, 7, 0)
    with pytest.raises(BadRequest, match='invalid resource version: resourceVersion: Invalid value: "x"'):
        parse_version("x")
    with pytest.raises(ApiError) as caught:
        version_number("x")
    assert (caught.value.http_code, caught.value.http_reason) == (500, "")
    assert caught.value.message.startswith('resourceVersion: Invalid value: "x"')


# --- tables -----------------------------------------------------------------------------------------------------------

DURATIONS = {
    -5: "<invalid>",
    -1: "0s",
    0: "0s",
    119: "119s",
    120: "2m",
    145: "2m25s",
    599: "9m59s",
    600: "10m",
    10_799: "179m",
    10_800: "3h",
    11_400: "3h10m",
    28_800: "8h",
    172_799: "47h",
    172_800: "2d",
    176_400: "2d1h",
    691_200: "8d",
    63_071_999: "729d",
    63_072_000: "2y",
    63_158_400: "2y1d",
    252_288_000: "8y",
}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items())
def test_durations_as_kubectl_prints_them(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_a_table_of_a_kind_without_a_printer() -> None:
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    kind = Kind(resource=CONFIG_MAPS, definition="", singular="configmap")
    obj = {"kind": "ConfigMap", "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    whole = table(
        kind, [obj, {"metadata": {}}], now, metadata={"resourceVersion": "5"}, include="Object", shown=lambda each: {"shown": each}
    )
    assert [each["name"] for each in whole["columnDefinitions"]] == ["Name", "Age"]
    assert [each["cells"] for each in whole["rows"]] == [["a", "60s"], ["", "<unknown>"]]
    assert whole["rows"][0]["object"] == {"shown": obj}
    later = table(kind, [obj], now, metadata={}, include="Metadata", version="v1beta1", columns=False)
    assert later["columnDefinitions"] is None
    assert later["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1"
    assert table(kind, [obj], now, metadata={}, include="None")["rows"][0]["object"] is None


def test_what_a_column_says_of_itself() -> None:
    kind = Kind(
        resource=CONFIG_MAPS, definition="", singular="x", columns=(Column("Size", type="integer", priority=1),), row=lambda *_: [1]
    )
    (column,) = table(kind, [], datetime.now(UTC), metadata={}, include="")["columnDefinitions"]
    assert column == {"name": "Size", "type": "integer", "format": "", "description": "Size of the object.", "priority": 1}


def test_what_to_include() -> None:
    assert (include_policy(""), include_policy("None"), age(None, datetime.now(UTC))) == ("Metadata", "None", "<unknown>")
    with pytest.raises(BadRequest, match='includeObject: Invalid value: "All"'):
        include_policy("All")
