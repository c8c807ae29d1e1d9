"""PersistentVolumeClaimResize: a bound claim grows only where its storage class allows it.

Source: `plugin/pkg/admission/storage/persistentvolume/resize/admission.go`.
"""

from __future__ import annotations

from apiserver.admission.default_class import STORAGE_CLASSES
from apiserver.registry.admission import Attributes
from kube import errors
from kube.objects import Object, annotations_of
from kube.quantity import parse


class PersistentVolumeClaimResize:
    """See the module."""

    resources = frozenset({("", "persistentvolumeclaims")})

    async def validate(self, attributes: Attributes) -> None:
        new, old = attributes.obj, attributes.old
        if attributes.operation != "UPDATE" or attributes.subresource:
            return
        if new is None or old is None or (old.get("status") or {}).get("phase") != "Bound" or not _grows(new, old):
            return
        if not await self._expandable(attributes, old):
            why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
            raise errors.forbidden("persistentvolumeclaims", "", attributes.name, why)

    async def _expandable(self, attributes: Attributes, claim: Object) -> bool:
        name = annotations_of(claim).get("volume.beta.kubernetes.io/storage-class") or claim["spec"].get("storageClassName") or ""
        if not name:
            return False
        try:
            found = await attributes.registries.get(STORAGE_CLASSES).get("", name)
        except errors.NotFound:
            return False
        return bool(found.get("allowVolumeExpansion"))


def _grows(new: Object, old: Object) -> bool:
    wanted, had = (((each["spec"].get("resources") or {}).get("requests") or {}).get("storage") for each in (new, old))
    return wanted is not None and had is not None and parse(wanted) > parse(had)
