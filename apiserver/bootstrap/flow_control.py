"""The FlowSchemas and PriorityLevelConfigurations of a new cluster, and what becomes of those that are there already. Pure.

Mandatory ones (`exempt`, `catch-all`) are always put right. Suggested ones follow their annotation `apf.kubernetes.io/autoupdate-spec`:
"true" is put right, "false" is the user's; one without it that somebody has changed becomes the user's.
Source: apiserver `pkg/apis/flowcontrol/bootstrap/default.go`, kubernetes `pkg/registry/flowcontrol/ensurer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from apiserver.bootstrap.ensure import Wanted
from kube.objects import Object, annotations_of, name_of
from kube.resources import Resource

GROUP: Final = "flowcontrol.apiserver.k8s.io"
FLOW_SCHEMAS: Final = Resource(GROUP, "v1", "flowschemas", "FlowSchema", namespaced=False)
PRIORITY_LEVELS: Final = Resource(GROUP, "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", namespaced=False)
AUTO_UPDATE: Final = "apf.kubernetes.io/autoupdate-spec"
PRODUCER: Final = "api-priority-and-fairness-config-producer-v1"
CONSUMER: Final = "api-priority-and-fairness-config-consumer-v1"
MANDATORY: Final = frozenset({"exempt", "catch-all"})

_QUEUE_LENGTH: Final = 50
_LEVELS: Final = (
    # name, shares, percent that may be lent, (queues, hand size)
    ("catch-all", 5, 0, None),
    ("system", 30, 33, (64, 6)),
    ("node-high", 40, 25, (64, 6)),
    ("leader-election", 10, 0, (16, 4)),
    ("workload-high", 40, 50, (128, 6)),
    ("workload-low", 100, 90, (128, 6)),
    ("global-default", 20, 50, (128, 6)),
)

_EVERYBODY: Final = ("group system:unauthenticated", "group system:authenticated")
_BOTH: Final = ("all", "url *")
_SCHEMAS: Final = (
    # name, level, precedence, what tells flows apart, subjects, rules
    ("exempt", "exempt", 1, "", ("group system:masters",), _BOTH),
    ("probes", "exempt", 2, "", _EVERYBODY, ("url get /healthz /readyz /livez",)),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        ("user system:kube-controller-manager", "user system:kube-scheduler", "account kube-system/*"),
        ("get create update | coordination.k8s.io | leases",),
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        ("group system:nodes",),
        ("* |  | nodes nodes/status | cluster", "* | coordination.k8s.io | leases"),
    ),
    ("system-nodes", "system", 500, "ByUser", ("group system:nodes",), _BOTH),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", ("user system:kube-controller-manager",), _BOTH),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", ("user system:kube-scheduler",), _BOTH),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", ("account kube-system/*",), _BOTH),
    ("service-accounts", "workload-low", 9000, "ByUser", ("group system:serviceaccounts",), _BOTH),
    ("global-default", "global-default", 9900, "ByUser", _EVERYBODY, _BOTH),
    ("catch-all", "catch-all", 10000, "ByUser", _EVERYBODY, _BOTH),
)


# --- what there is to be ----------------------------------------------------------------------------------------------


def objects() -> Iterator[Wanted]:
    """All of them."""
    yield _wanted(PRIORITY_LEVELS, "exempt", {"type": "Exempt", "exempt": {}})
    for name, shares, lendable, queues in _LEVELS:
        yield _wanted(PRIORITY_LEVELS, name, _limited(shares, lendable, queues))
    for name, level, precedence, method, subjects, lines in _SCHEMAS:
        spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
        if method:
            spec["distinguisherMethod"] = {"type": method}
        spec["rules"] = [{"subjects": [_subject(each) for each in subjects], **_rules(lines)}]
        yield _wanted(FLOW_SCHEMAS, name, spec)


def _wanted(resource: Resource, name: str, spec: Object) -> Wanted:
    settle = settled_mandatory if name in MANDATORY else settled_suggested
    return Wanted(resource, {"metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}}, "spec": spec}, settle, PRODUCER)


def _limited(shares: int, lendable: int, queues: tuple[int, int] | None) -> Object:
    response: Object = {"type": "Reject"}
    if queues is not None:
        queuing = {"queues": queues[0], "handSize": queues[1], "queueLengthLimit": _QUEUE_LENGTH}
        response = {"type": "Queue", "queuing": queuing}
    return {"type": "Limited", "limited": {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}}


def _subject(line: str) -> Object:
    """`user NAME`, `group NAME` or `account NAMESPACE/NAME`."""
    kind, name = line.split(" ", 1)
    if kind == "account":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
    return {"kind": kind.capitalize(), kind: {"name": name}}


def _rules(lines: Iterable[str]) -> Object:
    """`all`; `VERBS | GROUP | RESOURCES[ | cluster]`; `url *`; `url VERB PATHS`."""
    resources: list[Object] = []
    urls: list[Object] = []
    for line in lines:
        if line == "all":
            resources.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]})
        elif line.startswith("url "):
            verb, *paths = line.split()[1:]
            urls.append({"verbs": [verb], "nonResourceURLs": paths or ["*"]})
        else:
            verbs, group, names, *scope = (part.strip() for part in line.split("|"))
            one: Object = {"verbs": verbs.split(), "apiGroups": [group], "resources": names.split()}
            resources.append({**one, **({"clusterScope": True} if scope else {}), "namespaces": ["*"]})
    return {**({"resourceRules": resources} if resources else {}), **({"nonResourceRules": urls} if urls else {})}


# --- what becomes of what there is --------------------------------------------------------------------------------------


def settled_mandatory(present: Object, wanted: Object) -> Object | None:
    """As wanted, whatever it was; None when it is so."""
    return _settled(present, wanted, follows=True)


def settled_suggested(present: Object, wanted: Object) -> Object | None:
    """See the module; None when nothing is to change."""
    said = annotations_of(present).get(AUTO_UPDATE)
    follows = said == "true" if said in ("true", "false") else present["metadata"].get("generation", 1) == 1
    return _settled(present, wanted, follows=follows)


def _settled(present: Object, wanted: Object, *, follows: bool) -> Object | None:
    annotations = {**annotations_of(present), AUTO_UPDATE: "true" if follows else "false"}
    spec = wanted["spec"] if follows else present.get("spec")
    if spec == present.get("spec") and annotations == annotations_of(present):
        return None
    return {**present, "metadata": {**present["metadata"], "annotations": annotations}, "spec": spec}


def outdated(present: Iterable[Object], names: Iterable[str]) -> list[str]:
    """The names of objects that the server once made, still looks after, and does not want any more."""
    wanted = set(names)
    return [name_of(each) for each in present if annotations_of(each).get(AUTO_UPDATE) == "true" and name_of(each) not in wanted]
