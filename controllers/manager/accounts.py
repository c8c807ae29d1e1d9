"""As which ServiceAccount (of kube-system) each controller works, with `--use-service-account-credentials`.

The accounts are upstream's: kube-apiserver makes roles for them (`system:controller:<account>`), so that each may do what its controller
must, and no more. A controller that is not named works as the manager itself. Source: kubernetes `cmd/kube-controller-manager/app/*.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kube.client.account import AccountTokens, AccountTransport
from kube.client.base import Transport
from kube.client.client import Client
from kube.client.config import ClientConfig, ssl_context
from kube.client.http import HttpTransport
from kube.clock import Clock

NAMESPACE: Final = "kube-system"

ACCOUNTS: Final = {
    "namespace-controller": "namespace-controller",
    "resourcequota-controller": "resourcequota-controller",
    "serviceaccount-controller": "service-account-controller",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
    "garbage-collector-controller": "generic-garbage-collector",
    "deployment-controller": "deployment-controller",
    "replicaset-controller": "replicaset-controller",
    "replicationcontroller-controller": "replication-controller",
    "statefulset-controller": "statefulset-controller",
    "daemonset-controller": "daemon-set-controller",
    "cronjob-controller": "cronjob-controller",
    "disruption-controller": "disruption-controller",
    "job-controller": "job-controller",
    "horizontal-pod-autoscaler-controller": "horizontal-pod-autoscaler",
    "certificatesigningrequest-signing-controller": "certificate-controller",
    "certificatesigningrequest-approving-controller": "certificate-controller",
    "certificatesigningrequest-cleaner-controller": "certificate-controller",
    "ttl-controller": "ttl-controller",
    "bootstrap-signer-controller": "bootstrap-signer",
    "token-cleaner-controller": "token-cleaner",
    "ttl-after-finished-controller": "ttl-after-finished-controller",
    "endpointslice-controller": "endpointslice-controller",
    "endpointslice-mirroring-controller": "endpointslicemirroring-controller",
    "endpoints-controller": "endpoint-controller",
    "node-lifecycle-controller": "node-controller",
    "node-ipam-controller": "node-controller",
    "taint-eviction-controller": "node-controller",
    "pod-garbage-collector-controller": "pod-garbage-collector",
    "persistentvolume-binder-controller": "persistent-volume-binder",
    "persistentvolume-attach-detach-controller": "attachdetach-controller",
    "persistentvolume-expander-controller": "expand-controller",
    "persistentvolume-protection-controller": "pv-protection-controller",
    "clusterrole-aggregation-controller": "clusterrole-aggregation-controller",
    "persistentvolumeclaim-protection-controller": "pvc-protection-controller",
    "volumeattributesclass-protection-controller": "volumeattributesclass-protection-controller",
    "ephemeral-volume-controller": "ephemeral-volume-controller",
    "resourceclaim-controller": "resource-claim-controller",
    "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
    "validatingadmissionpolicy-status-controller": "validatingadmissionpolicy-status-controller",
    "service-cidr-controller": "service-cidrs-controller",
    "storage-version-migrator-controller": "storage-version-migrator-controller",
    # Ours: the account whose rights are those that volumes and claims take.
    "local-volume-provisioner-controller": "persistent-volume-binder",
    "local-volume-resizer-controller": "expand-controller",
}


ClientOf = Callable[[str], Client]
"""The client for a controller's name."""


def transport_of(config: ClientConfig) -> Transport:
    """A transport to the server of `config`, as nobody. Raises ConfigError."""
    nobody = replace(config, client_cert_data=None, client_key_data=None, token="")
    context = ssl_context(nobody) if config.server.startswith("https:") else None
    return HttpTransport(config.server, context, tls_server_name=config.tls_server_name)


class AccountClients:
    """Clients for the accounts over `transport`, which has no identity of its own; `client` asks for their tokens."""

    def __init__(self, transport: Transport, client: Client, *, clock: Clock) -> None:
        self._transport, self._client, self._clock = transport, client, clock
        self._made: dict[str, Client] = {}

    def of(self, controller: str) -> Client:
        """The client that the controller of this name is to use."""
        account = ACCOUNTS.get(controller)
        if account is None:
            return self._client
        if account not in self._made:
            tokens = AccountTokens(self._client, NAMESPACE, account, clock=self._clock)
            agent = f"{self._client.user_agent}/system:serviceaccount:{NAMESPACE}:{account}"
            self._made[account] = Client(AccountTransport(self._transport, tokens), user_agent=agent, clock=self._clock)
        return self._made[account]
