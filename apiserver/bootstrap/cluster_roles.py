"""The ClusterRoles that are not a controller's, and who is bound to them. Lines are in the form of `rules.py`.

Source: kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`, with the feature gates of v1.36 as they are by default.
"""

from __future__ import annotations

from typing import Final

from apiserver.bootstrap.rules import EVENTS

Table = dict[str, tuple[str, ...]]

_HEALTH: Final = "/healthz /livez /readyz /version /version/"
_SIGNERS: Final = "system:certificates.k8s.io:"

USERS: Final[Table] = {
    "cluster-admin": ("* | * | *", "* | url | *"),
    "system:aggregate-to-admin": (
        "create | authorization.k8s.io | localsubjectaccessreviews",
        "all | rbac.authorization.k8s.io | roles rolebindings",
    ),
    "system:aggregate-to-edit": (
        "read | pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy",
        "impersonate | serviceaccounts",
        "edit | pods pods/attach pods/proxy pods/exec pods/portforward",
        "create | pods/eviction",
        "edit | configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services"
        " services/proxy",
        "create | serviceaccounts/token",
        "edit | core events.k8s.io | events",
        "edit | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets"
        " statefulsets/scale",
        "edit | autoscaling | horizontalpodautoscalers",
        "edit | batch | cronjobs jobs",
        "edit | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets"
        " replicasets/scale replicationcontrollers/scale",
        "edit | policy | poddisruptionbudgets",
        "edit | networking.k8s.io | ingresses networkpolicies",
        "all | coordination.k8s.io | leases",
        "edit | resource.k8s.io | resourceclaims resourceclaimtemplates",
    ),
    "system:aggregate-to-view": (
        "read | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
        " replicationcontrollers/scale serviceaccounts services services/status",
        "read | bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas"
        " resourcequotas/status",
        "read | namespaces",
        "read | core events.k8s.io | events",
        "read | discovery.k8s.io | endpointslices",
        "read | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
        " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        "read | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status",
        "read | batch | cronjobs cronjobs/status jobs jobs/status",
        "read | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status"
        " networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
        "read | policy | poddisruptionbudgets poddisruptionbudgets/status",
        "read | networking.k8s.io | ingresses ingresses/status networkpolicies",
        "read | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates",
    ),
    "system:basic-user": (
        "create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews",
        "create | authentication.k8s.io | selfsubjectreviews",
    ),
    "system:discovery": (f"get | url | /api /api/* /apis /apis/* /openapi /openapi/* {_HEALTH}",),
    "system:public-info-viewer": (f"get | url | {_HEALTH}",),
}

