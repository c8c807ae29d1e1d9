"""Quantities. Source: apiserver `pkg/cel/library/quantity.go`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kube import quantity
from kube.cel.syntax import CelError
from kube.cel.values import INT_MAX, INT_MIN, Opaque, no_overload

_UNIT: Final = 10**9


class Quantity(Opaque):
    type_name = "kubernetes.Quantity"
    __slots__ = ("amount",)

    def __init__(self, amount: quantity.Quantity) -> None:
        self.amount = amount

    def key(self) -> int:
        return self.amount.nano

    order = key


def parse(text: Any) -> Quantity:
    if not isinstance(text, str):
        raise no_overload()
    try:
        return Quantity(quantity.parse(text))
    except quantity.QuantityError as error:
        raise CelError(str(error)) from None


def is_quantity(text: Any) -> bool:
    try:
        parse(text)
    except CelError:
        return False
    return True


def _is_integer(of: Quantity) -> bool:
    return of.amount.is_whole() and INT_MIN <= of.amount.nano // _UNIT <= INT_MAX


def as_integer(of: Quantity) -> int:
    if not _is_integer(of):
        raise CelError("cannot convert value to integer")
    return of.amount.nano // _UNIT


def _amount(other: Any) -> quantity.Quantity:
    if isinstance(other, Quantity):
        return other.amount
    if type(other) is int:
        return quantity.from_value(other)
    raise no_overload()


def _compared(a: Any, b: Any) -> int:
    """Of quantities, and of versions."""
    if type(a) is not type(b):
        raise no_overload()
    one, other = a.order(), b.order()
    return int(one > other) - int(one < other)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "quantity": parse,
    "isQuantity": is_quantity,
    "sign": lambda of: (of.amount.nano > 0) - (of.amount.nano < 0),
    "isGreaterThan": lambda a, b: _compared(a, b) > 0,
    "isLessThan": lambda a, b: _compared(a, b) < 0,
    "compareTo": _compared,
    "asApproximateFloat": lambda of: of.amount.nano / _UNIT,
    "asInteger": as_integer,
    "isInteger": _is_integer,
    "add": lambda of, other: Quantity(of.amount + _amount(other)),
    "sub": lambda of, other: Quantity(of.amount - _amount(other)),
}
