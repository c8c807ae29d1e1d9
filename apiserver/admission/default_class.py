"""DefaultStorageClass and DefaultIngressClass: what names no class gets the cluster's default one.

Of several defaults the newest counts, of equally old ones the first by name.
Sources: `plugin/pkg/admission/storage/storageclass/setdefault`, `plugin/pkg/admission/network/defaultingressclass`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.registry.admission import Attributes
from kube.objects import Object, annotations_of
from kube.resources import Resource

STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
INGRESS_CLASSES: Final = Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)


@dataclass(frozen=True, slots=True)
class DefaultClass:
    """New objects of `resources` get `field` of their spec set, unless they have it or say by `legacy` (an annotation) what they want."""

    resources: frozenset[tuple[str, str]]
    field: str
    legacy: str
    classes: Resource
    marks: Sequence[str]
    """The annotations that make a class the default, with the value "true"."""

    async def mutate(self, attributes: Attributes) -> None:
        obj = attributes.obj
        if attributes.operation != "CREATE" or attributes.subresource or obj is None:
            return
        spec = obj.setdefault("spec", {})
        if spec.get(self.field) is not None or self.legacy in annotations_of(obj):
            return
        found = await self._default(attributes)
        if found is not None:
            spec[self.field] = found["metadata"]["name"]

    async def _default(self, attributes: Attributes) -> Object | None:
        classes = await attributes.registries.get(self.classes).list_objects()
        marked = [each for each in classes if any(annotations_of(each).get(mark) == "true" for mark in self.marks)]
        marked.sort(key=lambda each: str(each["metadata"]["name"]))
        return max(marked, key=lambda each: str(each["metadata"]["creationTimestamp"]), default=None)


DEFAULT_STORAGE_CLASS: Final = DefaultClass(
    frozenset({("", "persistentvolumeclaims")}),
    "storageClassName",
    "volume.beta.kubernetes.io/storage-class",
    STORAGE_CLASSES,
    ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"),
)
DEFAULT_INGRESS_CLASS: Final = DefaultClass(
    frozenset({("networking.k8s.io", "ingresses")}),
    "ingressClassName",
    "kubernetes.io/ingress.class",
    INGRESS_CLASSES,
    ("ingressclass.kubernetes.io/is-default-class",),
)
