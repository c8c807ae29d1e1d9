"""The admission chain: one list, in upstream's order (`pkg/kubeapiserver/options/plugins.go`); first all mutate, last all validate.

A plugin is one small file with `async mutate(attributes)` and/or `async validate(attributes)`. Not there yet: webhooks, policies (CEL),
PodSecurity, LimitRanger, ResourceQuota and the certificate plugins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.admission.certificate_subject import CertificateSubjectRestriction
from apiserver.admission.claim_resize import PersistentVolumeClaimResize
from apiserver.admission.default_class import DEFAULT_INGRESS_CLASS, DEFAULT_STORAGE_CLASS
from apiserver.admission.default_tolerations import DefaultTolerationSeconds
from apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.node_taints import TaintNodesByCondition
from apiserver.admission.priority import Priority
from apiserver.admission.runtime_class import RuntimeClass
from apiserver.admission.service_account import ServiceAccount
from apiserver.admission.storage_protection import StorageObjectInUseProtection
from apiserver.registry.admission import Attributes


class Chain:
    """Several plugins as one."""

    def __init__(self, plugins: Sequence[Any]) -> None:
        self._mutating = [each for each in plugins if hasattr(each, "mutate")]
        self._validating = [each for each in plugins if hasattr(each, "validate")]

    async def mutate(self, attributes: Attributes) -> None:
        for plugin in self._mutating:
            await plugin.mutate(attributes)

    async def validate(self, attributes: Attributes) -> None:
        for plugin in self._validating:
            await plugin.validate(attributes)


def default_chain() -> Chain:
    """The plugins that are on by default."""
    return Chain(
        [
            NamespaceLifecycle(),
            TaintNodesByCondition(),
            ServiceAccount(),
            Priority(),
            DefaultTolerationSeconds(),
            DEFAULT_STORAGE_CLASS,
            StorageObjectInUseProtection(),
            PersistentVolumeClaimResize(),
            RuntimeClass(),
            CertificateSubjectRestriction(),
            DEFAULT_INGRESS_CLASS,
        ]
    )
