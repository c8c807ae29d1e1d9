"""The query parameters of a pod's log, exec, attach and port-forward: read, checked, and turned into the kubelet's. Pure.

Source: PodLogOptions, PodExecOptions, PodAttachOptions and PodPortForwardOptions of `core/v1/types.go`; `ValidatePodLogOptions` of
`pkg/apis/core/validation`; `streamParams`, `LogLocation` and `validateContainer` of `pkg/registry/core/pod/strategy.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from kube import errors
from kube.clock import rfc3339
from kube.errors import BadRequest, FieldError
from kube.objects import Object
from kube.schema import gotime

Query = Mapping[str, Sequence[str]]
_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_RENAMED: Final = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}


def container_of(pod: Object, asked: str) -> str:
    """The container that is meant. Raises BadRequest where it must be named, or is not there."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    every = [str(each["name"]) for group in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(group) or ()]
    if asked:
        if asked not in every:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    main = [str(each["name"]) for each in spec.get("containers") or ()]
    if len(main) == 1:
        return main[0]
    choice = f", choose one of: [{' '.join(every)}]" if main else ""
    raise BadRequest(f"a container name must be specified for pod {name}{choice}")


def flag(query: Query, name: str) -> bool:
    """A boolean parameter: absent, "0" and "false" are false, anything else (also nothing) is true."""
    values = query.get(name) or ("false",)
    return values[0].lower() not in ("0", "false")


def _integer(query: Query, name: str) -> int | None:
    values = query.get(name)
    if not values:
        return None
    if not _INTEGER.match(values[0]):
        raise BadRequest(f"strconv.ParseInt: parsing {errors.quoted(values[0])}: invalid syntax")
    value = int(values[0])
    if not -(1 << 63) <= value < 1 << 63:
        raise BadRequest(f"strconv.ParseInt: parsing {errors.quoted(values[0])}: value out of range")
    return value


def _time(query: Query, name: str) -> datetime | None:
    values = query.get(name)
    if not values or not values[0]:
        return None
    try:
        return gotime.parse_time(values[0])
    except gotime.GoTimeError as error:
        raise BadRequest(str(error)) from error


# --- logs ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogOptions:
    """PodLogOptions. None is "not given"."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_seconds: int | None = None
    since_time: datetime | None = None
    has_since_time: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str | None = None

    def query(self) -> str:
        """The kubelet's query, with its question mark; "" where nothing is asked for."""
        given = {
            "follow": "true" if self.follow else None,
            "limitBytes": self.limit_bytes,
            "previous": "true" if self.previous else None,
            "sinceSeconds": self.since_seconds,
            "sinceTime": rfc3339(self.since_time) if self.since_time else None,
            "tailLines": self.tail_lines,
            "timestamps": "true" if self.timestamps else None,
        }
        text = urlencode([(key, value) for key, value in given.items() if value is not None])
        return f"?{text}" if text else ""


def log_options(query: Query, pod_name: str) -> LogOptions:
    """Raises BadRequest for what cannot be read, Invalid for what is not allowed."""
    options = LogOptions(
        container=(query.get("container") or [""])[0],
        follow=flag(query, "follow"),
        previous=flag(query, "previous"),
        timestamps=flag(query, "timestamps"),
        since_seconds=_integer(query, "sinceSeconds"),
        since_time=_time(query, "sinceTime"),
        has_since_time=bool(query.get("sinceTime")),
        tail_lines=_integer(query, "tailLines"),
        limit_bytes=_integer(query, "limitBytes"),
        stream=query["stream"][0] if query.get("stream") else None,
    )
    if problems := _problems(options):
        raise errors.invalid_object("PodLogOptions", "", pod_name, problems)
    return options


def _problems(options: LogOptions) -> list[FieldError]:
    found = []
    if options.tail_lines is not None and options.tail_lines < 0:
        found.append(errors.invalid("tailLines", options.tail_lines, "must be greater than or equal to 0"))
    if options.limit_bytes is not None and options.limit_bytes < 1:
        found.append(errors.invalid("limitBytes", options.limit_bytes, "must be greater than 0"))
    if options.since_seconds is not None and options.has_since_time:
        found.append(errors.not_allowed("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif options.since_seconds is not None and options.since_seconds < 1:
        found.append(errors.invalid("sinceSeconds", options.since_seconds, "must be greater than 0"))
    if options.stream is not None:  # the feature gate PodLogsQuerySplitStreams is off
        found.append(errors.not_allowed("stream", "may not be specified"))
    return found


# --- exec, attach, port-forward ---------------------------------------------------------------------------------------------


def command_query(query: Query, *, with_command: bool) -> str:
    """What the kubelet's exec (`with_command`) or attach is asked: with its question mark, or ""."""
    pairs = [(renamed, "1") for name, renamed in _RENAMED.items() if flag(query, name)]
    if with_command:
        pairs += [("command", word) for word in query.get("command") or ()]
    text = urlencode(sorted(pairs, key=lambda pair: pair[0]))
    return f"?{text}" if text else ""


def port_query(query: Query) -> str:
    """Likewise for port-forward over WebSocket channels (`?ports=80,443`). Raises BadRequest."""
    ports = [part for value in query.get("ports") or () for part in value.split(",")]
    for each in ports:
        if not (each.isascii() and each.isdigit()):
            raise BadRequest(f"cannot convert to []int32: strconv.ParseUint: parsing {errors.quoted(each)}: invalid syntax")
        if int(each) > 65535:
            raise BadRequest(f"cannot convert to []int32: strconv.ParseUint: parsing {errors.quoted(each)}: value out of range")
    return f"?{urlencode([('port', ','.join(ports))])}" if ports else ""
