"""PodSecurity at work: pods are refused, and clients warned, as labels of namespaces say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from apiserver.admission.pod_security import existing
from apiserver.admission.pod_security.labels import FREE, LevelVersion, Policy
from apiserver.admission.pod_security.plugin import Exempt, PodSecurity
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, User
from kube import errors
from kube.clock import LoopClock
from kube.objects import Object
from kube.resources import NAMESPACES as NAMESPACE_RESOURCE
from kube.resources import PODS as POD_RESOURCE
from tests.component.conformance import world
from tests.component.served import MERGE, STRATEGIC, Api, deployment, pod, served
from tests.virtual import virtual

NAMESPACES = "/api/v1/namespaces"
P = "pod-security.kubernetes.io"
PRIVILEGED: Object = {"privileged": True}
WHY = 'privileged (container "c" must not set securityContext.privileged=true)'


def running(context: Object | None = None, **spec: Any) -> Object:
    """The spec of a pod with one container."""
    return {"containers": [{"name": "c", "image": "c:1", "securityContext": context or {}}], "automountServiceAccountToken": False, **spec}


async def namespace(api: Api, name: str, **labels: str) -> str:
    """The path of a new namespace with a service account; underscores stand for dashes."""
    marks = {f"{P}/{key.replace('_', '-')}": value for key, value in labels.items()}
    await api.ok("POST", NAMESPACES, {"metadata": {"name": name, "labels": marks}})
    await api.ok("POST", f"{NAMESPACES}/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    return f"{NAMESPACES}/{name}"


@virtual
async def test_pods_are_refused() -> None:
    async with served() as api:
        pods = f"{await namespace(api, 'n', enforce='baseline', enforce_version='v1.30')}/pods"
        refused = await api.call("POST", pods, {"metadata": {"name": "p"}, "spec": running(PRIVILEGED)})
        assert (refused.status, refused.body["reason"], refused.body["details"]) == (403, "Forbidden", {"name": "p", "kind": "pods"})
        assert refused.message == f'pods "p" is forbidden: violates PodSecurity "baseline:v1.30": {WHY}'
        assert "warning" not in refused.headers
        named = await api.call("POST", pods, {"metadata": {"generateName": "p-"}, "spec": running(PRIVILEGED)})
        assert re.match(r'pods "p-[a-z0-9]{5}" is forbidden: violates PodSecurity', named.message)
        await api.ok("POST", pods, {"metadata": {"name": "q"}, "spec": running()})


@virtual
async def test_what_may_be_changed_of_a_pod_that_was_there() -> None:
    async with served() as api:
        path = await namespace(api, "n")
        await api.ok("POST", f"{path}/pods", {"metadata": {"name": "p"}, "spec": running(PRIVILEGED)})
        await api.ok("PATCH", path, {"metadata": {"labels": {f"{P}/enforce": "baseline"}}}, content_type=MERGE)
        await api.ok("PATCH", f"{path}/pods/p", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
        await api.ok("PATCH", f"{path}/pods/p/status", {"status": {"message": "m"}}, content_type=MERGE)
        image = {"spec": {"containers": [{"name": "c", "image": "c:2"}]}}
        refused = await api.call("PATCH", f"{path}/pods/p", image, content_type=STRATEGIC)
        assert refused.message == f'pods "p" is forbidden: violates PodSecurity "baseline:latest": {WHY}'
        resources = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}}
        resized = await api.call("PATCH", f"{path}/pods/p/resize", resources, content_type=STRATEGIC)
        assert "PodSecurity" not in str(resized.body), "no image changes"
        debug = {"spec": {"ephemeralContainers": [{"name": "d", "image": "d:1"}]}}
        refused = await api.call("PATCH", f"{path}/pods/p/ephemeralcontainers", debug, content_type=STRATEGIC)
        assert (refused.status, refused.message.partition(": ")[2]) == (403, f'violates PodSecurity "baseline:latest": {WHY}')


def replicated(spec: Object) -> Object:
    labels = {"a": "b"}
    return {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}


JOB: Object = {"template": {"spec": running(PRIVILEGED, restartPolicy="Never")}}
MAKERS: dict[str, tuple[str, Object]] = {
    "deployments": ("apps/v1", {"spec": replicated(running(PRIVILEGED))}),
    "replicasets": ("apps/v1", {"spec": replicated(running(PRIVILEGED))}),
    "daemonsets": ("apps/v1", {"spec": replicated(running(PRIVILEGED))}),
    "statefulsets": ("apps/v1", {"spec": replicated(running(PRIVILEGED))}),
    "jobs": ("batch/v1", {"spec": JOB}),
    "cronjobs": ("batch/v1", {"spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": JOB}}}),
    "replicationcontrollers": ("", {"spec": {"selector": {"a": "b"}, "template": replicated(running(PRIVILEGED))["template"]}}),
    "podtemplates": ("", {"template": {"spec": running(PRIVILEGED)}}),
}


@pytest.mark.parametrize(("plural", "group", "body"), [(name, *rest) for name, rest in MAKERS.items()], ids=MAKERS.keys())
@virtual
async def test_what_makes_pods_is_warned_of(plural: str, group: str, body: Object) -> None:
    async with served() as api:
        await namespace(api, "n", enforce="baseline")
        path = f"/apis/{group}/namespaces/n/{plural}" if group else f"{NAMESPACES}/n/{plural}"
        made = await api.call("POST", path, {"metadata": {"name": "x"}, **body})
        assert (made.status, made.headers["warning"]) == (201, f'299 - "would violate PodSecurity \\"baseline:latest\\": {_escaped(WHY)}"')
        again = await api.call("PATCH", f"{path}/x", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
        assert (again.status, again.headers["warning"]) == (200, made.headers["warning"])
        if plural != "podtemplates":
            status = await api.call("PATCH", f"{path}/x/status", {"metadata": {"annotations": {"a": "b"}}}, content_type=MERGE)
            assert (status.status, "warning" in status.headers) == (200, False)


def _escaped(text: str) -> str:
    return text.replace('"', '\\"')


@virtual
async def test_warnings_and_refusals_have_levels_of_their_own() -> None:
    async with served() as api:
        pods = f"{await namespace(api, 'n', enforce='baseline', warn='restricted', warn_version='v1.20')}/pods"
        warned = await api.call("POST", pods, {"metadata": {"name": "p"}, "spec": running({"runAsNonRoot": False})})
        assert warned.status == 201
        assert warned.headers["warning"].startswith('299 - "would violate PodSecurity \\"restricted:v1.20\\": allowPrivilegeEscalation')
        free = f"{await namespace(api, 'm', enforce='restricted', warn='privileged')}/replicationcontrollers"
        silent = await api.call("POST", free, {"metadata": {"name": "x"}, **MAKERS["replicationcontrollers"][1]})
        assert (silent.status, "warning" in silent.headers) == (201, False)


@virtual
async def test_an_earlier_kubernetes_has_its_own_latest_level() -> None:
    probing = {"containers": [{"name": "c", "image": "c", "livenessProbe": {"httpGet": {"host": "h", "port": 80}}}]}
    for version, status in (("1.33", 201), ("1.34", 403)):
        async with served(emulated_version=version) as api:
            pods = f"{await namespace(api, 'n', enforce='baseline')}/pods"
            assert (await api.call("POST", pods, {"metadata": {"name": "p"}, "spec": probing})).status == status


@virtual
async def test_only_new_trouble_with_labels_is_refused() -> None:
    async with served() as api:
        refused = await api.call("POST", NAMESPACES, {"metadata": {"name": "n", "labels": {f"{P}/warn": "x"}}})
        assert (refused.status, refused.body["details"]["causes"][0]["field"]) == (422, f"metadata.labels[{P}/warn]")
        bad, worse = {"name": "n", "labels": {f"{P}/warn": "x"}}, {"name": "n", "labels": {f"{P}/warn": "y"}}
        await checked(api, NAMESPACE_RESOURCE, {"metadata": {**bad, "annotations": {"a": "b"}}}, {"metadata": bad})
        with pytest.raises(errors.Invalid, match='Namespace "n" is invalid'):
            await checked(api, NAMESPACE_RESOURCE, {"metadata": worse}, {"metadata": bad})


async def checked(
    api: Api,
    resource: Any,
    new: Object,
    old: Object | None = None,
    *,
    user: str = "u",
    defaults: Policy = FREE,
    exempt: Exempt | None = None,
) -> list[str]:
    """What a plugin of its own warns of when a write is checked. Raises what it refuses it with."""
    registries = api.built.server.registries
    meta, ctx = new["metadata"], Context(User(user), registries.clock.now(), "update")
    operation = "CREATE" if old is None else "UPDATE"
    attributes = Attributes(registries.get(resource).kind, operation, meta.get("namespace", ""), meta["name"], new, old, ctx, registries)
    await PodSecurity(defaults, exempt or Exempt()).validate(attributes)
    return ctx.warnings


def labelled(name: str, labels: Mapping[str, str]) -> Object:
    return {"metadata": {"name": name, "labels": dict(labels)}}


STRICTER = (labelled("n", {f"{P}/enforce": "baseline"}), labelled("n", {}))
HEAD = 'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"'


async def crowd(api: Api) -> None:
    """Four pods of one owner that are the same, one of nobody's that is not."""
    path = await namespace(api, "n")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    for index in range(4):
        meta = {"name": f"a{index}", "ownerReferences": [owner]}
        await api.ok("POST", f"{path}/pods", {"metadata": meta, "spec": running(PRIVILEGED)})
    await api.ok("POST", f"{path}/pods", {"metadata": {"name": "z"}, "spec": running(hostPID=True)})


