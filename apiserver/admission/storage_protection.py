"""StorageObjectInUseProtection: volumes and claims are not removed while in use, by a finalizer from their first moment.

Source: `plugin/pkg/admission/storage/storageobjectinuseprotection/admission.go`.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes

FINALIZERS: Final = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "volumeattributesclasses": "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection:
    """See the module."""

    async def mutate(self, attributes: Attributes) -> None:
        finalizer = FINALIZERS.get(attributes.kind.resource.plural)
        if finalizer is None or attributes.operation != "CREATE" or attributes.subresource or attributes.obj is None:
            return
        meta = attributes.obj["metadata"]
        present = meta.get("finalizers") or []
        if finalizer not in present:
            meta["finalizers"] = [*present, finalizer]
