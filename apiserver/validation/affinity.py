"""Where a pod may run: node selectors, affinities, tolerations, topology spread, scheduling gates.

Source: kubernetes `pkg/apis/core/validation/validation.go`. `allow_bad_values`: the stored object has such label values already.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver.validation.metadata import complaints, validate_label_name, validate_label_selector
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_qualified_name, is_valid_label_value
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NOT_AN_OPERATOR = "not a valid selector operator"
_IN_BOTH = "exists in both matchLabelKeys and labelSelector"


# --- nodes ------------------------------------------------------------------------------------------------------------


def validate_node_selector_requirement(requirement: Object, path: str, *, allow_bad_values: bool) -> list[FieldError]:
    """One of a node selector term's matchExpressions."""
    operator, values, key = requirement.get("operator") or "", requirement.get("values") or [], requirement.get("key") or ""
    errors: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            errors.append(not_allowed(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            errors.append(required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        errors.append(invalid(f"{path}.operator", operator, _NOT_AN_OPERATOR))
    errors += validate_label_name(key, f"{path}.key")
    if not allow_bad_values:
        for index, value in enumerate(values):
            errors += complaints(f"{path}.values[{index}]", value, is_valid_label_value(value))
    return errors


def _node_field_requirement(requirement: Object, path: str) -> list[FieldError]:
    operator, values, key = requirement.get("operator") or "", requirement.get("values") or [], requirement.get("key") or ""
    errors: list[FieldError] = []
    if operator not in ("In", "NotIn"):
        errors.append(invalid(f"{path}.operator", operator, _NOT_AN_OPERATOR))
    elif len(values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(f"{path}.values", why))
    if key != "metadata.name":
        return [*errors, invalid(f"{path}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        errors += complaints(f"{path}.values[{index}]", value, is_dns1123_subdomain(value))
    return errors


def _node_term(term: Object, path: str, *, allow_bad_values: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, each in enumerate(term.get("matchExpressions") or ()):
        errors += validate_node_selector_requirement(each, f"{path}.matchExpressions[{index}]", allow_bad_values=allow_bad_values)
    for index, each in enumerate(term.get("matchFields") or ()):
        errors += _node_field_requirement(each, f"{path}.matchFields[{index}]")
    return errors


def validate_node_selector(selector: Object, path: str, *, allow_bad_values: bool = False) -> list[FieldError]:
    """A NodeSelector: at least one term."""
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        return [required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    errors: list[FieldError] = []
    for index, term in enumerate(terms):
        errors += _node_term(term, f"{path}.nodeSelectorTerms[{index}]", allow_bad_values=allow_bad_values)
    return errors


def has_bad_values(selector: Object) -> bool:
    """Whether a stored NodeSelector has values that no label can have: its updates may keep them then."""
    return any(
        is_valid_label_value(value)
        for term in selector.get("nodeSelectorTerms") or ()
        for expression in term.get("matchExpressions") or ()
        for value in expression.get("values") or ()
    )


def _weight(term: Object, path: str) -> list[FieldError]:
    weight = term.get("weight") or 0
    return [] if 0 < weight <= 100 else [invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _node_affinity(affinity: Object, path: str, *, allow_bad_values: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if affinity.get(_REQUIRED) is not None:
        errors += validate_node_selector(affinity[_REQUIRED], f"{path}.{_REQUIRED}", allow_bad_values=allow_bad_values)
    for index, term in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{index}]"
        errors += _weight(term, at) + _node_term(term.get("preference") or {}, f"{at}.preference", allow_bad_values=True)
    return errors


# --- pods -------------------------------------------------------------------------------------------------------------


def _label_keys(keys: Iterable[str], selector: Object | None, path: str) -> list[FieldError]:
    keys = list(keys)
    if not keys:
        return []
    if selector is None:
        return [not_allowed(path, "must not be specified when labelSelector is not set")]
    errors: list[FieldError] = []
    for index, key in enumerate(keys):
        errors += validate_label_name(key, f"{path}[{index}]")
    return errors


def _merged_keys(term: Object, path: str) -> list[FieldError]:
    """matchLabelKeys and mismatchLabelKeys, which the server merged into the selector when the pod was created."""
    match, mismatch, selector = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or [], term.get("labelSelector")
    if not match and not mismatch:
        return []
    errors = _label_keys(match, selector, f"{path}.matchLabelKeys") + _label_keys(mismatch, selector, f"{path}.mismatchLabelKeys")
    if selector is not None:
        seen = set(selector.get("matchLabels") or ())
        for expression in selector.get("matchExpressions") or ():
            key = expression.get("key") or ""
            if key in match and key in seen:
                errors.append(invalid(f"{path}[{match.index(key)}]", key, _IN_BOTH))
            seen.add(key)
    both = "exists in both matchLabelKeys and mismatchLabelKeys"
    return errors + [invalid(f"{path}.matchLabelKeys[{index}]", key, both) for index, key in enumerate(match) if key in mismatch]


def _pod_term(term: Object, path: str, *, allow_bad_values: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("labelSelector", "namespaceSelector"):
        errors += validate_label_selector(term.get(name), f"{path}.{name}", allow_bad_values=allow_bad_values)
    for namespace in term.get("namespaces") or ():
        errors += complaints(f"{path}.namespace", namespace, is_dns1123_label(namespace))
    errors += _merged_keys(term, path)
    key = term.get("topologyKey") or ""
    if not key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    return errors + validate_label_name(key, f"{path}.topologyKey")


def _pod_affinity(affinity: Object, path: str, *, allow_bad_values: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, term in enumerate(affinity.get(_REQUIRED) or ()):
        errors += _pod_term(term, f"{path}.{_REQUIRED}[{index}]", allow_bad_values=allow_bad_values)
    for index, term in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{index}]"
        errors += _weight(term, at)
        errors += _pod_term(term.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm", allow_bad_values=allow_bad_values)
    return errors


def validate_affinity(affinity: Object, path: str, *, allow_bad_values: bool = False) -> list[FieldError]:
    """spec.affinity of a pod."""
    errors: list[FieldError] = []
    if affinity.get("nodeAffinity") is not None:
        errors += _node_affinity(affinity["nodeAffinity"], f"{path}.nodeAffinity", allow_bad_values=allow_bad_values)
    for name in ("podAffinity", "podAntiAffinity"):
        if affinity.get(name) is not None:
            errors += _pod_affinity(affinity[name], f"{path}.{name}", allow_bad_values=allow_bad_values)
    return errors


# --- spread -----------------------------------------------------------------------------------------------------------


def validate_spread(constraints: list[Object], path: str) -> list[FieldError]:
    """spec.topologySpreadConstraints of a pod."""
    errors: list[FieldError] = []
    for index, constraint in enumerate(constraints):
        at = f"{path}[{index}]"
        errors += _spread(constraint, at)
        errors += _repeated(constraint, constraints[index + 1 :], at)
        errors += _spread_options(constraint, at)
    return errors


def _spread(constraint: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    skew, action = constraint.get("maxSkew") or 0, constraint.get("whenUnsatisfiable") or ""
    if skew <= 0:
        errors.append(invalid(f"{path}.maxSkew", skew, "must be greater than zero"))
    if not constraint.get("topologyKey"):
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    if action not in ("DoNotSchedule", "ScheduleAnyway"):
        errors.append(not_supported(f"{path}.whenUnsatisfiable", action, ["DoNotSchedule", "ScheduleAnyway"]))
    return errors


def _repeated(constraint: Object, rest: list[Object], path: str) -> list[FieldError]:
    pair = (constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or "")
    if any((each.get("topologyKey") or "", each.get("whenUnsatisfiable") or "") == pair for each in rest):
        return [duplicate(f"{path}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")]
    return []


def _spread_options(constraint: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    domains, action = constraint.get("minDomains"), constraint.get("whenUnsatisfiable") or ""
    if domains is not None and domains <= 0:
        errors.append(invalid(f"{path}.minDomains", domains, "must be greater than zero"))
    if domains is not None and action != "DoNotSchedule":
        why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        errors.append(invalid(f"{path}.minDomains", domains, why))
    for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        policy = constraint.get(name)
        if policy is not None and policy not in ("Honor", "Ignore"):
            errors.append(not_supported(f"{path}.{name}", policy, ["Honor", "Ignore"]))
    errors += _merged_keys({**constraint, "mismatchLabelKeys": None}, path)
    return errors + validate_label_selector(constraint.get("labelSelector"), f"{path}.labelSelector")


# --- tolerations, gates -----------------------------------------------------------------------------------------------


def validate_tolerations(tolerations: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, toleration in enumerate(tolerations):
        errors += _toleration(toleration, f"{path}[{index}]")
    return errors


def _toleration(toleration: Object, path: str) -> list[FieldError]:
    key, operator, effect = toleration.get("key") or "", toleration.get("operator") or "", toleration.get("effect") or ""
    errors = validate_label_name(key, f"{path}.key") if key else []
    if not key and operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        errors.append(invalid(f"{path}.operator", operator, why))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        errors.append(invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    errors += _toleration_value(toleration.get("value") or "", operator, f"{path}.operator")
    if effect and effect not in EFFECTS:
        errors.append(not_supported(f"{path}.effect", effect, EFFECTS))
    return errors


def _toleration_value(value: str, operator: str, path: str) -> list[FieldError]:
    if operator in ("Equal", ""):
        found = is_valid_label_value(value)
        return [invalid(path, value, ";".join(found))] if found else []
    if operator == "Exists":
        return [invalid(path, value, "value must be empty when `operator` is 'Exists'")] if value else []
    if operator in ("Lt", "Gt"):  # known, but behind the feature gate TaintTolerationComparisonOperators
        return [not_supported(path, operator, ["Equal", "Exists", "Lt", "Gt"])]
    return [not_supported(path, operator, ["Equal", "Exists"])]


def validate_gates(gates: list[Object], path: str) -> list[FieldError]:
    """spec.schedulingGates of a pod."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name") or ""
        errors += complaints(f"{path}[{index}]", name, is_qualified_name(name))
        if name in seen:
            errors.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
    return errors
