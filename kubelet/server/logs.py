"""The log of one container: which container of which attempt, which part. Pure but for asking the runtime.

Messages: upstream `kubelet_pods.go validateContainerLogStatus` and `server.go getContainerLogs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from kube.clock import parse_time
from kube.http.exchange import BadRequest, Head
from kube.objects import Object
from kubelet.observed import init_containers, newest_first, regular_containers
from kubelet.runtime.base import ContainerState, ContainerStatus, LogOptions


def options_of(head: Head, now: datetime) -> LogOptions:
    """PodLogOptions from the query. Raises BadRequest."""
    since = _number(head, "sinceSeconds", least=1)
    stream = head.value("stream", "All")
    if stream not in ("All", "Stdout", "Stderr"):
        raise BadRequest(f"invalid stream {stream!r}: must be All, Stdout or Stderr", status=422)
    try:
        since_time = parse_time(head.value("sinceTime"))
    except ValueError as error:
        raise BadRequest(f"invalid sinceTime: {error}", status=422) from error
    return LogOptions(
        follow=head.flag("follow"),
        tail_lines=_number(head, "tailLines", least=0),
        since_time=now - timedelta(seconds=since) if since is not None else since_time,
        timestamps=head.flag("timestamps"),
        limit_bytes=_number(head, "limitBytes", least=1),
        stream="" if stream == "All" else stream.lower(),
    )


def _number(head: Head, name: str, *, least: int) -> int | None:
    text = head.value(name)
    if not text:
        return None
    if not text.isdigit() or int(text) < least:
        raise BadRequest(f"invalid {name} {text!r}: must be a number of at least {least}", status=422)
    return int(text)


def container_for_log(pod: Object, name: str, statuses: Sequence[ContainerStatus], *, previous: bool) -> str:
    """The id of the container whose log is asked for. Raises BadRequest when there is none (yet)."""
    pod_name = pod["metadata"]["name"]
    known = {each["name"] for each in (*init_containers(pod), *regular_containers(pod), *(pod["spec"].get("ephemeralContainers") or ()))}
    if name not in known:
        raise BadRequest(f'container "{name}" in pod "{pod_name}" is not available', status=404)
    newest, before, _ = newest_first(each for each in statuses if each.state is not ContainerState.CREATED)
    if previous:
        dead = before.get(name) or (newest[name] if name in newest and _waits_again(pod, name) else None)
        if dead is None:
            raise BadRequest(f'previous terminated container "{name}" in pod "{pod_name}" not found')
        return dead.id
    if name in newest:
        return newest[name].id
    waiting = _waiting(pod, name)
    why = "is waiting to start" + (f": {waiting}" if waiting else "")
    raise BadRequest(f'container "{name}" in pod "{pod_name}" {why}')


def _status(pod: Object, name: str) -> Object:
    status = pod.get("status", {})
    lists = (status.get("containerStatuses"), status.get("initContainerStatuses"), status.get("ephemeralContainerStatuses"))
    return next((each for group in lists for each in group or () if each["name"] == name), {})


def _waiting(pod: Object, name: str) -> str:
    """ContainerCreating, `trying and failing to pull image`, ..."""
    reason = str(((_status(pod, name).get("state") or {}).get("waiting") or {}).get("reason") or "")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        return "trying and failing to pull image"
    return "image can't be pulled" if reason == "InvalidImageName" else reason


def _waits_again(pod: Object, name: str) -> bool:
    """It has ended and waits to be started once more: then the dead one is the previous one already."""
    return "waiting" in (_status(pod, name).get("state") or {})
