"""Every controller there is, by upstream's name, and which of them `--controllers` selects.

Adding a controller: write its module, add a line here. Source of names and aliases: upstream
`cmd/kube-controller-manager/names/controller_names.go` and `cmd/kube-controller-manager/app/controllermanager.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from controllers.selection import Registered, UnknownController, selected
from kube.feature_gates import STORAGE_VERSION_MIGRATOR

from .admission_policy_status import AdmissionPolicyStatus
from .attach_detach import AttachDetachController
from .bootstrap_signer import BootstrapSigner
from .certificate_approving import CertificateApprovingController
from .certificate_cleaner import CertificateCleaner
from .certificate_signing import DURATION, CertificateSigningController, Files
from .cluster_role_aggregation import ClusterRoleAggregation
from .cron_job import CronJobController
from .daemon_set import DaemonSetController
from .deployment import DeploymentController
from .disruption import DisruptionController
from .endpoint_slice import EndpointSliceController
from .endpoint_slice_mirroring import EndpointSliceMirroring
from .endpoints import EndpointsController
from .ephemeral_volume import EphemeralVolumeController
from .garbage_collector import GarbageCollector
from .horizontal_pod_autoscaler import HorizontalPodAutoscalerController
from .job import JobController
from .legacy_token_cleaner import LegacyTokenCleaner
from .local_provisioner import LocalProvisioner
from .local_resizer import LocalResizer
from .local_volume import PROVISIONER
from .namespace import NamespaceController
from .node_health import USUAL_RATES, EvictionRates
from .node_ipam import CLUSTER_CIDR, NODE_PREFIX, NodeIpamController
from .node_lifecycle import GRACE_S, NodeLifecycleController
from .node_ttl import NodeTtlController
from .persistent_volume_binder import PersistentVolumeBinder
from .persistent_volume_expander import VolumeExpander
from .pod_garbage_collector import TERMINATED_MAX, PodGarbageCollector
from .protection import AttributesClassProtection, ClaimProtection, VolumeProtection
from .replica_set import ReplicaController
from .replication_controller import replication_controller
from .resource_claim import ResourceClaimController
from .resource_quota import ResourceQuotaController
from .root_ca_publisher import RootCaPublisher
from .service_account import ServiceAccountController
from .service_account_token import ServiceAccountTokens
from .service_cidr import ServiceCidrController
from .stateful_set import StatefulSetController
from .storage_version_migrator import StorageVersionMigrator
from .taint_eviction import TaintEvictionController
from .token_cleaner import TokenCleaner
from .ttl_after_finished import TtlAfterFinishedController

__all__ = ["CONTROLLERS", "Options", "UnknownController", "select"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the controllers can be told. The defaults are upstream's."""

    root_ca: str = ""
    """The CA bundle that pods verify the API server with, in PEM; without one nothing is published."""
    node_monitor_grace_period_s: float = GRACE_S
    eviction_rates: EvictionRates = USUAL_RATES
    terminated_pod_gc_threshold: int = TERMINATED_MAX
    cluster_signing: Files = field(default_factory=Files)
    """The CA that signs CertificateSigningRequests; without one nothing is signed."""
    cluster_signing_duration: timedelta = DURATION
    service_account_private_key_file: str = ""
    """The key (PEM) that signs tokens in Secrets; without one none is signed."""
    cluster_cidr: str = CLUSTER_CIDR
    """The range that nodes get their ranges of pod addresses from, of this prefix length each."""
    node_cidr_mask_size: int = NODE_PREFIX
    gates: frozenset[str] = frozenset()
    """The features that are on (`--feature-gates`)."""
    local_volume_directory: str = ""
    """Where the directories of `wherry.io/local` volumes are on this machine; "" where volumes are but names."""


