"""Resource names and amounts of containers and pods: limits, requests, claims.

Source: kubernetes `pkg/apis/core/validation/validation.go` (validateResourceRequirements) and `pkg/apis/core/helper/helpers.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1123_label, is_qualified_name
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object
from kube.quantity import Quantity, QuantityError, parse

HUGE_PAGES = "hugepages-"
_NATIVE = "kubernetes.io/"
_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_COMPUTE = frozenset({"cpu", "memory"})
_INTEGER = frozenset(
    {
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
_STANDARD = (
    _CONTAINER
    | _INTEGER
    | frozenset(
        {
            "requests.cpu",
            "requests.memory",
            "requests.ephemeral-storage",
            "limits.cpu",
            "limits.memory",
            "limits.ephemeral-storage",
            "storage",
            "requests.storage",
        }
    )
)
_QUOTA_PREFIX = "requests."


def is_native(name: str) -> bool:
    """Kubernetes' own names: without a prefix, or below kubernetes.io."""
    return "/" not in name or _NATIVE in name


def is_huge_page(name: str) -> bool:
    return name.startswith(HUGE_PAGES)


def is_overcommit_allowed(name: str) -> bool:
    """Whether a request may be lower than its limit."""
    return is_native(name) and not is_huge_page(name)


def is_extended(name: str) -> bool:
    """Resources of device plugins: `vendor.example/thing`."""
    if is_native(name) or name.startswith(_QUOTA_PREFIX):
        return False
    return not is_qualified_name(_QUOTA_PREFIX + name)


def is_integer(name: str) -> bool:
    """Resources that only come whole."""
    return name in _INTEGER or is_extended(name)


NameRule = Callable[[str], tuple[str, ...]]
"""The complaints about a resource's name."""


@lru_cache(maxsize=4096)
def resource_name(name: str) -> tuple[str, ...]:
    """A qualified name; without a prefix, one of the standard resources."""
    found = is_qualified_name(name)
    if found:
        return tuple(found)
    if "/" not in name and not (name in _STANDARD or is_huge_page(name) or name.startswith(("requests." + HUGE_PAGES,))):
        return ("must be a standard resource type or fully qualified",)
    return ()


@lru_cache(maxsize=4096)
def container_resource_name(name: str) -> tuple[str, ...]:
    found = resource_name(name)
    if "/" not in name:
        if not (name in _CONTAINER or is_huge_page(name)):
            return (*found, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        return (*found, "doesn't follow extended resource name standard")
    return found


def quantity_value(name: str, amount: Quantity, path: str) -> list[FieldError]:
    """Not negative; whole, where the resource only comes whole."""
    errors = [invalid(path, str(amount), "must be greater than or equal to 0")] if amount.nano < 0 else []
    if is_integer(name) and amount.milli_value() % 1000:
        errors.append(invalid(path, str(amount), "must be an integer"))
    return errors


def _huge_page_size(name: str) -> int:
    """Bytes of one page; 0 when the name does not say."""
    try:
        return parse(name.removeprefix(HUGE_PAGES)).value()
    except QuantityError:
        return 0


def _huge_page_value(name: str, amount: Quantity, path: str) -> list[FieldError]:
    size = _huge_page_size(name)
    if size > 0 and amount.value() % size == 0:
        return []
    return [invalid(path, str(amount), f"{amount} is not positive integer multiple of {name}")]


def _names(name: str, path: str, rule: NameRule) -> list[FieldError]:
    return complaints(path, name, rule(name))


def is_pod_level(name: str) -> bool:
    """Whether pods may have requests and limits of it for all of their containers."""
    return name in _COMPUTE or is_huge_page(name)


def _pod_names(name: str, path: str, _rule: NameRule) -> list[FieldError]:
    found = resource_name(name)
    if found:
        return complaints(path, name, found)
    return [] if is_pod_level(name) else [not_supported(path, name, ["cpu", "hugepages-", "memory"])]


def _limits(limits: Mapping[str, str], path: str, names: Callable[..., list[FieldError]]) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, text in limits.items():
        at, amount = f"{path}.limits[{name}]", parse(text)
        errors += names(name, at, container_resource_name)
        errors += quantity_value(name, amount, at)
        if is_huge_page(name):
            errors += _huge_page_value(name, amount, at)
    return errors


def _requests(
    requests: Mapping[str, str], limits: Mapping[str, str], path: str, names: Callable[..., list[FieldError]]
) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, text in requests.items():
        at, amount = f"{path}.requests[{name}]", parse(text)
        errors += names(name, at, container_resource_name)
        errors += quantity_value(name, amount, at)
        errors += _against_limit(name, amount, limits.get(name), path)
        if is_huge_page(name):
            errors += _huge_page_value(name, amount, at)
    return errors


def _against_limit(name: str, amount: Quantity, limit_text: str | None, path: str) -> list[FieldError]:
    if limit_text is None:
        if is_overcommit_allowed(name):
            return []
        return [required(f"{path}.limits", "Limit must be set for non overcommitable resources")]
    limit = parse(limit_text)
    if amount != limit and not is_overcommit_allowed(name):
        return [invalid(f"{path}.requests", str(amount), f"must be equal to {name} limit of {limit}")]
    if amount > limit:
        return [invalid(f"{path}.requests", str(amount), f"must be less than or equal to {name} limit of {limit}")]
    return []


def validate_requirements(
    requirements: Object, path: str, claim_names: Collection[str] = (), *, pod_level: bool = False
) -> list[FieldError]:
    """A container's ResourceRequirements (or with `pod_level`, a pod's). `claim_names`: what the pod's resourceClaims are called."""
    limits, requests = requirements.get("limits") or {}, requirements.get("requests") or {}
    names = _pod_names if pod_level else _names
    errors = _limits(limits, path, names) + _requests(requests, limits, path, names)
    asked = limits.keys() | requests.keys()
    if any(map(is_huge_page, asked)) and not asked & _COMPUTE:
        errors.append(not_allowed(path, "HugePages require cpu or memory"))
    if requirements.get("claims"):
        errors += _claims(requirements["claims"], f"{path}.claims", claim_names)
    return errors


def _claims(claims: list[Any], path: str, claim_names: Collection[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        at, name, request = f"{path}[{index}]", claim.get("name") or "", claim.get("request") or ""
        if not name:
            errors.append(required(at))
            continue
        if name in seen:
            errors.append(duplicate(at, name))
        else:
            errors += _claim(at, name, request, seen)
        if name not in claim_names:
            known = f": {', '.join(sorted(claim_names))}" if claim_names else " which is empty"
            text = f'Not found: "{name}": must be one of the names in pod.spec.resourceClaims{known}'
            errors.append(FieldError("FieldValueNotFound", at, text))
    return errors


def _claim(at: str, name: str, request: str, seen: set[str]) -> list[FieldError]:
    errors = complaints(f"{at}.request", request, is_dns1123_label(request)) if request else []
    key = f"{name}/{request}" if request else name
    if key in seen:
        errors.append(duplicate(at, key))
    elif not request:
        errors += [duplicate(at, name) for each in seen if each.partition("/")[0] == name and "/" in each]
    seen.add(key)
    return errors
