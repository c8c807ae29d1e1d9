"""Cells that the tables of several kinds share. Source: kubernetes `pkg/printers/internalversion/printers.go`. Ages are in `ages.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apiserver.registry.kind import Column
from kube.objects import Object, annotations_of

NONE = "<none>"
UNSET = "<unset>"
NAME = Column("Name", format="name", description="The object's name, unique among its kind in the namespace.")
AGE = Column("Age", description="Time since the object was created.")
LIST_MAX = 3
"""How many items of a list a cell shows."""

_ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def wide(name: str, **more: str) -> Column:
    """A column that only `-o wide` shows."""
    return Column(name, priority=1, **more)


def first_few(items: Sequence[str], *, empty: str = NONE) -> str:
    """`a,b,c + 2 more...`"""
    shown = ",".join(items[:LIST_MAX])
    return f"{shown} + {len(items) - LIST_MAX} more..." if len(items) > LIST_MAX else shown or empty


def access_modes(modes: Iterable[str] | None) -> str:
    """`RWO,RWX`, each once, in upstream's order."""
    given = set(modes or ())
    return ",".join(short for mode, short in _ACCESS_MODES.items() if mode in given)


def load_balancer_addresses(status: Object | None) -> list[str]:
    """The IPs and hostnames of a status with a load balancer, sorted, each once."""
    ingress = ((status or {}).get("loadBalancer") or {}).get("ingress") or ()
    return sorted({each.get("ip") or each.get("hostname") or "" for each in ingress} - {""})


def default_marked(obj: Object, *annotations: str) -> str:
    """The name, with ` (default)` where an annotation says so."""
    name: str = obj["metadata"].get("name", "")
    given = annotations_of(obj)
    return f"{name} (default)" if any(given.get(each) == "true" for each in annotations) else name
