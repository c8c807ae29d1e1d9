"""Nobody grants what they do not have: roles and bindings that are written by somebody who holds something."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.kinds.rbac_escalation import of_binding, of_role
from apiserver.pipeline.rbac import Book, Rule, binding_of, rule_of
from apiserver.registry.authorization import Attributes, Decision
from apiserver.registry.kind import Context, User
from kube.errors import ApiError, Forbidden, NotFound
from kube.objects import Object

GROUP = "rbac.authorization.k8s.io"
ANN = User("ann", ("dev", "system:authenticated"))
MAPS: Object = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
PODS: Object = {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "delete"]}
SECRET: Object = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]}
PATHS: Object = {"nonResourceURLs": ["/metrics"], "verbs": ["get", "head"]}
ALL: Object = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
ALL_PATHS: Object = {"nonResourceURLs": ["*"], "verbs": ["*"]}
SAID = 'user "ann" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'


class Cluster:
    """Rules that Ann has in the whole cluster and in the namespace n; other roles, which nobody has; and what else is allowed."""

    def __init__(self, *rules: Object, here: tuple[Object, ...] = (), roles: Any = (), allowed: tuple[Attributes, ...] = ()) -> None:
        book = Book({("", "anns"): made(*rules), ("n", "anns"): made(*here), **dict(roles)})
        for namespace, kind in (("", "ClusterRole"), ("n", "Role")):
            subjects = [{"kind": "User", "name": "ann"}]
            metadata = {"name": "anns", **({"namespace": namespace} if namespace else {})}
            book.add(binding_of({"metadata": metadata, "roleRef": {"kind": kind, "name": "anns"}, "subjects": subjects}))
        self.rbac, self.authorizer, self.book = SimpleNamespace(book=book), self, book
        self.allowed = allowed
        self.asked: list[Attributes] = []

    def decide(self, user: User, attributes: Attributes) -> Decision:
        assert user.name == "ann"
        self.asked.append(attributes)
        return Decision(attributes in self.allowed)


def made(*rules: Object) -> tuple[Rule, ...]:
    return tuple(map(rule_of, rules))


def ctx(verb: str = "create", user: User = ANN, sent: Object | None = None) -> Context:
    return Context(user, datetime(2026, 1, 1, tzinfo=UTC), verb, sent=lambda: sent or {})


def role(*rules: Object, namespace: str = "n", aggregates: bool = False, **metadata: Any) -> Object:
    obj: Object = {"metadata": {"name": "r", **({"namespace": namespace} if namespace else {}), **metadata}, "rules": list(rules)}
    return obj | ({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}} if aggregates else {})


def binding(role: str, *, kind: str = "Role", namespace: str = "n", **metadata: Any) -> Object:
    meta = {"name": "b", **({"namespace": namespace} if namespace else {}), **metadata}
    return {"metadata": meta, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}, "subjects": []}


async def refusal(plural: str, new: Object, cluster: Cluster, old: Object | None = None, verb: str = "create", user: User = ANN) -> str:
    """What is said against a write; "" for nothing."""
    begin = of_role(plural) if plural.endswith("roles") else of_binding(plural)
    try:
        await begin(new, old, ctx(verb, user), cluster)
    except Forbidden as error:
        return error.message.removeprefix(f'{plural}.{GROUP} "{new["metadata"]["name"]}" is forbidden: ')
    return ""


# --- roles ------------------------------------------------------------------------------------------------------------------

GRANTS: dict[str, tuple[Cluster, Object, list[str]]] = {
    "what she has": (Cluster(MAPS), role(MAPS), []),
    "what she has in the namespace": (Cluster(here=(MAPS,)), role(MAPS), []),
    "a part of it": (Cluster(MAPS), role({**MAPS, "verbs": ["get"], "resourceNames": ["a"]}), []),
    "nothing": (Cluster(), role(), []),
    "more verbs of it": (
        Cluster(MAPS),
        role({**MAPS, "verbs": ["get", "patch", "delete"]}),
        ['{APIGroups:[""], Resources:["configmaps"], Verbs:["patch" "delete"]}'],
    ),
    "more things, in order": (
        Cluster(),
        role(PODS, MAPS),
        [
            '{APIGroups:[""], Resources:["configmaps"], Verbs:["get" "list"]}',
            '{APIGroups:[""], Resources:["pods"], Verbs:["get" "delete"]}',
            '{APIGroups:[""], Resources:["services"], Verbs:["get" "delete"]}',
        ],
    ),
    "other names": (
        Cluster(SECRET),
        role({**SECRET, "resourceNames": ["one", "two"], "verbs": ["get", "list"]}),
        [
            '{APIGroups:[""], Resources:["secrets"], ResourceNames:["one"], Verbs:["list"]}',
            '{APIGroups:[""], Resources:["secrets"], ResourceNames:["two"], Verbs:["get" "list"]}',
        ],
    ),
    "everything": (Cluster(MAPS), role(ALL), ['{APIGroups:["*"], Resources:["*"], Verbs:["*"]}']),
    "paths, verb by verb": (
        Cluster(),
        role(PATHS, PATHS),
        ['{NonResourceURLs:["/metrics"], Verbs:["get"]}', '{NonResourceURLs:["/metrics"], Verbs:["head"]}'],
    ),
    "the cluster's by what she has in a namespace": (
        Cluster(here=(MAPS,)),
        role(MAPS, namespace=""),
        ['{APIGroups:[""], Resources:["configmaps"], Verbs:["get" "list"]}'],
    ),
}


@pytest.mark.parametrize(("cluster", "new", "beyond"), GRANTS.values(), ids=GRANTS.keys())
async def test_granting(cluster: Cluster, new: Object, beyond: list[str]) -> None:
    plural = "roles" if "namespace" in new["metadata"] else "clusterroles"
    assert await refusal(plural, new, cluster) == (SAID + "\n".join(beyond) if beyond else "")


async def test_a_refusal_is_about_what_is_written() -> None:
    with pytest.raises(Forbidden) as caught:
        await of_role("roles")(role(ALL), None, ctx(), Cluster())
    assert caught.value.details == {"name": "r", "group": GROUP, "kind": "roles"}


async def test_who_may_escalate_grants_anything() -> None:
    allowed = Attributes("escalate", GROUP, "*", "roles", namespace="n", name="r")
    assert await refusal("roles", role(ALL), Cluster(allowed=(allowed,)), role(), verb="update") == ""
    assert await refusal("roles", role(ALL), Cluster(allowed=(allowed,))), "of what is created, the request does not tell the name"
    assert await refusal("roles", role(ALL), Cluster(allowed=(allowed._replace(name=""),))) == ""
    assert await refusal("clusterroles", role(ALL, namespace=""), Cluster(allowed=(allowed._replace(name=""),)))


async def test_masters_are_not_asked() -> None:
    cluster = Cluster()
    assert await refusal("roles", role(ALL), cluster, user=User("root", ("system:masters",))) == ""
    assert await refusal("rolebindings", binding("gone"), cluster, user=User("root", ("system:masters",))) == ""
    assert cluster.asked == []


async def test_every_change_of_a_role_counts_but_that_of_its_ties() -> None:
    old = role(PODS, labels={"a": "b"}, resourceVersion="1", ownerReferences=[{"uid": "1"}])
    freed = role(PODS, labels={"a": "b"}, resourceVersion="2", finalizers=["x"], managedFields=[{}])
    labelled = role(PODS, labels={"a": "c"}, resourceVersion="1")
    assert await refusal("roles", freed, Cluster(), old, "patch") == ""
    assert (await refusal("roles", labelled, Cluster(), old, "patch")).startswith(SAID)
    assert await refusal("roles", role(), Cluster(), old, "patch") == "", "less is always allowed"


WHOLE: dict[str, Any] = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("missing", ["", *WHOLE])
async def test_who_puts_the_same_must_put_all_of_it(missing: str) -> None:
    sent = role(PODS, **{key: value for key, value in WHOLE.items() if key != missing})
    writing = of_role("roles")(role(PODS, **WHOLE), role(PODS, **WHOLE), ctx("update", sent=sent), Cluster())
    if missing:
        with pytest.raises(Forbidden):
            await writing
    else:
        await writing


AGGREGATION = "must have cluster-admin privileges to use the aggregationRule"


async def test_whoever_aggregates_must_have_everything() -> None:
    new = role(MAPS, namespace="", aggregates=True)
    assert await refusal("clusterroles", new, Cluster(MAPS)) == AGGREGATION
    assert await refusal("clusterroles", new, Cluster(ALL)) == AGGREGATION, "paths are missing"
    assert await refusal("clusterroles", new, Cluster(ALL, ALL_PATHS)) == ""
    assert (await refusal("clusterroles", new, Cluster())).startswith(SAID), "the rules come first"
    assert await refusal("clusterroles", role(MAPS, namespace=""), Cluster(MAPS), new, "update") == AGGREGATION, "it did so before"
    assert await refusal("clusterroles", {**role(MAPS, namespace=""), "aggregationRule": {}}, Cluster(MAPS)) == "", "it selects nothing"


# --- bindings ---------------------------------------------------------------------------------------------------------------

HELD = {("n", "theirs"): made(MAPS), ("", "theirs"): made(PATHS), ("m", "theirs"): made()}
BINDS: dict[str, tuple[Cluster, Object, str]] = {
    "a role whose rules she has": (Cluster(MAPS, roles=HELD), binding("theirs"), ""),
    "a role of the cluster, in a namespace": (Cluster(here=(PATHS,), roles=HELD), binding("theirs", kind="ClusterRole"), ""),
    "the same for the cluster": (
        Cluster(here=(PATHS,), roles=HELD),
        binding("theirs", kind="ClusterRole", namespace=""),
        SAID + '{NonResourceURLs:["/metrics"], Verbs:["get"]}\n{NonResourceURLs:["/metrics"], Verbs:["head"]}',
    ),
    "a role without rules": (Cluster(roles=HELD), binding("theirs", namespace="m"), ""),
    "a role whose rules she has not": (
        Cluster(PATHS, roles=HELD),
        binding("theirs"),
        SAID + '{APIGroups:[""], Resources:["configmaps"], Verbs:["get" "list"]}',
    ),
}


@pytest.mark.parametrize(("cluster", "new", "message"), BINDS.values(), ids=BINDS.keys())
async def test_binding(cluster: Cluster, new: Object, message: str) -> None:
    assert await refusal("rolebindings" if "namespace" in new["metadata"] else "clusterrolebindings", new, cluster) == message


async def test_who_may_bind_a_role_binds_it_there() -> None:
    bind = Attributes("bind", GROUP, "*", "clusterroles", namespace="n", name="theirs")
    cluster = Cluster(roles=HELD, allowed=(bind,))
    assert await refusal("rolebindings", binding("theirs", kind="ClusterRole"), cluster) == ""
    assert await refusal("rolebindings", binding("theirs"), cluster), "the role of that name is another"
    assert await refusal("clusterrolebindings", binding("theirs", kind="ClusterRole", namespace=""), cluster), "not everywhere"
    assert [(each.resource, each.namespace) for each in cluster.asked] == [("clusterroles", "n"), ("roles", "n"), ("clusterroles", "")]
    gone = Cluster(allowed=(bind._replace(name="gone"),))
    assert await refusal("rolebindings", binding("gone", kind="ClusterRole"), gone) == "", "it need not be there"


async def test_a_role_that_is_not_there_cannot_be_bound() -> None:
    with pytest.raises(NotFound) as caught:
        await refusal("rolebindings", binding("gone"), Cluster())
    assert (caught.value.message, caught.value.details) == (
        f'rolebindings.{GROUP} "gone" not found',
        {"name": "gone", "group": GROUP, "kind": "rolebindings"},
    )


async def test_a_kind_of_role_that_there_is_not() -> None:
    with pytest.raises(ApiError) as caught:
        await refusal("rolebindings", binding("r", kind="Group"), Cluster())
    assert (caught.value.message, caught.value.http_code) == ('unsupported role reference kind: "Group"', 500)


async def test_a_binding_whose_ties_alone_change_is_let_go() -> None:
    old = binding("theirs", finalizers=["x"], resourceVersion="1")
    assert await refusal("rolebindings", binding("theirs", resourceVersion="1"), Cluster(roles=HELD), old, "patch") == ""
    changed = {**old, "subjects": [{"kind": "User", "name": "eve"}]}
    assert await refusal("rolebindings", changed, Cluster(roles=HELD), old, "update")


async def test_roles_that_could_not_be_looked_at_are_told_of() -> None:
    cluster = Cluster()
    for name in ("gone", "lost"):
        subjects = [{"kind": "Group", "name": "dev"}]
        cluster.book.add(binding_of({**binding(name, kind="ClusterRole", namespace=""), "subjects": subjects, "metadata": {"name": name}}))
    said = await refusal("roles", role(SECRET), cluster)
    assert said.endswith(f'Verbs:["get"]}}; resolution errors: [[roles.{GROUP} "gone" not found, roles.{GROUP} "lost" not found]]')
