"""Applying to the test type, and what is to be read off the result. Nothing here is a test."""

from __future__ import annotations

from typing import Any

from kube.objects import Object
from kube.patch.apply import apply
from kube.patch.fieldset import FieldSet
from kube.patch.managed import managed_after_update, with_old_times
from kube.schema.types import StructType
from tests.unit.patch_types import APP

FIRST, SECOND, THIRD = (f"2026-01-01T00:00:0{index}Z" for index in range(3))
HEAD = {"apiVersion": "test/v1", "kind": "App"}


def config(**members: Any) -> Object:
    return {**HEAD, "metadata": {"name": "web"}, **members}


def canonical(obj: Object) -> Object:
    """What decoding makes of a result: no nulls, no empty maps and lists (but those that Go always writes), a uid."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(each) for key, each in value.items() if each is not None and each != {} and each != []}
        return [clean(each) for each in value] if isinstance(value, list) else value

    entries = obj["metadata"].get("managedFields")
    out: Object = clean({**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}})
    out["metadata"]["uid"] = "u1"
    if entries:
        out["metadata"]["managedFields"] = entries
    out["spec"] = {"strategy": {}, "containers": None, **out.get("spec", {})}
    out.setdefault("status", {})
    return out


def applied(live: Object | None, wanted: Object, *, manager: str = "m", time: str = FIRST, of: StructType = APP, **how: Any) -> Object:
    how.setdefault("reset_fields", {"f:status": {}})
    result = canonical(apply(of, live, wanted, manager=manager, api_version="test/v1", time=time, **how))
    return result if live is None else with_old_times(live, result)


def updated(live: Object, new: Object, *, manager: str, time: str = SECOND) -> Object:
    bare = {**new, "metadata": {key: value for key, value in new["metadata"].items() if key != "managedFields"}}
    entries = managed_after_update(APP, live, bare, manager=manager, api_version="test/v1", time=time)
    return {**bare, "metadata": {**bare["metadata"], "managedFields": entries}}


def owners(obj: Object) -> dict[str, FieldSet]:
    return {each["manager"]: each["fieldsV1"] for each in obj["metadata"].get("managedFields", [])}


def times(obj: Object) -> dict[str, str | None]:
    return {each["manager"]: each.get("time") for each in obj["metadata"].get("managedFields", [])}
