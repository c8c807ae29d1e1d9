"""ServiceAccount: every pod runs as one, with its token mounted unless it says no. Source: `plugin/pkg/admission/serviceaccount`."""

from __future__ import annotations

import functools
import random
from typing import Any, Final

from apiserver.registry.admission import Attributes
from apiserver.registry.metadata import random_suffix
from kube import errors
from kube.memo import Memo
from kube.objects import Object, annotations_of
from kube.resources import SERVICE_ACCOUNTS

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
MIRROR: Final = "kubernetes.io/config.mirror"
ENFORCED: Final = "kubernetes.io/enforce-mountable-secrets"
TOKEN_SECONDS: Final = 3607


_ACCOUNTS: Memo[Object] = Memo()
"""Accounts by their stored bytes, to look at and not to change: each is asked for by all pods that run as it."""


class ServiceAccount:
    """See the module."""

    resources = frozenset({("", "pods")})
    operations = frozenset({"CREATE"})
    subresources = frozenset({""})

    async def mutate(self, attributes: Attributes) -> None:
        if attributes.subresource or attributes.obj is None or attributes.operation != "CREATE":
            return
        pod = attributes.obj
        spec = pod.get("spec")
        if not isinstance(spec, dict):
            return
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            self._check_mirror(attributes, spec)
            return
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(attributes, name)
        if annotations_of(account).get(ENFORCED) == "true":
            self._check_secrets(attributes, spec, account)
        if "imagePullSecrets" not in spec and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(each) for each in account["imagePullSecrets"]]
        if self._mounts(account, spec):
            self._mount(attributes, spec)

    def _check_mirror(self, attributes: Attributes, spec: Object) -> None:
        if spec.get("serviceAccountName"):
            raise self._refuse(attributes, "a mirror pod may not reference service accounts")
        for volume in spec.get("volumes") or ():
            for source in (volume.get("projected") or {}).get("sources") or ():
                if source.get("serviceAccountToken"):
                    raise self._refuse(attributes, "a mirror pod may not use ServiceAccountToken volume projections")

    def _refuse(self, attributes: Attributes, why: str) -> errors.Forbidden:
        assert attributes.obj is not None
        return errors.forbidden("pods", "", attributes.obj["metadata"].get("name", ""), why)

    async def _account(self, attributes: Attributes, name: str) -> Object:
        cache = attributes.registries.get(SERVICE_ACCOUNTS).cache
        await cache.catch_up()
        entry = cache.get(attributes.namespace, name)
        if entry is None:
            why = f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
            raise self._refuse(attributes, why)
        found = _ACCOUNTS.get(entry.value)
        if found is None:
            found = cache.object_of(entry)
            _ACCOUNTS.put(entry.value, found)
        return found

    def _check_secrets(self, attributes: Attributes, spec: Object, account: Object) -> None:
        """An account can say that its pods use only the secrets it lists."""
        known = {each.get("name") for each in account.get("secrets") or ()}
        end = f"is not allowed because service account {account['metadata']['name']} does not reference that"
        for volume in spec.get("volumes") or ():
            secret = (volume.get("secret") or {}).get("secretName", "") if volume.get("secret") else None
            if secret is not None and secret not in known:
                raise self._refuse(attributes, f'volume with secret.secretName="{secret}" {end} secret')
        for group, what in (("initContainers", "init container"), ("containers", "container")):
            for container in spec.get(group) or ():
                for env in container.get("env") or ():
                    reference = (env.get("valueFrom") or {}).get("secretKeyRef")
                    if reference and reference.get("name", "") not in known:
                        where = f"{what} {container['name']} with envVar {env['name']}"
                        raise self._refuse(attributes, f'{where} referencing secret.secretName="{reference.get("name", "")}" {end} secret')
        pulls = {each.get("name") for each in account.get("imagePullSecrets") or ()}
        for index, each in enumerate(spec.get("imagePullSecrets") or ()):
            if each.get("name", "") not in pulls:
                raise self._refuse(attributes, f'imagePullSecrets[{index}].name="{each.get("name", "")}" {end} imagePullSecret')

    def _mounts(self, account: Object, spec: Object) -> bool:
        if "automountServiceAccountToken" in spec:
            return bool(spec["automountServiceAccountToken"])
        return bool(account.get("automountServiceAccountToken", True))

    def _mount(self, attributes: Attributes, spec: Object) -> None:
        """Mount the token into every container that has nothing else at that path."""
        volumes: list[Any] = spec.get("volumes") or []
        existing = next((each["name"] for each in volumes if each.get("name", "").startswith("kube-api-access-")), None)
        name = existing or f"kube-api-access-{_suffix(attributes.namespace, spec['serviceAccountName'])}"
        used = False
        for group in ("initContainers", "containers"):
            for container in spec.get(group) or ():
                mounts = container.get("volumeMounts") or []
                if any(each.get("mountPath") == MOUNT_PATH for each in mounts):
                    continue
                container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
                used = True
        if used and existing is None:
            spec["volumes"] = [*volumes, {"name": name, "projected": _projection()}]


@functools.lru_cache(maxsize=1024)
def _suffix(namespace: str, account: str) -> str:
    """Upstream's is random; this one is the same for all pods of an account, so that like pods stay alike (see `registry/alike.py`)."""
    return random_suffix(random.Random(f"{namespace}/{account}"))


def _projection() -> Object:
    """The token, the cluster's CA and the pod's namespace."""
    return {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ],
    }
