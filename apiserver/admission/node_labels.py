"""Which labels a node may give itself. Pure.

Source: kubernetes `plugin/pkg/admission/noderestriction/admission.go` (getForbiddenLabels) and `kubelet/pkg/apis/well_known_labels.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RESTRICTED: Final = "node-restriction.kubernetes.io"
KUBELET_LABELS: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    }
)
KUBELET_NAMESPACES: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")
KUBERNETES: Final = ("kubernetes.io", "k8s.io")


def forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """The labels of Kubernetes that are not the same in both and not the node's to change, in order."""
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    return sorted(each for each in changed if _is_forbidden(each))


def _is_forbidden(label: str) -> bool:
    domain, slash, _ = label.partition("/")
    if not slash:
        return False
    if _is_in(domain, (RESTRICTED,)):
        return True
    return _is_in(domain, KUBERNETES) and label not in KUBELET_LABELS and not _is_in(domain, KUBELET_NAMESPACES)


def _is_in(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == each or domain.endswith(f".{each}") for each in parents)
