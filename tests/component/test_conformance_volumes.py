"""Upstream's conformance tests of files that change, of sub-paths that are expanded, and of the kubelet's own files. On simulated pods."""

from __future__ import annotations

from typing import Any

import pytest

from kube.objects import Object
from tests.component.conformance import NAMESPACE, World, pod, script, world
from tests.component.served import MERGE
from tests.virtual import virtual

PODS = f"{NAMESPACE}/pods"
WATCHING = "while true; do for each in $FILES; do echo $each=$(cat $each); done; echo --; sleep 2; done"


async def shown(api: World, name: str) -> dict[str, str]:
    """What the pod's script last read in each file."""
    rounds = (await api.log(name, "c")).split("--\n")
    lines = [line for line in rounds[-2].splitlines() if "=" in line]
    return dict(line.split("=", 1) for line in lines)


async def shows(api: World, name: str, wanted: dict[str, str]) -> None:
    async def there() -> bool:
        return await shown(api, name) == wanted

    await api.until(there, within_s=300)


def watching(*paths: str, **rest: Any) -> Object:
    return script(WATCHING, env=[{"name": "FILES", "value": " ".join(paths)}], **rest)


SOURCES = [
    pytest.param("configmaps", lambda name: {"configMap": {"name": name, "optional": True}}, id="config map"),
    pytest.param("secrets", lambda name: {"secret": {"secretName": name, "optional": True}}, id="secret"),
    pytest.param(
        "configmaps", lambda name: {"projected": {"sources": [{"configMap": {"name": name, "optional": True}}]}}, id="projected config map"
    ),
    pytest.param("secrets", lambda name: {"projected": {"sources": [{"secret": {"name": name, "optional": True}}]}}, id="projected secret"),
]


@pytest.mark.parametrize(("plural", "source"), SOURCES)
@virtual
async def test_files_follow_creation_update_and_deletion(plural: str, source: Any) -> None:
    values = {"value-1": "dmFsdWUtMQ==", "value-2": "dmFsdWUtMg=="} if plural == "secrets" else {"value-1": "value-1", "value-2": "value-2"}
    async with world(nodes=1) as api:
        path = f"{NAMESPACE}/{plural}"
        for name in ("upd", "del"):
            await api.ok("POST", path, {"metadata": {"name": name}, "data": {"data-1": values["value-1"]}})
        uses = ("create", "upd", "del")
        mounts = [{"name": each, "mountPath": f"/etc/{each}"} for each in uses]
        files = [f"/etc/{each}/data-1" for each in uses]
        volumes = [{"name": each, **source(each)} for each in uses]
        await api.ok("POST", PODS, pod("p", watching(*files, volumeMounts=mounts), volumes=volumes))
        await api.ready("p")
        await shows(api, "p", dict(zip(files, ("", "value-1", "value-1"), strict=True)))
        await api.ok("DELETE", f"{path}/del")
        await api.ok("PATCH", f"{path}/upd", {"data": {"data-1": values["value-2"]}}, content_type=MERGE)
        await api.ok("POST", path, {"metadata": {"name": "create"}, "data": {"data-1": values["value-1"]}})
        await shows(api, "p", dict(zip(files, ("value-1", "value-2", ""), strict=True)))
        assert (await api.ok("GET", f"{PODS}/p"))["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize("is_projected", [pytest.param(False, id="downward API"), pytest.param(True, id="projected")])
@virtual
async def test_files_follow_labels_and_annotations(is_projected: bool) -> None:
    async with world(nodes=1) as api:
        items = [{"path": each, "fieldRef": {"fieldPath": f"metadata.{each}"}} for each in ("labels", "annotations")]
        source: Object = {"downwardAPI": {"items": items}}
        volume = {"name": "info", **({"projected": {"sources": [source]}} if is_projected else source)}
        mounts = [{"name": "info", "mountPath": "/etc/info"}]
        files = ("/etc/info/labels", "/etc/info/annotations")
        body = pod("p", watching(*files, volumeMounts=mounts), labels={"key1": "value1"}, volumes=[volume])
        body["metadata"]["annotations"] = {"builder": "bar"}
        await api.ok("POST", PODS, body)
        await api.ready("p")
        await shows(api, "p", {files[0]: 'key1="value1"', files[1]: 'builder="bar"'})
        change = {"metadata": {"labels": {"key3": "value3"}, "annotations": {"builder": "foo"}}}
        await api.ok("PATCH", f"{PODS}/p", change, content_type=MERGE)
        await shows(api, "p", {files[0]: 'key1="value1" key3="value3"', files[1]: 'builder="foo"'})


@virtual
async def test_binary_data_that_is_text_is_in_files_and_not_in_variables() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "c"}, "data": {"a": "text"}, "binaryData": {"b": "YmluYXJ5"}})
        mounts = [{"name": "v", "mountPath": "/v"}]
        container = script("echo $(cat /v/a) $(cat /v/b); env", volumeMounts=mounts, envFrom=[{"configMapRef": {"name": "c"}}])
        await api.ok("POST", PODS, pod("p", container, volumes=[{"name": "v", "configMap": {"name": "c"}}], restartPolicy="Never"))
        await api.ended("p")
        first, *rest = (await api.log("p")).splitlines()
        assert (first, "a=text" in rest, "b=binary" in rest) == ("text binary", True, False)


