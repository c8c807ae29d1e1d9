"""The kubelet's own gauges, counted when they are asked for. Names and help: upstream `pkg/kubelet/metrics/metrics.go`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kubelet.host import Host
from kubelet.runtime.base import ContainerState


async def exposition(hosts: Iterable[Host]) -> bytes:
    """In Prometheus' text format."""
    states: Counter[str] = Counter()
    sandboxes, names = 0, []
    for host in hosts:
        names.append(host.name)
        sandboxes += sum(each.is_ready for each in await host.runtime.list_pod_sandboxes())
        states.update(_STATES[each.state] for each in await host.runtime.list_containers())
    lines = ["# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.", "# TYPE kubelet_node_name gauge"]
    lines += [f'kubelet_node_name{{node="{name}"}} 1' for name in names]
    lines += ["# HELP kubelet_running_containers [ALPHA] Number of containers currently running", "# TYPE kubelet_running_containers gauge"]
    lines += [f'kubelet_running_containers{{container_state="{state}"}} {states[state]}' for state in sorted(set(_STATES.values()))]
    lines += ["# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox", "# TYPE kubelet_running_pods gauge"]
    lines += [f"kubelet_running_pods {sandboxes}", ""]
    return "\n".join(lines).encode()


_STATES = {
    ContainerState.CREATED: "created",
    ContainerState.RUNNING: "running",
    ContainerState.EXITED: "exited",
    ContainerState.UNKNOWN: "unknown",
}
