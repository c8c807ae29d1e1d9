"""Server-side apply: ownership, conflicts, giving up, lists, and what does not fit the type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kube.errors import Conflict, from_status
from kube.objects import Object
from kube.patch.apply import LAST_APPLIED, ApplyConflict, apply
from kube.patch.fieldset import FieldSet
from kube.patch.managed import managed_after_update
from kube.schema.types import StructType
from tests.unit.applying import FIRST, SECOND, THIRD, applied, canonical, config, owners, times, updated
from tests.unit.patch_types import APP

# --- one applier ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        pytest.param({"data": {"a": "1"}}, {"f:data": {"f:a": {}}}, id="keys, not the map"),
        pytest.param({"data": {}}, {"f:data": {}}, id="an empty map"),
        pytest.param({"data": None}, {"f:data": {}}, id="null"),
        pytest.param({"data": {"a": None}}, {"f:data": {"f:a": {}}}, id="a key with null"),
        pytest.param(
            {"spec": {"strategy": {"rolling": {"surge": 1}}}},
            {"f:spec": {"f:strategy": {"f:rolling": {"f:surge": {}}}}},
            id="leaves of structs",
        ),
        pytest.param({"spec": {"strategy": {}}}, {"f:spec": {"f:strategy": {}}}, id="an empty struct"),
        pytest.param({"spec": {"selector": {"matchLabels": {"a": "b"}}}}, {"f:spec": {"f:selector": {}}}, id="an atomic struct"),
        pytest.param({"spec": {"nodeSelector": {"a": "b"}}}, {"f:spec": {"f:nodeSelector": {}}}, id="an atomic map"),
        pytest.param({"spec": {"tolerations": []}}, {"f:spec": {"f:tolerations": {}}}, id="an empty atomic list"),
        pytest.param({"spec": {"volumes": []}}, None, id="an empty list map is nothing"),
        pytest.param(
            {"metadata": {"name": "web", "finalizers": ["x/a"]}}, {"f:metadata": {"f:finalizers": {'v:"x/a"': {}}}}, id="items of a set"
        ),
        pytest.param(
            {"metadata": {"name": "web", "ownerReferences": [{"uid": "u", "name": "n"}]}},
            {"f:metadata": {"f:ownerReferences": {'k:{"uid":"u"}': {}}}},
            id="atomic items of a list map",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}},
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:name": {},
                            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                        }
                    }
                }
            },
            id="items of a list map, keys with defaults",
        ),
        pytest.param({"spec": {"extra": {"a": {"b": 1}}}}, {"f:spec": {"f:extra": {"f:a": {".": {}, "f:b": {}}}}}, id="deduced values"),
        pytest.param({"status": {"ready": 1}}, None, id="what the resource does not take"),
        pytest.param({"metadata": {"name": "web", "creationTimestamp": None, "uid": "u1"}}, None, id="what nobody owns"),
    ],
)
def test_what_an_applier_owns(wanted: Object, fields: FieldSet | None) -> None:
    assert owners(applied(None, {**config(), **wanted})) == ({"m": fields} if fields else {})


def test_the_entry_of_an_applier() -> None:
    result = applied(None, config(status={"ready": 1}), manager="ctl", subresource="status", reset_fields={"f:spec": {}})
    assert result["metadata"]["managedFields"] == [
        {
            "manager": "ctl",
            "operation": "Apply",
            "apiVersion": "test/v1",
            "time": FIRST,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": {"f:ready": {}}},
            "subresource": "status",
        }
    ]


def test_applying_the_same_again_changes_nothing() -> None:
    once = applied(None, config(data={"a": "1"}, spec={"containers": [{"name": "c", "image": "i"}], "replicas": 1}))
    assert applied(once, config(data={"a": "1"}, spec={"containers": [{"name": "c", "image": "i"}], "replicas": 1}), time=SECOND) == once


def test_applying_something_else_changes_values_and_time() -> None:
    once = applied(None, config(data={"a": "1"}))
    twice = applied(once, config(data={"a": "2"}), time=SECOND)
    assert (twice["data"], times(twice)) == ({"a": "2"}, {"m": SECOND})


def test_what_is_given_up_is_removed() -> None:
    once = applied(None, config(data={"a": "1", "b": "1"}, metadata={"name": "web", "labels": {"l": "1"}}, spec={"replicas": 1}))
    twice = applied(once, config(data={"a": "1"}), time=SECOND)
    assert twice["data"] == {"a": "1"}
    assert "labels" not in twice["metadata"]
    assert "replicas" not in twice["spec"]
    assert owners(twice) == {"m": {"f:data": {"f:a": {}}}}


def test_applying_nothing_any_more_removes_the_entry() -> None:
    once = applied(None, config(data={"a": "1"}))
    assert "managedFields" not in applied(once, config(), time=SECOND)["metadata"]


def test_items_are_given_up_with_all_that_is_in_them() -> None:
    once = applied(None, config(spec={"containers": [{"name": "a", "image": "1", "env": [{"name": "X"}]}, {"name": "b"}]}))
    twice = applied(once, config(spec={"containers": [{"name": "b"}]}), time=SECOND)
    assert twice["spec"]["containers"] == [{"name": "b"}]


def test_defaults_in_an_item_of_ones_own_go_with_it() -> None:
    once = applied(None, config(spec={"containers": [{"name": "a"}, {"name": "b"}]}))
    once["spec"]["containers"][0]["image"] = "defaulted"
    twice = applied(once, config(spec={"containers": [{"name": "b"}]}), time=SECOND)
    assert twice["spec"]["containers"] == [{"name": "b"}]


def test_an_emptied_map_stays_empty() -> None:
    once = applied(None, config(spec={"extra": {"any": 1}}))
    assert apply(APP, once, config(spec={"extra": {}}), manager="m", api_version="test/v1", time=SECOND)["spec"]["extra"] == {}


# --- more appliers ----------------------------------------------------------------------------------------------------------------


def test_the_same_value_is_shared() -> None:
    one = applied(None, config(data={"a": "1"}), manager="one")
    both = applied(one, config(data={"a": "1"}), manager="two", time=SECOND)
    assert owners(both) == {"one": {"f:data": {"f:a": {}}}, "two": {"f:data": {"f:a": {}}}}
    assert times(both) == {"one": FIRST, "two": None}  # nothing has changed, so the second has no time


def test_what_is_shared_stays_until_the_last_gives_it_up() -> None:
    both = applied(applied(None, config(data={"a": "1"}), manager="one"), config(data={"a": "1"}), manager="two")
    left = applied(both, config(), manager="one", time=SECOND)
    assert (left["data"], owners(left)) == ({"a": "1"}, {"two": {"f:data": {"f:a": {}}}})
    assert "data" not in applied(left, config(), manager="two", time=THIRD)


def test_another_value_is_a_conflict() -> None:
    one = applied(None, config(spec={"replicas": 1}), manager="one")
    with pytest.raises(ApplyConflict) as caught:
        applied(one, config(spec={"replicas": 2}), manager="two")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
    assert caught.value.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "one": .spec.replicas',
        "reason": "Conflict",
        "details": {"causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.replicas"}]},
        "code": 409,
    }


def test_a_conflict_is_a_conflict_to_clients() -> None:
    assert type(from_status(409, {"reason": "Conflict", "message": "x"})) is Conflict
    assert type(from_status(409, {"message": "x"})) is Conflict


def test_conflicts_are_told_manager_by_manager_and_field_by_field() -> None:
    live = applied(
        None, config(data={"a": "1"}, spec={"containers": [{"name": "c", "image": "1"}], "nodeSelector": {"x": "1"}}), manager="b"
    )
    live = applied(live, config(data={"a": "1"}), manager="a")
    with pytest.raises(ApplyConflict) as caught:
        applied(live, config(data={"a": "2"}, spec={"containers": [{"name": "c", "image": "2"}], "nodeSelector": {"y": "1"}}), manager="c")
    assert caught.value.message == (
        'Apply failed with 4 conflicts: conflicts with "a":\n- .data.a\n'
        'conflicts with "b":\n- .data.a\n- .spec.nodeSelector\n- .spec.containers[name="c"].image'
    )
    assert [each["field"] for each in caught.value.status["details"]["causes"]] == [
        ".data.a",
        ".data.a",
        ".spec.nodeSelector",
        '.spec.containers[name="c"].image',
    ]


def test_updaters_are_named_with_their_version_and_subresource() -> None:
    live = updated(applied(None, config(data={"a": "1"})), app_with(data={"a": "2"}), manager="editor")
    with pytest.raises(ApplyConflict, match=r'conflict with "editor" using test/v1: \.data\.a'):
        applied(live, config(data={"a": "3"}))
    live["metadata"]["managedFields"][-1]["subresource"] = "status"
    with pytest.raises(ApplyConflict, match=r'conflict with "editor" with subresource "status" using test/v1: \.data\.a'):
        applied(live, config(data={"a": "3"}))


def app_with(**members: Any) -> Object:
    return canonical({**config(), **members})


def test_force_takes_over() -> None:
    one = applied(None, config(data={"a": "1", "b": "1"}), manager="one")
    two = applied(one, config(data={"a": "2"}), manager="two", time=SECOND, force=True)
    assert two["data"] == {"a": "2", "b": "1"}
    assert owners(two) == {"one": {"f:data": {"f:b": {}}}, "two": {"f:data": {"f:a": {}}}}
    assert times(two) == {"one": FIRST, "two": SECOND}


def test_an_updater_and_an_applier_of_the_same_name_are_two() -> None:
    live = updated(applied(None, config(data={"a": "1"})), app_with(data={"a": "2"}), manager="m")
    with pytest.raises(ApplyConflict, match='conflict with "m" using test/v1'):
        applied(live, config(data={"a": "3"}))


def test_null_conflicts_where_it_would_change_something() -> None:
    one = applied(None, config(data={"a": "1"}), manager="one")
    with pytest.raises(ApplyConflict):
        applied(one, config(data={"a": None}), manager="two")


def test_quantities_are_compared_as_they_are_written() -> None:
    limits = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}}}]}
    one = applied(None, config(spec=limits), manager="one")
    limits = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "0.5"}}}]}
    with pytest.raises(ApplyConflict, match=r"\.resources\.limits\.cpu"):
        applied(one, config(spec=limits), manager="two")


def test_what_was_there_before_the_first_apply_has_an_owner_too() -> None:
    live = app_with(data={"a": "1", "b": "1"})
    result = applied(live, config(data={"a": "1"}), manager="gitops")
    assert owners(result) == {"before-first-apply": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}, "gitops": {"f:data": {"f:a": {}}}}
    assert times(result) == {"before-first-apply": FIRST, "gitops": None}
    with pytest.raises(ApplyConflict, match=r'conflict with "before-first-apply" using test/v1: \.data\.a'):
        applied(live, config(data={"a": "2"}), manager="gitops")


def test_what_an_updater_has_taken_over_is_not_removed() -> None:
    live = updated(applied(None, config(data={"a": "1"})), app_with(data={"a": "2"}), manager="editor")
    assert applied(live, config(), time=THIRD)["data"] == {"a": "2"}


def test_an_item_stays_while_somebody_owns_a_field_in_it() -> None:
    live = applied(None, config(spec={"containers": [{"name": "c", "image": "1"}]}), manager="one")
    live = applied(live, config(spec={"containers": [{"name": "c", "args": ["x"]}]}), manager="two")
    left = applied(live, config(), manager="one", time=SECOND)
    assert left["spec"]["containers"] == [{"name": "c", "args": ["x"]}]


def test_entries_of_versions_that_are_gone_are_dropped() -> None:
    live = applied(None, config(data={"a": "1"}), manager="old")
    live["metadata"]["managedFields"][0]["apiVersion"] = "gone/v1"
    result = applied(live, config(data={"a": "2"}), convert=lambda obj, version: (APP, obj) if version == "test/v1" else None)
    assert owners(result) == {"m": {"f:data": {"f:a": {}}}}


def test_a_field_given_up_in_another_version_is_removed_there() -> None:
    def convert(obj: Object, version: str) -> tuple[StructType, Object] | None:
        renamed = {("test/v1", "test/v0"): {"b": "a"}, ("test/v0", "test/v1"): {"a": "b"}}
        names = renamed.get((obj["apiVersion"], version), {})
        data = {names.get(key, key): value for key, value in obj.get("data", {}).items()}
        return APP, {**obj, "apiVersion": version, "data": data}

    live = app_with(data={"b": "1", "c": "1"})
    live["metadata"]["managedFields"] = [
        {
            "manager": "m",
            "operation": "Apply",
            "apiVersion": "test/v0",
            "time": FIRST,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}}},
        }
    ]
    assert applied(live, config(data={"c": "2"}), convert=convert)["data"] == {"c": "2"}


# --- lists ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        pytest.param("ab", "c", "abc", id="new items come behind"),
        pytest.param("ab", "ba", "ba", id="the applier's order counts"),
        pytest.param("abc", "ca", "bca", id="others keep their place as well as they can"),
        pytest.param("abc", "xb", "axbc", id="a new item comes before the known one that follows it"),
        pytest.param("", "ab", "ab", id="a new list"),
        pytest.param("ab", "", "ab", id="an empty list takes nothing away"),
    ],
)
def test_the_order_of_merged_items(live: str, wanted: str, expected: str) -> None:
    def items(keys: str) -> dict[str, Any]:
        return {"containers": [{"name": key} for key in keys]}

    base = applied(None, config(spec=items(live)), manager="one")
    result = applied(base, config(spec=items(wanted)), manager="two")
    assert "".join(each["name"] for each in result["spec"]["containers"] or []) == expected


def test_sets_merge() -> None:
    one = applied(None, config(metadata={"name": "web", "finalizers": ["x/a", "x/b"]}), manager="one")
    two = applied(one, config(metadata={"name": "web", "finalizers": ["x/b", "x/c"]}), manager="two")
    assert two["metadata"]["finalizers"] == ["x/a", "x/b", "x/c"]
    assert applied(two, config(), manager="one")["metadata"]["finalizers"] == ["x/b", "x/c"]


def test_an_item_that_the_live_list_has_twice_is_replaced() -> None:
    live = app_with(spec={"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]})
    live["metadata"]["managedFields"] = managed_after_update(APP, None, live, manager="old", api_version="test/v1", time=FIRST)
    result = applied(live, config(spec={"containers": [{"name": "c", "env": [{"name": "A", "value": "3"}]}]}), force=True)
    assert result["spec"]["containers"] == [{"name": "c", "env": [{"name": "A", "value": "3"}]}]


# --- after client-side apply ------------------------------------------------------------------------------------------------------


def client_side(data: dict[str, str], last: Any) -> Object:
    text = last if isinstance(last, str) else json.dumps(last)
    live = app_with(data=data, metadata={"name": "web", "annotations": {LAST_APPLIED: text}})
    live["metadata"]["managedFields"] = managed_after_update(
        APP, None, live, manager="kubectl-client-side-apply", api_version="test/v1", time=FIRST
    )
    return live


def test_kubectl_takes_over_what_client_side_apply_has_set() -> None:
    live = client_side({"a": "1", "b": "1"}, config(data={"a": "1", "b": "1"}))
    result = applied(live, config(data={"a": "2"}), manager="kubectl", time=SECOND)
    assert result["data"] == {"a": "2", "b": "1"}
    assert owners(result)["kubectl"] == {"f:data": {"f:a": {}}}
    assert owners(result)["kubectl-client-side-apply"]["f:data"] == {".": {}, "f:b": {}}
    assert (
        result["metadata"]["annotations"][LAST_APPLIED] == json.dumps(config(data={"a": "2"}), sort_keys=True, separators=(",", ":")) + "\n"
    )


def test_other_managers_do_not() -> None:
    with pytest.raises(ApplyConflict):
        applied(client_side({"a": "1"}, config(data={"a": "1"})), config(data={"a": "2"}), manager="gitops")


def test_only_conflicts_over_other_fields_are_told() -> None:
    live = client_side({"a": "1", "b": "1"}, config(data={"a": "1"}))
    with pytest.raises(ApplyConflict) as caught:
        applied(live, config(data={"a": "2", "b": "2"}), manager="kubectl")
    assert [each.path for each in caught.value.conflicts] == [".data.b"]


@pytest.mark.parametrize(
    "last",
    [
        pytest.param("not json", id="not JSON"),
        pytest.param([1], id="not an object"),
        pytest.param(config(data={"a": "other"}), id="another value than the live object has"),
        pytest.param({**config(data={"a": "1"}), "apiVersion": "test/v0"}, id="another version"),
        pytest.param({**config(data={"a": "1"}), "extra": 1}, id="not of this type"),
    ],
)
def test_a_last_configuration_that_does_not_hold_gives_nothing_away(last: Any) -> None:
    with pytest.raises(ApplyConflict):
        applied(client_side({"a": "1"}, last), config(data={"a": "2"}), manager="kubectl")
