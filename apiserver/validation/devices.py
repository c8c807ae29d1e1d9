"""What claims, classes and slices of dynamic resource allocation have in common: names, selectors, configuration, tolerations.

Source: kubernetes `pkg/apis/resource/validation/validation.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import orjson

from apiserver.validation.expressions import device_error
from apiserver.validation.metadata import complaints, validate_label_name
from apiserver.validation.names import byte_length, is_c_identifier, is_dns1123_label, is_dns1123_subdomain, is_valid_label_value
from apiserver.validation.volume_sources import csi_driver_name
from kube.errors import FieldError, duplicate, invalid, not_supported, required, too_long, too_many
from kube.objects import Object

IDENTIFIER_MAX, STRING_MAX, POOL_MAX = 32, 64, 253
KEY_MAX = 63 + 1 + IDENTIFIER_MAX
SELECTORS_MAX = CONFIG_MAX = REQUESTS_MAX = 32
BINDING_CONDITIONS_MAX = 4
EXPRESSION_BYTES_MAX = PARAMETERS_BYTES_MAX = 10 * 1024
EFFECTS = ("NoExecute", "NoSchedule", "None")
_VALUES = ("bool", "int", "string", "version")
_OMITTED = "<value omitted>"
_semver_re = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)

Errors = list[FieldError]
Check = Callable[[Any, str], Errors]

driver_name = csi_driver_name


# --- lists and maps ---------------------------------------------------------------------------------------------------


def bounded(items: Sequence[Any], limit: int | None, check: Check, path: str) -> Errors:
    """Each item; or that there are too many, and nothing else."""
    if limit is not None and len(items) > limit:
        return [too_many(path, len(items), limit)]
    return [error for index, each in enumerate(items) for error in check(each, f"{path}[{index}]")]


def unique(items: Sequence[Any], limit: int | None, check: Check, path: str, key: Callable[[Any], Hashable] = str) -> Errors:
    """`bounded`, and no two items of one `key`, which is what the messages show."""
    if limit is not None and len(items) > limit:
        return [too_many(path, len(items), limit)]
    return bounded(items, limit, check, path) + repeated(map(key, items), path)


def repeated(keys: Iterable[Hashable], path: str) -> Errors:
    """Keys that were there before."""
    seen: set[Hashable] = set()
    errors: Errors = []
    for index, key in enumerate(keys):
        if key in seen:
            errors.append(duplicate(f"{path}[{index}]", key if isinstance(key, str) else {}))
        seen.add(key)
    return errors


def named(item: Object) -> str:
    """The key of most lists."""
    return item.get("name") or ""


def mapped(items: dict[str, Any], limit: int | None, key_length: int, check_key: Check, check: Check, path: str) -> Errors:
    """Each key and each value of a map; paths show no more than `key_length` of a key."""
    if limit is not None and len(items) > limit:
        return [too_many(path, len(items), limit)]
    errors: Errors = []
    for key, value in sorted(items.items()):
        at = f"{path}[{_shortened(key, key_length)}]"
        errors += check_key(key, at) + check(value, at)
    return errors


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    rest = limit - 3
    return f"{text[: (rest + 1) // 2]}...{text[len(text) - rest // 2 :]}"


# --- names ------------------------------------------------------------------------------------------------------------


def pool_name(name: str, path: str) -> Errors:
    """Subdomains joined by slashes."""
    if not name:
        return [required(path)]
    errors = [too_long(path, POOL_MAX)] if byte_length(name) > POOL_MAX else []
    return errors + [error for part in name.split("/") for error in complaints(path, part, is_dns1123_subdomain(part))]


def label_name(name: str, path: str) -> Errors:
    return complaints(path, name, is_dns1123_label(name))


def required_label(name: str, path: str) -> Errors:
    return label_name(name, path) if name else [required(path)]


def attribute_name(name: str, path: str) -> Errors:
    """`domain/identifier`, or below a driver just `identifier`. More slashes pass unseen, as they do upstream."""
    parts = name.split("/")
    if len(parts) == 1:
        return _identifier(name, path)
    if len(parts) > 2:
        return []
    domain, identifier = parts
    errors = driver_name(domain, path) if domain else [invalid(path, "", "the domain must not be empty")]
    return errors + (_identifier(identifier, path) if identifier else [invalid(path, "", "the name must not be empty")])


def qualified_attribute_name(name: str, path: str) -> Errors:
    """An attribute's name with its domain."""
    errors = attribute_name(name, path)
    if "/" not in name:
        errors.append(invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash"))
    return errors


def _identifier(name: str, path: str) -> Errors:
    errors = [too_long(path, IDENTIFIER_MAX)] if byte_length(name) > IDENTIFIER_MAX else []
    return errors + complaints(path, name, is_c_identifier(name))


# --- values -----------------------------------------------------------------------------------------------------------


def attribute_value(value: Object, path: str) -> Errors:
    """A DeviceAttribute: one value of one type."""
    text, version = value.get("string"), value.get("version")
    errors: Errors = []
    if text is not None and byte_length(text) > STRING_MAX:
        errors.append(too_long(f"{path}.string", STRING_MAX))
    if version is not None:
        if not _semver_re.fullmatch(version):
            errors.append(invalid(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0"))
        if byte_length(version) > STRING_MAX:
            errors.append(too_long(f"{path}.version", STRING_MAX))
    given = [name for name in _VALUES if value.get(name) is not None]
    if len(given) != 1:
        errors.append(invalid(path, value if given else "", "exactly one value must be specified"))
    return errors


def selector(given: Object, path: str) -> Errors:
    cel = given.get("cel")
    if cel is None:
        return [required(f"{path}.cel")]
    at, expression = f"{path}.cel.expression", cel.get("expression") or ""
    if byte_length(expression) > EXPRESSION_BYTES_MAX:
        return [too_long(at, EXPRESSION_BYTES_MAX)]
    wrong = device_error(expression, at)
    return [] if wrong is None else [wrong]


def opaque_config(config: Object, path: str) -> Errors:
    """A driver's own parameters."""
    opaque, at = config.get("opaque"), f"{path}.opaque"
    if opaque is None:
        return [required(at)]
    return driver_name(opaque.get("driver") or "", f"{at}.driver") + json_object(opaque.get("parameters"), f"{at}.parameters")


def json_object(value: Any, path: str) -> Errors:
    """Free-form JSON, which must be an object of some KiB at most. Its size is what it has without white space."""
    if value is None:
        return [required(path)]
    if len(orjson.dumps(value)) > PARAMETERS_BYTES_MAX:
        return [too_long(path, PARAMETERS_BYTES_MAX)]
    return [] if isinstance(value, dict) else [invalid(path, _OMITTED, "must be a valid JSON object")]


def toleration(given: Object, path: str) -> Errors:
    key, operator, effect, value = (given.get(each) or "" for each in ("key", "operator", "effect", "value"))
    errors = validate_label_name(key, f"{path}.key") if key else []
    if operator == "Exists":
        if value:
            errors.append(invalid(f"{path}.value", value, "must be empty for operator `Exists`"))
    elif operator == "Equal":
        errors += complaints(f"{path}.value", value, is_valid_label_value(value))
    else:
        errors.append(not_supported(f"{path}.operator", operator, ("Equal", "Exists")) if operator else required(f"{path}.operator"))
    return errors + ([not_supported(f"{path}.effect", effect, EFFECTS)] if effect and effect not in EFFECTS else [])


def taint(given: Object, path: str) -> Errors:
    key, value, effect = (given.get(each) or "" for each in ("key", "value", "effect"))
    errors = validate_label_name(key, f"{path}.key")
    errors += complaints(f"{path}.value", value, is_valid_label_value(value)) if value else []
    if not effect:
        return [*errors, required(f"{path}.effect")]
    return errors if effect in EFFECTS else [*errors, not_supported(f"{path}.effect", effect, EFFECTS)]


def binding_conditions(device: Object, path: str) -> Errors:
    """What must be true of a device before a pod is bound, and what must not become true: both or neither, and nothing twice."""
    good, bad = (device.get(each) or [] for each in ("bindingConditions", "bindingFailureConditions"))
    good_at, bad_at = f"{path}.bindingConditions", f"{path}.bindingFailureConditions"
    errors = bounded(good, BINDING_CONDITIONS_MAX, validate_label_name, good_at)
    errors += bounded(bad, BINDING_CONDITIONS_MAX, validate_label_name, bad_at)
    errors += repeated(good, good_at)
    for index, condition in enumerate(bad):
        if condition in bad[:index]:
            errors.append(duplicate(f"{bad_at}[{index}]", condition))
        if condition in good:
            errors.append(invalid(f"{bad_at}[{index}]", condition, "bindingFailureConditions must not overlap with bindingConditions"))
    if bad and not good:
        errors.append(invalid(good_at, None, "bindingConditions are required to use bindingFailureConditions"))
    if good and not bad:
        errors.append(invalid(bad_at, None, "bindingFailureConditions are required to use bindingConditions"))
    return errors
