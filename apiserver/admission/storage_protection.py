"""StorageObjectInUseProtection: volumes and claims are not removed while in use, by a finalizer from their first moment.

Source: `plugin/pkg/admission/storage/storageobjectinuseprotection/admission.go`.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes

FINALIZERS: Final = {
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection:
    """See the module."""

    resources = frozenset(FINALIZERS)

    async def mutate(self, attributes: Attributes) -> None:
        if attributes.operation != "CREATE" or attributes.subresource or attributes.obj is None:
            return
        finalizer = FINALIZERS[attributes.kind.resource.group, attributes.kind.resource.plural]
        meta = attributes.obj["metadata"]
        present = meta.get("finalizers") or []
        if finalizer not in present:
            meta["finalizers"] = [*present, finalizer]
