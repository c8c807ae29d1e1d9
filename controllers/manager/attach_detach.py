"""Attach and detach: CSI volumes whose driver wants it are attached to the nodes whose pods use them, and detached when none does any more.

Promises: for each such volume and node there is one VolumeAttachment, which the driver's attacher acts on; what is attached is told in the
node's status, and is not taken away while the node says that it is in use, unless the node is declared out of service, or is not healthy
and six minutes have passed. A volume that can be on one node only is not attached to a second one.
Source: upstream `pkg/controller/volume/attachdetach`, `pkg/volume/csi/csi_attacher.go`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kube.client.client import PatchKind
from kube.objects import Object, annotations_of, is_condition_true, is_deleting, key_of, name_of, namespace_of, uid_of
from kube.resources import CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Patch, Record, perform
from kube.storage import claim_key, claims_of, not_for_pod

from .index import CLAIM, NODE, with_claims, with_nodes
from .node_health import OUT_OF_SERVICE
from .pod import is_terminal
from .volume_binding import phase_of

UNMOUNT_S = 360.0
"""So long an unhealthy node is waited for to let go of a volume."""
RESYNC_S = 60.0
KEEP_TERMINATED = "volumes.kubernetes.io/keep-terminated-pod-volumes"
MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
VOLUME = "volume"
"""Name of the index of VolumeAttachments by the volume that they attach."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A volume that a node should have, and the pods there that use it."""

    volume: Object
    pods: Sequence[Object]


@dataclass(frozen=True, slots=True)
class World:
    """Of one node: the Node (None: gone), our attachments to it by volume name, the volumes that these are of,
    who has each wanted volume elsewhere (nodes, and the pods that use it there), and since when each attachment has not been wanted."""

    node: Object | None
    attachments: Mapping[str, Object] = field(default_factory=dict)
    volumes: Mapping[str, Object] = field(default_factory=dict)
    elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)
    users_elsewhere: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    unwanted_since: Mapping[str, datetime] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    """Names of volumes of which it was told already that they cannot be attached, or are."""


@dataclass(slots=True)
class Plan:
    actions: list[Action] = field(default_factory=list)
    again_s: float | None = None
    told: set[str] = field(default_factory=set)
    """The `told` of the next time."""


def plan(desired: Mapping[str, Wanted], observed: World, now: datetime, *, node_name: str) -> Plan:
    """What to attach to a node and what to detach from it. `desired` are the volumes it should have, by name."""
    out = Plan()
    attached: list[str] = []
    for name, attachment in observed.attachments.items():
        volume = observed.volumes[name]
        if name in desired and not is_deleting(attachment):
            if is_attached(attachment):
                attached.append(unique_name(volume))
            _tell(out, desired[name], attachment, observed)
        elif not is_deleting(attachment):
            wait_s = _wait_s(volume, observed, observed.unwanted_since.get(name, now), now)
            if wait_s is None:
                out.actions.append(Delete(VOLUME_ATTACHMENTS, None, name_of(attachment), uid=uid_of(attachment)))
            else:
                if is_attached(attachment):
                    attached.append(unique_name(volume))
                out.again_s = wait_s if out.again_s is None else min(out.again_s, wait_s)
    for name, wanted in desired.items():
        if name not in observed.attachments:
            _attach(out, name, wanted, observed, node_name)
    if observed.node is not None:
        out.actions = [*_report(observed.node, sorted(attached)), *out.actions]
    return out


def _attach(out: Plan, name: str, wanted: Wanted, observed: World, node_name: str) -> None:
    others = observed.elsewhere.get(name) or ()
    if others and not allows_many_nodes(wanted.volume):
        out.told.add(name)
        if name not in observed.told:
            out.actions += [_multi_attach(wanted.volume, pod, observed.users_elsewhere.get(name) or ()) for pod in wanted.pods]
        return
    out.actions.append(Create(VOLUME_ATTACHMENTS, new_attachment(wanted.volume, node_name)))


