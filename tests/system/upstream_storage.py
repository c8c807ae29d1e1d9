"""What the controllers must do, whoever's they are: volumes and claims. Nothing here is a test.

Every function is one scenario, in a namespace of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kube.objects import Object
from tests.system.upstream_world import World, is_true, pod_spec

PROTECTION: Final = "kubernetes.io/pvc-protection"


def _claim(world: World, namespace: str, storage_class: str) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "resources": {"requests": {"storage": "1Gi"}}}
    world.create("PersistentVolumeClaim", namespace, "data", spec=spec)


def _user_of_it(world: World, namespace: str, **fields: Any) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    world.create("Pod", namespace, "user", spec=pod_spec(volumes=volumes, **fields))


def _volume(storage_class: str, **source: Object) -> Object:
    common = {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain"}
    return {**common, "storageClassName": storage_class, **source}


def binding(world: World) -> None:
    """A claim is bound to a volume, is kept while a pod uses it, and leaves the volume released."""
    space = world.namespace("binding")
    world.create("StorageClass", "", "by-hand", provisioner="kubernetes.io/no-provisioner")
    world.create("PersistentVolume", "", "kept", spec=_volume("by-hand", nfs={"server": "192.0.2.1", "path": "/"}))
    _claim(world, space, "by-hand")
    world.until("a bound claim", lambda: world.get("PersistentVolumeClaim", space, "data")["status"].get("phase") == "Bound")
    _user_of_it(world, space)
    world.until("a pod with a volume", lambda: is_true(world.find("Pod", space, "user"), "Ready"))
    world.delete("PersistentVolumeClaim", space, "data")
    metadata = world.get("PersistentVolumeClaim", space, "data")["metadata"]
    assert metadata["deletionTimestamp"]
    assert PROTECTION in metadata["finalizers"]
    world.delete("Pod", space, "user")
    world.until("no claim", lambda: world.find("PersistentVolumeClaim", space, "data") is None)
    world.until("a released volume", lambda: world.get("PersistentVolume", "", "kept")["status"]["phase"] == "Released")
    world.delete("PersistentVolume", "", "kept")
    world.until("no volume", lambda: world.find("PersistentVolume", "", "kept") is None)


def attachment(world: World) -> None:
    """A volume of a CSI driver is attached to the pod's node before the pod runs, and detached after it."""
    space = world.namespace("attachment")
    driver = "csi.example.com"
    world.create("CSIDriver", "", driver, spec={"attachRequired": True})
    world.create("StorageClass", "", "csi", provisioner=driver)
    world.create("PersistentVolume", "", "far", spec=_volume("csi", csi={"driver": driver, "volumeHandle": "h1"}))
    _claim(world, space, "csi")
    _user_of_it(world, space, nodeSelector={"kubernetes.io/hostname": "node-1"})
    world.until("an attachment", lambda: bool(world.items("VolumeAttachment")))
    (wanted,) = world.items("VolumeAttachment")
    assert wanted["spec"] == {"attacher": driver, "source": {"persistentVolumeName": "far"}, "nodeName": "node-1"}
    world.merge("VolumeAttachment", "", wanted["metadata"]["name"], {"status": {"attached": True}}, subresource="status")
    world.until("a pod with a volume", lambda: is_true(world.find("Pod", space, "user"), "Ready"))

    def attached() -> list[str]:
        return [each["name"] for each in world.get("Node", "", "node-1")["status"].get("volumesAttached") or ()]

    world.until("a node that knows of it", lambda: attached() == [f"kubernetes.io/csi/{driver}^h1"])
    world.delete("Pod", space, "user")
    world.until("no attachment", lambda: not world.items("VolumeAttachment"))


def ephemeral(world: World) -> None:
    """A pod's ephemeral volume is a claim that comes and goes with it."""
    space = world.namespace("ephemeral")
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}}
    world.create("Pod", space, "user", spec=pod_spec(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]))
    world.until("a claim", lambda: world.find("PersistentVolumeClaim", space, "user-scratch") is not None)
    world.delete("Pod", space, "user")
    world.until("no claim", lambda: not world.items("PersistentVolumeClaim", space))


SCENARIOS: Final[tuple[Callable[[World], None], ...]] = (binding, attachment, ephemeral)
