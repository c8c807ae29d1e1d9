"""ImageLocality: nodes that have the pod's images already score more, by their size; less so for images that few nodes have.

(An image on one node only would draw all its pods there.) Source: `plugins/imagelocality/image_locality.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from controllers.scheduler.framework import MAX_NODE_SCORE
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

_BYTES_MIN = 23 << 20
_BYTES_MAX = 1000 << 20


class ImageLocality:
    name = "ImageLocality"

    def score_tally(self, pod: PodInfo, snapshot: Snapshot) -> _ImageTally | None:
        containers = [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]
        volumes = [each["image"] for each in pod.spec.get("volumes") or () if each.get("image")]
        images = [_with_tag(each.get("image") or "") for each in containers]
        images += [_with_tag(each.get("reference") or "") for each in volumes]
        tally = _ImageTally(images, snapshot)
        for slot in snapshot.image_slots:
            tally.update(slot, snapshot.slots[slot])
        return tally


class _ImageTally:
    def __init__(self, images: list[str], snapshot: Snapshot) -> None:
        self._images, self._snapshot = images, snapshot
        self._limit = _BYTES_MAX * max(len(images), 1)
        self._there: dict[int, dict[str, int]] = {}
        """By slot: those of the images that the node has, with their sizes."""
        self._nodes: Counter[str] = Counter()

    def update(self, slot: int, node: NodeInfo | None) -> None:
        for image in self._there.pop(slot, ()):
            self._nodes[image] -= 1
        if node is None or not node.has_images:
            return
        there = {image: size for image in set(self._images) if (size := node.images.get(image)) is not None}
        if there:
            self._there[slot] = there
            self._nodes.update(there.keys())

    def score(self, slots: Sequence[int], nodes: Sequence[NodeInfo]) -> list[int] | None:
        if not self._there:
            return None
        return [self._score(self._there.get(slot)) for slot in slots]

    def _score(self, there: dict[str, int] | None) -> int:
        if not there:
            return 0
        total = self._snapshot.size
        weighed = sum(int(there[image] * (self._nodes[image] / total)) for image in self._images if image in there)
        weighed = min(max(weighed, _BYTES_MIN), self._limit)
        return MAX_NODE_SCORE * (weighed - _BYTES_MIN) // (self._limit - _BYTES_MIN)


def _with_tag(image: str) -> str:
    """`nginx` as `nginx:latest`: the name that nodes report."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
