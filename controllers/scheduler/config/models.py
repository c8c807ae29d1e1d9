"""The shape of the configuration file: upstream's fields and defaults. It is read by `reading.py`; what values go together is looked at in
`validation.py`.

Source: `k8s.io/kube-scheduler/config/v1/types.go`, `pkg/scheduler/apis/config/v1/defaults.go`, `k8s.io/component-base/config/v1alpha1`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from controllers.scheduler.config.reading import camel
from kube.schema.gotime import parse_duration

API_VERSION: Final = "kubescheduler.config.k8s.io/v1"
KIND: Final = "KubeSchedulerConfiguration"
DEFAULT_SCHEDULER = "default-scheduler"


def _seconds(value: Any) -> float:
    """A Go duration in seconds."""
    if not isinstance(value, str):
        raise ValueError("must be a duration in Go's format, such as 15s or 1m30s")
    return parse_duration(value) / 1e9


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be base64")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"must be base64: {error}") from error


Seconds = Annotated[float, _seconds]
"""Written as Go writes durations."""
Base64 = Annotated[bytes, _bytes]


@dataclass(frozen=True, slots=True)
class LeaderElection:
    leader_elect: bool = True
    lease_duration: Seconds = 15.0
    renew_deadline: Seconds = 10.0
    retry_period: Seconds = 2.0
    resource_lock: str = "leases"
    resource_name: str = "kube-scheduler"
    resource_namespace: str = "kube-system"


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """How to reach the API server. `qps` and `burst` are accepted: this client has no limit of its own but the server's."""

    kubeconfig: str = ""
    accept_content_types: str = ""
    content_type: str = "application/vnd.kubernetes.protobuf"
    """Accepted; JSON is what is spoken."""
    qps: float = 50.0
    burst: int = 100


@dataclass(frozen=True, slots=True)
class PluginRef:
    name: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True)
class PluginSet:
    enabled: tuple[PluginRef, ...] = ()
    disabled: tuple[PluginRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Plugins:
    """By extension point, what is added to the default and what is taken away. `multi_point`: at all the points a plugin has."""

    pre_enqueue: PluginSet = PluginSet()
    queue_sort: PluginSet = PluginSet()
    pre_filter: PluginSet = PluginSet()
    filter: PluginSet = PluginSet()
    post_filter: PluginSet = PluginSet()
    pre_score: PluginSet = PluginSet()
    score: PluginSet = PluginSet()
    reserve: PluginSet = PluginSet()
    permit: PluginSet = PluginSet()
    pre_bind: PluginSet = PluginSet()
    bind: PluginSet = PluginSet()
    post_bind: PluginSet = PluginSet()
    multi_point: PluginSet = PluginSet()

    def at(self, point: str) -> PluginSet:
        """The set of an extension point, named as in the file."""
        found: PluginSet = getattr(self, _FIELD_OF[point])
        return found


_FIELD_OF = {camel(each.name): each.name for each in dataclasses.fields(Plugins)}
POINTS = tuple(each for each in _FIELD_OF if each != "multiPoint")
"""The extension points, as they are called in the file."""


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """`args` is read by what `arguments.py` has for the plugin."""

    name: str = ""
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KubeSchedulerProfile:
    scheduler_name: str = DEFAULT_SCHEDULER
    percentage_of_nodes_to_score: int | None = None
    plugins: Plugins = Plugins()
    plugin_config: tuple[PluginConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtenderTLSConfig:
    insecure: bool = False
    server_name: str = ""
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    cert_data: Base64 = b""
    key_data: Base64 = b""
    ca_data: Base64 = b""


@dataclass(frozen=True, slots=True)
class ExtenderManagedResource:
    name: str = ""
    ignored_by_scheduler: bool = False


@dataclass(frozen=True, slots=True)
class Extender:
    """A web hook that has a say in scheduling. Without a verb for something it is not asked about it."""

    url_prefix: str
    filter_verb: str = ""
    preempt_verb: str = ""
    prioritize_verb: str = ""
    weight: int = 0
    bind_verb: str = ""
    enable_https: bool = field(default=False, metadata={"name": "enableHTTPS"})
    tls_config: ExtenderTLSConfig | None = None
    http_timeout: Seconds = 5.0
    node_cache_capable: bool = False
    managed_resources: tuple[ExtenderManagedResource, ...] = ()
    ignorable: bool = False


@dataclass(frozen=True, slots=True)
class KubeSchedulerConfiguration:
    api_version: Literal["kubescheduler.config.k8s.io/v1"] = API_VERSION
    kind: Literal["KubeSchedulerConfiguration"] = KIND
    parallelism: int = 16
    """Accepted: decisions are made one after the other on one core."""
    leader_election: LeaderElection = LeaderElection()
    client_connection: ClientConnection = ClientConnection()
    enable_profiling: bool = True
    enable_contention_profiling: bool = True
    """Both accepted: there is no /debug/pprof."""
    percentage_of_nodes_to_score: int = 0
    pod_initial_backoff_seconds: int = 1
    pod_max_backoff_seconds: int = 10
    profiles: tuple[KubeSchedulerProfile, ...] = (KubeSchedulerProfile(),)
    extenders: tuple[Extender, ...] = ()
    delay_cache_until_active: bool = False
    """Accepted: caches are filled by whoever leads, always."""
