"""RBAC: what rules allow and cover, whom bindings are for, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.pipeline.rbac import Book, Rule, binding_of, broken_down, keys_of, rule_of, rules_of, uncovered
from apiserver.registry.authorization import Attributes, Decision
from apiserver.registry.kind import User
from kube.objects import Object

# --- what a rule allows -----------------------------------------------------------------------------------------------------

READ = Rule(("get", "list"), ("",), ("pods", "configmaps"))
NAMED = Rule(("get",), ("",), ("secrets",), ("mine", "yours"))
PARTS = Rule(("get", "create"), ("",), ("pods/log", "pods/exec"))
SCALES = Rule(("*",), ("apps",), ("*/scale",))
EVERY_GROUP = Rule(("create",), ("*",), ("pods",))
EVERYTHING = Rule(("*",), ("*",), ("*",))
PATHS = Rule(("get",), paths=("/metrics", "/debug/*"))
EVERY_PATH = Rule(("*",), paths=("*",))


def of(verb: str, resource: str, *, group: str = "", subresource: str = "", name: str = "") -> Attributes:
    return Attributes(verb, group, "v1", resource, subresource, "n", name)


def at(path: str, verb: str = "get") -> Attributes:
    return Attributes(verb, path=path)


ALLOWS: dict[str, tuple[Rule, Attributes, bool]] = {
    "what it names": (READ, of("get", "pods"), True),
    "any name of it": (READ, of("get", "pods", name="p"), True),
    "another verb": (READ, of("watch", "pods"), False),
    "another resource": (READ, of("get", "secrets"), False),
    "another group": (READ, of("get", "pods", group="apps"), False),
    "a part is not the whole": (READ, of("get", "pods", subresource="log"), False),
    "the whole is not a part": (PARTS, of("get", "pods"), False),
    "a part": (PARTS, of("get", "pods", subresource="log"), True),
    "a part of all": (SCALES, of("patch", "deployments", group="apps", subresource="scale"), True),
    "another part of all": (SCALES, of("patch", "deployments", group="apps", subresource="status"), False),
    "a part that ends alike": (SCALES, of("patch", "deployments", group="apps", subresource="rescale"), False),
    "all with a part are not the whole": (SCALES, of("get", "deployments", group="apps"), False),
    "a name": (NAMED, of("get", "secrets", name="yours"), True),
    "another name": (NAMED, of("get", "secrets", name="theirs"), False),
    "no name": (NAMED, of("get", "secrets"), False),
    "every group": (EVERY_GROUP, of("create", "pods", group="metrics.k8s.io"), True),
    "every resource, also parts": (EVERYTHING, of("anything", "pods", group="x", subresource="y", name="z"), True),
    "every resource is no path": (EVERYTHING, at("/metrics"), False),
    "a path": (PATHS, at("/metrics"), True),
    "another verb at a path": (PATHS, at("/metrics", "post"), False),
    "below a path": (PATHS, at("/metrics/slis"), False),
    "below a starred path": (PATHS, at("/debug/pprof/heap"), True),
    "a starred path itself, without its slash": (PATHS, at("/debug"), False),
    "every path": (EVERY_PATH, at("/", "delete"), True),
    "a path is no resource": (EVERY_PATH, of("get", "pods"), False),
    "nothing": (Rule(), of("get", "pods"), False),
}


@pytest.mark.parametrize(("rule", "wanted", "allowed"), ALLOWS.values(), ids=ALLOWS.keys())
def test_what_a_rule_allows(rule: Rule, wanted: Attributes, allowed: bool) -> None:
    assert rule.allows(wanted) is allowed


# --- what rules cover -------------------------------------------------------------------------------------------------------


def pods(*verbs: str, names: tuple[str, ...] = ()) -> Rule:
    return Rule(verbs, ("",), ("pods",), names)


COVERS: dict[str, tuple[list[Rule], list[Rule], list[Rule]]] = {
    "the same": ([READ], [READ], []),
    "less": ([READ], [pods("get")], []),
    "nothing": ([], [], []),
    "a rule of nothing": ([], [Rule(("get",), ("",), ())], []),
    "more verbs": ([READ], [pods("get", "delete", "watch")], [pods("delete"), pods("watch")]),
    "two rules together": ([pods("get"), Rule(("list",), ("",), ("pods", "secrets"))], [pods("get", "list")], []),
    "all verbs are more than some": ([READ], [pods("*")], [pods("*")]),
    "some verbs are less than all": ([pods("*")], [pods("get", "*")], []),
    "another group": ([READ], [Rule(("get",), ("", "apps"), ("pods",))], [Rule(("get",), ("apps",), ("pods",))]),
    "all groups": ([EVERY_GROUP], [Rule(("create",), ("a", "*"), ("pods",))], []),
    "names of all": ([pods("get")], [pods("get", names=("a",))], []),
    "all of names": ([pods("get", names=("a",))], [pods("get")], [pods("get")]),
    "other names": ([pods("get", names=("a", "b"))], [pods("get", names=("b", "c"))], [pods("get", names=("c",))]),
    "all resources": ([EVERYTHING], [PARTS, SCALES, NAMED], []),
    "a part of all": ([SCALES], [Rule(("get",), ("apps",), ("deployments/scale", "*/scale"))], []),
    "a whole by its part": ([SCALES], [Rule(("get",), ("apps",), ("deployments",))], [Rule(("get",), ("apps",), ("deployments",))]),
    "a part by its whole": ([pods("get")], [Rule(("get",), ("",), ("pods/log",))], [Rule(("get",), ("",), ("pods/log",))]),
    "all resources by one": ([READ], [Rule(("get",), ("",), ("*",))], [Rule(("get",), ("",), ("*",))]),
    "paths": ([PATHS], [Rule(("get",), paths=("/debug/x", "/debug/*", "/metrics", "/other"))], [Rule(("get",), paths=("/other",))]),
    "all paths by some": ([PATHS], [Rule(("get",), paths=("*",))], [Rule(("get",), paths=("*",))]),
    "some paths by all": ([EVERY_PATH], [PATHS], []),
    "paths by resources": ([EVERYTHING], [PATHS], [Rule(("get",), paths=("/metrics",)), Rule(("get",), paths=("/debug/*",))]),
}


@pytest.mark.parametrize(("owned", "wanted", "beyond"), COVERS.values(), ids=COVERS.keys())
def test_what_goes_beyond_what_is_owned(owned: list[Rule], wanted: list[Rule], beyond: list[Rule]) -> None:
    assert uncovered(owned, wanted) == beyond


def test_a_rule_is_broken_down_into_single_ones() -> None:
    rule = Rule(("a", "b"), ("g", "h"), ("r",), ("x", "y"), ("/p",))
    single = list(broken_down(rule))
    assert len(single) == len(set(single)) == 2 * 2 * 2 + 2
    assert single[0] == Rule(("a",), ("g",), ("r",), ("x",))
    assert single[-2:] == [Rule(("a",), paths=("/p",)), Rule(("b",), paths=("/p",))]


def test_rules_are_read_from_objects() -> None:
    given = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}
    assert rule_of(given) == Rule(("get",), ("",), ("pods",), ("p",))
    assert rules_of({"rules": [given, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]}) == (rule_of(given), Rule(("get",), paths=("/x",)))
    assert rules_of({"rules": None}) == rules_of({}) == ()


# --- whom bindings are for --------------------------------------------------------------------------------------------------


def binding(name: str, role: str, *subjects: Object, namespace: str = "", kind: str = "") -> Any:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    kind = kind or ("Role" if namespace else "ClusterRole")
    return binding_of({"metadata": metadata, "roleRef": {"kind": kind, "name": role}, "subjects": list(subjects)})


def user(name: str) -> Object:
    return {"kind": "User", "name": name}


def group(name: str) -> Object:
    return {"kind": "Group", "name": name}


def account(name: str, namespace: str = "") -> Object:
    return {"kind": "ServiceAccount", "name": name, **({"namespace": namespace} if namespace else {})}


ROLES = {("", "reader"): (READ,), ("n", "reader"): (NAMED,), ("n", "empty"): (), ("", "paths"): (PATHS,)}
ANN, OPS, ROBOT = User("ann"), User("bob", ("ops", "dev")), User("system:serviceaccount:n:robot", ("system:serviceaccounts",))


def book(*bindings: Any) -> Book:
    made = Book(ROLES)
    for each in bindings:
        made.add(each)
    return made


GET_PODS, GET_MINE = of("get", "pods"), of("get", "secrets", name="mine")
DECIDED: dict[str, tuple[Any, User, Attributes, str]] = {
    "a user": (
        binding("b", "reader", user("ann")),
        ANN,
        GET_PODS,
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to User "ann"',
    ),
    "a group": (
        binding("b", "reader", user("x"), group("dev"), group("ops")),
        OPS,
        GET_PODS,
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "dev"',
    ),
    "an account": (
        binding("b", "reader", account("robot", "n")),
        ROBOT,
        GET_PODS,
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to ServiceAccount "robot/n"',
    ),
    "an account of the namespace": (
        binding("b", "reader", account("robot"), namespace="n"),
        ROBOT,
        GET_MINE,
        'RBAC: allowed by RoleBinding "b/n" of Role "reader" to ServiceAccount "robot/n"',
    ),
    "an account as a user": (
        binding("b", "reader", user(ROBOT.name)),
        ROBOT,
        GET_PODS,
        f'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to User "{ROBOT.name}"',
    ),
    "a cluster's role in a namespace": (
        binding("b", "reader", user("ann"), namespace="n", kind="ClusterRole"),
        ANN,
        GET_PODS,
        'RBAC: allowed by RoleBinding "b/n" of ClusterRole "reader" to User "ann"',
    ),
    "a path": (
        binding("b", "paths", user("ann")),
        ANN,
        at("/metrics"),
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "paths" to User "ann"',
    ),
}

NOT_FOR: dict[str, tuple[Any, User, Attributes]] = {
    "another user": (binding("b", "reader", user("ann")), OPS, GET_PODS),
    "a group is no user": (binding("b", "reader", group("ann")), ANN, GET_PODS),
    "a user is no group": (binding("b", "reader", user("ops")), OPS, GET_PODS),
    "an account of another namespace": (binding("b", "reader", account("robot", "m"), namespace="n"), ROBOT, GET_MINE),
    "an account of no namespace": (binding("b", "reader", account("robot")), ROBOT, GET_PODS),
    "a kind of subject that there is not": (binding("b", "reader", {"kind": "Node", "name": "ann"}), ANN, GET_PODS),
    "nobody": (binding("b", "reader"), ANN, GET_PODS),
    "another namespace": (binding("b", "reader", user("ann"), namespace="n"), ANN, GET_MINE._replace(namespace="m")),
    "the whole cluster": (binding("b", "reader", user("ann"), namespace="n"), ANN, GET_MINE._replace(namespace="")),
    "a role without rules": (binding("b", "empty", user("ann"), namespace="n"), ANN, GET_PODS),
    "a path by a binding of a namespace": (binding("b", "paths", user("ann"), namespace="n", kind="ClusterRole"), ANN, at("/metrics")),
}


@pytest.mark.parametrize(("bound", "who", "wanted", "reason"), DECIDED.values(), ids=DECIDED.keys())
def test_a_binding_is_for(bound: Any, who: User, wanted: Attributes, reason: str) -> None:
    assert book(bound).decide(who, wanted) == Decision(True, reason=reason)


@pytest.mark.parametrize(("bound", "who", "wanted"), NOT_FOR.values(), ids=NOT_FOR.keys())
def test_a_binding_is_not_for(bound: Any, who: User, wanted: Attributes) -> None:
    assert book(bound).decide(who, wanted) == Decision(False)


def test_a_users_keys_are_its_name_its_groups_and_its_account() -> None:
    assert keys_of(OPS) == [("User", "bob"), ("Group", "ops"), ("Group", "dev")]
    assert keys_of(ROBOT)[-1] == ("ServiceAccount", "n:robot")


def test_a_role_that_is_not_there_is_told_of_only_where_nothing_else_allows() -> None:
    gone, also = binding("a", "gone", user("ann")), binding("b", "lost", user("ann"), namespace="n")
    assert book(gone, also).decide(ANN, GET_PODS) == Decision(
        False,
        reason='RBAC: [clusterrole.rbac.authorization.k8s.io "gone" not found, role.rbac.authorization.k8s.io "lost" not found]',
    )
    assert book(gone, binding("c", "gone", group("x"), user("ann"))).decide(ANN, GET_PODS).reason == (
        'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
    )
    assert book(gone, also, binding("z", "reader", user("ann"))).decide(ANN, GET_PODS).allowed


def test_all_that_is_bound_adds_up() -> None:
    made = book(
        binding("z", "reader", user("ann")),
        binding("a", "paths", group("ops"), user("ann")),
        binding("m", "reader", user("ann"), namespace="n"),
        binding("l", "lost", user("ann"), namespace="n"),
        binding("o", "reader", user("ann"), namespace="other"),
    )
    rules, missing = made.rules_for(ANN, "n")
    assert rules == [PATHS, READ, NAMED]
    assert [(each.name, each.refers_to) for each in missing] == [("l", ("n", "lost"))]
    assert made.rules_for(ANN, "") == ([PATHS, READ], [])
    assert made.rules_for(OPS, "n") == ([PATHS], [])


def test_a_binding_without_a_name_is_still_read() -> None:
    assert binding_of({"metadata": {}, "roleRef": {"kind": "Role", "name": "r"}}).name == ""