@virtual
async def test_whoever_makes_a_namespace_stricter_is_warned_of_its_pods() -> None:
    async with served() as api:
        await crowd(api)
        assert await checked(api, NAMESPACE_RESOURCE, *STRICTER) == [HEAD, "a0 (and 3 other pods): privileged", "z: host namespaces"]
        assert await checked(api, NAMESPACE_RESOURCE, *reversed(STRICTER)) == []
        await api.ok("POST", f"{NAMESPACES}/default/pods", pod("p", hostPID=True))
        told = await api.call("PATCH", f"{NAMESPACES}/n", STRICTER[0], content_type=MERGE)
        said = [HEAD, "a0 (and 3 other pods): privileged", "z: host namespaces"]
        quoted = ", ".join(f'299 - "{each}"' for each in [HEAD.replace('"', '\\"'), *said[1:]])
        assert (told.status, told.headers["warning"]) == (200, quoted)


@virtual
async def test_so_many_pods_are_looked_at_and_one_of_each_controller_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "PODS_MAX", 2)
    async with served() as api:
        await crowd(api)
        only = "new PodSecurity enforce level only checked against the first 2 of 5 existing pods"
        assert await checked(api, NAMESPACE_RESOURCE, *STRICTER) == [only, HEAD, "a0: privileged", "z: host namespaces"]


