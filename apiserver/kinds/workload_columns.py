"""Cells that the tables of workloads share: containers, images, selectors. Source: kubernetes `pkg/printers/internalversion`."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.kinds.cells import AGE, NAME, NONE
from apiserver.registry.kind import Column
from kube import labels
from kube.objects import Object

__all__ = ["AGE", "CONTAINERS", "IMAGES", "NAME", "NONE", "SELECTOR", "container_cells", "labels_cell", "selector_cell", "selector_text"]

CONTAINERS = Column("Containers", description="Names of the containers in the pod template.", priority=1)
IMAGES = Column("Images", description="Images of the containers in the pod template.", priority=1)
SELECTOR = Column("Selector", description="The label selector that finds the pods.", priority=1)


def container_cells(template: Object | None) -> list[str]:
    """The Containers and Images cells of a pod template."""
    containers = ((template or {}).get("spec") or {}).get("containers") or []
    return [",".join(each.get("name", "") for each in containers), ",".join(each.get("image", "") for each in containers)]


def selector_text(selector: Object | None) -> str:
    """A LabelSelector as text, as scale and kubectl read it; "" when it selects nothing or everything."""
    return str(labels.from_object(selector)) if selector else ""


def selector_cell(selector: Object | None) -> str:
    try:
        return selector_text(selector) or NONE
    except labels.LabelSelectorError:
        return "<error>"


def labels_cell(pairs: Mapping[str, str] | None) -> str:
    """A map of labels (or a map selector) as `a=b,c=d`, sorted."""
    return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs)) if pairs else NONE
