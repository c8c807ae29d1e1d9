"""EndpointSlices and Endpoints: which pods are told, how, and with how few writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager.endpoint_pod import port_of
from controllers.manager.endpoint_slice import ENDPOINTS_MAX, endpoints_of, labels_for, plan
from controllers.manager.endpoints import ADDRESSES_MAX, truncated
from controllers.manager.endpoints import plan as plan_endpoints
from kube.objects import Object, name_of
from kube.runtime.perform import Action, Create, Delete, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODES = {"n": {"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}}}


def service(**rest: Any) -> Object:
    metadata = {"name": "web", "namespace": "ns", "uid": "svc", "labels": rest.pop("labels", {})}
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "metadata": metadata,
        "spec": {"selector": {"app": "web"}, "clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "ports": ports, **rest},
    }


def pod(number: int, *, ready: bool = True, phase: str = "Running", node: str = "n", **rest: Any) -> Object:
    metadata = {"name": f"p{number}", "namespace": "ns", "uid": f"u{number}", "labels": {"app": "web"}, **rest.pop("metadata", {})}
    ips = rest.pop("ips", [f"10.1.{number // 250}.{number % 250}"])
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": phase, "conditions": conditions, "podIPs": [{"ip": each} for each in ips], "podIP": ips[0] if ips else ""}
    containers = [{"name": "c", "ports": [{"name": "web", "containerPort": 9090, "protocol": "TCP"}]}]
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": containers, **rest}, "status": status}


def run(desired: Object, slices: list[Object], pods: list[Object]) -> list[Action]:
    return plan(desired, slices, NOW, pods=pods, nodes=NODES)


def stored(actions: list[Action], old: list[Object] | None = None) -> list[Object]:
    """The slices as they are after the actions."""
    slices = {name_of(each): each for each in old or []}
    for number, action in enumerate(actions):
        if isinstance(action, Create):
            name = f"web-{len(slices)}-{number}"
            slices[name] = {**action.obj, "metadata": {**action.obj["metadata"], "name": name, "uid": name}}
        elif isinstance(action, Update):
            slices[name_of(action.obj)] = action.obj
        elif isinstance(action, Delete):
            del slices[action.name]
    return list(slices.values())


def sizes(slices: list[Object]) -> list[int]:
    return sorted(len(each["endpoints"]) for each in slices)


@pytest.mark.parametrize(
    ("of", "what", "want"),
    [
        pytest.param(service(), pod(1), (True, True, False), id="a ready pod is ready and serving"),
        pytest.param(service(), pod(1, ready=False), (False, False, False), id="a pod that is not ready is neither"),
        pytest.param(
            service(), pod(1, metadata={"deletionTimestamp": "x"}), (False, True, True), id="a pod on its way out may still serve"
        ),
        pytest.param(
            service(publishNotReadyAddresses=True),
            pod(1, ready=False),
            (True, False, False),
            id="who publishes unready addresses calls them ready",
        ),
    ],
)
def test_conditions(of: Object, what: Object, want: tuple[bool, bool, bool]) -> None:
    [[endpoint]] = endpoints_of(of, [what], NODES).values()
    assert tuple(endpoint["conditions"][each] for each in ("ready", "serving", "terminating")) == want


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(pod(1, phase="Succeeded"), id="a pod that has ended"),
        pytest.param(pod(1, ips=[]), id="a pod without an address"),
        pytest.param(pod(1, node="unknown"), id="a pod on a node that is not known"),
        pytest.param(pod(1, ips=["fd00::1"]), id="a pod without an address of the family"),
    ],
)
def test_who_is_no_endpoint(what: Object) -> None:
    assert endpoints_of(service(), [what], NODES) == {}


def test_an_endpoint_tells_where_it_is_and_whose() -> None:
    [[endpoint]] = endpoints_of(service(), [pod(1, hostname="h", subdomain="web")], NODES).values()
    assert endpoint["targetRef"] == {"kind": "Pod", "namespace": "ns", "name": "p1", "uid": "u1"}
    assert (endpoint["nodeName"], endpoint["zone"], endpoint["hostname"]) == ("n", "z", "h")
    assert "hints" not in endpoint


def test_traffic_distribution_recommends_the_zone_and_the_node() -> None:
    [[close]] = endpoints_of(service(trafficDistribution="PreferClose"), [pod(1)], NODES).values()
    assert close["hints"] == {"forZones": [{"name": "z"}]}
    [[same]] = endpoints_of(service(trafficDistribution="PreferSameNode"), [pod(1)], NODES).values()
    assert same["hints"] == {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}


@pytest.mark.parametrize(
    ("target", "want"),
    [
        pytest.param(None, 80, id="without a target the port itself"),
        pytest.param(8080, 8080, id="a number is the number"),
        pytest.param("web", 9090, id="a name is the container's port"),
        pytest.param("other", None, id="a name that the pod does not have is nothing"),
    ],
)
def test_what_a_port_means_on_a_pod(target: Any, want: int | None) -> None:
    assert port_of(pod(1), {"port": 80, "targetPort": target, "protocol": "TCP"}) == want


def test_a_service_without_pods_has_one_empty_slice() -> None:
    actions = run(service(), [], [])
    [create] = actions
    assert isinstance(create, Create)
    assert create.obj["endpoints"] == []
    assert run(service(), stored(actions), []) == []


def test_the_first_endpoints_take_the_empty_slice_over() -> None:
    empty = stored(run(service(), [], []))
    [update] = run(service(), empty, [pod(1)])
    assert isinstance(update, Update)
    assert update.obj["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert len(update.obj["endpoints"]) == 1


def test_a_slice_is_labelled_and_owned() -> None:
    [create] = run(service(labels={"team": "x"}, clusterIP="None"), [], [pod(1)])
    assert isinstance(create, Create)
    assert create.obj["metadata"]["labels"] == {
        "team": "x",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    assert create.obj["metadata"]["generateName"] == "web-"
    assert create.obj["metadata"]["ownerReferences"][0]["uid"] == "svc"
    assert create.obj["addressType"] == "IPv4"


def test_no_slice_has_more_than_a_hundred_endpoints() -> None:
    slices = stored(run(service(), [], [pod(each) for each in range(250)]))
    assert sizes(slices) == [50, ENDPOINTS_MAX, ENDPOINTS_MAX]
    assert run(service(), slices, [pod(each) for each in range(250)]) == []


def test_new_endpoints_fill_the_slice_that_has_room() -> None:
    pods = [pod(each) for each in range(150)]
    slices = stored(run(service(), [], pods))
    actions = run(service(), slices, [*pods, *(pod(each) for each in range(200, 240))])
    assert [type(each) for each in actions] == [Update]
    assert sizes(stored(actions, slices)) == [90, 100]


def test_a_slice_that_changes_anyway_is_filled_first() -> None:
    pods = [pod(each) for each in range(150)]
    slices = stored(run(service(), [], pods))
    actions = run(service(), slices, [*pods[10:], pod(200)])
    assert [type(each) for each in actions] == [Update]
    assert sizes(stored(actions, slices)) == [50, 91]


def test_only_the_slice_of_a_pod_that_changed_is_written() -> None:
    pods = [pod(each) for each in range(150)]
    slices = stored(run(service(), [], pods))
    [update] = run(service(), slices, [pod(0, ready=False), *pods[1:]])
    assert isinstance(update, Update)
    assert len(update.obj["endpoints"]) == 100


def test_slices_that_become_empty_go_but_for_the_last() -> None:
    slices = stored(run(service(), [], [pod(each) for each in range(150)]))
    after = stored(run(service(), slices, []), slices)
    assert sizes(after) == [0]
    assert run(service(), after, []) == []


def test_each_family_has_its_slices() -> None:
    dual = service(ipFamilies=["IPv4", "IPv6"])
    slices = stored(run(dual, [], [pod(1, ips=["10.1.0.1", "fd00::1"])]))
    assert sorted((each["addressType"], each["endpoints"][0]["addresses"][0]) for each in slices) == [
        ("IPv4", "10.1.0.1"),
        ("IPv6", "fd00::1"),
    ]


def test_pods_with_other_port_numbers_have_other_slices() -> None:
    named = service(ports=[{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}])
    other = pod(2)
    other["spec"]["containers"][0]["ports"][0]["containerPort"] = 7070
    slices = stored(run(named, [], [pod(1), other]))
    assert sorted(each["ports"][0]["port"] for each in slices) == [7070, 9090]


def test_changed_labels_of_the_service_are_written_to_its_slices() -> None:
    slices = stored(run(service(), [], [pod(1)]))
    [update] = run(service(labels={"new": "1"}), slices, [pod(1)])
    assert isinstance(update, Update)
    assert update.obj["metadata"]["labels"] == labels_for(service(labels={"new": "1"}))


# --- Endpoints ----------------------------------------------------------------------------------------------------------------


def test_endpoints_tell_ready_and_unready_addresses() -> None:
    [create] = plan_endpoints(service(), None, NOW, pods=[pod(2), pod(1), pod(3, ready=False), pod(4, metadata={"deletionTimestamp": "x"})])
    assert isinstance(create, Create)
    [subset] = create.obj["subsets"]
    assert [each["ip"] for each in subset["addresses"]] == ["10.1.0.1", "10.1.0.2"]
    assert [each["ip"] for each in subset["notReadyAddresses"]] == ["10.1.0.3"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert create.obj["metadata"]["labels"] == {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}


def test_endpoints_are_not_written_when_nothing_changed() -> None:
    [create] = plan_endpoints(service(), None, NOW, pods=[pod(1)])
    assert isinstance(create, Create)
    assert plan_endpoints(service(), create.obj, NOW, pods=[pod(1)]) == []
    [update] = plan_endpoints(service(), create.obj, NOW, pods=[])
    assert isinstance(update, Update)
    assert update.obj["subsets"] == []


def test_too_many_addresses_are_cut_off_unready_ones_first() -> None:
    subsets = [{"addresses": [{"ip": "a"}] * 900, "notReadyAddresses": [{"ip": "b"}] * 200, "ports": []}]
    [kept], is_over = truncated(subsets)
    assert (len(kept["addresses"]), len(kept["notReadyAddresses"]), is_over) == (900, ADDRESSES_MAX - 900, True)
    assert truncated(subsets[:0]) == ([], False)
