"""The admission chain: one list, in upstream's order (`pkg/kubeapiserver/options/plugins.go`); first all mutate, last all validate.

A plugin is one small file with `async mutate(attributes)` and/or `async validate(attributes)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final

from apiserver.admission.certificate_signers import CertificateApproval, CertificateSigning
from apiserver.admission.certificate_subject import CertificateSubjectRestriction
from apiserver.admission.claim_resize import PersistentVolumeClaimResize
from apiserver.admission.default_class import DEFAULT_INGRESS_CLASS, DEFAULT_STORAGE_CLASS
from apiserver.admission.default_tolerations import DefaultTolerationSeconds
from apiserver.admission.limit_ranger import LimitRanger
from apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.node_declared_features import NodeDeclaredFeatureValidator
from apiserver.admission.node_restriction import NodeRestriction
from apiserver.admission.node_taints import TaintNodesByCondition
from apiserver.admission.pod_resize import PodResizeValidator
from apiserver.admission.pod_security.plugin import PodSecurity
from apiserver.admission.pod_topology_labels import PodTopologyLabels
from apiserver.admission.policies.plugins import MutatingPolicies, ValidatingPolicies
from apiserver.admission.priority import Priority
from apiserver.admission.resource_quota import ResourceQuota
from apiserver.admission.runtime_class import RuntimeClass
from apiserver.admission.selection import switched_off
from apiserver.admission.service_account import ServiceAccount
from apiserver.admission.storage_protection import StorageObjectInUseProtection
from apiserver.admission.webhooks.measured import exposed
from apiserver.admission.webhooks.plugins import MutatingWebhooks, ValidatingWebhooks
from apiserver.registry.admission import Attributes

Step = Callable[[Attributes], Awaitable[None]]
Idle = Callable[[Any], bool]


class Chain:
    """Several plugins as one. A plugin with `resources` (pairs of group and plural), `operations` or `subresources` ("" for the object
    itself) is asked about these alone; one with `is_idle(registries)` is not asked while that says that it has nothing to do for anyone."""

    def __init__(self, plugins: Sequence[Any]) -> None:
        self._plugins = list(plugins)
        self._steps: dict[tuple[str, str, str, str, str], list[tuple[Idle | None, Step]]] = {}

    async def mutate(self, attributes: Attributes) -> None:
        await self._all("mutate", attributes)
        again = attributes.reinvocation
        if again is not None and again.is_wanted:
            again.is_again = True
            await self._all("mutate", attributes)

    async def validate(self, attributes: Attributes) -> None:
        await self._all("validate", attributes)

    async def _all(self, what: str, attributes: Attributes) -> None:
        registries = attributes.registries
        for is_idle, step in self._of(what, attributes):
            if is_idle is None or not is_idle(registries):
                await step(attributes)

    def metrics(self) -> str:
        return exposed([each.measured for each in self._plugins if hasattr(each, "measured")])

    def _of(self, what: str, attributes: Attributes) -> list[tuple[Idle | None, Step]]:
        resource = attributes.kind.resource
        key = (what, attributes.operation, attributes.ctx.subresource, resource.group, resource.plural)
        steps = self._steps.get(key)
        if steps is None:
            _, operation, subresource, *_ = key
            of = (resource.group, resource.plural)
            concerned = [
                each
                for each in self._plugins
                if of in getattr(each, "resources", (of,))
                and operation in getattr(each, "operations", (operation,))
                and subresource in getattr(each, "subresources", (subresource,))
            ]
            found = [(getattr(each, "is_idle", None), getattr(each, what)) for each in concerned if hasattr(each, what)]
            steps = self._steps[key] = found
        return steps


PLUGINS: Final[dict[str, Callable[[], Any]]] = {
    "NamespaceLifecycle": NamespaceLifecycle,
    "LimitRanger": LimitRanger,
    "ServiceAccount": ServiceAccount,
    "NodeRestriction": NodeRestriction,
    "TaintNodesByCondition": TaintNodesByCondition,
    "PodSecurity": PodSecurity,
    "Priority": Priority,
    "DefaultTolerationSeconds": DefaultTolerationSeconds,
    "DefaultStorageClass": lambda: DEFAULT_STORAGE_CLASS,
    "StorageObjectInUseProtection": StorageObjectInUseProtection,
    "PersistentVolumeClaimResize": PersistentVolumeClaimResize,
    "RuntimeClass": RuntimeClass,
    "CertificateApproval": CertificateApproval,
    "CertificateSigning": CertificateSigning,
    "CertificateSubjectRestriction": CertificateSubjectRestriction,
    "DefaultIngressClass": lambda: DEFAULT_INGRESS_CLASS,
    "PodTopologyLabels": PodTopologyLabels,
    "NodeDeclaredFeatureValidator": NodeDeclaredFeatureValidator,
    "PodResizeValidator": PodResizeValidator,
    "MutatingAdmissionPolicy": MutatingPolicies,
    "MutatingAdmissionWebhook": MutatingWebhooks,
    "ValidatingAdmissionPolicy": ValidatingPolicies,
    "ValidatingAdmissionWebhook": ValidatingWebhooks,
    "ResourceQuota": ResourceQuota,
}
"""What makes each plugin, by upstream's name, in the order in which they are asked."""


def chain_of(enable: Collection[str] = (), disable: Collection[str] = ()) -> Chain:
    """The plugins that are on: see `selection.py`."""
    off = switched_off(enable, disable)
    return Chain([make() for name, make in PLUGINS.items() if name not in off])
