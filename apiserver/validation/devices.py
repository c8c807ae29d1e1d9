"""What claims, classes and slices of dynamic resource allocation have in common: names, selectors, configuration, tolerations.

Source: kubernetes `pkg/apis/resource/validation/validation.go`. Not here: whether CEL expressions compile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from apiserver.validation.metadata import complaints, validate_label_name
from apiserver.validation.names import (
    byte_length,
    is_c_identifier,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_qualified_name,
    is_valid_label_value,
)
from kube.errors import FieldError, duplicate, invalid, not_supported, required, too_long, too_many
from kube.objects import Object

DRIVER_MAX, DOMAIN_MAX, IDENTIFIER_MAX, STRING_MAX = 63, 63, 32, 64
SELECTORS_MAX = CONFIG_MAX = 32
POOL_MAX = 253
EFFECTS = ("NoSchedule", "NoExecute", "None")
_VALUES = ("bool", "int", "string", "version")
_semver_re = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?", re.ASCII
)


def bounded(items: Sequence[Any], limit: int, check: Callable[[Any, str], list[FieldError]], path: str) -> list[FieldError]:
    """Each item, and not too many of them."""
    errors = [too_many(path, len(items), limit)] if len(items) > limit else []
    return errors + [error for index, each in enumerate(items) for error in check(each, f"{path}[{index}]")]


def repeated(names: Iterable[str], path: str, field: str = "") -> list[FieldError]:
    """Names that were there before."""
    seen: set[str] = set()
    errors: list[FieldError] = []
    for index, name in enumerate(names):
        if name and name in seen:
            errors.append(duplicate(f"{path}[{index}]{field}", name))
        seen.add(name)
    return errors


def driver_name(name: str, path: str) -> list[FieldError]:
    if not name:
        return [required(path)]
    errors = [too_long(path, DRIVER_MAX)] if byte_length(name) > DRIVER_MAX else []
    return errors + complaints(path, name, is_dns1123_subdomain(name))


def pool_name(name: str, path: str) -> list[FieldError]:
    """Subdomains joined by slashes."""
    if not name:
        return [required(path)]
    if byte_length(name) > POOL_MAX:
        return [too_long(path, POOL_MAX)]
    return [error for part in name.split("/") for error in complaints(path, part, is_dns1123_subdomain(part))]


def label_name(name: str, path: str) -> list[FieldError]:
    return complaints(path, name, is_dns1123_label(name)) if name else [required(path)]


def subdomain_name(name: str, path: str) -> list[FieldError]:
    return complaints(path, name, is_dns1123_subdomain(name)) if name else [required(path)]


def attribute_name(name: str, path: str, *, needs_domain: bool = False) -> list[FieldError]:
    """`domain/identifier`, or below a driver just `identifier`."""
    if not name:
        return [required(path, "name required")]
    domain, slash, identifier = name.rpartition("/")
    if not slash and needs_domain:
        return [invalid(path, name, "must include a domain")]
    errors: list[FieldError] = []
    if slash:
        errors += [required(path, "the domain must not be empty")] if not domain else complaints(path, domain, is_dns1123_subdomain(domain))
        errors += [too_long(path, DOMAIN_MAX)] if byte_length(domain) > DOMAIN_MAX else []
    if not identifier:
        return [*errors, required(path, "the name must not be empty")]
    errors += [too_long(path, IDENTIFIER_MAX)] if byte_length(identifier) > IDENTIFIER_MAX else []
    return errors + complaints(path, identifier, is_c_identifier(identifier))


def attribute_value(value: Object, path: str) -> list[FieldError]:
    given = [name for name in _VALUES if value.get(name) is not None]
    if len(given) != 1:
        why = "exactly one value must be specified"
        return [required(path, why)] if not given else [invalid(path, value, why)]
    text, version = value.get("string"), value.get("version")
    if text is not None and byte_length(text) > STRING_MAX:
        return [too_long(f"{path}.string", STRING_MAX)]
    if version is not None and not _semver_re.fullmatch(version):
        return [invalid(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0")]
    return [too_long(f"{path}.version", STRING_MAX)] if version is not None and byte_length(version) > STRING_MAX else []


def selector(given: Object, path: str) -> list[FieldError]:
    cel = given.get("cel")
    if cel is None:
        return [required(f"{path}.cel")]
    return [] if cel.get("expression") else [required(f"{path}.cel.expression")]


def opaque_config(config: Object, path: str) -> list[FieldError]:
    """A driver's own parameters: a JSON object."""
    opaque, at = config.get("opaque"), f"{path}.opaque"
    if opaque is None:
        return [required(at)]
    parameters = opaque.get("parameters")
    errors = driver_name(opaque.get("driver") or "", f"{at}.driver")
    if parameters is None:
        return [*errors, required(f"{at}.parameters")]
    return (
        errors if isinstance(parameters, dict) else [*errors, invalid(f"{at}.parameters", "<value omitted>", "must be a valid JSON object")]
    )


def toleration(given: Object, path: str) -> list[FieldError]:
    key, operator, effect, value = (given.get(each) or "" for each in ("key", "operator", "effect", "value"))
    errors = validate_label_name(key, f"{path}.key") if key else []
    if operator == "Exists":
        if value:
            errors.append(invalid(f"{path}.value", value, "must be empty for operator `Exists`"))
    elif operator == "Equal":
        if not key:
            errors.append(required(f"{path}.key"))
        errors += complaints(f"{path}.value", value, is_valid_label_value(value))
    else:
        errors.append(not_supported(f"{path}.operator", operator, ("Equal", "Exists")) if operator else required(f"{path}.operator"))
    return errors + ([not_supported(f"{path}.effect", effect, EFFECTS)] if effect and effect not in EFFECTS else [])


def taint(given: Object, path: str) -> list[FieldError]:
    key, value, effect = (given.get(each) or "" for each in ("key", "value", "effect"))
    errors = complaints(f"{path}.key", key, is_qualified_name(key))
    errors += complaints(f"{path}.value", value, is_valid_label_value(value)) if value else []
    if not effect:
        return [*errors, required(f"{path}.effect")]
    return errors if effect in EFFECTS else [*errors, not_supported(f"{path}.effect", effect, EFFECTS)]
