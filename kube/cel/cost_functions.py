"""What the functions of Kubernetes' libraries cost at most. Source: apiserver `pkg/cel/library/cost.go` (EstimateCallCost)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.range import MOST, Range, fixed, scaled
from kube.cel.syntax import Call, Const, Node

_TRAVERSAL: Final = 0.1
CHECK: Final = 350_000
"""What a question to the authorizer costs: an expression can ask two."""

_FORMAT_REGEX_SIZE: Final = 128
Cost = Callable[[Any, Call, str], "tuple[Range, Range | None] | None"]


def _first(node: Call) -> Node | None:
    """The receiver, or the first argument."""
    return node.target if node.target is not None else node.args[0] if node.args else None


def _traversal(factor: float, *, sized: bool = False) -> Cost:
    def cost(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
        of = _first(node)
        if of is None:
            return None
        size = coster.size(of)
        return scaled(size, factor), size if sized else None

    return cost


def _nominal(_coster: Any, _node: Call, _overload: str) -> tuple[Range, Range | None]:
    return fixed(1), None


def _of_list(coster: Any, node: Call, overload: str) -> tuple[Range, Range | None] | None:
    """isSorted, sum, max, min, indexOf, lastIndexOf: one traversal, of the elements, too."""
    of = node.target
    if of is None:
        return None
    size = coster.size(of)
    if of.type.kind == "string":
        return scaled(size, _TRAVERSAL), None
    if of.type.kind != "list":
        return None
    cost = size * _element_cost(coster, of)
    return cost, None


def _element_cost(coster: Any, of: Node) -> Range:
    kind = of.type.params[0].kind if of.type.params else "dyn"
    if kind in ("string", "bytes"):
        return fixed(1) + scaled(coster.size_below(of), _TRAVERSAL)
    return fixed(1)


def _replace(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    if node.target is None or len(node.args) < 2:
        return None
    size, old, new = coster.size(node.target), coster.size(node.args[0]), coster.size(node.args[1])
    most_kept, least_kept = 0, 0
    if old.least == 0:
        most_count = size.most + 1 if size.most < MOST else size.most
        most_kept = size.most
    elif new.most <= old.least:
        most_count, most_kept = 0, size.most
    else:
        most_count = math.ceil(size.most / old.least)
    if old.most == 0:
        least_count = size.least + 1 if size.least < MOST else size.least
        least_kept = size.least
    elif old.most <= new.least:
        least_count, least_kept = 0, size.least
    else:
        least_count = math.ceil(size.least / old.most)
    return scaled(size, 2 * _TRAVERSAL), Range(least_count, most_count) * new + Range(least_kept, most_kept)


def _split(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    if node.target is None:
        return None
    size = coster.size(node.target)
    limit = node.args[1] if len(node.args) > 1 else None
    most = limit.value if isinstance(limit, Const) and isinstance(limit.value, int) and limit.value >= 0 else size.most
    return scaled(size, 2 * _TRAVERSAL), Range(0, most)


def _join(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    if node.target is None:
        return None
    count = coster.size(node.target)
    size = count * coster.size_below(node.target)
    if node.args:
        size += coster.size(node.args[0]) * Range(max(0, count.least - 1), max(0, count.most - 1))
    return scaled(size, _TRAVERSAL), size


def _find(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    if node.target is None or not node.args:
        return None
    size = coster.size(node.target)
    text = scaled(size + fixed(1), _TRAVERSAL)
    return text * scaled(coster.size(node.args[0]), 0.25), Range(0, size.most)


def _ip(coster: Any, node: Call, overload: str) -> tuple[Range, Range | None] | None:
    if overload == "cidr_ip":
        return fixed(1), None
    return (scaled(coster.size(node.args[0]), _TRAVERSAL), None) if node.args else None


def _parsed(factor: float) -> Cost:
    return lambda coster, node, _overload: (scaled(coster.size(node.args[0]), factor), None) if node.args else None


_BYTES: Final = Range(4, 16)


def _contains_ip(coster: Any, node: Call, overload: str) -> tuple[Range, Range | None] | None:
    cost = scaled(_BYTES + _BYTES, _TRAVERSAL)
    if overload == "cidr_contains_ip_string":
        cost += scaled(coster.size(node.args[0]), _TRAVERSAL)
    return cost, None


def _contains_cidr(coster: Any, node: Call, overload: str) -> tuple[Range, Range | None] | None:
    cost = scaled(_BYTES + _BYTES, _TRAVERSAL) + scaled(_BYTES, _TRAVERSAL) + fixed(1)
    if overload == "cidr_contains_cidr_string":
        cost += scaled(coster.size(node.args[0]), _TRAVERSAL)
    return cost, None


def _validate(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    if not node.args:
        return None
    return scaled(scaled(coster.size(node.args[0]), _TRAVERSAL), _FORMAT_REGEX_SIZE * 0.25), None


def _selector(coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    """The text is read, and a requirement is made for every second character at most."""
    if not node.args:
        return None
    size = coster.size(node.args[0])
    return fixed(10) + scaled(size, _TRAVERSAL) + scaled(scaled(size, 0.5), 50), None


def _equals(_coster: Any, node: Call, _overload: str) -> tuple[Range, Range | None] | None:
    left, right = node.args[0].type, node.args[1].type
    return (fixed(1), None) if left == right and left.kind == "opaque" else None


_NOMINAL: Final = (
    "format.named masked prefixLength family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast sign "
    "asInteger isInteger asApproximateFloat isGreaterThan isLessThan compareTo add sub major minor patch getScheme getHostname getHost "
    "getPort getEscapedPath getQuery serviceAccount path group resource subresource namespace name allowed reason error errored"
)
FUNCTION_COSTS: Final[Mapping[str, Cost]] = {
    **dict.fromkeys(_NOMINAL.split(), _nominal),
    **dict.fromkeys(["isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"], _of_list),
    **dict.fromkeys(["lowerAscii", "upperAscii", "substring", "trim"], _traversal(_TRAVERSAL, sized=True)),
    "url": _traversal(_TRAVERSAL, sized=True),
    "replace": _replace,
    "split": _split,
    "join": _join,
    "find": _find,
    "findAll": _find,
    "ip": _ip,
    "ip.isCanonical": _parsed(2 * _TRAVERSAL),
    **dict.fromkeys(["cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"], _parsed(_TRAVERSAL)),
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "validate": _validate,
    "_==_": _equals,
    "check": lambda _coster, _node, _overload: (fixed(CHECK), None),
    **dict.fromkeys(["fieldSelector", "labelSelector"], _selector),
    "jsonpatch.escapeKey": _traversal(_TRAVERSAL, sized=True),
}
