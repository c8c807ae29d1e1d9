"""ImageLocality: nodes that have the pod's images already score more, by their size; less so for images that few nodes have.

(An image on one node only would draw all its pods there.) Source: `plugins/imagelocality/image_locality.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from controllers.scheduler.columns import Pick
from controllers.scheduler.framework import MAX_NODE_SCORE
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

_BYTES_MIN = 23 << 20
_BYTES_MAX = 1000 << 20
_TALLIES_MAX = 64
_Images = tuple[tuple[str, int], ...]
"""(name, size) of each."""


class ImageLocality:
    name = "ImageLocality"

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _ImageTally] = {}

    def score_tally(self, pod: PodInfo, snapshot: Snapshot) -> _ImageTally | None:
        containers = [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]
        volumes = [each["image"] for each in pod.spec.get("volumes") or () if each.get("image")]
        images = [_with_tag(each.get("image") or "") for each in containers]
        images += [_with_tag(each.get("reference") or "") for each in volumes]
        return self._tally(tuple(images), snapshot)

    def _tally(self, images: tuple[str, ...], snapshot: Snapshot) -> _ImageTally:
        """Pods with the same images share a tally, whatever else they are: it is about nodes only."""
        known = self._known.get(images)
        if known is None or not known.catch_up(snapshot):
            if len(self._known) >= _TALLIES_MAX:
                del self._known[next(iter(self._known))]
            known = self._known[images] = _ImageTally(images, snapshot)
        return known


class _ImageTally:
    def __init__(self, images: Sequence[str], snapshot: Snapshot) -> None:
        self._images, self._snapshot = images, snapshot
        self._limit = _BYTES_MAX * max(len(images), 1)
        self._there: list[_Images] = [()] * len(snapshot.slots)
        """By slot: those of the images that the node has, with their sizes."""
        self._kinds: Counter[_Images] = Counter()
        """How many nodes have the same of them: they get the same score."""

        self._position = snapshot.position
        for slot in snapshot.image_slots:
            self.update(slot, snapshot.slots[slot])

    def catch_up(self, snapshot: Snapshot) -> bool:
        """Look at the nodes that have changed since the first count, or the last time. False when that is not known."""
        changed = snapshot.changed_since(self._position) if snapshot is self._snapshot else None
        if changed is None:
            return False
        self._position = snapshot.position
        for slot in changed:
            self.update(slot, snapshot.slots[slot])
        return True

    def update(self, slot: int, node: NodeInfo | None) -> None:
        self._grow()
        before, self._there[slot] = self._there[slot], ()
        if before:
            self._kinds[before] -= 1
            if not self._kinds[before]:
                del self._kinds[before]
        if node is None or not node.has_images:
            return
        there = tuple([(image, node.images[image]) for image in self._images if image in node.images])
        if there:
            self._there[slot] = there
            self._kinds[there] += 1

    def _grow(self) -> None:
        """Make room for slots that are new."""
        missing = len(self._snapshot.slots) - len(self._there)
        if missing > 0:
            self._there.extend([()] * missing)

    def score(self, pick: Pick) -> list[int] | None:
        if not self._kinds:
            return None
        spread: Counter[str] = Counter()
        for kind, count in self._kinds.items():
            for image in {image for image, _ in kind}:
                spread[image] += count
        points: dict[_Images, int] = {kind: self._points(kind, spread) for kind in self._kinds}
        points[()] = 0
        self._grow()
        return [points[there] for there in pick(self._there)]

    def _points(self, there: _Images, spread: Counter[str]) -> int:
        total = self._snapshot.size
        weighed = sum(int(size * (spread[image] / total)) for image, size in there)
        weighed = min(max(weighed, _BYTES_MIN), self._limit)
        return MAX_NODE_SCORE * (weighed - _BYTES_MIN) // (self._limit - _BYTES_MIN)


def _with_tag(image: str) -> str:
    """`nginx` as `nginx:latest`: the name that nodes report."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
