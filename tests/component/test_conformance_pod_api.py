"""Upstream's conformance tests of what the API knows of pods and simulated pods follow: resizing, sysctls, inline volumes."""

from __future__ import annotations

import asyncio

from kube.objects import Object
from tests.component.conformance import NAMESPACE, names, pod, world
from tests.component.served import MERGE, STRATEGIC, served
from tests.virtual import virtual

PODS = f"{NAMESPACE}/pods"


def sized(cpu: str, memory: str) -> Object:
    amounts = {"cpu": cpu, "memory": memory}
    return {"requests": amounts, "limits": amounts}


@virtual
async def test_a_resize_is_written_and_told_in_the_status() -> None:
    async with world(nodes=1) as api:
        containers = [{"name": f"c{each}", "image": "c", "resources": sized("100m", "100Mi")} for each in (1, 2, 3)]
        await api.ok("POST", PODS, pod("p", *containers))
        await api.ready("p")
        assert (await api.ok("GET", f"{PODS}/p/resize"))["metadata"]["name"] == "p"
        wanted = {"c1": sized("150m", "150Mi"), "c2": sized("50m", "100Mi"), "c3": sized("100m", "100Mi")}
        change = {"spec": {"containers": [{"name": name, "resources": wanted[name]} for name in ("c1", "c2")]}}
        await api.ok("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)

        def told(found: Object) -> bool:
            return {each["name"]: each["resources"] for each in found["status"]["containerStatuses"]} == wanted

        found = await api.where(f"{PODS}/p", told)
        assert [each["restartCount"] for each in found["status"]["containerStatuses"]] == [0, 0, 0]
        assert not [each for each in found["status"]["conditions"] if each["type"].startswith("PodResize")]
        for each in found["spec"]["containers"]:
            each["resources"] = wanted[each["name"]] = sized("200m", "200Mi")
        await api.ok("PUT", f"{PODS}/p/resize", found)
        found = await api.where(f"{PODS}/p", told)
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 3
        assert await api.ok("GET", f"{PODS}/p/resize") == found
        refused = await api.call("PATCH", f"{PODS}/p", change, content_type=STRATEGIC)
        assert refused.status == 422, "only the subresource resizes"


@virtual
async def test_a_resize_restarts_a_container_whose_policy_says_so() -> None:
    async with world(nodes=1) as api:
        policy = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}, {"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        await api.ok("POST", PODS, pod("p", {"name": "c", "image": "c", "resources": sized("100m", "100Mi"), "resizePolicy": policy}))
        await api.ready("p")

        async def resized(resources: Object, restarts: int) -> None:
            change = {"spec": {"containers": [{"name": "c", "resources": resources}]}}
            await api.ok("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)
            await asyncio.sleep(60)
            (status,) = (await api.ready("p"))["status"]["containerStatuses"]
            assert (status["resources"], status["restartCount"]) == (resources, restarts)

        await resized(sized("200m", "100Mi"), 0)
        await resized(sized("200m", "200Mi"), 1)
        await resized(sized("300m", "200Mi"), 1)


async def test_sysctls_with_bad_names_are_rejected() -> None:
    async with served() as api:
        sysctls = [{"name": each, "value": "1"} for each in ("foo-", "kernel.shmmax", "bar..")]
        refused = await api.call("POST", PODS, pod("p", securityContext={"sysctls": sysctls}))
        fields = [each["field"] for each in refused.body["details"]["causes"]]
        assert (refused.status, fields) == (422, [f"spec.securityContext.sysctls[{each}].name" for each in (0, 2)])


@virtual
async def test_sysctls_that_are_not_safe_are_refused_by_the_node() -> None:
    async with world(nodes=1) as api:
        for name, sysctl in (("safe", "kernel.shm_rmid_forced"), ("unsafe", "kernel.msgmax")):
            await api.ok("POST", PODS, pod(name, securityContext={"sysctls": [{"name": sysctl, "value": "1"}]}))
        await api.ready("safe")
        status = (await api.ended("unsafe"))["status"]
        told = 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'
        assert (status["phase"], status["reason"], status["message"]) == ("Failed", "SysctlForbidden", told)


@virtual
async def test_pods_with_inline_volumes_are_made_changed_and_removed() -> None:
    async with world(nodes=1) as api:
        spec = {"attachRequired": False, "podInfoOnMount": True, "volumeLifecycleModes": ["Ephemeral"]}
        await api.ok("POST", "/apis/storage.k8s.io/v1/csidrivers", {"metadata": {"name": "e2e.example.com"}, "spec": spec})
        container = {"name": "c", "image": "c", "volumeMounts": [{"name": "v", "mountPath": "/mnt"}]}
        volume = {"name": "v", "csi": {"driver": "e2e.example.com"}}
        for name in ("one", "two"):
            made = await api.ok("POST", PODS, pod(name, container, volumes=[volume], labels={"e2e": "inline"}))
            assert made["spec"]["volumes"][0]["csi"]["driver"] == "e2e.example.com"
        assert names(await api.items(f"{PODS}?labelSelector=e2e%3Dinline")) == ["one", "two"]
        patched = await api.ok("PATCH", f"{PODS}/one", {"metadata": {"labels": {"also": "patched"}}}, content_type=MERGE)
        assert patched["metadata"]["labels"]["also"] == "patched"
        await api.ok("DELETE", f"{PODS}/one?gracePeriodSeconds=0")
        await api.ok("DELETE", f"{PODS}?labelSelector=e2e%3Dinline")
        await api.items(PODS, lambda found: not found)
