"""StorageVersionMigrations. Source: kubernetes `pkg/apis/storagemigration/validation/validation.go`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apiserver.validation.metadata import IMMUTABLE, complaints, same, validate_conditions
from apiserver.validation.names import is_dns1035_label, is_dns1123_subdomain
from kube.errors import FieldError, invalid, required
from kube.objects import Object, is_condition_true

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_WELL_FORMED = re.compile(r"[1-9][0-9]*")
_OF_CONDITIONS = ("type", "status", "observedGeneration", "lastTransitionTime", "reason", "message")


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    resource = _resource(new)
    name, group, path = resource["resource"], resource["group"], "spec.resource"
    if name:
        errors = _joined(f"{path}.resource", name, is_dns1035_label(name))
    else:
        errors = [required(f"{path}.resource", "resource is required to be set")]
    if group:
        errors += _joined(f"{path}.group", group, is_dns1123_subdomain(group))
    if old is not None and resource != _resource(old):
        errors.append(invalid("spec", {"Resource": resource}, IMMUTABLE))
    return errors


def _resource(migration: Object) -> dict[str, str]:
    found = (migration.get("spec") or {}).get("resource") or {}
    return {each: found.get(each) or "" for each in ("group", "resource")}


def _joined(path: str, value: str, messages: Sequence[str]) -> list[FieldError]:
    return complaints(path, value, [",".join(messages)] if messages else [])


def validate_status(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """The version of the lists is told once, and what has ended stays so."""
    assert old is not None
    status, before = new.get("status") or {}, old.get("status") or {}
    version, path = status.get("resourceVersion") or "", "status.resourceVersion"
    errors = [] if not version or _WELL_FORMED.fullmatch(version) else [_ill_formed(path, version)]
    errors += validate_conditions(status.get("conditions"), "status.conditions")
    if before.get("resourceVersion") and not same(version, before["resourceVersion"]):
        errors.append(invalid(path, version, IMMUTABLE))
    return errors + [invalid("status.conditions", _shown(status, ctx), why) for why in _contradictions(new, old)]


def _ill_formed(path: str, version: str) -> FieldError:
    return invalid(path, version, f"resource version is not well formed: {version}")


def _contradictions(new: Object, old: Object) -> list[str]:
    succeeded, failed = (is_condition_true(new, each) for each in ("Succeeded", "Failed"))
    found = ["Both success and failed conditions cannot be true at the same time"] if succeeded and failed else []
    if is_condition_true(old, "Succeeded") and not succeeded:
        found.append("Success condition cannot be set to false once it is true")
    if is_condition_true(old, "Failed") and not failed:
        found.append("Failed condition cannot be set to false once it is true")
    return found


def _shown(status: Object, ctx: Context) -> Any:
    """The conditions as Go prints them."""
    given = status.get("conditions")
    if not given:
        return [] if given is not None or ctx.was_empty("status.conditions") else None
    return [{name: each[name] for name in _OF_CONDITIONS if each.get(name) not in (None, 0)} for each in given]