class SlowClock(LoopClock):
    """Every look at it takes 0.4 s."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return 0.4 * self.looks


@virtual
async def test_pods_are_looked_at_for_so_long() -> None:
    async with served() as api:
        await crowd(api)
        api.built.server.registries.clock = SlowClock()
        only = "new PodSecurity enforce level only checked against the first 3 of 5 existing pods"
        assert (await checked(api, NAMESPACE_RESOURCE, *STRICTER))[0] == only


@virtual
async def test_defaults_and_who_is_exempt() -> None:
    strict = Policy(LevelVersion("baseline"), LevelVersion(), LevelVersion())
    new = {"metadata": {"name": "p", "namespace": "default"}, "spec": running(PRIVILEGED, runtimeClassName="vm")}
    exempt = Exempt(frozenset({"root"}), frozenset({"n"}), frozenset({"vm"}))
    async with served() as api:
        await crowd(api)
        assert await checked(api, POD_RESOURCE, new) == []
        with pytest.raises(errors.Forbidden, match='violates PodSecurity "baseline:latest": privileged'):
            await checked(api, POD_RESOURCE, new, defaults=strict)
        assert await checked(api, POD_RESOURCE, new, defaults=strict, exempt=exempt) == []
        bare = {**new, "spec": running(PRIVILEGED)}
        assert await checked(api, POD_RESOURCE, bare, defaults=strict, user="root", exempt=exempt) == []
        there = {**bare, "metadata": {"name": "p", "namespace": "n"}}
        assert await checked(api, POD_RESOURCE, there, defaults=strict, exempt=exempt) == []
        ignored = 'namespace "n" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored'
        assert await checked(api, NAMESPACE_RESOURCE, *STRICTER, exempt=exempt) == [ignored]
        assert await checked(api, NAMESPACE_RESOURCE, STRICTER[0], exempt=exempt) == [ignored]


@virtual
async def test_a_namespace_that_is_not_there() -> None:
    lost = {"metadata": {"name": "p", "namespace": "lost"}, "spec": running()}
    async with served() as api:
        with pytest.raises(errors.InternalError, match='failed to lookup namespace "lost"'):
            await checked(api, POD_RESOURCE, lost)


@virtual
async def test_a_deployment_whose_pods_are_refused_says_so() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", NAMESPACES, labelled("n", {f"{P}/enforce": "restricted"}))
        await api.where(f"{NAMESPACES}/n/serviceaccounts/default", bool)
        deployments = "/apis/apps/v1/namespaces/n/deployments"
        made = await api.call("POST", deployments, deployment("web", replicas=2))
        assert 'would violate PodSecurity \\"restricted:latest\\": allowPrivilegeEscalation' in made.headers["warning"]
        found = await api.items(f"{NAMESPACES}/n/events", lambda events: any(each["reason"] == "FailedCreate" for each in events))
        event = next(each for each in found if each["reason"] == "FailedCreate")
        assert (event["involvedObject"]["kind"], event["type"]) == ("ReplicaSet", "Warning")
        assert event["message"].startswith('Error creating: pods "web-')
        assert (
            'is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c"' in event["message"]
        )
        failing = await api.where(f"{deployments}/web", lambda found: found.get("status", {}).get("conditions"))
        assert "ReplicaFailure" in [each["type"] for each in failing["status"]["conditions"]]
        await api.ok("PATCH", f"{NAMESPACES}/n", labelled("n", {f"{P}/enforce": "baseline"}), content_type=MERGE)
        await api.where(f"{deployments}/web", lambda found: found["status"].get("readyReplicas") == 2)
