"""What each controller may do: `system:controller:<name>`, bound to the ServiceAccount of that name in kube-system.

Lines are in the form of `rules.py`. Source: kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`, with the
feature gates of v1.36 as they are by default.
"""

from __future__ import annotations

from typing import Final

from apiserver.bootstrap.rules import EVENTS
from kube.feature_gates import STORAGE_VERSION_MIGRATOR

_DRA: Final = "resource.k8s.io"

CONTROLLERS: Final[dict[str, tuple[str, ...]]] = {
    "attachdetach-controller": (
        "list watch | persistentvolumeclaims persistentvolumes",
        "read | nodes",
        "patch update | nodes/status",
        "list watch | pods",
        EVENTS,
        "create delete read | storage.k8s.io | volumeattachments",
        "read | storage.k8s.io | csidrivers",
        "read | storage.k8s.io | csinodes",
    ),
    "certificate-controller": (
        "delete read | certificates.k8s.io | certificatesigningrequests",
        "update | certificates.k8s.io | certificatesigningrequests/approval certificatesigningrequests/status",
        "approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet",
        "sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet"
        " kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown",
        "create | authorization.k8s.io | subjectaccessreviews",
        EVENTS,
    ),
    "clusterrole-aggregation-controller": ("escalate read patch update | rbac.authorization.k8s.io | clusterroles",),
    "cronjob-controller": (
        "read update | batch | cronjobs",
        "create delete read patch update | batch | jobs",
        "update | batch | cronjobs/status",
        "update | batch | cronjobs/finalizers",
        "delete list watch | pods",
        EVENTS,
    ),
    "daemon-set-controller": (
        "read | apps extensions | daemonsets",
        "update | apps extensions | daemonsets/status",
        "update | apps extensions | daemonsets/finalizers",
        "list watch | nodes",
        "create delete list patch watch | pods",
        "create | pods/binding",
        "create delete read patch update | apps | controllerrevisions",
        EVENTS,
    ),
    "deployment-controller": (
        "read update | apps extensions | deployments",
        "update | apps extensions | deployments/status",
        "update | apps extensions | deployments/finalizers",
        "create delete read patch update | apps extensions | replicasets",
        "read update | pods",
        EVENTS,
    ),
    "device-taint-eviction-controller": (
        "delete read | pods",
        "patch update | pods/status",
        f"read | {_DRA} | resourceclaims",
        f"read | {_DRA} | resourceslices",
        f"read | {_DRA} | deviceclasses",
        EVENTS,
    ),
    "disruption-controller": (
        "read | apps extensions | deployments",
        "read | apps extensions | replicasets",
        "read | replicationcontrollers",
        "read | policy | poddisruptionbudgets",
        "read | apps | statefulsets",
        "update | policy | poddisruptionbudgets/status",
        "patch update | pods/status",
        "get | * | */scale",
        EVENTS,
    ),
    "endpoint-controller": (
        "read | pods services",
        "create delete read update | endpoints",
        "create | endpoints/restricted",
        EVENTS,
    ),
    "endpointslice-controller": (
        "read | nodes pods services",
        "update | services/finalizers",
        "create delete read update | discovery.k8s.io | endpointslices",
        EVENTS,
    ),
    "endpointslicemirroring-controller": (
        "read | endpoints services",
        "update | services/finalizers",
        "update | endpoints/finalizers",
        "create delete read update | discovery.k8s.io | endpointslices",
        EVENTS,
    ),
    "ephemeral-volume-controller": ("read | pods", "update | pods/finalizers", "create read | persistentvolumeclaims", EVENTS),
    "expand-controller": (
        "read patch update | persistentvolumes",
        "patch update | persistentvolumeclaims/status",
        "read | persistentvolumeclaims",
        EVENTS,
    ),
    "generic-garbage-collector": ("delete read patch update | * | *", EVENTS),
    "horizontal-pod-autoscaler": (
        "read | autoscaling | horizontalpodautoscalers",
        "update | autoscaling | horizontalpodautoscalers/status",
        "get update | * | */scale",
        "list watch | pods",
        "list watch | metrics.k8s.io | pods",
        "read | custom.metrics.k8s.io | *",
        "read | external.metrics.k8s.io | *",
        EVENTS,
    ),
    "job-controller": (
        "read patch update | batch | jobs",
        "update | batch | jobs/status",
        "update | batch | jobs/finalizers",
        "create delete list patch watch | pods",
        EVENTS,
    ),
    "legacy-service-account-token-cleaner": (
        "get | core | configmaps | kube-apiserver-legacy-service-account-token-tracking",
        "delete patch | secrets",
    ),
    "namespace-controller": (
        "delete read | namespaces",
        "update | namespaces/finalize namespaces/status",
        "delete deletecollection read | * | *",
    ),
    "node-controller": (
        "delete read patch update | nodes",
        "patch update | nodes/status",
        "patch update | pods/status",
        "delete read | pods",
        "read | coordination.k8s.io | leases",
        EVENTS,
    ),
    "persistent-volume-binder": (
        "create delete read update | persistentvolumes",
        "update | persistentvolumes/status",
        "read update | persistentvolumeclaims",
        "update | persistentvolumeclaims/status",
        "create delete read | pods",
        "read | storage.k8s.io | storageclasses",
        "list watch | nodes",
        EVENTS,
        "watch | events",
    ),
    "pod-garbage-collector": ("delete list watch | pods", "read | nodes", "patch | pods/status"),
    "pv-protection-controller": ("read update | persistentvolumes", EVENTS),
    "pvc-protection-controller": ("read update | persistentvolumeclaims", "update | persistentvolumeclaims/status", "read | pods", EVENTS),
    "replicaset-controller": (
        "read update | apps extensions | replicasets",
        "update | apps extensions | replicasets/status",
        "update | apps extensions | replicasets/finalizers",
        "create delete list patch watch | pods",
        EVENTS,
    ),
    "replication-controller": (
        "read update | replicationcontrollers",
        "update | replicationcontrollers/status",
        "update | replicationcontrollers/finalizers",
        "create delete list patch watch | pods",
        EVENTS,
    ),
    "resource-claim-controller": (
        "read | pods",
        "update | pods/finalizers",
        f"create delete read | {_DRA} | resourceclaims",
        f"patch update | {_DRA} | resourceclaims resourceclaims/status",
        "patch update | pods/status",
        EVENTS,
        f"patch update | {_DRA} | resourceclaims/binding",
    ),
    "resourcequota-controller": ("list watch | * | *", "update | resourcequotas/status", EVENTS),
    "root-ca-cert-publisher": ("create update | configmaps", EVENTS),
    "route-controller": ("list watch | nodes", "patch | nodes/status", EVENTS),
    "selinux-warning-controller": (
        EVENTS,
        "read | persistentvolumes",
        "read | persistentvolumeclaims",
        "read | pods",
        "read | storage.k8s.io | csidrivers",
    ),
    "service-account-controller": ("create | serviceaccounts", EVENTS),
    "service-cidrs-controller": (
        "read patch update | networking.k8s.io | servicecidrs",
        "patch update | networking.k8s.io | servicecidrs/finalizers",
        "patch update | networking.k8s.io | servicecidrs/status",
        "read | networking.k8s.io | ipaddresses",
        EVENTS,
    ),
    "service-controller": ("read | services", "patch update | services/status", "list watch | nodes", EVENTS),
    "statefulset-controller": (
        "list watch | pods",
        "read | apps | statefulsets",
        "update | apps | statefulsets/status",
        "update | apps | statefulsets/finalizers",
        "create delete get patch update | pods",
        "create delete read patch update | apps | controllerrevisions",
        "create read | persistentvolumeclaims",
        "delete update | persistentvolumeclaims",
        "update | pods/finalizers",
        EVENTS,
    ),
    "storage-version-migrator-controller": (
        "create list patch | * | *",
        "get | apiextensions.k8s.io | customresourcedefinitions",
        "patch | apiextensions.k8s.io | customresourcedefinitions/status",
        "update | storagemigration.k8s.io | storageversionmigrations/status",
    ),
    "ttl-after-finished-controller": ("delete read | batch | jobs", EVENTS),
    "ttl-controller": ("list patch update watch | nodes", EVENTS),
    "validatingadmissionpolicy-status-controller": (
        "read | admissionregistration.k8s.io | validatingadmissionpolicies",
        "get patch update | admissionregistration.k8s.io | validatingadmissionpolicies/status",
        EVENTS,
    ),
    "volumeattributesclass-protection-controller": (
        "read | persistentvolumeclaims",
        "read | persistentvolumes",
        "read update | storage.k8s.io | volumeattributesclasses",
        EVENTS,
    ),
}

GATED: Final = {"storage-version-migrator-controller": STORAGE_VERSION_MIGRATOR}
"""The feature gates without which there is no such role, where they are off by default."""
