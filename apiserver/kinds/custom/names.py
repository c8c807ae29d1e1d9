"""Which of its names a definition gets, and what its status says of it: pure.

A name that another definition of the group has got already is refused; the others are accepted. Once all were accepted, the definition is
established and stays so, unless its webhook's authority cannot be read. Source: apiextensions-apiserver
`pkg/controller/status/naming_controller.go`, `establish`, `apiapproval`, `nonstructuralschema`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from apiserver.validation.custom.approval import APPROVED, approval_of, is_protected
from apiserver.validation.custom.ca_bundle import ca_bundle_problem
from kube.objects import Object, annotations_of, condition_of, is_condition_true, is_deleting, with_condition

_RESOURCE_NAMES: Final = (("plural", "PluralConflict"), ("singular", "SingularConflict"))
_KIND_NAMES: Final = (("kind", "KindConflict"), ("listKind", "ListKindConflict"))


def is_served(definition: Object) -> bool:
    """Whether requests for its resources are answered."""
    return is_condition_true(definition, "NamesAccepted") or is_condition_true(definition, "Established")


def settled_status(definition: Object, taken: Callable[[], Iterable[Object]], now: str) -> Object:
    """The status as it should be. `taken` tells the names that other definitions of the group have got (their `acceptedNames`); it is asked
    only where names are to be given. Equal to the present one when all is settled."""
    status = dict(definition.get("status") or {})
    wanted = (definition.get("spec") or {}).get("names") or {}
    conditions = list(status.get("conditions") or [])
    if wanted != status.get("acceptedNames"):
        status["acceptedNames"], accepted = _named(definition, taken())
        conditions = _set(conditions, accepted, now)
        if condition_of({"status": {"conditions": conditions}}, "Established") is None:
            conditions = _set(conditions, _condition("Established", "False", "NotAccepted", "not all names are accepted"), now)
    for kind, found in (
        ("NonStructuralSchema", _non_structural(definition)),
        ("KubernetesAPIApprovalPolicyConformant", _approval(definition)),
    ):
        conditions = _set(conditions, found, now) if found else [each for each in conditions if each.get("type") != kind]
    here = {"status": {"conditions": conditions}}
    if is_condition_true(here, "NamesAccepted") and not is_condition_true(here, "Established") and not is_deleting(definition):
        conditions = _set(conditions, _established(definition), now)
    if conditions != (status.get("conditions") or []):
        status["conditions"] = conditions
    return status


def _established(definition: Object) -> Object:
    client = (((definition.get("spec") or {}).get("conversion") or {}).get("webhook") or {}).get("clientConfig") or {}
    if ca_bundle_problem(client.get("caBundle") or ""):
        return _condition("Established", "False", "InvalidCABundle", "The conversion webhook CABundle is invalid")
    return _condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted")


def terminating(definition: Object, reason: str, message: str, now: str, *, status: str) -> list[Object]:
    """The conditions of a definition that is being removed."""
    return _set(definition["status"].get("conditions"), _condition("Terminating", status, reason, message), now)


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _set(conditions: list[Object] | None, new: Object, now: str) -> list[Object]:
    dated = {"type": new["type"], "status": new["status"], "lastTransitionTime": now, "reason": new["reason"], "message": new["message"]}
    return with_condition(conditions, dated)


# --- names ------------------------------------------------------------------------------------------------------------


def _named(definition: Object, others: Iterable[Object]) -> tuple[Object, Object]:
    """(accepted names, NamesAccepted)."""
    wanted = definition["spec"].get("names") or {}
    mine: dict[str, Any] = (definition.get("status") or {}).get("acceptedNames") or {}
    taken = [mine, *others]
    resources = _claimed(taken, "plural", "singular") | {short for each in taken for short in each.get("shortNames") or ()}
    kinds = _claimed(taken, "kind", "listKind")
    accepted = {"plural": "", "kind": "", **mine}
    conflict = ("", "")
    for field, reason in _RESOURCE_NAMES:
        conflict = _claim(accepted, wanted, field, reason, resources) or conflict
    refused = [each for each in wanted.get("shortNames") or () if each not in (mine.get("shortNames") or ()) and each in resources]
    if refused:
        texts = [_in_use(each) for each in dict.fromkeys(refused)]
        conflict = ("ShortNamesConflict", texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    else:
        _copy(accepted, wanted, "shortNames")
    for field, reason in _KIND_NAMES:
        conflict = _claim(accepted, wanted, field, reason, kinds) or conflict
    _copy(accepted, wanted, "categories")
    if conflict[0]:
        return accepted, _condition("NamesAccepted", "False", *conflict)
    return accepted, _condition("NamesAccepted", "True", "NoConflicts", "no conflicts found")


def _claimed(taken: Iterable[Object], *fields: str) -> set[str]:
    return {each[field] for each in taken for field in fields if each.get(field)}


def _claim(accepted: Object, wanted: Object, field: str, reason: str, used: set[str]) -> tuple[str, str] | None:
    name = wanted.get(field) or ""
    if name != accepted.get(field, "") and name in used:
        return reason, _in_use(name)
    _copy(accepted, wanted, field)
    return None


def _copy(accepted: Object, wanted: Object, field: str) -> None:
    if wanted.get(field):
        accepted[field] = wanted[field]
    else:
        accepted.pop(field, None)


def _in_use(name: str) -> str:
    return f"{json.dumps(name)} is already in use"


# --- what else is said ------------------------------------------------------------------------------------------------


def _non_structural(definition: Object) -> Object | None:
    """Schemas are structural or refused, so there is only one way left not to be."""
    if not (definition.get("spec") or {}).get("preserveUnknownFields"):
        return None
    message = "spec.preserveUnknownFields: Invalid value: true: must be false"
    return _condition("NonStructuralSchema", "True", "Violations", message)


def _approval(definition: Object) -> Object | None:
    """Groups of the Kubernetes community say whether their API was approved."""
    if not is_protected((definition.get("spec") or {}).get("group") or ""):
        return None
    found = approval_of(annotations_of(definition))
    status = "True" if found.reason == APPROVED else "False"
    return _condition("KubernetesAPIApprovalPolicyConformant", status, found.reason, found.message)
