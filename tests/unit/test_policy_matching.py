"""Which writes an admission policy is for, and what its expressions see of them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.admission.policies.facts import Facts
from apiserver.admission.policies.matching import Match
from apiserver.kinds import all_kinds
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, Kind, User
from kube.errors import ApiError, not_found
from kube.objects import Object
from kube.schema.definitions import load

KINDS = {kind.resource.qualified: kind for kind in all_kinds()}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = User("ann", ("devs",), "u-1", {"team": ("a",)})


def write(
    qualified: str = "configmaps",
    operation: str = "CREATE",
    *,
    subresource: str = "",
    namespace: str = "default",
    name: str = "x",
    obj: Object | None = None,
    old: Object | None = None,
    verb: str = "",
    version: str = "",
    **rest: Any,
) -> Facts:
    kind: Kind = KINDS[qualified]
    ctx = Context(USER, NOW, verb or operation.lower(), subresource, api_version=version)
    obj = {"metadata": {"name": name, **rest}, "spec": {}} if obj is None and operation != "DELETE" else obj
    registries = SimpleNamespace(definitions=load())
    return Facts(Attributes(kind, operation, namespace, name, obj, old, ctx, registries))


def rule(resources: str = "configmaps", groups: str = "", versions: str = "v1", operations: str = "*", **rest: Any) -> Object:
    return {"apiGroups": [groups], "apiVersions": [versions], "operations": operations.split(), "resources": resources.split(), **rest}


def match(*rules: Object, **rest: Any) -> Match:
    return Match.of({"resourceRules": list(rules), "matchPolicy": "Equivalent", **rest})


PROD = {"namespaceSelector": {"matchLabels": {"env": "prod"}}}
APP = {"objectSelector": {"matchLabels": {"app": "web"}}}
SCALE = "deployments.apps"
MATCHES: dict[str, tuple[Match, Facts, bool]] = {
    "the resource": (match(rule()), write(), True),
    "another resource": (match(rule("secrets")), write(), False),
    "another group": (match(rule(groups="apps")), write(), False),
    "another version": (match(rule(versions="v2")), write(), False),
    "every group, version and resource": (match(rule("*", "*", "*")), write(), True),
    "one of its operations": (match(rule(operations="CREATE UPDATE")), write(operation="UPDATE"), True),
    "none of its operations": (match(rule(operations="CREATE UPDATE")), write(operation="DELETE"), False),
    "no rules at all": (match(), write(), True),
    "a resource is not its subresources": (match(rule("pods")), write("pods", subresource="status"), False),
    "a star is no subresource": (match(rule("*")), write("pods", subresource="status"), False),
    "a subresource": (match(rule("pods/status")), write("pods", subresource="status"), True),
    "all subresources and the resource itself": (match(rule("pods/*")), write("pods"), True),
    "a subresource of anything": (match(rule("*/status")), write("pods", subresource="status"), True),
    "anything": (match(rule("*/*", "*", "*")), write("pods", "CONNECT", subresource="exec"), True),
    "the name": (match(rule(resourceNames=["a", "x"])), write(), True),
    "another name": (match(rule(resourceNames=["a"])), write(), False),
    "a name that is yet to be generated": (match(rule(resourceNames=["a"])), write(name=""), False),
    "an excluded one": (match(rule("*"), excludeResourceRules=[rule(resourceNames=["x"])]), write(), False),
    "one that is not excluded": (match(rule("*"), excludeResourceRules=[rule(resourceNames=["y"])]), write(), True),
    "in a namespace": (match(rule(scope="Namespaced")), write(), True),
    "not of the cluster": (match(rule(scope="Cluster")), write(), False),
    "of the cluster": (match(rule("nodes", scope="Cluster")), write("nodes", namespace=""), True),
    "a namespace is of the cluster": (match(rule("namespaces", scope="Cluster")), write("namespaces", namespace=""), True),
    "a namespace is in no namespace": (match(rule("namespaces", scope="Namespaced")), write("namespaces", namespace=""), False),
    "the labels of the object": (match(rule(), **APP), write(labels={"app": "web"}), True),
    "other labels": (match(rule(), **APP), write(labels={"app": "db"}), False),
    "the labels that it had": (
        match(rule(), **APP),
        write(operation="DELETE", old={"metadata": {"name": "x", "labels": {"app": "web"}}}),
        True,
    ),
    "what has no labels": (match(rule("pods/exec"), **APP), write("pods", "CONNECT", subresource="exec", obj={"kind": "X"}), False),
    "a scale has none of the object's": (
        match(rule("deployments/scale", "apps"), **APP),
        write(SCALE, "UPDATE", subresource="scale", labels={"app": "web"}),
        False,
    ),
    "the labels of the namespace": (match(rule(), **PROD), write(namespace="prod"), True),
    "of another namespace": (match(rule(), **PROD), write(namespace="test"), False),
    "of no namespace": (match(rule("nodes"), **PROD), write("nodes", namespace=""), True),
    "a namespace by its own labels": (match(rule("namespaces"), **PROD), write("namespaces", namespace="", labels={"env": "prod"}), True),
    "a namespace without them": (match(rule("namespaces"), **PROD), write("namespaces", namespace=""), False),
    "a namespace that goes, by those that it has": (
        match(rule("namespaces"), **PROD),
        write("namespaces", "DELETE", namespace="", name="prod", old={"metadata": {"name": "prod"}}),
        True,
    ),
}


@pytest.mark.parametrize("case", MATCHES, ids=str)
def test_a_policy_is_for(case: str) -> None:
    of, facts, wanted = MATCHES[case]
    labels = {"prod": {"env": "prod"}}.get(facts.namespace, {}) if facts.namespace else None
    assert (of.form(facts, labels) is not None) is wanted
    assert not wanted or of.may_be_for(facts.operation, facts.resource.plural, facts.subresource)


def test_what_no_rule_names_is_not_looked_at() -> None:
    of = match(rule("pods", operations="CREATE"))
    assert of.may_be_for("CREATE", "pods", "")
    assert not any(of.may_be_for(*each) for each in (("CREATE", "pods", "status"), ("UPDATE", "pods", ""), ("CREATE", "secrets", "")))


def test_a_namespace_that_is_not_there_matters_only_to_who_asks() -> None:
    unknown = not_found("namespaces", "", "default")
    assert match(rule()).form(write(), unknown) is not None
    assert match(rule("secrets"), **PROD).form(write(), unknown) is None
    with pytest.raises(ApiError, match='namespaces "default" not found'):
        match(rule(), **PROD).form(write(), unknown)


def test_another_version_is_as_good_unless_it_must_be_this_one() -> None:
    new, old = (write("horizontalpodautoscalers.autoscaling", version=each) for each in ("autoscaling/v2", "autoscaling/v1"))
    v1 = rule("*", "autoscaling", "v1")
    for facts in (new, old):
        form = match(v1).form(facts, {})
        assert form is not None
        assert (form.resource.version, form.kind.version) == ("v1", "v1")
    assert match(v1, matchPolicy="Exact").form(new, {}) is None
    assert match(v1, matchPolicy="Exact").form(old, {}) is not None


def test_an_object_is_seen_in_the_version_that_matched() -> None:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    obj: Object = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}}
    obj["spec"] = {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "metrics": [metric]}
    facts = write("horizontalpodautoscalers.autoscaling", obj=obj)
    form = match(rule("*", "autoscaling", "v1")).form(facts, {})
    assert form is not None
    shown = form.of(facts.obj)
    assert shown is not None
    assert (shown["apiVersion"], shown["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 50)
    assert obj["spec"]["metrics"] == [metric], "the object itself stays as it is"


def test_the_request_says_what_is_asked_and_what_matched() -> None:
    facts = write("deployments.apps", "UPDATE", subresource="scale", obj={"metadata": {"name": "x"}, "spec": {"replicas": 3}})
    facts.attributes.options = {"fieldManager": "me", "force": True}
    form = facts.forms[0]
    request = facts.request(form.resource, form.kind)
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert request["resource"] == {"group": "apps", "version": "v1", "resource": "deployments"}
    assert (request["subResource"], request["name"], request["namespace"]) == ("scale", "x", "default")
    assert request["userInfo"] == {"username": "ann", "uid": "u-1", "groups": ["devs"], "extra": {"team": ["a"]}}
    assert request["options"] == {"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"}
    assert form.of(facts.obj) == {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "x"},
        "spec": {"replicas": 3},
        "status": {"replicas": 0},
    }


def test_of_many_that_are_deleted_together_none_has_a_name() -> None:
    facts = write(operation="DELETE", verb="deletecollection", old={"metadata": {"name": "x"}})
    form = facts.forms[0]
    assert "name" not in facts.request(form.resource, form.kind)
    assert facts.refusal("why").message == 'configmaps "Unknown" is forbidden: why'


def test_a_new_object_is_named_by_what_its_name_begins_with() -> None:
    facts = write(name="", obj={"metadata": {"generateName": "web-"}})
    assert facts.refusal("why").details == {"name": "web-", "kind": "configmaps"}