def _tell(out: Plan, wanted: Wanted, attachment: Object, observed: World) -> None:
    """Tell the pods, once, how attaching their volume went."""
    name, status = name_of(wanted.volume), attachment.get("status") or {}
    error = (status.get("attachError") or {}).get("message", "")
    if not status.get("attached") and not error:
        return
    if status.get("attached"):
        reason, kind, message = "SuccessfulAttachVolume", "Normal", f'AttachVolume.Attach succeeded for volume "{name}" '
    else:
        reason, kind, message = "FailedAttachVolume", "Warning", f'AttachVolume.Attach failed for volume "{name}" : {error}'
    said = f"{name}/{reason}/{error}"
    out.told.add(said)
    if said not in observed.told and not (status.get("attached") and observed.node and _is_reported(observed.node, wanted.volume)):
        out.actions += [Record(pod, kind, reason, message) for pod in wanted.pods]


def _is_reported(node: Object, volume: Object) -> bool:
    return any(each["name"] == unique_name(volume) for each in (node.get("status") or {}).get("volumesAttached") or ())


def _multi_attach(volume: Object, pod: Object, users: Sequence[Object]) -> Record:
    """Why the pod has to wait, without the names of pods in other namespaces."""
    near = [name_of(each) for each in users if namespace_of(each) == namespace_of(pod)]
    far = len(users) - len(near)
    if not users:
        why = "Volume is already exclusively attached to one node and can't be attached to another"
    elif near:
        why = f"Volume is already used by pod(s) {', '.join(near)}" + (f" and {far} pod(s) in different namespaces" if far else "")
    else:
        why = f"Volume is already used by {far} pod(s) in different namespaces"
    return Record(pod, "Warning", "FailedAttachVolume", f'Multi-Attach error for volume "{name_of(volume)}" {why}')


def _wait_s(volume: Object, observed: World, since: datetime, now: datetime) -> float | None:
    """How long still to wait for the node to let go of the volume; None when it may be detached."""
    node = observed.node
    if node is not None and any(each.get("key") == OUT_OF_SERVICE for each in node["spec"].get("taints") or ()):
        return None
    if node is not None and not _is_in_use(node, volume):
        return None
    left_s = (since + timedelta(seconds=UNMOUNT_S) - now).total_seconds()
    is_healthy = node is not None and is_condition_true(node, "Ready")
    if is_healthy:
        return RESYNC_S
    return left_s if left_s > 0 else None


def _is_in_use(node: Object, volume: Object) -> bool:
    return unique_name(volume) in ((node.get("status") or {}).get("volumesInUse") or ())


def _report(node: Object, attached: list[str]) -> list[Action]:
    """What the kubelet waits for before it mounts a volume."""
    before = [each["name"] for each in (node.get("status") or {}).get("volumesAttached") or ()]
    foreign = [each for each in before if not each.startswith(_PREFIX)]
    wanted = [*foreign, *attached]
    if sorted(before) == sorted(wanted):
        return []
    body = {"status": {"volumesAttached": [{"name": each, "devicePath": ""} for each in wanted] or None}}
    return [Patch(NODES, None, name_of(node), body, PatchKind.MERGE, "status")]


# --- volumes ----------------------------------------------------------------------------------------------------------------

_PREFIX = "kubernetes.io/csi/"


def unique_name(volume: Object) -> str:
    """What nodes call the volume."""
    source = volume["spec"]["csi"]
    return f"{_PREFIX}{source['driver']}^{source['volumeHandle']}"


def allows_many_nodes(volume: Object) -> bool:
    modes = volume["spec"].get("accessModes") or ()
    return not modes or any(each in ("ReadWriteMany", "ReadOnlyMany") for each in modes)


def is_attached(attachment: Object) -> bool:
    return bool((attachment.get("status") or {}).get("attached"))


