"""Requests as somebody else, through a whole server whose roles and bindings say who may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from apiserver.identity import Authority
from kube.clock import LoopClock
from kube.objects import Object
from tests.component.served import CONFIG_MAPS, MERGE, Api, Reply, config_map, served
from tests.component.test_loops_cluster import csr

RBAC = "/apis/rbac.authorization.k8s.io/v1"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER = "example.com/e2e"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
IMPERSONATE = {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}
KNOWN = "system:authenticated"


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[Api]:
    async with served(authorization_mode=("RBAC",), **settings) as api:
        await api.ok("POST", CONFIG_MAPS, config_map("c"))
        yield api


async def grant(api: Api, user: str, *rules: Object, name: str = "") -> None:
    """A user gets rules, for the whole cluster."""
    name = name or f"of-{user.replace(':', '-')}"
    await api.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": list(rules)})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    await api.ok("POST", f"{RBAC}/clusterrolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": role})


async def repeated(api: Api, path: str, *headers: tuple[str, str], body: Object | None = None) -> Reply:
    """A request by the admin, which may have headers of one name several times."""
    sent: list[Object] = []
    raw = [(name.encode(), value.encode()) for name, value in (("authorization", "Bearer of-the-test"), *headers)]
    scope = {"type": "http", "method": "POST" if body else "GET", "path": path, "query_string": b"", "headers": raw}
    given = orjson.dumps(body) if body else b""

    async def receive() -> Object:
        return {"type": "http.request", "body": given, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await api.built.app(scope, receive, send)
    answer = b"".join(each.get("body", b"") for each in sent[1:])
    return Reply(sent[0]["status"], {}, orjson.loads(answer))


def user_of(reply: Reply) -> Object:
    assert reply.status == 201, reply.body
    return dict(reply.body["status"]["userInfo"])


async def test_a_request_has_the_rights_of_whom_it_is_made_as() -> None:
    async with world() as api:
        refused = await api.call("GET", f"{CONFIG_MAPS}/c", impersonate_user="ann")
        assert (refused.status, refused.message) == (
            403,
            'configmaps "c" is forbidden: User "ann" cannot get resource "configmaps" in API group "" in the namespace "default"',
        )
        await grant(api, "ann", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
        assert (await api.call("GET", f"{CONFIG_MAPS}/c", impersonate_user="ann")).status == 200
        assert (await api.call("DELETE", f"{CONFIG_MAPS}/c", impersonate_user="ann")).status == 403
        assert (await api.call("GET", f"{CONFIG_MAPS}/c")).status == 200, "the next request is one's own again"


async def test_every_part_of_a_user_is_seen() -> None:
    async with world() as api:
        wanted = [
            ("impersonate-user", "bob"),
            ("impersonate-group", "ops"),
            ("impersonate-extra-team", "red"),
            ("impersonate-group", "dev"),
            ("impersonate-uid", "u-1"),
            ("impersonate-extra-acme.com%2fproject", "p1"),
            ("impersonate-extra-team", "blue"),
            ("content-type", "application/json"),
        ]
        assert user_of(await repeated(api, WHO, *wanted, body=REVIEW)) == {
            "username": "bob",
            "uid": "u-1",
            "groups": ["ops", "dev", KNOWN],
            "extra": {"team": ["red", "blue"], "acme.com/project": ["p1"]},
        }


async def test_accounts_and_nodes_have_their_groups() -> None:
    async with world() as api:
        account = user_of(await api.call("POST", WHO, REVIEW, impersonate_user="system:serviceaccount:default:robot"))
        assert account["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", KNOWN]
        node = user_of(await api.call("POST", WHO, REVIEW, impersonate_user="system:node:n1"))
        assert node == {"username": "system:node:n1", "groups": ["system:nodes", KNOWN]}
        nobody = await api.call("POST", WHO, REVIEW, impersonate_user="system:anonymous")
        assert (nobody.status, nobody.message.partition(": ")[2].partition(" cannot")[0]) == (403, 'User "system:anonymous"')


async def test_a_user_without_a_name_is_a_bad_request() -> None:
    async with world() as api:
        reply = await api.call("GET", f"{CONFIG_MAPS}/c", impersonate_group="ops")
        assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
        assert reply.message == (
            'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"ops"}, Extra:map[string][]string(nil)} '
            "without impersonating a user name"
        )
        assert (await api.call("GET", f"{CONFIG_MAPS}/c", impersonate_extra_team="x")).status == 400
        assert (await api.call("GET", f"{CONFIG_MAPS}/c", impersonate_user="")).status == 200


async def test_who_is_not_known_impersonates_nobody() -> None:
    async with world() as api:
        reply = await api.call("GET", f"{CONFIG_MAPS}/c", authorization=None, impersonate_user="admin")
        assert (reply.status, reply.message) == (
            403,
            'configmaps "c" is forbidden: User "system:anonymous" cannot impersonate-on:user-info:get resource "configmaps" '
            'in API group "" in the namespace "default"',
        )
        assert (await api.call("GET", "/healthz", authorization="Bearer wrong", impersonate_user="ann")).status == 401


ROBOT = "/api/v1/namespaces/default/serviceaccounts"


async def robot(api: Api, *rules: Object) -> str:
    """The authorization of an account that has these rules."""
    await api.ok("POST", ROBOT, {"metadata": {"name": "robot"}})
    await grant(api, "system:serviceaccount:default:robot", *rules)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return f"Bearer {(await api.ok('POST', f'{ROBOT}/robot/token', request))['status']['token']}"


async def who(api: Api, bearer: str, **headers: str) -> Reply:
    return await api.call("POST", WHO, REVIEW, authorization=bearer, **headers)


async def test_a_role_says_whom_somebody_may_be(tmp_path: Path) -> None:
    teams = {"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/team"], "verbs": ["*"]}
    acts = [{**IMPERSONATE, "resourceNames": ["bob"]}, teams]
    async with world(authority=Authority.load_or_create(tmp_path, LoopClock())) as api:
        bearer = await robot(api, *acts)
        assert user_of(await who(api, bearer, impersonate_user="bob", impersonate_extra_team="red"))["extra"] == {"team": ["red"]}
        refusals = {
            "users": await who(api, bearer, impersonate_user="eve"),
            "groups": await who(api, bearer, impersonate_user="bob", impersonate_group="ops"),
            "userextras": await who(api, bearer, impersonate_user="bob", impersonate_extra_project="x"),
            "uids": await who(api, bearer, impersonate_user="bob", impersonate_uid="u"),
            "serviceaccounts": await who(api, bearer, impersonate_user="system:serviceaccount:default:default"),
        }
        assert {what: (reply.status, reply.body["details"]["kind"]) for what, reply in refusals.items()} == {
            what: (403, what) for what in refusals
        }
        assert refusals["users"].message == (
            'users "eve" is forbidden: User "system:serviceaccount:default:robot" cannot impersonate resource "users" in API group "" '
            "at the cluster scope"
        )


async def test_a_constrained_role_counts_for_what_it_names_only(tmp_path: Path) -> None:
    ann = {"apiGroups": ["authentication.k8s.io"], "resources": ["users"], "resourceNames": ["ann"], "verbs": ["impersonate:user-info"]}
    lists = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["impersonate-on:user-info:list"]}
    async with world(authority=Authority.load_or_create(tmp_path, LoopClock())) as api:
        await grant(api, "ann", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]})
        bearer = await robot(api, ann, lists)

        async def seen(path: str, user: str) -> tuple[int, str]:
            reply = await api.call("GET", path, authorization=bearer, impersonate_user=user)
            return reply.status, reply.message.partition(" cannot ")[2].partition(" ")[0] if reply.status == 403 else ""

        assert await seen(CONFIG_MAPS, "ann") == (200, "")
        assert await seen(f"{CONFIG_MAPS}/c", "ann") == (403, "impersonate-on:user-info:get")
        assert await seen(CONFIG_MAPS, "bob") == (403, "impersonate:user-info")
        assert await seen(CONFIG_MAPS, "system:node:n1") == (403, "impersonate-on:arbitrary-node:list")


async def test_what_is_written_is_written_by_whom_it_is_made_as() -> None:
    async with world() as api:
        await grant(api, "ann", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["create", "get", "patch"]})
        await api.ok(
            "POST", REQUESTS, csr("r", SIGNER, "anybody"), impersonate_user="ann", impersonate_group="dev", impersonate_extra_team="red"
        )
        spec = (await api.ok("GET", f"{REQUESTS}/r"))["spec"]
        assert (spec["username"], spec["groups"], spec["extra"]) == ("ann", ["dev", KNOWN], {"team": ["red"]})


APPROVERS: Sequence[tuple[str, list[str], list[str]]] = (
    ("approver", ["approve"], ["example.com/*"]),
    ("signer", ["sign"], [SIGNER]),
    ("elsewhere", ["approve", "sign"], ["example.org/*", "example.com/other"]),
)


async def test_only_who_may_approve_or_sign_for_a_signer_does() -> None:
    parts = ["certificatesigningrequests/approval", "certificatesigningrequests/status"]
    async with world() as api:
        for user, verbs, signers in APPROVERS:
            signer = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": signers, "verbs": verbs}
            await grant(api, user, {"apiGroups": ["certificates.k8s.io"], "resources": parts, "verbs": ["patch"]}, signer)
        await api.ok("POST", REQUESTS, csr("r", SIGNER, "anybody"))

        async def tries(part: str, status: Object, user: str) -> str:
            reply = await api.call("PATCH", f"{REQUESTS}/r/{part}", {"status": status}, content_type=MERGE, impersonate_user=user)
            return "" if reply.status == 200 else reply.message

        subject = 'certificatesigningrequests.certificates.k8s.io "r"'
        refused = f'{subject} is forbidden: user not permitted to {{}} requests with signerName "{SIGNER}"'
        approved = {"conditions": [{"type": "Approved", "status": "True"}]}
        failed = {"conditions": [*approved["conditions"], {"type": "Failed", "status": "True"}]}
        assert await tries("approval", approved, "signer") == refused.format("approve")
        assert await tries("approval", approved, "elsewhere") == refused.format("approve")
        assert await tries("approval", approved, "approver") == ""
        assert await tries("status", failed, "approver") == refused.format("sign")
        assert await tries("status", {}, "approver") == "", "nothing is signed"
        assert await tries("status", failed, "signer") == ""
