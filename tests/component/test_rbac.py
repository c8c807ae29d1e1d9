"""RBAC as a whole server has it: what changes counts at once, reviews say the same, and what is missing is told of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kube.objects import Object
from tests.component.served import CONFIG_MAPS, MERGE, Api, served

RBAC = "/apis/rbac.authorization.k8s.io/v1"
HERE = f"{RBAC}/namespaces/default"
REVIEWS = "/apis/authorization.k8s.io/v1"
MAPS: Object = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}


@asynccontextmanager
async def world() -> AsyncIterator[Api]:
    async with served(authorization_mode=("RBAC",)) as api:
        yield api


def binding(name: str, role: str, *users: str, kind: str = "Role") -> Object:
    subjects = [{"kind": "User", "name": each} for each in users]
    return {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role}, "subjects": subjects}


async def refused(api: Api, user: str, path: str = CONFIG_MAPS, method: str = "GET", body: Any = None, **headers: str) -> str:
    """Why a user may not; "" where they may."""
    reply = await api.call(method, path, body, impersonate_user=user, **headers)
    assert reply.status in (200, 201, 403), reply.body
    return reply.message if reply.status == 403 else ""


CANNOT = 'configmaps is forbidden: User "ann" cannot list resource "configmaps" in API group "" in the namespace "default"'


async def test_changes_of_roles_and_bindings_count_at_once() -> None:
    async with world() as api:
        assert await refused(api, "ann") == CANNOT
        await api.ok("POST", f"{HERE}/rolebindings", binding("b", "reader", "ann"))
        assert await refused(api, "ann") == f'{CANNOT}: RBAC: role.rbac.authorization.k8s.io "reader" not found'
        await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "reader"}, "rules": [MAPS]})
        assert await refused(api, "ann") == ""
        assert await refused(api, "bob") != ""
        await api.ok("PATCH", f"{HERE}/roles/reader", {"rules": [{**MAPS, "verbs": ["get"]}]}, content_type=MERGE)
        assert await refused(api, "ann") == CANNOT
        await api.ok("PATCH", f"{HERE}/roles/reader", {"rules": [MAPS]}, content_type=MERGE)
        await api.ok("PATCH", f"{HERE}/rolebindings/b", {"subjects": [{"kind": "User", "name": "bob"}]}, content_type=MERGE)
        assert await refused(api, "ann") == CANNOT
        assert await refused(api, "bob") == ""
        await api.ok("DELETE", f"{HERE}/rolebindings/b")
        assert await refused(api, "bob") != ""


async def test_a_role_that_was_made_again_is_not_the_old_one() -> None:
    async with world() as api:
        await api.ok("POST", f"{HERE}/rolebindings", binding("b", "reader", "ann"))
        for rules, allowed in (([MAPS], True), ([], False), ([MAPS], True)):
            await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "reader"}, "rules": rules})
            assert (await refused(api, "ann") == "") is allowed
            await api.ok("DELETE", f"{HERE}/roles/reader")


async def test_a_list_of_one_name_counts_as_that_objects() -> None:
    async with world() as api:
        await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "reader"}, "rules": [{**MAPS, "resourceNames": ["mine"]}]})
        await api.ok("POST", f"{HERE}/rolebindings", binding("b", "reader", "ann"))
        assert await refused(api, "ann", f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Dmine") == ""
        assert await refused(api, "ann", f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Dyours") != ""
        assert await refused(api, "ann") == CANNOT


async def test_reviews_say_what_requests_meet() -> None:
    async with world() as api:
        await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "reader"}, "rules": [MAPS]})
        await api.ok("POST", f"{HERE}/rolebindings", binding("b", "reader", "ann"))
        asked = {"resourceAttributes": {"namespace": "default", "verb": "list", "resource": "configmaps"}}
        own = await api.ok("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"spec": asked}, impersonate_user="ann")
        others = await api.ok("POST", f"{REVIEWS}/subjectaccessreviews", {"spec": {**asked, "user": "ann"}})
        reason = 'RBAC: allowed by RoleBinding "b/default" of Role "reader" to User "ann"'
        assert own["status"] == others["status"] == {"allowed": True, "reason": reason}
        assert (await api.ok("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"spec": asked}, impersonate_user="bob"))["status"][
            "allowed"
        ] is False


async def test_the_rules_of_somebody_are_told_though_a_role_is_missing() -> None:
    async with world() as api:
        await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "reader"}, "rules": [MAPS]})
        await api.ok("POST", f"{HERE}/rolebindings", binding("a", "gone", "ann"))
        await api.ok("POST", f"{HERE}/rolebindings", binding("b", "reader", "ann"))
        spec = {"spec": {"namespace": "default"}}
        status = (await api.ok("POST", f"{REVIEWS}/selfsubjectrulesreviews", spec, impersonate_user="ann"))["status"]
        assert {"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"]} in status["resourceRules"]
        assert any("/healthz" in each["nonResourceURLs"] for each in status["nonResourceRules"])
        assert (status["incomplete"], status["evaluationError"]) == (False, 'role.rbac.authorization.k8s.io "gone" not found')


MANAGES: Object = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "rolebindings"],
    "verbs": ["create", "update", "patch"],
}
BEYOND = 'user "ann" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'


async def test_nobody_grants_what_they_do_not_have() -> None:
    async with world() as api:
        await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "manager"}, "rules": [MANAGES, MAPS]})
        await api.ok("POST", f"{HERE}/rolebindings", binding("b", "manager", "ann"))
        await api.ok("POST", f"{HERE}/roles", {"metadata": {"name": "big"}, "rules": [{**MAPS, "verbs": ["*"]}]})
        more = BEYOND + '{APIGroups:[""], Resources:["configmaps"], Verbs:["*"]}'

        async def writes(method: str, path: str, body: Object, **headers: str) -> str:
            return (await refused(api, "ann", f"{HERE}/{path}", method, body, **headers)).partition(" is forbidden: ")[2]

        assert await writes("POST", "roles", {"metadata": {"name": "small"}, "rules": [MAPS]}) == ""
        assert await writes("POST", "roles", {"metadata": {"name": "large"}, "rules": [{**MAPS, "verbs": ["*"]}]}) == more
        assert await writes("PUT", "roles/large", {"metadata": {"name": "large"}, "rules": [{**MAPS, "verbs": ["*"]}]}) == more
        assert await writes("PATCH", "roles/big", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE) == more
        assert await writes("PATCH", "roles/big", {"metadata": {"finalizers": ["a.io/b"]}}, content_type=MERGE) == ""
        whole = await api.ok("GET", f"{HERE}/roles/big")
        assert await writes("PUT", "roles/big", {**whole, "metadata": {**whole["metadata"], "finalizers": []}}) == ""
        assert await writes("PUT", "roles/big", {"metadata": {"name": "big"}, "rules": whole["rules"]}) == more
        assert await writes("POST", "rolebindings", binding("x", "small", "eve")) == ""
        assert await writes("POST", "rolebindings", binding("y", "big", "eve")) == more
        admin = binding("z", "cluster-admin", "eve", kind="ClusterRole")
        assert (await writes("POST", "rolebindings", admin)).startswith(BEYOND)
        nameless = await api.call("POST", f"{HERE}/rolebindings", {**admin, "metadata": {}}, impersonate_user="ann")
        assert nameless.status == 403, "rights come before names"
