"""Which admission plugins there are, in their order, and which of them are on. Pure; the plugins themselves are in `chain.py`.

Source: kubernetes `pkg/kubeapiserver/options/plugins.go` and apiserver `pkg/server/options/admission.go`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

ORDERED: Final = (
    "NamespaceLifecycle",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "PodSecurity",
    "Priority",
    "DefaultTolerationSeconds",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "PodTopologyLabels",
    "NodeDeclaredFeatureValidator",
    "PodResizeValidator",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
)
OFF_BY_DEFAULT: Final = frozenset({"NodeRestriction"})


def switched_off(enable: Collection[str] = (), disable: Collection[str] = ()) -> frozenset[str]:
    """The plugins that are off: those that are by default, and those that `disable` names, but for those that `enable` does."""
    return (OFF_BY_DEFAULT | frozenset(disable)) - frozenset(enable)


def problems(enable: Collection[str], disable: Collection[str]) -> list[str]:
    """What is wrong with the two flags, in upstream's words."""
    found = [f'enable-admission-plugins plugin "{each}" is unknown' for each in enable if each not in ORDERED]
    found += [f'disable-admission-plugins plugin "{each}" is unknown' for each in disable if each not in ORDERED]
    if both := sorted(set(enable) & set(disable)):
        found.append(f"[{' '.join(both)}] in enable-admission-plugins and disable-admission-plugins overlapped")
    return found