# --- sub-paths ----------------------------------------------------------------------------------------------------------------------


def with_expression(value: Object, text: str = "sleep 9999") -> Object:
    container = script(text, env=[{"name": "SUB", **value}], volumeMounts=[{"name": "v", "mountPath": "/v", "subPathExpr": "$(SUB)"}])
    return pod("p", container, volumes=[{"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "foo/a"}]}}])


@pytest.mark.parametrize(
    ("path", "why"),
    [
        pytest.param("/tmp", "error SubPath `/tmp` must not be an absolute path", id="an absolute path"),
        pytest.param("..", "unable to provision SubPath `..`: must not contain '..'", id="a path that leads out"),
    ],
)
@virtual
async def test_sub_paths_that_lead_elsewhere_are_refused(path: str, why: str) -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "c"}, "data": {"a": "A"}})
        await api.ok("POST", PODS, with_expression({"value": path}))

        def is_refused(found: Object) -> bool:
            state = found["status"].get("containerStatuses", [{}])[0].get("state", {})
            return bool(state.get("waiting", {}) == {"reason": "CreateContainerConfigError", "message": why})

        await api.where(f"{PODS}/p", is_refused)


@virtual
async def test_a_sub_path_that_fails_is_tried_again_and_then_used() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "c"}, "data": {"a": "A"}})
        body = with_expression({"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['sub']"}}}, "echo $(cat /v/a); sleep 9999")
        body["metadata"]["annotations"] = {"sub": "/absolute"}
        await api.ok("POST", PODS, body)
        await api.where(f"{PODS}/p", lambda found: "CreateContainerConfigError" in str(found["status"]))
        await api.ok("PATCH", f"{PODS}/p", {"metadata": {"annotations": {"sub": "foo"}}}, content_type=MERGE)
        await api.ready("p")
        assert await api.log("p") == "A\n"


# --- the kubelet's own files ----------------------------------------------------------------------------------------------------------


