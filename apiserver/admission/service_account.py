"""ServiceAccount: every pod runs as one, with its token mounted unless it says no. Source: `plugin/pkg/admission/serviceaccount`."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from typing import Any, Final

from apiserver.registry.admission import Attributes
from apiserver.registry.metadata import random_suffix
from apiserver.registry.pod_references import is_mirror, names_secrets
from kube import errors
from kube.memo import Memo
from kube.objects import Object, annotations_of
from kube.resources import SERVICE_ACCOUNTS

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
ENFORCED: Final = "kubernetes.io/enforce-mountable-secrets"
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
TOKEN_SECONDS: Final = 3607


_ACCOUNTS: Memo[Object] = Memo()
"""Accounts by their stored bytes, to look at and not to change: each is asked for by all pods that run as it."""


class ServiceAccount:
    """See the module."""

    resources = frozenset({("", "pods")})
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "ephemeralcontainers"})

    async def mutate(self, attributes: Attributes) -> None:
        spec = _new_spec(attributes)
        if spec is None:
            return
        if is_mirror(attributes.obj or {}):
            await self.validate(attributes)
            return
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(attributes, name)
        if "imagePullSecrets" not in spec and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(each) for each in account["imagePullSecrets"]]
        if self._mounts(account, spec):
            self._mount(attributes, spec)
        await self.validate(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """What came after `mutate` may have changed the pod: what it refers to is looked at again."""
        if attributes.operation == "UPDATE" and attributes.subresource:
            await self._check_ephemeral(attributes)
            return
        spec = _new_spec(attributes)
        if spec is None:
            return
        if is_mirror(attributes.obj or {}):
            self._check_mirror(attributes, spec)
            return
        account = await self._account_of(attributes, spec)
        if _is_enforced(account) and (why := next(_secrets_beyond(spec, account), "")):
            raise self._refuse(attributes, why)

    async def _account_of(self, attributes: Attributes, spec: Object) -> Object:
        name = spec.get("serviceAccountName")
        if not name:
            pod = (attributes.obj or {})["metadata"].get("name", "")
            raise self._refuse(attributes, f"no service account specified for pod {attributes.namespace}/{pod}")
        return await self._account(attributes, name)

    async def _check_ephemeral(self, attributes: Attributes) -> None:
        """Upstream refuses these without a status of its own, so they count as failures of the server."""
        spec = (attributes.obj or {}).get("spec") or {}
        account = await self._account_of(attributes, spec)
        if _is_enforced(account) and (why := next(_env_beyond(spec, account, "ephemeralContainers", "ephemeral container"), "")):
            raise errors.ApiError(why, code=500, reason="")

    def _check_mirror(self, attributes: Attributes, spec: Object) -> None:
        if spec.get("serviceAccountName"):
            raise self._refuse(attributes, "a mirror pod may not reference service accounts")
        if names_secrets(attributes.obj or {}):
            raise self._refuse(attributes, "a mirror pod may not reference secrets")
        for volume in spec.get("volumes") or ():
            for source in (volume.get("projected") or {}).get("sources") or ():
                if source.get("serviceAccountToken") is not None:
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


def _new_spec(attributes: Attributes) -> Object | None:
    """The spec of a pod that is created; None for all else."""
    is_new = attributes.operation == "CREATE" and not attributes.subresource and attributes.obj is not None
    spec = (attributes.obj or {}).get("spec") if is_new else None
    return spec if isinstance(spec, dict) else None


def _is_enforced(account: Object) -> bool:
    """An account can say that its pods use only the secrets that it lists."""
    return annotations_of(account).get(ENFORCED) in _TRUE


def _end(account: Object) -> str:
    return f"is not allowed because service account {account['metadata']['name']} does not reference that"


def _secrets_beyond(spec: Object, account: Object) -> Iterator[str]:
    """What a pod refers to that its account does not list. Only some ways of naming a secret are looked at."""
    known = {each.get("name") for each in account.get("secrets") or ()}
    for volume in spec.get("volumes") or ():
        secret = volume.get("secret")
        if secret is not None and (name := secret.get("secretName") or "") not in known:
            yield f'volume with secret.secretName="{name}" {_end(account)} secret'
    for group, what in (("initContainers", "init container"), ("containers", "container")):
        yield from _env_beyond(spec, account, group, what)
    pulls = {each.get("name") for each in account.get("imagePullSecrets") or ()}
    for index, each in enumerate(spec.get("imagePullSecrets") or ()):
        if (name := each.get("name") or "") not in pulls:
            yield f'imagePullSecrets[{index}].name="{name}" {_end(account)} imagePullSecret'


def _env_beyond(spec: Object, account: Object, group: str, what: str) -> Iterator[str]:
    known = {each.get("name") for each in account.get("secrets") or ()}
    for container in spec.get(group) or ():
        named = [
            *((f"envVar {each['name']}", (each.get("valueFrom") or {}).get("secretKeyRef")) for each in container.get("env") or ()),
            *(("envFrom", each.get("secretRef")) for each in container.get("envFrom") or ()),
        ]
        for where, reference in named:
            if reference is not None and (name := reference.get("name") or "") not in known:
                yield f'{what} {container["name"]} with {where} referencing secret.secretName="{name}" {_end(account)} secret'


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
