"""managedFields after creates, updates and patches: who owns what, since when."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.objects import Object
from kube.patch.fieldset import FieldSet, paths
from kube.patch.managed import ANCIENT_CHANGES, UPDATE_MANAGERS_MAX, managed_after_update, with_old_times
from kube.patch.ownership import changes
from kube.patch.scale import REPLICAS, parent_entries, scale_entries
from kube.schema.definitions import load
from tests.unit.patch_types import APP, CUSTOM

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
STATUS: FieldSet = {"f:status": {}}


def app(**members: Any) -> Object:
    """An app in canonical form, as it is after decoding."""
    obj: Object = {
        "apiVersion": "test/v1",
        "kind": "App",
        "metadata": {"name": "web", "uid": "u1"},
        "spec": {"strategy": {}, "containers": None},
    }
    obj["status"] = {}
    for name, value in members.items():
        obj[name] = {**obj[name], **value} if isinstance(obj.get(name), dict) else value
    return obj


def entry(manager: str, fields: FieldSet, *, operation: str = "Update", time: str = EARLY, subresource: str = "") -> Object:
    found: Object = {"manager": manager, "operation": operation, "apiVersion": "test/v1", "time": time}
    found |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
    return found | ({"subresource": subresource} if subresource else {})


def owned_by(obj: Object, *entries: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "managedFields": list(entries)}}


def after(live: Object | None, new: Object, *, manager: str = "m", subresource: str = "", time: str = LATE) -> list[Object]:
    reset: FieldSet = {"f:spec": {}} if subresource else STATUS
    return managed_after_update(
        APP, live, new, manager=manager, api_version="test/v1", subresource=subresource, time=time, reset_fields=reset
    )


def fields_after(live: Object | None, new: Object, **how: Any) -> dict[str, FieldSet]:
    return {each["manager"]: each["fieldsV1"] for each in after(live, new, **how)}


# --- create -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(app(), None, id="nothing but a name"),
        pytest.param(app(data={"k": "v"}), {"f:data": {".": {}, "f:k": {}}}, id="a map that was not there is owned, and its keys"),
        pytest.param(app(data={}), {"f:data": {}}, id="an empty map"),
        pytest.param(
            app(metadata={"labels": {"b": "1", "a": "2"}, "finalizers": ["x/a"], "generation": 3, "resourceVersion": "5"}),
            {"f:metadata": {"f:finalizers": {".": {}, 'v:"x/a"': {}}, "f:labels": {".": {}, "f:a": {}, "f:b": {}}}},
            id="of the metadata only what clients mean",
        ),
        pytest.param(
            app(metadata={"ownerReferences": [{"uid": "u", "name": "n"}]}),
            {"f:metadata": {"f:ownerReferences": {".": {}, 'k:{"uid":"u"}': {}}}},
            id="items that are atomic",
        ),
        pytest.param(
            app(spec={"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "nodeSelector": {"x": "y"}, "tolerations": [{"key": "k"}]}),
            {"f:spec": {"f:nodeSelector": {}, "f:replicas": {}, "f:selector": {}, "f:tolerations": {}}},
            id="atomic structs, maps and lists are owned as a whole",
        ),
        pytest.param(
            app(spec={"strategy": {"type": "x", "rolling": {"surge": 1}}}),
            {"f:spec": {"f:strategy": {"f:rolling": {".": {}, "f:surge": {}}, "f:type": {}}}},
            id="a struct that Go always writes is not owned itself, a pointer is",
        ),
        pytest.param(
            app(spec={"containers": [{"name": "c", "image": "i", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}),
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:image": {},
                            "f:name": {},
                            "f:ports": {
                                ".": {},
                                'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}},
                            },
                            "f:resources": {},
                        }
                    }
                }
            },
            id="list maps are owned item by item",
        ),
        pytest.param(
            app(spec={"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B"}]}]}),
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:env": {".": {}, 'k:{"name":"A"}': {}, 'k:{"name":"B"}': {".": {}, "f:name": {}}},
                            "f:name": {},
                        }
                    }
                }
            },
            id="an item that is there twice is owned as a whole",
        ),
        pytest.param(app(spec={"containers": []}), {"f:spec": {"f:containers": {}}}, id="an empty list is not null"),
        pytest.param(
            app(spec={"extra": {"a": {"b": 1}, "l": [{}]}}),
            {"f:spec": {"f:extra": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:l": {}}}},
            id="what the type says nothing of is walked by what it holds",
        ),
        pytest.param(app(status={"ready": 1}), None, id="what the resource does not take is not owned"),
    ],
)
def test_what_a_creator_owns(obj: Object, expected: FieldSet | None) -> None:
    assert after(None, obj) == ([entry("m", expected, time=LATE)] if expected else [])


def test_a_creator_without_a_name_is_unknown() -> None:
    assert after(None, app(data={"k": "v"}), manager="")[0]["manager"] == "unknown"


def test_a_custom_resource_starts_from_nothing() -> None:
    obj = {"apiVersion": "c/v1", "kind": "C", "metadata": {"name": "c"}, "spec": {"size": 1, "any": {"x": [1]}}}
    found = managed_after_update(CUSTOM, None, obj, manager="m", api_version="c/v1", time=LATE)
    assert found[0]["fieldsV1"] == {"f:spec": {".": {}, "f:any": {".": {}, "f:x": {}}, "f:size": {}}}


def test_keys_are_in_canonical_order() -> None:
    obj = app(spec={"containers": [{"name": "z"}, {"name": "a", "image": "i"}], "replicas": 1}, data={"b": "1", "a": "1"})
    found = fields_after(None, obj)["m"]
    assert list(found) == ["f:data", "f:spec"]
    assert list(found["f:data"]) == [".", "f:a", "f:b"]
    assert list(found["f:spec"]["f:containers"]) == ['k:{"name":"a"}', 'k:{"name":"z"}']


# --- update -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "new", "expected"),
    [
        pytest.param({"k": "1"}, {"k": "2"}, {"m": {"f:data": {"f:k": {}}}, "old": {"f:data": {".": {}}}}, id="what changes is taken"),
        pytest.param(
            {"k": "1"}, {"k": "1", "l": "1"}, {"m": {"f:data": {"f:l": {}}}, "old": {"f:data": {".": {}, "f:k": {}}}}, id="what is new"
        ),
        pytest.param({"k": "1", "l": "1"}, {"k": "1"}, {"old": {"f:data": {".": {}, "f:k": {}}}}, id="what is removed is nobody's"),
        pytest.param({"k": "1"}, None, {}, id="a map that is removed takes all its keys"),
        pytest.param({"k": "1"}, {}, {"old": {"f:data": {}}}, id="a map that is emptied stays"),
    ],
)
def test_what_an_update_takes(live: Any, new: Any, expected: dict[str, FieldSet]) -> None:
    old: FieldSet = {"f:data": {".": {}, **{f"f:{key}": {} for key in live}}}
    found = fields_after(owned_by(app(data=live), entry("old", old)), app(data=new) if new is not None else app())
    expected = {name: {"f:data": {}} if fields == {"f:data": {".": {}}} else fields for name, fields in expected.items()}
    assert found == expected


def test_an_update_that_changes_nothing_leaves_the_very_same_list() -> None:
    live = owned_by(app(data={"k": "v"}), entry("old", {"f:data": {"f:k": {}}}))
    assert after(live, app(data={"k": "v"})) is live["metadata"]["managedFields"]


def test_the_time_changes_only_for_who_got_something() -> None:
    live = owned_by(app(data={"a": "1", "b": "1"}), entry("m", {"f:data": {".": {}, "f:a": {}}}), entry("n", {"f:data": {"f:b": {}}}))
    assert after(live, app(data={"a": "1"}))[0]["time"] == EARLY
    assert {each["manager"]: each["time"] for each in after(live, app(data={"a": "2", "b": "1"}))} == {"m": LATE, "n": EARLY}


def test_a_writer_keeps_what_it_had() -> None:
    live = owned_by(app(data={"a": "1"}), entry("m", {"f:data": {".": {}, "f:a": {}}}))
    assert fields_after(live, app(data={"a": "1", "b": "1"})) == {"m": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}}


def test_an_applier_loses_what_changes_and_stays_an_applier() -> None:
    live = owned_by(app(data={"a": "1", "b": "1"}), entry("m", {"f:data": {"f:a": {}, "f:b": {}}}, operation="Apply"))
    found = after(live, app(data={"a": "2", "b": "1"}))
    assert [(each["operation"], each["fieldsV1"]) for each in found] == [
        ("Apply", {"f:data": {"f:b": {}}}),
        ("Update", {"f:data": {"f:a": {}}}),
    ]


def test_an_entry_of_a_subresource_is_another_entry() -> None:
    live = owned_by(app(data={"a": "1"}), entry("m", {"f:data": {".": {}, "f:a": {}}}))
    found = after(live, app(data={"a": "1"}, status={"ready": 1}), subresource="status")
    assert [(each.get("subresource"), each["fieldsV1"]) for each in found] == [
        (None, {"f:data": {".": {}, "f:a": {}}}),
        ("status", {"f:status": {"f:ready": {}}}),
    ]


def test_a_subresource_does_not_own_what_it_cannot_write() -> None:
    live = owned_by(app(), entry("m", {"f:data": {}}))
    assert fields_after(live, app(spec={"replicas": 5}, status={"ready": 1}), subresource="status", manager="s")["s"] == {
        "f:status": {"f:ready": {}}
    }


def test_fields_that_cannot_be_written_are_not_taken_from_others_either() -> None:
    live = owned_by(app(status={"ready": 1}), entry("kubelet", {"f:status": {"f:ready": {}}}, subresource="status"))
    assert fields_after(live, app(data={"a": "1"})) == {"kubelet": {"f:status": {"f:ready": {}}}, "m": {"f:data": {".": {}, "f:a": {}}}}


def test_a_filter_may_say_what_a_subresource_can_write() -> None:
    def only_replicas(fields: FieldSet) -> FieldSet:
        return {"f:spec": {"f:replicas": {}}} if fields.get("f:spec", {}).get("f:replicas") == {} else {}

    found = managed_after_update(
        APP, None, app(spec={"replicas": 1}, data={"a": "b"}), manager="m", api_version="test/v1", time=LATE, reset_fields=only_replicas
    )
    assert found[0]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_entries_are_sorted_by_operation_time_and_name() -> None:
    entries = [
        entry("z", {"f:data": {"f:a": {}}}, operation="Apply"),
        entry("b", {"f:data": {"f:b": {}}}, time=LATE),
        entry("c", {"f:data": {"f:c": {}}}),
        entry("a", {"f:data": {"f:d": {}}}, time=LATE),
    ]
    live = owned_by(app(data=dict.fromkeys("abcd", "1")), *entries)
    found = after(live, app(data=dict.fromkeys("abcde", "1")), manager="n", time="2026-01-01T00:00:02Z")
    assert [each["manager"] for each in found] == ["z", "c", "a", "b", "n"]


def test_an_object_without_managed_fields_is_not_tracked_from_an_update_on() -> None:
    assert after(app(data={"a": "1"}), app(data={"a": "2"})) == []


def test_nobody_owns_anything_of_an_object_that_cannot_be_walked() -> None:
    live = owned_by(app(), entry("old", {"f:data": {}}))
    assert after(live, app(spec={"containers": [None]})) == []


def test_the_oldest_updaters_are_merged_when_there_are_too_many() -> None:
    live = app(data={"k0": "1"})
    live["metadata"]["managedFields"] = after(None, live, manager="m0", time="2026-01-01T00:00:00Z")
    for index in range(1, UPDATE_MANAGERS_MAX + 2):
        new = app(data={**live["data"], f"k{index}": "1"})
        new["metadata"]["managedFields"] = after(live, new, manager=f"m{index}", time=f"2026-01-01T00:00:{index:02}Z")
        live = new
    entries = live["metadata"]["managedFields"]
    assert len(entries) == UPDATE_MANAGERS_MAX
    assert entries[0]["manager"] == ANCIENT_CHANGES
    assert entries[0]["fieldsV1"] == {"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}}}
    assert entries[0]["time"] == "2026-01-01T00:00:02Z"
    assert entries[-1]["manager"] == "m11"


# --- what clients send ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [pytest.param([], id="an empty list"), pytest.param([{}], id="one empty entry")])
def test_clients_can_reset_the_entries(sent: list[Any]) -> None:
    live = owned_by(app(data={"a": "1"}), entry("old", {"f:data": {"f:a": {}}}))
    assert after(live, owned_by(app(data={"a": "2"}), *sent)) == []


def test_entries_that_a_client_sends_replace_those_of_the_live_object() -> None:
    live = owned_by(app(data={"a": "1", "b": "1"}), entry("old", {"f:data": {"f:a": {}, "f:b": {}}}))
    sent = entry("handed", {"f:data": {"f:b": {}, "f:a": {".": {}}}}, operation="Apply")
    assert after(live, owned_by(app(data={"a": "1", "b": "1"}), sent)) == [{**sent, "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}}}]


def test_an_entry_without_fields_vanishes() -> None:
    live = owned_by(app(data={"a": "1"}), entry("old", {"f:data": {"f:a": {}}}))
    assert after(live, owned_by(app(data={"a": "1"}), entry("new", {"z:data": {}}))) == []


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"operation": "Sideways"}, id="an unknown operation"),
        pytest.param({"apiVersion": ""}, id="no version"),
        pytest.param({"fieldsType": "FieldsV2"}, id="an unknown type of fields"),
        pytest.param({"fieldsV1": {"data": {}}}, id="fields that are none"),
    ],
)
def test_entries_that_cannot_be_read_count_as_none(broken: Object) -> None:
    old = entry("old", {"f:data": {"f:a": {}}})
    live = owned_by(app(data={"a": "1"}), old)
    assert after(live, owned_by(app(data={"a": "1"}), entry("new", {"f:data": {}}) | broken)) == [old]


def test_a_subresource_ignores_the_entries_that_a_client_sends() -> None:
    old = entry("old", {"f:data": {"f:a": {}}})
    live = owned_by(app(data={"a": "1"}), old)
    assert after(live, owned_by(app(data={"a": "1"})), subresource="status") == [old]


# --- times and versions -----------------------------------------------------------------------------------------------------------


def test_a_write_that_changed_only_times_is_no_change() -> None:
    live = owned_by(app(data={"a": "1"}), entry("m", {"f:data": {"f:a": {}}}))
    new = owned_by(app(data={"a": "1"}), entry("m", {"f:data": {"f:a": {}}}, time=LATE))
    assert with_old_times(live, new) == live
    changed = owned_by(app(data={"a": "2"}), entry("m", {"f:data": {"f:a": {}}}, time=LATE))
    assert with_old_times(live, changed) is changed
    other = owned_by(app(data={"a": "1"}), entry("m", {"f:data": {}}, time=LATE))
    assert with_old_times(live, other) is other


def test_entries_of_other_versions_are_compared_in_their_version() -> None:
    def convert(obj: Object, version: str) -> tuple[Any, Object] | None:
        if version == "gone/v1":
            return None
        return (APP, {**obj, "data": {"all": "-".join(obj.get("data", {}).values())}}) if version == "test/v0" else (APP, obj)

    live = owned_by(
        app(data={"a": "1", "b": "2"}),
        entry("old", {"f:data": {"f:all": {}, "f:never": {}}}) | {"apiVersion": "test/v0"},
        entry("lost", {"f:data": {"f:a": {}}}) | {"apiVersion": "gone/v1"},
    )
    found = managed_after_update(APP, live, app(data={"a": "9", "b": "2"}), manager="m", api_version="test/v1", time=LATE, convert=convert)
    assert {each["manager"]: (each["apiVersion"], each["fieldsV1"]) for each in found} == {
        "old": ("test/v0", {"f:data": {"f:never": {}}}),
        "m": ("test/v1", {"f:data": {"f:a": {}}}),
    }


def test_a_pod_of_the_built_in_types() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "c:1", "resources": {}}], "securityContext": {}, "dnsPolicy": "ClusterFirst"},
        "status": {},
    }
    found = managed_after_update(load("1.36").type("io.k8s.api.core.v1.Pod"), None, pod, manager="m", api_version="v1", time=LATE)
    assert found[0]["fieldsV1"] == {
        "f:spec": {
            "f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}},
            "f:dnsPolicy": {},
            "f:securityContext": {},
        }
    }


# --- scale ------------------------------------------------------------------------------------------------------------------------

PATHS = {"test/v1": REPLICAS, "test/v0": None}


def test_the_owner_of_replicas_is_the_owner_of_the_scale() -> None:
    entries = [entry("a", {"f:spec": {"f:paused": {}, "f:replicas": {}}}, operation="Apply"), entry("b", {"f:spec": {"f:paused": {}}})]
    assert scale_entries(entries, PATHS) == [
        entry("a", {"f:spec": {"f:replicas": {}}}, operation="Apply") | {"apiVersion": "autoscaling/v1"}
    ]


def test_who_scales_owns_replicas_without_a_time() -> None:
    entries = [entry("a", {"f:spec": {"f:paused": {}, "f:replicas": {}}}, operation="Apply"), entry("b", {"f:spec": {"f:replicas": {}}})]
    scaled = [entry("s", {"f:spec": {"f:replicas": {}}}, time=LATE, subresource="scale") | {"apiVersion": "autoscaling/v1"}]
    found = parent_entries(entries, scaled, api_version="test/v1", paths=PATHS)
    untimed = {key: value for key, value in entry("s", {"f:spec": {"f:replicas": {}}}, subresource="scale").items() if key != "time"}
    assert found == [entry("a", {"f:spec": {"f:paused": {}}}, operation="Apply"), untimed]


def test_entries_that_scaling_left_alone_stay() -> None:
    entries = [
        entry("a", {"f:spec": {"f:paused": {}, "f:replicas": {}}}, operation="Apply"),
        entry("old", {"f:x": {}}) | {"apiVersion": "gone/v9"},
    ]
    assert parent_entries(entries, scale_entries(entries, PATHS), api_version="test/v1", paths=PATHS) == entries[:1]


# --- properties -------------------------------------------------------------------------------------------------------------------

words = st.sampled_from("abc")
containers = st.lists(words, unique=True, min_size=1, max_size=3).flatmap(
    lambda keys: st.tuples(
        *(st.fixed_dictionaries({"name": st.just(key), "resources": st.just({})}, optional={"image": words}) for key in keys)
    ).map(list)
)
apps = st.builds(
    lambda data, spec: app(spec=spec, **({"data": data} if data is not None else {})),
    st.none() | st.dictionaries(words, words, max_size=3),
    st.fixed_dictionaries(
        {}, optional={"replicas": st.integers(0, 2), "containers": containers, "nodeSelector": st.dictionaries(words, words)}
    ),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), apps), min_size=1, max_size=5))
def test_after_any_writes_every_field_has_one_owner_and_exists(writes: list[tuple[str, Object]]) -> None:
    live: Object | None = None
    for index, (manager, obj) in enumerate(writes):
        before = copy.deepcopy((live, obj))
        entries = after(live, obj, manager=manager, time=f"2026-01-01T00:00:{index:02}Z")
        assert before == (live, obj)
        live = owned_by(obj, *entries)
        if not entries:
            return  # no longer tracked
    assert live is not None
    everything = set(paths(changes(APP, None, live).owned))
    owners = [path for each in live["metadata"]["managedFields"] for path in paths(each["fieldsV1"])]
    assert len(owners) == len(set(owners))
    assert set(owners) <= everything


@settings(max_examples=60, deadline=None)
@given(apps, apps)
def test_what_changes_one_way_changes_the_other_way(one: Object, other: Object) -> None:
    there, back = changes(APP, one, other), changes(APP, other, one)
    touched = [set(paths(each.owned)) | set(paths(each.removed)) for each in (there, back)]
    assert touched[0] == touched[1]
    assert not set(paths(there.owned)) & set(paths(there.removed))
    assert (one == other) == (not touched[0])
