"""ClusterRoles that collect the rules of others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controllers.manager.cluster_role_aggregation import plan
from kube.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rule(resource: str) -> Object:
    return {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}


def role(name: str, *resources: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "rules": [rule(each) for each in resources]}


def collecting(*resources: str, **labels: Any) -> Object:
    selectors = [{"matchLabels": {key: value}} for key, value in labels.items()]
    return {**role("all", *resources), "aggregationRule": {"clusterRoleSelectors": selectors}}


def test_the_rules_of_all_selected_roles_in_order_of_their_names_and_each_once() -> None:
    others = [role("b", "pods", "nodes", to="all"), role("a", "secrets", "pods", other="yes"), role("c", "events")]
    wanted = plan(collecting(to="all", other="yes"), others, NOW)
    assert wanted == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "all"},
        "rules": [rule("secrets"), rule("pods"), rule("nodes")],
    }


def test_nothing_to_do() -> None:
    assert plan(collecting("pods", to="all"), [role("b", "pods", to="all")], NOW) is None, "it has them"
    assert plan(role("all"), [role("b", "pods", to="all")], NOW) is None, "it collects nothing"
    own = collecting(to="all")
    own["metadata"]["labels"] = {"to": "all"}
    assert plan(own, [own], NOW) is None, "it does not collect itself"
    broken = {**role("all"), "aggregationRule": {"clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "?"}]}]}}
    assert plan(broken, [role("b", "pods")], NOW) is None


def test_rules_go_with_the_roles_they_came_from() -> None:
    wanted = plan(collecting("pods", to="all"), [], NOW)
    assert wanted is not None
    assert wanted["rules"] == []