def wants_attaching(volume: Object, driver: Object | None) -> bool:
    """Whether the volume is one that has to be attached: a driver of which nothing is known wants it."""
    return "csi" in volume["spec"] and (driver is None or (driver.get("spec") or {}).get("attachRequired") is not False)


def attachment_name(volume: Object, node_name: str) -> str:
    """By this name we know ours: those of others are left alone."""
    source = volume["spec"]["csi"]
    digest = hashlib.sha256(f"{source['volumeHandle']}{source['driver']}{node_name}".encode()).hexdigest()
    return f"csi-{digest}"


def new_attachment(volume: Object, node_name: str) -> Object:
    source = volume["spec"]["csi"]
    return {
        "apiVersion": VOLUME_ATTACHMENTS.api_version,
        "kind": VOLUME_ATTACHMENTS.kind,
        "metadata": {"name": attachment_name(volume, node_name)},
        "spec": {"attacher": source["driver"], "nodeName": node_name, "source": {"persistentVolumeName": name_of(volume)}},
    }


def _node_values(attachment: Object) -> list[str]:
    return [attachment["spec"].get("nodeName", "")]


def _volume_values(attachment: Object) -> list[str]:
    return [(attachment["spec"].get("source") or {}).get("persistentVolumeName") or ""]


class AttachDetachController:
    """Keys are names of nodes."""

    name = "attachdetach"
    tick_s = RESYNC_S

    def __init__(self) -> None:
        self._unwanted: dict[str, dict[str, datetime]] = {}
        self._told: dict[str, frozenset[str]] = {}

    def start(self, run: Run) -> None:
        self.run = run
        self.nodes = run.informers.of(NODES)
        self.pods = with_claims(with_nodes(run.informers.of(PODS)))
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.volumes = run.informers.of(PERSISTENT_VOLUMES)
        self.drivers = run.informers.of(CSI_DRIVERS)
        self.attachments = run.informers.of(VOLUME_ATTACHMENTS)
        self.attachments.add_index(NODE, _node_values)
        self.attachments.add_index(VOLUME, _volume_values)
        self.pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)
        self.claims.add_handler(self._claim_changed)
        self.attachments.add_handler(self._attachment_changed)

    async def reconcile(self, key: str) -> float | None:
        now = self.run.clock.now()
        desired = self._desired(key)
        observed = self._observe(key, desired, now)
        if not desired and not observed.attachments and not _has_reports(observed.node):
            return None
        todo = plan(desired, observed, now, node_name=key)
        for answer in await perform(todo.actions, client=self.run.client, events=self.run.events):
            if answer is not None and answer.get("kind") == VOLUME_ATTACHMENTS.kind:
                self.attachments.put(answer)
        self._told[key] = frozenset(todo.told)
        return todo.again_s

    def _desired(self, node_name: str) -> dict[str, Wanted]:
        node = self.nodes.get(node_name)
        if node is None or annotations_of(node).get(MANAGED) != "true":
            return {}
        keeps = annotations_of(node).get(KEEP_TERMINATED) == "true"
        found: dict[str, list[Object]] = {}
        for pod in self.pods.by_index(NODE, node_name):
            if keeps or not is_terminal(pod):
                for volume in self._volumes_of(pod):
                    found.setdefault(name_of(volume), []).append(pod)
        return {name: Wanted(known, pods) for name, pods in found.items() if (known := self.volumes.get(name)) is not None}

    def _volumes_of(self, pod: Object) -> list[Object]:
        """The bound volumes of a pod that have to be attached."""
        out = []
        for each in claims_of(pod):
            claim = self.claims.get(f"{namespace_of(pod)}/{each.name}")
            if claim is None or phase_of(claim) != "Bound" or (each.is_ephemeral and not_for_pod(claim, pod)):
                continue
            volume = self.volumes.get(claim["spec"].get("volumeName") or "")
            if volume is None or claim_key(volume) != key_of(claim):
                continue
            driver = self.drivers.get((volume["spec"].get("csi") or {}).get("driver", ""))
            if wants_attaching(volume, driver):
                out.append(volume)
        return out

    def _observe(self, node_name: str, desired: Mapping[str, Wanted], now: datetime) -> World:
        attachments = {_volume_values(each)[0]: each for each in self.attachments.by_index(NODE, node_name) if self._is_ours(each)}
        before = self._unwanted.get(node_name, {})
        unwanted = {name: before.get(name, now) for name in attachments if name not in desired}
        self._unwanted[node_name] = unwanted
        elsewhere = {name: self._other_nodes(name, node_name) for name in desired if name not in attachments}
        return World(
            node=self.nodes.get(node_name),
            attachments=attachments,
            volumes={name: volume for name in attachments if (volume := self.volumes.get(name)) is not None},
            elsewhere=elsewhere,
            users_elsewhere={name: self._users_on(desired[name].volume, nodes) for name, nodes in elsewhere.items()},
            unwanted_since=unwanted,
            told=self._told.get(node_name, frozenset()),
        )

    def _other_nodes(self, volume_name: str, node_name: str) -> list[str]:
        found = (each["spec"].get("nodeName", "") for each in self.attachments.by_index(VOLUME, volume_name) if self._is_ours(each))
        return [each for each in found if each != node_name]

    def _is_ours(self, attachment: Object) -> bool:
        """Whether this controller has made it, for a volume that is still there."""
        volume = self.volumes.get(_volume_values(attachment)[0])
        if volume is None or "csi" not in volume["spec"]:
            return False
        return name_of(attachment) == attachment_name(volume, attachment["spec"].get("nodeName", ""))

    def _users_on(self, volume: Object, nodes: Iterable[str]) -> list[Object]:
        there = set(nodes)
        pods = self.pods.by_index(CLAIM, claim_key(volume))
        return [pod for pod in pods if pod["spec"].get("nodeName") in there and not is_terminal(pod)]

    # --- what is worth a look -----------------------------------------------------------------------------------------------

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        node = pod["spec"].get("nodeName")
        if node and any(True for _ in claims_of(pod)) and (old is None or new is None or _matters(old) != _matters(new)):
            self.run.queue.add(node)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        node = new or old or {}
        if old is None or new is None or _facts(old) != _facts(new):
            self.run.queue.add(name_of(node))

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and phase_of(new) == "Bound" and (old is None or phase_of(old) != "Bound"):
            for pod in self.pods.by_index(CLAIM, key_of(new)):
                if pod["spec"].get("nodeName"):
                    self.run.queue.add(pod["spec"]["nodeName"])

    def _attachment_changed(self, old: Object | None, new: Object | None) -> None:
        """Its node; when it is gone, also those who wait for the volume."""
        attachment = new or old or {}
        self.run.queue.add(attachment["spec"].get("nodeName", ""))
        volume = self.volumes.get(_volume_values(attachment)[0]) if new is None else None
        for pod in self.pods.by_index(CLAIM, claim_key(volume)) if volume is not None else ():
            if pod["spec"].get("nodeName"):
                self.run.queue.add(pod["spec"]["nodeName"])

    async def tick(self) -> None:
        for name in {_node_values(each)[0] for each in self.attachments.list()}:
            self.run.queue.add(name)


def _matters(pod: Object) -> tuple[bool, str]:
    return is_terminal(pod), pod["spec"].get("nodeName", "")


def _facts(node: Object) -> tuple[object, ...]:
    """What of a node decides about its volumes."""
    status = node.get("status") or {}
    managed = annotations_of(node).get(MANAGED), annotations_of(node).get(KEEP_TERMINATED)
    taken = status.get("volumesInUse"), status.get("volumesAttached")
    return (*managed, *taken, node["spec"].get("taints"), is_condition_true(node, "Ready"))


def _has_reports(node: Object | None) -> bool:
    return any(each["name"].startswith(_PREFIX) for each in ((node or {}).get("status") or {}).get("volumesAttached") or ())
