"""For which pods, and for whom, a node may ask for the tokens of accounts. A part of NodeRestriction.

A token is for a pod that is on the node, and for an audience that a volume of the pod asks for: in its own spec, or through the CSI driver
of one of its volumes. Others need the verb `request-serviceaccounts-token-audience`. Source: kubernetes
`plugin/pkg/admission/noderestriction/admission.go` (admitServiceAccount, ServiceAccountNodeAudienceRestriction) and `csi-translation-lib`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from apiserver.registry.admission import Attributes
from apiserver.registry.authorization import Attributes as Wanted
from apiserver.registry.authorization import aggregate
from apiserver.registry.pod_references import claim_of
from kube import errors
from kube.errors import quoted
from kube.objects import Object, namespace_of, uid_of
from kube.resources import CSI_DRIVERS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, Resource

VERB: Final = "request-serviceaccounts-token-audience"
MIGRATED: Final = {
    "gcePersistentDisk": "pd.csi.storage.gke.io",
    "awsElasticBlockStore": "ebs.csi.aws.com",
    "cinder": "cinder.csi.openstack.org",
    "azureDisk": "disk.csi.azure.com",
    "azureFile": "file.csi.azure.com",
    "vsphereVolume": "csi.vsphere.vmware.com",
    "portworxVolume": "pxd.portworx.com",
}
"""The drivers that have taken over what was in Kubernetes once."""

Refuse = Callable[[str], errors.Forbidden]


async def admit_token(node: str, attributes: Attributes, refuse: Refuse) -> None:
    """Judge a TokenRequest. Raises what `refuse` makes of a reason, or NotFound."""
    spec = (attributes.obj or {}).get("spec") or {}
    reference = spec.get("boundObjectRef") or {}
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod") or not reference.get("name"):
        raise refuse("node requested token not bound to a pod")
    if not reference.get("uid"):
        raise refuse("node requested token with a pod binding without a uid")
    pod = await _found(attributes, PODS, attributes.namespace, reference["name"])
    if reference["uid"] != uid_of(pod):
        given = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
        raise refuse(f"{given}. The object might have been deleted and then recreated")
    if pod["spec"].get("nodeName") != node:
        raise refuse("node requested token bound to a pod scheduled on a different node")
    audiences = spec.get("audiences") or [""]
    if len(audiences) > 1:
        raise refuse("node may only request 0 or 1 audiences")
    await _check_audience(attributes, pod, audiences[0], refuse)


async def _check_audience(attributes: Attributes, pod: Object, audience: str, refuse: Refuse) -> None:
    problems: list[str] = []
    for volume in pod["spec"].get("volumes") or ():
        try:
            if await _asks_for(attributes, pod, volume, audience):
                return
        except errors.NotFound as error:
            problems.append(error.message)
    if problems:
        raise refuse(f"error validating audience {quoted(audience)}: {aggregate(problems)}")
    user = attributes.ctx.user
    wanted = Wanted(VERB, version="v1", resource=audience, namespace=attributes.namespace, name=attributes.name)
    decision = attributes.registries.authorizer.decide(user, wanted)
    if decision.allowed:
        return
    missing = f"audience {quoted(audience)} not found in pod spec volume"
    if decision.error:
        raise refuse(f"{missing}, error authorizing {user.name} to request tokens for this audience: {decision.error}")
    raise refuse(f"{missing}, {user.name} is not authorized to request tokens for this audience")


async def _asks_for(attributes: Attributes, pod: Object, volume: Object, audience: str) -> bool:
    """Whether a volume needs a token for the audience. Raises NotFound where what is behind it is not there."""
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and (token.get("audience") or "") == audience:
            return True
    claim = claim_of(pod, volume)
    name = await _driver_of_claim(attributes, namespace_of(pod), claim) if claim is not None else _driver_of(volume)
    if not name:
        return False
    driver = await _found(attributes, CSI_DRIVERS, "", name)
    return any((each.get("audience") or "") == audience for each in driver["spec"].get("tokenRequests") or ())


async def _driver_of_claim(attributes: Attributes, namespace: str, name: str) -> str:
    claim = await _found(attributes, PERSISTENT_VOLUME_CLAIMS, namespace, name)
    return _driver_of((await _found(attributes, PERSISTENT_VOLUMES, "", claim["spec"].get("volumeName") or ""))["spec"])


def _driver_of(source: Object) -> str:
    """The CSI driver of a volume; "" for one that has none."""
    if source.get("csi") is not None:
        driver: str = source["csi"].get("driver") or ""
        return driver
    return next((driver for kind, driver in MIGRATED.items() if source.get(kind) is not None), "")


async def _found(attributes: Attributes, resource: Resource, namespace: str, name: str) -> Object:
    """The object. Raises NotFound in the words of upstream's listers, who name the kind."""
    cache = attributes.registries.get(resource).cache
    await cache.catch_up()
    entry = cache.get(namespace, name)
    if entry is None:
        raise errors.not_found(resource.kind.lower(), resource.group, name)
    obj: Object = cache.object_of(entry)
    return obj