@virtual
async def test_hosts_and_name_servers_are_as_the_pod_says() -> None:
    async with world(nodes=1) as api:
        dns = {"nameservers": ["192.0.2.53"], "searches": ["resolv.conf.local"], "options": [{"name": "ndots", "value": "2"}]}
        aliases = [{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]
        text = "cat /etc/hosts; echo --; cat /etc/resolv.conf"
        body = pod(
            "p", script(text), hostAliases=aliases, dnsPolicy="None", dnsConfig=dns, hostname="me", subdomain="svc", restartPolicy="Never"
        )
        await api.ok("POST", PODS, body)
        found = await api.ended("p")
        hosts, _, resolv = (await api.log("p")).partition("--\n")
        lines = hosts.splitlines()
        assert lines[0] == "# Kubernetes-managed hosts file."
        assert f"{found['status']['podIP']}\tme.svc.default.svc.cluster.local\tme" in lines
        assert lines[-2:] == ["# Entries added by HostAliases.", "123.45.67.89\tfoo\tbar"]
        assert resolv == "search resolv.conf.local\nnameserver 192.0.2.53\noptions ndots:2\n"
        own = [{"name": "v", "mountPath": "/etc/hosts", "subPath": "hosts"}]
        await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "c"}, "data": {"hosts": "mine"}})
        volumes = [{"name": "v", "configMap": {"name": "c"}}]
        await api.ok("POST", PODS, pod("own", script("cat /etc/hosts", volumeMounts=own), volumes=volumes, restartPolicy="Never"))
        await api.ended("own")
        assert await api.log("own") == "mine\n"


# --- empty directories ------------------------------------------------------------------------------------------------------------------


@virtual
async def test_containers_share_an_empty_directory() -> None:
    async with world(nodes=1) as api:
        mounts = [{"name": "shared", "mountPath": "/usr/share/volumeshare"}]
        path = "/usr/share/volumeshare/data.txt"
        main = {**script(f"while [ ! -f {path} ]; do sleep 1; done; cat {path}", volumeMounts=mounts), "name": "main"}
        other = {**script(f"sleep 5; echo Hello from the sub-container > {path}", volumeMounts=mounts), "name": "sub"}
        init = {
            **script("echo from the init container > /here/first", volumeMounts=[{"name": "shared", "mountPath": "/here"}]),
            "name": "init",
        }
        last = {**script("cat /there/first", volumeMounts=[{"name": "shared", "mountPath": "/there"}]), "name": "last"}
        apart = {**script("ls /usr/share/volumeshare"), "name": "apart"}
        body = pod(
            "p", main, other, last, apart, volumes=[{"name": "shared", "emptyDir": {}}], initContainers=[init], restartPolicy="Never"
        )
        await api.ok("POST", PODS, body)
        await api.ended("p")
        assert await api.log("p", "main") == "Hello from the sub-container\n"
        assert await api.log("p", "last") == "from the init container\n"
        assert "No such file" in await api.log("p", "apart")


@virtual
async def test_what_is_in_an_empty_directory_outlives_its_container() -> None:
    async with world(nodes=1) as api:
        text = "echo x >> /v/runs; [ $(wc -l /v/runs) = 3 ] && sleep 9999; exit 1"
        container = script(text, volumeMounts=[{"name": "v", "mountPath": "/v"}])
        await api.ok("POST", PODS, pod("p", container, volumes=[{"name": "v", "emptyDir": {}}]))
        await api.where(f"{PODS}/p", lambda found: found["status"].get("containerStatuses", [{}])[0].get("restartCount") == 2)
        await api.ready("p")


@virtual
async def test_a_sub_path_of_an_empty_directory_is_a_directory_in_it() -> None:
    async with world(nodes=1) as api:
        env = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        mounts: list[Object] = [
            {"name": "v", "mountPath": "/sub", "subPathExpr": "mypath/$(POD_NAME)"},
            {"name": "v", "mountPath": "/whole"},
        ]
        text = (
            "test -d /whole/mypath/p; echo $?; test -d /whole/other; echo $?; touch /whole/mypath/p/log; test -f /sub/log; echo $?; ls /sub"
        )
        container = script(text, env=env, volumeMounts=mounts)
        await api.ok("POST", PODS, pod("p", container, volumes=[{"name": "v", "emptyDir": {}}], restartPolicy="Never"))
        await api.ended("p")
        assert await api.log("p") == "0\n1\n0\nlog\n"
