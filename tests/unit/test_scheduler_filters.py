"""Each filter plugin's yes and no, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.scheduler.framework import Code, Rejection
from controllers.scheduler.plugins.scheduling_gates import SchedulingGates
from controllers.scheduler.plugins.toleration import tolerates
from controllers.scheduler.pod_info import PodInfo
from kube.objects import Object
from tests.unit.scheduler_cluster import HOSTNAME, ZONE, decide, make_node, make_pod, make_snapshot, reasons, taint

AFFINITY = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
SPREAD = "node(s) didn't match pod topology spread constraints"


FEATURES = "node(s) didn't match Pod's required features"
RESTART_ALL: Object = {"restartPolicyRules": [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}]}


def required(*terms: Any) -> Object:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def on_field(operator: str, *values: str) -> Object:
    return {"matchFields": [{"key": "metadata.name", "operator": operator, "values": list(values)}]}


def port(number: int, protocol: str = "TCP", ip: str = "") -> Object:
    return {"ports": [{"containerPort": 80, "hostPort": number, "protocol": protocol, "hostIP": ip}]}


@pytest.mark.parametrize(
    ("pod", "node", "reason", "code"),
    [
        pytest.param(make_pod("p"), make_node("n", unschedulable=True), "node(s) were unschedulable", Code.UNRESOLVABLE, id="cordoned"),
        pytest.param(
            make_pod("p"), make_node("n", taints=[taint("a", "b")]), "node(s) had untolerated taint(s)", Code.UNRESOLVABLE, id="tainted"
        ),
        pytest.param(
            make_pod("p"),
            make_node("n", taints=[taint("a", effect="NoExecute")]),
            "node(s) had untolerated taint(s)",
            Code.UNRESOLVABLE,
            id="a NoExecute taint keeps pods off, too",
        ),
        pytest.param(make_pod("p", nodeSelector={"disk": "ssd"}), make_node("n"), AFFINITY, Code.UNRESOLVABLE, id="selector"),
        pytest.param(
            make_pod("p", affinity=required(expression("disk", "In", "ssd"))),
            make_node("n"),
            AFFINITY,
            Code.UNRESOLVABLE,
            id="node affinity",
        ),
        pytest.param(make_pod("p", affinity=required({})), make_node("n"), AFFINITY, Code.UNRESOLVABLE, id="an empty term matches nothing"),
        pytest.param(make_pod("p", cpu="5"), make_node("n", cpu="4"), "Insufficient cpu", Code.UNRESOLVABLE, id="more than the node has"),
        pytest.param(
            make_pod("p", requests={"example.com/gpu": "1"}), make_node("n"), "Insufficient example.com/gpu", Code.UNRESOLVABLE, id="no gpu"
        ),
        pytest.param(
            make_pod("p", requests={"ephemeral-storage": "1Ti"}),
            make_node("n"),
            "Insufficient ephemeral-storage",
            Code.UNRESOLVABLE,
            id="ephemeral storage",
        ),
        pytest.param(make_pod("p"), make_node("n", pods="0"), "Too many pods", Code.UNSCHEDULABLE, id="no pods at all"),
        pytest.param(
            make_pod("p", container=RESTART_ALL), make_node("n"), FEATURES, Code.UNRESOLVABLE, id="a feature that is not declared"
        ),
        pytest.param(
            make_pod("p", hostNetwork=True, hostUsers=False),
            make_node("n", declaredFeatures=["RestartAllContainersOnContainerExits"]),
            FEATURES,
            Code.UNRESOLVABLE,
            id="another feature is declared",
        ),
    ],
)
def test_a_bare_node_is_refused(pod: Object, node: Object, reason: str, code: Code) -> None:
    found = reasons(pod, node)["n"]
    assert (found.reasons, found.code) == ((reason,), code)


@pytest.mark.parametrize(
    ("spec", "node"),
    [
        pytest.param({"tolerations": [{"operator": "Exists"}]}, {"unschedulable": True}, id="who tolerates all goes to cordoned nodes"),
        pytest.param({"tolerations": [{"key": "a", "operator": "Exists"}]}, {"taints": [taint("a", "b")]}, id="a tolerated taint"),
        pytest.param({}, {"taints": [taint("a", effect="PreferNoSchedule")]}, id="a soft taint keeps nobody off"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, {"labels": {"disk": "ssd"}}, id="a matching selector"),
        pytest.param({"affinity": required(expression("n", "Gt", "3"))}, {"labels": {"n": "4"}}, id="a greater number"),
        pytest.param({"affinity": required(expression("n", "NotIn", "3"))}, {}, id="NotIn matches nodes without the label"),
        pytest.param(
            {"affinity": required(expression("x", "Exists"), expression("y", "DoesNotExist"))}, {}, id="one of the terms is enough"
        ),
        pytest.param({"affinity": required(on_field("In", "n"))}, {}, id="the node's name as a field"),
        pytest.param(
            {"container": RESTART_ALL}, {"declaredFeatures": ["A", "RestartAllContainersOnContainerExits"]}, id="a feature that is declared"
        ),
        pytest.param(
            {"hostNetwork": True, "hostUsers": False},
            {"declaredFeatures": ["UserNamespacesHostNetworkSupport"]},
            id="the host's network for users of its own",
        ),
        pytest.param({"hostUsers": False}, {}, id="what needs no feature"),
    ],
)
def test_a_bare_node_is_accepted(spec: dict[str, Any], node: dict[str, Any]) -> None:
    assert decide(make_pod("p", **spec), make_snapshot([make_node("n", **node)])).node == "n"


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        (port(80), port(80), False),
        (port(80), port(81), True),
        (port(80), port(80, "UDP"), True),
        (port(80, ip="10.0.0.1"), port(80, ip="10.0.0.2"), True),
        (port(80, ip="10.0.0.1"), port(80, ip="0.0.0.0"), False),
        (port(80, ip="0.0.0.0"), port(80, ip="10.0.0.2"), False),
        (port(80, ip="10.0.0.1"), port(80, ip="10.0.0.1"), False),
    ],
)
def test_host_ports_conflict(there: Object, wanted: Object, fits: bool) -> None:
    snapshot = make_snapshot([make_node("n")], [make_pod("there", node="n", container=there)])
    decision = decide(make_pod("p", container=wanted), snapshot)
    assert (decision.node == "n") is fits
    if not fits:
        assert decision.rejections["n"] == Rejection("NodePorts", Code.UNSCHEDULABLE, (PORTS,))


def test_what_pods_hold_is_counted() -> None:
    there = [make_pod(f"there-{n}", node="n", cpu="1", memory="3Gi") for n in range(2)]
    found = reasons(make_pod("p", cpu="3", memory="3Gi"), make_node("n", cpu="4", memory="8Gi", pods="2"), pods=there)["n"]
    assert found.reasons == ("Too many pods", "Insufficient cpu", "Insufficient memory")
    assert found.code is Code.UNSCHEDULABLE, "it would fit on the empty node"


def test_the_first_plugin_that_says_no_is_the_one_that_counts() -> None:
    found = reasons(make_pod("p", cpu="9", nodeSelector={"a": "b"}), make_node("n", taints=[taint("x", "y")], unschedulable=True))["n"]
    assert found.plugin == "NodeUnschedulable"


def test_the_taint_is_named_for_who_asks_about_the_node() -> None:
    assert reasons(make_pod("p"), make_node("n", taints=[taint("a", "b")]))["n"].detail == "untolerated taint {a: b}"


def test_a_pod_that_names_its_node_in_a_field_is_compared_with_no_other() -> None:
    snapshot = make_snapshot([make_node("a"), make_node("b", cpu="1"), make_node("c")])
    decision = decide(make_pod("p", cpu="2", affinity=required(on_field("In", "b"))), snapshot)
    assert decision.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        " no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    assert decide(make_pod("p", affinity=required(on_field("In", "b"))), snapshot).node == "b"
    gone = decide(make_pod("p", affinity=required(on_field("In", "gone"))), snapshot)
    assert gone.message.startswith("0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity].")
    never = required({"matchFields": [*on_field("In", "a")["matchFields"], *on_field("In", "b")["matchFields"]]})
    conflict = "0/3 nodes are available: pod affinity terms conflict."
    helpless = "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    assert decide(make_pod("p", affinity=never), snapshot).message == f"{conflict} {helpless}"


@pytest.mark.parametrize(
    ("toleration", "against", "yes"),
    [
        ({"operator": "Exists"}, taint("a", "b"), True),
        ({"key": "a", "operator": "Exists", "effect": "NoSchedule"}, taint("a", "b"), True),
        ({"key": "a", "operator": "Exists", "effect": "NoExecute"}, taint("a", "b"), False),
        ({"key": "a", "value": "b"}, taint("a", "b"), True),
        ({"key": "a", "value": "c"}, taint("a", "b"), False),
        ({"key": "b", "operator": "Exists"}, taint("a", "b"), False),
        ({"key": "a", "operator": "Gt", "value": "3"}, taint("a", "4"), True),
        ({"key": "a", "operator": "Lt", "value": "3"}, taint("a", "4"), False),
        ({"key": "a", "operator": "Gt", "value": "x"}, taint("a", "4"), False),
    ],
)
def test_tolerations(toleration: Object, against: Object, yes: bool) -> None:
    assert tolerates(toleration, against) is yes


# Topology spread.

APP = {"app": "web"}


def spread(key: str = ZONE, max_skew: int = 1, **rest: Any) -> list[Object]:
    selector = {"labelSelector": {"matchLabels": APP}}
    return [{"topologyKey": key, "maxSkew": max_skew, "whenUnsatisfiable": "DoNotSchedule", **selector, **rest}]


def web(name: str, node: str = "", **rest: Any) -> Object:
    return make_pod(name, node=node, labels=APP, **rest)


def test_spreading_refuses_what_would_be_too_uneven() -> None:
    nodes = [make_node("a", zone="1"), make_node("b", zone="2"), make_node("c")]
    snapshot = make_snapshot(nodes, [web("1", "a"), make_pod("other", node="b"), web("elsewhere", "b", namespace="other")])
    pod = web("p", topologySpreadConstraints=spread())
    assert decide(pod, snapshot).node == "b"


def test_the_reasons_of_spreading() -> None:
    nodes = [make_node("a", zone="1"), make_node("b", zone="2", cpu="0"), make_node("c")]
    found = reasons(web("p", cpu="1", topologySpreadConstraints=spread()), *nodes, pods=[web("1", "a")])
    assert found["a"] == Rejection("PodTopologySpread", Code.UNSCHEDULABLE, (SPREAD,))
    assert found["c"] == Rejection("PodTopologySpread", Code.UNRESOLVABLE, (f"{SPREAD} (missing required label)",))


@pytest.mark.parametrize(
    ("constraint", "pods", "fits"),
    [
        pytest.param(spread(max_skew=2), ["a", "a"], False, id="two more than elsewhere and one to come is too much for 2"),
        pytest.param(spread(max_skew=3), ["a", "a"], True, id="but not for 3"),
        pytest.param(spread(minDomains=3), ["a", "b"], False, id="with too few domains the least is none"),
        pytest.param(spread(minDomains=2), ["a", "b"], True, id="with enough it is the least there is"),
        pytest.param(spread(labelSelector=None), ["a"], True, id="no selector selects nothing"),
        pytest.param(spread(nodeTaintsPolicy="Honor"), ["a"], True, id="tainted nodes are no domain where taints are honored"),
        pytest.param(spread(nodeTaintsPolicy="Ignore"), ["a"], False, id="and are one where they are ignored"),
        pytest.param(spread(matchLabelKeys=["version"]), ["a"], True, id="pods of another version do not count"),
    ],
)
def test_spreading_counts(constraint: list[Object], pods: list[str], fits: bool) -> None:
    other = make_node("b", zone="2", taints=[taint("x")])
    snapshot = make_snapshot([make_node("a", zone="1"), other], [web(f"w{index}", node) for index, node in enumerate(pods)])
    pod = make_pod("p", labels={**APP, "version": "2"}, topologySpreadConstraints=constraint)
    assert (decide(pod, snapshot).node == "a") is fits


def test_nodes_that_the_selector_rules_out_are_no_domains() -> None:
    nodes = [make_node("a", zone="1", labels={"disk": "ssd"}), make_node("b", zone="2")]
    pod = web("p", topologySpreadConstraints=spread(), nodeSelector={"disk": "ssd"})
    assert decide(pod, make_snapshot(nodes, [web("1", "a")])).node == "a"
    everywhere = web("p", topologySpreadConstraints=spread(nodeAffinityPolicy="Ignore"), nodeSelector={"disk": "ssd"})
    assert decide(everywhere, make_snapshot(nodes, [web("1", "a")])).node is None


def test_pods_on_their_way_out_are_not_counted() -> None:
    leaving = web("1", "a", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    snapshot = make_snapshot([make_node("a", zone="1"), make_node("b", zone="2", cpu="0")], [leaving])
    assert decide(web("p", cpu="1", topologySpreadConstraints=spread()), snapshot).node == "a"


# Affinity between pods.


def near(*, key: str = ZONE, labels: dict[str, str] = APP, away: bool = False, **rest: Any) -> Object:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}, **rest}
    return {"podAntiAffinity" if away else "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


ZONES = [make_node("a", zone="1"), make_node("b", zone="1"), make_node("c", zone="2")]


def test_affinity_finds_company_in_the_zone() -> None:
    snapshot = make_snapshot([*ZONES, make_node("d")], [web("there", "a"), make_pod("load", node="a", cpu="2")])
    assert decide(make_pod("p", affinity=near()), snapshot).node == "b"
    found = reasons(make_pod("p", affinity=near()), make_node("d"), make_node("c", zone="2"), pods=[web("there", "d")])
    no = Rejection("InterPodAffinity", Code.UNRESOLVABLE, ("node(s) didn't match pod affinity rules",))
    assert found == {"c": no, "d": no}, "d has the pod but no zone"


def test_the_first_of_a_group_goes_anywhere_with_the_label() -> None:
    first = web("p", affinity=near())
    assert decide(first, make_snapshot([make_node("d"), make_node("a", zone="1")])).node == "a"
    assert decide(make_pod("p", affinity=near()), make_snapshot(ZONES)).node is None, "it is not of the group"
    elsewhere = make_snapshot(ZONES, [web("there", "c")])
    assert decide(first, elsewhere).node == "c", "there is company already"


def test_anti_affinity_keeps_away() -> None:
    snapshot = make_snapshot(ZONES, [web("there", "a")])
    assert decide(make_pod("p", affinity=near(away=True)), snapshot).node == "c"
    found = reasons(make_pod("p", affinity=near(away=True)), make_node("a", zone="1"), pods=[web("there", "a")])
    assert found["a"] == Rejection("InterPodAffinity", Code.UNSCHEDULABLE, ("node(s) didn't match pod anti-affinity rules",))


def test_pods_that_are_there_keep_others_away() -> None:
    recluse = make_pod("recluse", node="a", affinity=near(away=True))
    snapshot = make_snapshot(ZONES, [recluse])
    assert decide(web("p"), snapshot).node == "c"
    assert decide(make_pod("p"), make_snapshot(ZONES[:1], [recluse])).node == "a", "it does not mind others"
    found = reasons(web("p"), make_node("a", zone="1"), pods=[recluse])
    assert found["a"] == Rejection("InterPodAffinity", Code.UNSCHEDULABLE, ("node(s) didn't satisfy existing pods anti-affinity rules",))


@pytest.mark.parametrize(
    ("term", "fits"),
    [
        pytest.param({}, True, id="without a word about namespaces only the own one counts"),
        pytest.param({"namespaces": ["other"]}, False, id="named namespaces"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "x"}}}, False, id="namespaces by their labels"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "y"}}}, True, id="by labels that it has not"),
        pytest.param({"namespaceSelector": {}}, False, id="all namespaces"),
    ],
)
def test_affinity_looks_at_namespaces(term: dict[str, Any], fits: bool) -> None:
    snapshot = make_snapshot([make_node("a")], [web("there", "a", namespace="other")])
    snapshot.set_namespace(None, {"metadata": {"name": "other", "labels": {"team": "x"}}})
    pod = make_pod("p", affinity=near(key=HOSTNAME, away=True, **term))
    assert (decide(pod, snapshot).node == "a") is fits


def test_gates_keep_a_pod_out_of_the_queue() -> None:
    gated = PodInfo(make_pod("p", schedulingGates=[{"name": "a.example/b"}, {"name": "c"}]))
    assert SchedulingGates().pre_enqueue(gated) == "waiting for scheduling gates: [a.example/b c]"
    assert SchedulingGates().pre_enqueue(PodInfo(make_pod("p"))) is None
