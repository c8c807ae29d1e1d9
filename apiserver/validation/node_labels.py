"""Labels of nodes that have new names, and what is said to whoever still selects by the old ones.

Source: kubernetes `pkg/api/node/util.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from kube.objects import Object

DEPRECATED_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}


def selector_warnings(selector: Object, path: str) -> Iterator[str]:
    """Of a NodeSelector."""
    for index, term in enumerate(selector.get("nodeSelectorTerms") or ()):
        yield from term_warnings(term, f"{path}.nodeSelectorTerms[{index}]")


def term_warnings(term: Object, path: str) -> Iterator[str]:
    """Of whatever has matchExpressions."""
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key") or ""
        if key in DEPRECATED_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {key} is {DEPRECATED_LABELS[key]}"
