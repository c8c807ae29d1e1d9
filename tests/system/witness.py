"""Witnesses of what a cluster does while its parts are killed: a writer that remembers every acknowledged write, and a watcher that
never lists again. Nothing here is a test.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from kube.client.base import ConnectionFailed
from kube.client.client import Client, PatchKind
from kube.errors import AlreadyExists, ApiError, NotFound
from kube.objects import Object, name_of
from kube.resources import CONFIG_MAPS, Resource

OBJECTS = 8
PAUSE_S = 0.01


class Write(NamedTuple):
    """One acknowledged write: which object, the content, and the version that the answer named."""

    name: str
    serial: int
    resource_version: int


class Event(NamedTuple):
    """One watch event, as far as it is compared."""

    type: str
    name: str
    resource_version: int
    serial: str


def version_of(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


class Writer:
    """Creates ConfigMaps and keeps patching each with the next serial number, whatever happens to the server."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._exists: set[str] = set()
        self.acknowledged: list[Write] = []
        self.unknown: set[tuple[str, int]] = set()
        """Writes whose answer was cut off: they may have happened or not."""

    async def run(self) -> None:
        """Until cancelled."""
        serial = 0
        while True:
            serial += 1
            await self._write(f"settings-{serial % OBJECTS}", serial)
            await asyncio.sleep(PAUSE_S)

    async def has_written(self, count: int) -> bool:
        """Whether so many writes are acknowledged."""
        return len(self.acknowledged) >= count

    async def _write(self, name: str, serial: int) -> None:
        data = {"serial": str(serial)}
        try:
            if name in self._exists:
                obj = await self._client.patch(CONFIG_MAPS, name, {"data": data}, namespace=self._namespace, kind=PatchKind.MERGE)
            else:
                obj = await self._client.create(CONFIG_MAPS, _config_map(self._namespace, name, data))
                self._exists.add(name)
        except AlreadyExists:
            self._exists.add(name)
        except (ConnectionFailed, ApiError):
            self.unknown.add((name, serial))
        except asyncio.CancelledError:
            self.unknown.add((name, serial))
            raise
        else:
            self.acknowledged.append(Write(name, serial, version_of(obj)))


def _config_map(namespace: str, name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


@dataclass
class Watcher:
    """Lists once and then watches, resuming from the last version that it saw; never lists again."""

    client: Client
    resource: Resource
    namespace: str
    events: list[Event] = field(default_factory=list)
    state: dict[str, Object] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    resumed: int = 0
    most: int = 0
    """The largest number of objects at once, those being deleted not counted."""
    _version: int = 0

    async def start(self) -> None:
        listed = await self.client.list(self.resource, namespace=self.namespace)
        self.state = {name_of(each): each for each in listed["items"]}
        self._version = int(listed["metadata"]["resourceVersion"])

    async def run(self) -> None:
        """Until cancelled. Raises what a watcher cannot go on after (410 Gone)."""
        while True:
            with suppress(ConnectionFailed):
                await self._watch()
            self.resumed += 1
            await asyncio.sleep(0.05)

    async def _watch(self) -> None:
        events = self.client.watch(self.resource, namespace=self.namespace, resource_version=str(self._version))
        async with aclosing(events):
            async for event in events:
                if event.type != "BOOKMARK":
                    self._take(event.type, event.object)
                self._version = max(self._version, version_of(event.object))

    def _take(self, type: str, obj: Object) -> None:
        name, version = name_of(obj), version_of(obj)
        if version <= self._version:
            self.complaints.append(f"{type} {name} at {version} came after {self._version}")
        if (type == "ADDED") == (name in self.state):
            self.complaints.append(f"{type} {name} at {version}, which was {'there' if name in self.state else 'not there'}")
        self.events.append(Event(type, name, version, obj.get("data", {}).get("serial", "")))
        if type == "DELETED":
            self.state.pop(name, None)
        else:
            self.state[name] = obj
        self.most = max(self.most, sum("deletionTimestamp" not in each["metadata"] for each in self.state.values()))

    async def agrees(self) -> bool:
        """Whether what it has put together is what a list says now."""
        listed = await self.client.list(self.resource, namespace=self.namespace)
        return {name_of(each): version_of(each) for each in listed["items"]} == {
            name: version_of(each) for name, each in self.state.items()
        }


async def lost_writes(writer: Writer, client: Client, namespace: str) -> list[str]:
    """What is wrong with the ConfigMaps, compared with what the writer was told."""
    wrong = []
    for name in sorted({write.name for write in writer.acknowledged}):
        last = max(write for write in writer.acknowledged if write.name == name)
        try:
            found = await client.get(CONFIG_MAPS, name, namespace=namespace)
        except NotFound:
            wrong.append(f"{name} is gone")
            continue
        serial = int(found["data"]["serial"])
        if serial != last.serial and not (serial > last.serial and (name, serial) in writer.unknown):
            wrong.append(f"{name} holds {serial}; acknowledged was {last.serial}")
    return wrong


def missed_events(writer: Writer, watcher: Watcher) -> list[str]:
    """What the watcher should have seen and has not, or has seen and should not have."""
    seen = {(event.name, int(event.serial), event.resource_version) for event in watcher.events}
    wrong = [f"never seen: {write}" for write in writer.acknowledged if tuple(write) not in seen]
    known = {(write.name, write.serial) for write in writer.acknowledged} | writer.unknown
    return wrong + [f"never written: {name} = {serial} at {version}" for name, serial, version in seen if (name, serial) not in known]