AGENTS: Final[Table] = {
    "system:auth-delegator": ("create | authentication.k8s.io | tokenreviews", "create | authorization.k8s.io | subjectaccessreviews"),
    f"{_SIGNERS}certificatesigningrequests:nodeclient": ("create | certificates.k8s.io | certificatesigningrequests/nodeclient",),
    f"{_SIGNERS}certificatesigningrequests:selfnodeclient": ("create | certificates.k8s.io | certificatesigningrequests/selfnodeclient",),
    **{
        f"{_SIGNERS}{signer}-approver": (f"approve | certificates.k8s.io | signers | kubernetes.io/{signer}",)
        for signer in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown")
    },
    "system:heapster": ("read | events namespaces nodes pods", "read | extensions | deployments"),
    "system:kube-aggregator": ("read | endpoints services",),
    "system:kube-controller-manager": (
        EVENTS,
        "create | coordination.k8s.io | leases",
        "get update | coordination.k8s.io | leases | kube-controller-manager",
        "create | secrets serviceaccounts",
        "delete | secrets",
        "get | configmaps namespaces secrets serviceaccounts",
        "update | secrets serviceaccounts",
        "create | authentication.k8s.io | tokenreviews",
        "create | authorization.k8s.io | subjectaccessreviews",
        "list watch | * | *",
        "create | serviceaccounts/token",
    ),
    "system:kube-dns": ("list watch | endpoints services",),
    "system:kube-scheduler": (
        EVENTS,
        "create | coordination.k8s.io | leases",
        "read update | coordination.k8s.io | leases | kube-scheduler",
        "all | coordination.k8s.io | leasecandidates",
        "read | nodes",
        "read delete | pods",
        "create | bindings pods/binding",
        "patch update | pods/status",
        "read | replicationcontrollers services",
        "read | apps extensions | replicasets",
        "read | apps | statefulsets",
        "read | policy | poddisruptionbudgets",
        "read | persistentvolumeclaims persistentvolumes",
        "create | authentication.k8s.io | tokenreviews",
        "create | authorization.k8s.io | subjectaccessreviews",
        "read | storage.k8s.io | csinodes",
        "read | storage.k8s.io | volumeattachments",
        "read | namespaces",
        "read | storage.k8s.io | csidrivers",
        "read | storage.k8s.io | csistoragecapacities",
        "read | resource.k8s.io | deviceclasses",
        "read patch update | resource.k8s.io | resourceclaims",
        "read patch update | resource.k8s.io | resourceclaims/status",
        "update | pods/finalizers",
        "read | resource.k8s.io | resourceslices",
        "create delete | resource.k8s.io | resourceclaims",
        "patch update | resource.k8s.io | resourceclaims/binding",
    ),
    "system:kubelet-api-admin": (
        "read | nodes",
        "proxy | nodes",
        "* | nodes/log nodes/metrics nodes/proxy nodes/stats",
        "* | nodes/configz nodes/healthz nodes/pods",
    ),
    "system:monitoring": (
        "get | url | /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz",
        "get | nodes/metrics",
    ),
    "system:node": (
        "create | authentication.k8s.io | tokenreviews",
        "create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews",
        "read | services",
        "create read | nodes",
        "patch update | nodes/status",
        "patch update | nodes",
        EVENTS,
        "read | pods",
        "create delete | pods",
        "patch update | pods/status",
        "create | pods/eviction",
        "read | configmaps secrets",
        "get | persistentvolumeclaims persistentvolumes",
        "get | endpoints",
        "create read | certificates.k8s.io | certificatesigningrequests",
        "create delete get patch update | coordination.k8s.io | leases",
        "get | storage.k8s.io | volumeattachments",
        "create | serviceaccounts/token",
        "get patch update | persistentvolumeclaims/status",
        "read | storage.k8s.io | csidrivers",
        "create delete get patch update | storage.k8s.io | csinodes",
        "read | node.k8s.io | runtimeclasses",
        "get | resource.k8s.io | resourceclaims",
        "deletecollection | resource.k8s.io | resourceslices",
        "get | serviceaccounts",
    ),
    "system:node-bootstrapper": ("create read | certificates.k8s.io | certificatesigningrequests",),
    "system:node-problem-detector": ("get | nodes", "patch | nodes/status", EVENTS),
    "system:node-proxier": (
        "list watch | endpoints services",
        "read | nodes",
        EVENTS,
        "list watch | networking.k8s.io | servicecidrs",
        "list watch | discovery.k8s.io | endpointslices",
    ),
    "system:persistent-volume-provisioner": (
        "create delete read | persistentvolumes",
        "read update | persistentvolumeclaims",
        "read | storage.k8s.io | storageclasses",
        "watch | events",
        EVENTS,
    ),
    "system:service-account-issuer-discovery": (
        "get | url | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
    ),
    "system:volume-scheduler": (
        "read patch update | persistentvolumes",
        "read | storage.k8s.io | storageclasses",
        "read patch update | persistentvolumeclaims",
    ),
}

AGGREGATED: Final = {"admin": "aggregate-to-admin", "edit": "aggregate-to-edit", "view": "aggregate-to-view"}
"""Roles whose rules the clusterrole-aggregation controller collects from the roles with that label."""

FEEDS: Final = {
    "edit": "aggregate-to-admin",
    "view": "aggregate-to-edit",
    "system:aggregate-to-admin": "aggregate-to-admin",
    "system:aggregate-to-edit": "aggregate-to-edit",
    "system:aggregate-to-view": "aggregate-to-view",
}
"""The label by which each of these roles is collected into another."""

BOUND: Final[Table] = {
    "cluster-admin": ("group system:masters",),
    "system:basic-user": ("group system:authenticated",),
    "system:discovery": ("group system:authenticated",),
    "system:kube-controller-manager": ("user system:kube-controller-manager",),
    "system:kube-dns": ("account kube-system/kube-dns",),
    "system:kube-scheduler": ("user system:kube-scheduler",),
    "system:monitoring": ("group system:monitoring",),
    "system:node": (),
    "system:node-proxier": ("user system:kube-proxy",),
    "system:public-info-viewer": ("group system:authenticated", "group system:unauthenticated"),
    "system:service-account-issuer-discovery": ("group system:serviceaccounts",),
    "system:volume-scheduler": ("user system:kube-scheduler",),
}
"""ClusterRoleBindings, each named as its role."""
