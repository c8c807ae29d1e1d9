"""Nodes that wait for the cloud to tell what they are: labels, provider ID and addresses are filled in, and the taint goes.

A kubelet with an external cloud registers with the taint `node.cloudprovider.kubernetes.io/uninitialized`: nothing is scheduled there
before. Nodes without it only have labels of old names copied to the new.
Source: upstream cloud-provider `controllers/node/node_controller.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, annotations_of, key_of, labels_of, name_of
from kube.resources import NODES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, Record, Update, perform

from .local_cloud import Instance, LocalCloud

UNINITIALIZED: Final = "node.cloudprovider.kubernetes.io/uninitialized"
PROVIDED_IP: Final = "alpha.kubernetes.io/provided-node-ip"
TYPE, TYPE_BETA = "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"
ZONE, ZONE_BETA = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"
REGION, REGION_BETA = "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"
RENAMED: Final = ((ZONE_BETA, ZONE), (REGION_BETA, REGION), (TYPE_BETA, TYPE))


class WrongAddress(ValueError):
    """The node says that its address is one which its machine does not have."""


def plan(desired: Object, observed: Instance, now: datetime) -> list[Action]:
    """Initialize the node by what the cloud knows of it. Raises WrongAddress."""
    taints = desired["spec"].get("taints") or []
    if not is_waiting(desired):
        return _renamed(desired)
    addresses = addresses_by_provided(desired, observed.addresses)
    spec = {**desired["spec"], "taints": [each for each in taints if each.get("key") != UNINITIALIZED]}
    spec["providerID"] = spec.get("providerID") or observed.provider_id
    labels = {**labels_of(desired), **told_labels(observed)}
    node = {**desired, "metadata": {**desired["metadata"], "labels": labels}, "spec": spec}
    actions: list[Action] = [Update(NODES, node)]
    if addresses and addresses != ((desired.get("status") or {}).get("addresses") or []):
        # Addresses are merged by type: those that are not told any more have to be named, which a merge patch of the whole list does.
        actions.append(Patch(NODES, None, name_of(desired), {"status": {"addresses": addresses}}, PatchKind.MERGE, subresource="status"))
    return [*actions, Record(desired, "Normal", "Synced", "Node synced successfully")]


def is_waiting(node: Object) -> bool:
    return any(each.get("key") == UNINITIALIZED for each in node["spec"].get("taints") or ())


def told_labels(instance: Instance) -> dict[str, str]:
    """The labels of what is known, by their old names and their new."""
    told = ((TYPE, TYPE_BETA, instance.instance_type), (ZONE, ZONE_BETA, instance.zone), (REGION, REGION_BETA, instance.region))
    return {name: value for new, old, value in told if value for name in (new, old)}


def _renamed(node: Object) -> list[Action]:
    labels = labels_of(node)
    wanted = {new: labels[old] for old, new in RENAMED if old in labels and labels.get(new) != labels[old]}
    return [Patch(NODES, None, name_of(node), {"metadata": {"labels": wanted}}, PatchKind.MERGE)] if wanted else []


def addresses_by_provided(node: Object, addresses: Sequence[object]) -> list[Object]:
    """The machine's addresses; the one that the kubelet was told to use comes first among its type. Raises WrongAddress."""
    known = [dict(each) for each in addresses if isinstance(each, dict)]
    if not any(each.get("type") == "Hostname" for each in known):
        known += [each for each in (node.get("status") or {}).get("addresses") or () if each.get("type") == "Hostname"]
    provided = annotations_of(node).get(PROVIDED_IP)
    if not provided:
        return known
    types = [each["type"] for each in known if each.get("address") == provided]
    if not types:
        raise WrongAddress(f"failed to get node address from cloud provider that matches ip: {provided}")
    first = [{"type": each, "address": provided} for each in types]
    return [*first, *(each for each in known if each.get("type") not in types)]


class CloudNodeController:
    """Keys are names of nodes."""

    name = "cloud-node"

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    def start(self, run: Run) -> None:
        self.run = run
        self.nodes = run.informers.of(NODES)
        self.nodes.add_handler(self._changed)

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is not None:
            actions = plan(node, self._cloud.instance(node), self.run.clock.now())
            for answer in await perform(actions, client=self.run.client, events=self.run.events):
                if answer is not None:
                    self.nodes.put(answer)
        return None

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (is_waiting(new) or old is None or labels_of(old) != labels_of(new)):
            self.run.queue.add(key_of(new))