CONTROLLERS: dict[str, Registered[Options]] = {
    "namespace-controller": Registered(lambda _: NamespaceController(), "namespace", "namespace-controller", 10),
    "resourcequota-controller": Registered(lambda _: ResourceQuotaController(), "resourcequota", "resourcequota-controller"),
    "serviceaccount-token-controller": Registered(
        lambda options: ServiceAccountTokens(options.service_account_private_key_file, options.root_ca),
        "serviceaccount-token",
        "serviceaccount-token-controller",
    ),
    "serviceaccount-controller": Registered(lambda _: ServiceAccountController(), "serviceaccount", "serviceaccount-controller", 1),
    "root-ca-certificate-publisher-controller": Registered(
        lambda options: RootCaPublisher(options.root_ca), "root-ca-cert-publisher", "root-ca-cert-publisher", 1
    ),
    "garbage-collector-controller": Registered(lambda _: GarbageCollector(), "garbagecollector", "garbage-collector-controller", 20),
    "deployment-controller": Registered(lambda _: DeploymentController(), "deployment", "deployment-controller"),
    "replicaset-controller": Registered(lambda _: ReplicaController(), "replicaset", "replicaset-controller"),
    "replicationcontroller-controller": Registered(lambda _: replication_controller(), "replicationcontroller", "replication-controller"),
    "statefulset-controller": Registered(lambda _: StatefulSetController(), "statefulset", "statefulset-controller"),
    "daemonset-controller": Registered(lambda _: DaemonSetController(), "daemonset", "daemonset-controller", 2),
    "cronjob-controller": Registered(lambda _: CronJobController(), "cronjob", "cronjob-controller"),
    "disruption-controller": Registered(lambda _: DisruptionController(), "disruption", "controllermanager"),
    "job-controller": Registered(lambda _: JobController(), "job", "job-controller"),
    "horizontal-pod-autoscaler-controller": Registered(
        lambda _: HorizontalPodAutoscalerController(), "horizontalpodautoscaling", "horizontal-pod-autoscaler"
    ),
    "certificatesigningrequest-signing-controller": Registered(
        lambda options: CertificateSigningController(options.cluster_signing, options.cluster_signing_duration), "csrsigning", "csrsigning"
    ),
    "certificatesigningrequest-approving-controller": Registered(
        lambda _: CertificateApprovingController(), "csrapproving", "csrapproving"
    ),
    "certificatesigningrequest-cleaner-controller": Registered(lambda _: CertificateCleaner(), "csrcleaner", "csrcleaner", 1),
    "ttl-controller": Registered(lambda _: NodeTtlController(), "ttl", "ttl-controller"),
    "bootstrap-signer-controller": Registered(lambda _: BootstrapSigner(), "bootstrapsigner", "bootstrap-signer", 1, is_on=False),
    "token-cleaner-controller": Registered(lambda _: TokenCleaner(), "tokencleaner", "token-cleaner", 1, is_on=False),
    "ttl-after-finished-controller": Registered(
        lambda _: TtlAfterFinishedController(), "ttl-after-finished", "ttl-after-finished-controller"
    ),
    "endpointslice-controller": Registered(lambda _: EndpointSliceController(), "endpointslice", "endpoint-slice-controller"),
    "endpointslice-mirroring-controller": Registered(
        lambda _: EndpointSliceMirroring(), "endpointslicemirroring", "endpoint-slice-mirroring-controller"
    ),
    "endpoints-controller": Registered(lambda _: EndpointsController(), "endpoint", "endpoint-controller"),
    "node-lifecycle-controller": Registered(
        lambda options: NodeLifecycleController(grace_s=options.node_monitor_grace_period_s, rates=options.eviction_rates),
        "nodelifecycle",
        "node-controller",
        8,
    ),
    "node-ipam-controller": Registered(
        lambda options: NodeIpamController(options.cluster_cidr, options.node_cidr_mask_size), "nodeipam", "cidrAllocator", 1
    ),
    "taint-eviction-controller": Registered(
        lambda _: TaintEvictionController(), "taint-eviction-controller", "taint-eviction-controller", 8
    ),
    "pod-garbage-collector-controller": Registered(
        lambda options: PodGarbageCollector(terminated_max=options.terminated_pod_gc_threshold), "podgc", "pod-garbage-collector", 1
    ),
    "persistentvolume-binder-controller": Registered(
        lambda _: PersistentVolumeBinder(), "persistentvolume-binder", "persistentvolume-controller", 1
    ),
    "persistentvolume-attach-detach-controller": Registered(lambda _: AttachDetachController(), "attachdetach", "attachdetach-controller"),
    "persistentvolume-expander-controller": Registered(lambda _: VolumeExpander(), "persistentvolume-expander", "volume_expand", 10),
    "persistentvolume-protection-controller": Registered(lambda _: VolumeProtection(), "pv-protection", "pv-protection-controller", 1),
    "clusterrole-aggregation-controller": Registered(
        lambda _: ClusterRoleAggregation(), "clusterrole-aggregation", "clusterrole-aggregation-controller"
    ),
    "persistentvolumeclaim-protection-controller": Registered(lambda _: ClaimProtection(), "pvc-protection", "pvc-protection-controller"),
    "volumeattributesclass-protection-controller": Registered(
        lambda _: AttributesClassProtection(), "volumeattributesclass-protection", "vac-protection-controller", 1
    ),
    "ephemeral-volume-controller": Registered(lambda _: EphemeralVolumeController(), "ephemeral-volume", "ephemeral_volume"),
    "resourceclaim-controller": Registered(lambda _: ResourceClaimController(), "resource-claim-controller", "resource_claim", 10),
    "legacy-serviceaccount-token-cleaner-controller": Registered(
        lambda _: LegacyTokenCleaner(), "legacy-service-account-token-cleaner", "legacy-service-account-token-cleaner", 1
    ),
    "validatingadmissionpolicy-status-controller": Registered(
        lambda _: AdmissionPolicyStatus(), "validatingadmissionpolicy-status-controller", "validatingadmissionpolicy-status"
    ),
    "service-cidr-controller": Registered(lambda _: ServiceCidrController(), "service-cidr-controller", "service-cidr-controller"),
    "storage-version-migrator-controller": Registered(
        lambda _: StorageVersionMigrator(), "svm", "storage-version-migrator-controller", gate=STORAGE_VERSION_MIGRATOR
    ),
    # Ours: upstream leaves making volumes to others.
    "local-volume-provisioner-controller": Registered(
        lambda options: LocalProvisioner(options.local_volume_directory), "local-volume-provisioner", PROVISIONER, 4
    ),
    "local-volume-resizer-controller": Registered(lambda _: LocalResizer(), "local-volume-resizer", PROVISIONER, 1),
}


ELSEWHERE = frozenset(
    {
        "cloud-node-lifecycle-controller",
        "node-route-controller",
        "service-lb-controller",
        "device-taint-eviction-controller",
        "kube-apiserver-serving-clustertrustbundle-publisher-controller",
        "podcertificaterequest-cleaner-controller",
        "podgroup-protection-controller",
        "resourcepoolstatusrequest-controller",
        "selinux-warning-controller",
        "storageversion-garbage-collector-controller",
    }
)
"""Controllers that upstream's manager knows and this one has not: the cloud's (`controllers cloud`), and those behind feature gates that
are off. They can be switched off, which changes nothing; asking for one is an error."""


def select(spec: Iterable[str]) -> list[str]:
    """The names that `--controllers` selects. Raises UnknownController."""
    return selected([each for each in spec if each.removeprefix("-") == each or each[1:] not in ELSEWHERE], CONTROLLERS)
