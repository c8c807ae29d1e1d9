"""Whether a node takes a pod that was bound to it: the kubelet's own last check. Pure.

Rules, reasons and messages: upstream `pkg/kubelet/lifecycle/predicate.go` and the scheduler's AdmissionCheck (resources, node affinity,
node name, host ports). A pod that is refused becomes Failed with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from kube import quantity
from kube.objects import Object, labels_of, name_of

_DAEMON_PREFIXES = ("kubernetes.io/", "requests.")
SAFE_SYSCTLS = frozenset(
    {"kernel.shm_rmid_forced"}
    | {f"net.ipv4.{name}" for name in ("ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start", "ping_group_range")}
    | {
        f"net.ipv4.tcp_{name}"
        for name in ("syncookies", "keepalive_time", "keepalive_intvl", "keepalive_probes", "fin_timeout", "rmem", "wmem")
    }
)
"""What pods may set without the node being told so (`pkg/kubelet/sysctl/safe_sysctls.go`)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Requests:
    """What a pod takes of a node: CPU in thousandths, everything else in whole units; and its host ports."""

    amounts: Mapping[str, int]
    ports: frozenset[tuple[str, str, int]] = frozenset()


@dataclass(slots=True)
class Usage:
    """What the admitted pods of a node take together."""

    pods: dict[str, Requests] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def add(self, uid: str, requests: Requests) -> None:
        self.remove(uid)
        self.pods[uid] = requests
        for name, amount in requests.amounts.items():
            self.used[name] = self.used.get(name, 0) + amount

    def remove(self, uid: str) -> None:
        requests = self.pods.pop(uid, None)
        for name, amount in (requests.amounts if requests else {}).items():
            self.used[name] -= amount


@lru_cache(maxsize=4096)
def amount_of(resource: str, text: str) -> int:
    """A quantity in the unit that the check counts in."""
    parsed = quantity.parse(text)
    return parsed.milli_value() if resource == "cpu" else parsed.value()


def requests_of(pod: Object) -> Requests:
    """The pod's requests: the larger of what runs together and of each init container with the sidecars before it, plus overhead."""
    spec = pod["spec"]
    total = _sum(each.get("resources") for each in spec.get("containers") or ())
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        own = _sum([container.get("resources")])
        if container.get("restartPolicy") == "Always":
            _add(sidecars, own)
            _raise(peak, sidecars)
        else:
            _raise(peak, _added(sidecars, own))
    _add(total, sidecars)
    _raise(total, peak)
    for name, text in ((spec.get("resources") or {}).get("requests") or {}).items():
        total[name] = amount_of(name, str(text))
    _add(total, {name: amount_of(name, str(text)) for name, text in (spec.get("overhead") or {}).items()})
    return _shared(tuple(sorted(total.items())), frozenset(_ports(pod)))


@lru_cache(maxsize=1024)
def _shared(amounts: tuple[tuple[str, int], ...], ports: frozenset[tuple[str, str, int]]) -> Requests:
    """Pods are made by the thousand, and few kinds of them."""
    return Requests(dict(amounts), ports)


def _sum(resources: Iterable[Object | None]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in resources:
        _add(total, {name: amount_of(name, str(text)) for name, text in ((each or {}).get("requests") or {}).items()})
    return total


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = dict(one)
    _add(total, other)
    return total


def _raise(total: dict[str, int], least: Mapping[str, int]) -> None:
    for name, amount in least.items():
        total[name] = max(total.get(name, 0), amount)


def _ports(pod: Object) -> Iterable[tuple[str, str, int]]:
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(port["hostPort"])


def refusal_of(pod: Object, node: Object, requests: Requests, usage: Usage) -> Refusal | None:
    """Why the node does not take the pod, or None when it does. `node` is the Node object."""
    if (os := (pod["spec"].get("os") or {}).get("name")) and os != labels_of(node).get("kubernetes.io/os", "linux"):
        return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if forbidden := _forbidden_sysctl(pod):
        return Refusal("SysctlForbidden", f'forbidden sysctl: "{forbidden}" not allowlisted')
    return _lacks(node, requests, usage) or _misplaced(pod, node) or _port_taken(requests, usage) or _tainted(pod, node)


def _forbidden_sysctl(pod: Object) -> str:
    """The first sysctl that is not safe; "" where there is none."""
    wanted = (each["name"].replace("/", ".") for each in (pod["spec"].get("securityContext") or {}).get("sysctls") or ())
    return next((name for name in wanted if name not in SAFE_SYSCTLS), "")


def _lacks(node: Object, requests: Requests, usage: Usage) -> Refusal | None:
    allocatable = node.get("status", {}).get("allocatable") or {}
    capacity = amount_of("pods", str(allocatable.get("pods", "0")))
    if len(usage.pods) + 1 > capacity:
        return _out_of("pods", 1, len(usage.pods), capacity)
    for name, wanted in requests.amounts.items():
        if wanted == 0 or (name not in allocatable and _is_extended(name)):
            continue
        capacity, used = amount_of(name, str(allocatable.get(name, "0"))), usage.used.get(name, 0)
        if wanted > capacity - used:
            return _out_of(name, wanted, used, capacity)
    return None


def _is_extended(name: str) -> bool:
    """Extended resources that the node does not know are the cluster's to count."""
    return "/" in name and not name.startswith(_DAEMON_PREFIXES)


def _out_of(name: str, wanted: int, used: int, capacity: int) -> Refusal:
    return Refusal(f"OutOf{name}", f"Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}")


def _failed(name: str, why: str) -> Refusal:
    return Refusal(name, f"Predicate {name} failed: {why}")


def _misplaced(pod: Object, node: Object) -> Refusal | None:
    spec, labels = pod["spec"], labels_of(node)
    selector = spec.get("nodeSelector") or {}
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    matches = all(labels.get(key) == value for key, value in selector.items())
    if matches and affinity is not None:
        matches = any(_term_matches(term, node) for term in affinity.get("nodeSelectorTerms") or ())
    if not matches:
        return _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if spec.get("nodeName") not in (None, "", name_of(node)):
        return _failed("NodeName", "node(s) didn't match the requested node name")
    return None


def _term_matches(term: Object, node: Object) -> bool:
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not labels and not fields:
        return False
    named = {"metadata.name": name_of(node)}
    return all(_expression_matches(each, labels_of(node)) for each in labels) and all(_expression_matches(each, named) for each in fields)


def _expression_matches(expression: Object, labels: Mapping[str, str]) -> bool:
    value, operator = labels.get(expression["key"]), expression["operator"]
    values = expression.get("values") or []
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        number, bound = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def _port_taken(requests: Requests, usage: Usage) -> Refusal | None:
    taken = {port for each in usage.pods.values() for port in each.ports} if requests.ports else set()
    for ip, protocol, number in requests.ports:
        for other_ip, other_protocol, other_number in taken:
            if (protocol, number) == (other_protocol, other_number) and (ip == other_ip or "0.0.0.0" in (ip, other_ip)):
                return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    return None


def _tainted(pod: Object, node: Object) -> Refusal | None:
    tolerations = pod["spec"].get("tolerations") or ()
    for taint in node.get("spec", {}).get("taints") or ():
        if taint.get("effect") == "NoExecute" and not any(_tolerates(each, taint) for each in tolerations):
            return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if key not in ("", taint["key"]):
        return False
    if operator == "Exists":
        return True
    return key != "" and operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")
