"""When what led to a change of a Service's endpoints happened: the annotation that kube-proxy measures its latency from.

Source: upstream `staging/src/k8s.io/endpointslice/util/trigger_time_tracker.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kube.objects import Object, condition_of, key_of, name_of
from kube.runtime.perform import Action, Create, Update

ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"


class TriggerTimes:
    """What each Service and its pods looked like at the last look."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, dict[str, str]]] = {}

    def look(self, service: Object, pods: Sequence[Object]) -> str:
        """The earliest of the changes since the last look, "" for none: when a pod became ready or not, when the Service was made.

        Times are metav1.Times, so that text sorts as they do."""
        made = str(service["metadata"].get("creationTimestamp") or "")
        times = {name_of(pod): str((condition_of(pod, "Ready") or {}).get("lastTransitionTime") or "") for pod in pods}
        before = self._seen.get(key_of(service))
        self._seen[key_of(service)] = made, times
        if before is None:
            return made
        was_made, were = before
        changed = [time for name, time in times.items() if time > were.get(name, "")]
        return min([*changed, *([made] if made > was_made else [])], default="")

    def forget(self, key: str) -> None:
        self._seen.pop(key, None)


def triggered(actions: Sequence[Action], time: str) -> list[Action]:
    """The same, and what is created or updated tells that time."""
    return [replace(each, obj=_told(each.obj, time)) if isinstance(each, Create | Update) else each for each in actions]


def _told(obj: Object, time: str) -> Object:
    annotations = {key: value for key, value in (obj["metadata"].get("annotations") or {}).items() if key != ANNOTATION}
    if time:
        annotations[ANNOTATION] = time
    metadata = {**obj["metadata"], "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    return {**obj, "metadata": metadata}
