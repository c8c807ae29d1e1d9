"""How much of a shared device's capacity a claim may ask for: its request policy.

Source: kubernetes `pkg/apis/resource/validation/validation.go` (validateRequestPolicy).
"""

from __future__ import annotations

from apiserver.validation.devices import repeated
from kube.errors import FieldError, invalid, not_allowed, required, too_many
from kube.objects import Object
from kube.quantity import Quantity, parse

VALUES_MAX = 10
_ONE = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'

Errors = list[FieldError]


def shared_capacity(capacity: Object, path: str) -> Errors:
    """The capacity of a device that several claims may use at once."""
    policy = capacity.get("requestPolicy")
    return [] if policy is None else _policy(policy, parse(capacity.get("value")), f"{path}.requestPolicy")


def exclusive_capacity(capacity: Object, path: str) -> Errors:
    """The capacity of any other device."""
    if capacity.get("requestPolicy") is None:
        return []
    return [not_allowed(f"{path}.requestPolicy", "allowMultipleAllocations must be true")]


def _policy(policy: Object, whole: Quantity, path: str) -> Errors:
    values, span, default = policy.get("validValues") or [], policy.get("validRange"), policy.get("default")
    if values and span is not None:
        return [not_allowed(path, _ONE)]
    for name, given in (("validValues", values), ("validRange", span)):
        if given and default is None:
            return [required(f"{path}.default", f"required when {name} is defined")]
    if values:
        return _values([parse(each) for each in values], parse(default), whole, f"{path}.validValues")
    return _span(span, parse(default), whole, f"{path}.validRange") if span is not None and default is not None else []


def _values(values: list[Quantity], default: Quantity, whole: Quantity, path: str) -> Errors:
    errors = [
        invalid(f"{path}[{index}]", str(values[index]), "values must be sorted in ascending order")
        for index in range(1, len(values))
        if values[index - 1] > values[index]
    ]
    if len(values) > VALUES_MAX:
        errors.append(too_many(path, len(values), VALUES_MAX))
        return [*errors, _no_such_default(default, path)]
    for index, value in enumerate(values):
        if value > whole:
            errors.append(invalid(f"{path}[{index}]", str(value), f"option is larger than capacity value: {whole}"))
    errors += repeated((str(value.value()) for value in values), path)
    return errors if default in values else [*errors, _no_such_default(default, path)]


def _no_such_default(default: Quantity, path: str) -> FieldError:
    return invalid(path, str(default), "default value is not valid according to the requestPolicy")


def _span(span: Object, default: Quantity, whole: Quantity, path: str) -> Errors:
    if span.get("min") is None:
        return [required(f"{path}.min", "required when validRange is defined")]
    low, high = parse(span["min"]), parse(span["max"]) if span.get("max") is not None else None
    errors: Errors = []
    if low > whole:
        errors.append(invalid(f"{path}.min", str(low), f"min is larger than capacity value: {whole}"))
    if default < low:
        errors.append(invalid(f"{path}.min", str(default), f"default is less than min: {low}"))
    if high is not None:
        errors += _upper_end(low, high, default, whole, f"{path}.max")
    if span.get("step") is not None:
        errors += _steps(low, high, default, whole, parse(span["step"]), f"{path}.step")
    return errors


def _upper_end(low: Quantity, high: Quantity, default: Quantity, whole: Quantity, path: str) -> Errors:
    errors: Errors = []
    if low > high:
        errors.append(invalid(path, str(low), f"min is larger than max: {high}"))
    if high > whole:
        errors.append(invalid(path, str(high), f"max is larger than capacity value: {whole}"))
    if default > high:
        errors.append(invalid(path, str(default), f"default is more than max: {high}"))
    return errors


def _steps(low: Quantity, high: Quantity | None, default: Quantity, whole: Quantity, step: Quantity, path: str) -> Errors:
    first = low + step
    errors = [invalid(path, str(step), f"one step {first} is larger than capacity value: {whole}")] if first > whole else []
    for value in (default,) if high is None else (default, high):
        if step.value() and (value.value() - low.value()) % step.value():
            errors.append(invalid(path, str(value), f"value is not a multiple of a given step ({step}) from ({low})"))
    return errors
