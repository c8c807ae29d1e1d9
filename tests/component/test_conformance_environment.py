"""Upstream's conformance tests of what containers find: environment variables, the downward API, files of volumes. On simulated pods."""

from __future__ import annotations

from typing import Any

from kube.objects import Object
from tests.component.conformance import NAMESPACE, World, pod, script, world
from tests.virtual import virtual

PODS = f"{NAMESPACE}/pods"
RESOURCES = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}


def from_field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def from_resource(name: str, resource: str, divisor: str = "0") -> Object:
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}}


async def printed(api: World, name: str, *containers: Object, **spec: Any) -> list[str]:
    """What the pod's container `c` has printed when the pod has succeeded, by line."""
    await api.ok("POST", PODS, pod(name, *containers, restartPolicy="Never", **spec))
    ended = await api.ended(name)
    assert ended["status"]["phase"] == "Succeeded"
    return (await api.log(name, "c")).splitlines()


async def data(api: World) -> None:
    """A ConfigMap and a Secret `data`."""
    await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "data"}, "data": {"data_1": "value-1", "data_2": "value-2"}})
    await api.ok("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "data"}, "stringData": {"data_1": "secret-1", "data_2": "secret-2"}})


@virtual
async def test_variables_come_from_config_maps_and_secrets() -> None:
    async with world(nodes=1) as api:
        await data(api)
        env = [
            {"name": "CONFIG", "valueFrom": {"configMapKeyRef": {"name": "data", "key": "data_1"}}},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "data", "key": "data_1"}}},
        ]
        sources = [
            {"configMapRef": {"name": "data"}},
            *({"prefix": prefix, "configMapRef": {"name": "data"}} for prefix in ("p-", "1-", "$_-")),
            *({"prefix": prefix, "secretRef": {"name": "data"}} for prefix in ("s_", "9#-", "!-")),
        ]
        lines = await printed(api, "p", script("env", env=env, envFrom=sources))
        wanted = {"CONFIG=value-1", "SECRET=secret-1", "data_1=value-1", "data_2=value-2"}
        wanted |= {f"{prefix}data_{each}=value-{each}" for prefix in ("p-", "1-", "$_-") for each in (1, 2)}
        wanted |= {f"{prefix}data_{each}=secret-{each}" for prefix in ("s_", "9#-", "!-") for each in (1, 2)}
        assert wanted <= set(lines)
        secrets = await printed(api, "q", script("env", envFrom=[{"secretRef": {"name": "data"}}]))
        assert {"data_1=secret-1", "data_2=secret-2"} <= set(secrets)


@virtual
async def test_the_downward_api_is_in_variables() -> None:
    async with world(nodes=1) as api:
        fields = {
            "NAME": "metadata.name", "SPACE": "metadata.namespace", "UID": "metadata.uid",
            "IP": "status.podIP", "HOST": "status.hostIP", "HOSTS": "status.hostIPs",
        }  # fmt: skip
        env = [from_field(name, path) for name, path in fields.items()]
        env += [from_resource("CPU_L", "limits.cpu"), from_resource("CPU_R", "requests.cpu", "1m")]
        env += [from_resource("MEM_L", "limits.memory"), from_resource("MEM_R", "requests.memory", "1Mi")]
        lines = set(await printed(api, "p", script("env", env=env, resources=RESOURCES)))
        found = await api.ok("GET", f"{PODS}/p")
        status = found["status"]
        assert lines >= {
            "NAME=p", "SPACE=default", f"UID={found['metadata']['uid']}", f"IP={status['podIP']}", f"HOST={status['hostIP']}",
            f"HOSTS={','.join(each['ip'] for each in status['hostIPs'])}", "CPU_L=2", "CPU_R=250", f"MEM_L={64 << 20}", "MEM_R=32",
        }  # fmt: skip


@virtual
async def test_without_limits_the_nodes_count() -> None:
    async with world(nodes=1) as api:
        (node,) = await api.items("/api/v1/nodes")
        env = [from_resource("CPU", "limits.cpu"), from_resource("MEMORY", "limits.memory")]
        items = [{"path": each, "resourceFieldRef": {"containerName": "c", "resource": f"limits.{each}"}} for each in ("cpu", "memory")]
        volumes = [
            {"name": "down", "downwardAPI": {"items": items}},
            {"name": "all", "projected": {"sources": [{"downwardAPI": {"items": items}}]}},
        ]
        mounts = [{"name": each["name"], "mountPath": f"/{each['name']}"} for each in volumes]
        text = "echo $CPU $MEMORY; cat /down/cpu; echo; cat /down/memory; echo; cat /all/cpu; echo; cat /all/memory"
        lines = await printed(api, "p", script(text, env=env, volumeMounts=mounts), volumes=volumes)
        allocatable = node["status"]["allocatable"]
        memory = str(int(allocatable["memory"].removesuffix("Ki")) << 10) if "Ki" in allocatable["memory"] else lines[2]
        assert lines == [f"{allocatable['cpu']} {memory}", allocatable["cpu"], memory, allocatable["cpu"], memory]
        assert int(memory) > 1 << 20


@virtual
async def test_variables_are_expanded_in_others_in_commands_and_in_arguments() -> None:
    async with world(nodes=1) as api:
        env = [{"name": "FOO", "value": "foo-value"}, {"name": "BAR", "value": "bar-value"}, {"name": "BOTH", "value": "$(FOO);;$(BAR)"}]
        assert "BOTH=foo-value;;bar-value" in await printed(api, "composed", script("env", env=env))
        command = {"name": "c", "image": "busybox:1", "env": env, "command": ["sh", "-c", 'A=$(FOO); echo "$A" $(BOTH) $$(FOO)']}
        assert await printed(api, "command", {**command, "command": ["echo", "$(BOTH)", "$$(FOO)"]}) == ["foo-value;;bar-value $(FOO)"]
        arguments = {"name": "c", "image": "busybox:1", "env": env, "command": ["sh", "-c"], "args": ["echo $(FOO)"]}
        assert await printed(api, "arguments", arguments) == ["foo-value"]


def volume(name: str, **source: Any) -> tuple[Object, Object]:
    """A volume and its mount at /<name>."""
    return {"name": name, **source}, {"name": name, "mountPath": f"/{name}"}


@virtual
async def test_files_come_from_config_maps_secrets_and_the_downward_api() -> None:
    async with world(nodes=1) as api:
        await data(api)
        mapped = [{"key": "data_1", "path": "deep/er/one"}]
        items: list[Object] = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
        items += [{"path": each, "fieldRef": {"fieldPath": f"metadata.{each}"}} for each in ("labels", "annotations")]
        for kind in ("limits", "requests"):
            for each in ("cpu", "memory"):
                divisor = {"divisor": "1m"} if each == "cpu" else {}
                source = {"containerName": "c", "resource": f"{kind}.{each}", **divisor}
                items.append({"path": f"{kind}-{each}", "resourceFieldRef": source})
        pairs = [
            volume("config", configMap={"name": "data"}),
            volume("config-mapped", configMap={"name": "data", "items": mapped}),
            volume("secret", secret={"secretName": "data"}),
            volume("secret-mapped", secret={"secretName": "data", "items": mapped}),
            volume("down", downwardAPI={"items": items}),
            volume("p-config", projected={"sources": [{"configMap": {"name": "data"}}]}),
            volume("p-config-mapped", projected={"sources": [{"configMap": {"name": "data", "items": mapped}}]}),
            volume("p-secret", projected={"sources": [{"secret": {"name": "data"}}]}),
            volume("p-secret-mapped", projected={"sources": [{"secret": {"name": "data", "items": mapped}}]}),
            volume("p-down", projected={"sources": [{"downwardAPI": {"items": items}}]}),
            volume(
                "p-all", projected={"sources": [{"configMap": {"name": "data", "items": mapped}}, {"downwardAPI": {"items": items[:1]}}]}
            ),
        ]
        volumes, mounts = [each[0] for each in pairs], [each[1] for each in pairs]
        again = [{"name": name, "mountPath": f"/again/{name}"} for name in ("config", "secret", "p-config", "p-secret")]
        mega = {f"{kind}-memory": f"{size << 20}" for kind, size in (("limits", 64), ("requests", 32))}
        told = {"name": "p", "limits-cpu": "1250", "requests-cpu": "250", "labels": 'a="1"', **mega}
        wanted = {"/config/data_1": "value-1", "/config/data_2": "value-2", "/secret/data_1": "secret-1", "/p-config/data_1": "value-1"}
        wanted |= {"/p-secret/data_2": "secret-2", "/p-all/deep/er/one": "value-1", "/p-all/name": "p"}
        wanted |= {f"/{each}-mapped/deep/er/one": f"{value}-1" for each, value in (("config", "value"), ("secret", "secret"))}
        wanted |= {f"/p-{each}-mapped/deep/er/one": f"{value}-1" for each, value in (("config", "value"), ("secret", "secret"))}
        wanted |= {f"/{each}/{path}": text for each in ("down", "p-down") for path, text in told.items()}
        wanted |= {f"/again/{each}/data_1": "value-1" for each in ("config", "p-config")}
        wanted |= {f"/again/{each}/data_1": "secret-1" for each in ("secret", "p-secret")}
        text = "; ".join(f"echo $(cat {path})" for path in wanted)
        container = script(text, volumeMounts=[*mounts, *again], resources=RESOURCES)
        lines = await printed(api, "p", container, volumes=volumes, labels={"a": "1"})
        assert dict(zip(wanted, lines, strict=True)) == wanted


@virtual
async def test_the_secret_is_that_of_the_pods_own_namespace() -> None:
    async with world(nodes=1) as api:
        await data(api)
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
        await api.ok("POST", "/api/v1/namespaces/other/secrets", {"metadata": {"name": "data"}, "stringData": {"data_1": "of others"}})
        source, mount = volume("secret", secret={"secretName": "data"})
        assert await printed(api, "p", script("cat /secret/data_1", volumeMounts=[mount]), volumes=[source]) == ["secret-1"]


@virtual
async def test_sub_paths_lead_into_volumes() -> None:
    async with world(nodes=1) as api:
        await data(api)
        down = {"items": [{"path": "sub/name", "fieldRef": {"fieldPath": "metadata.name"}}]}
        mapped = [{"key": "data_1", "path": "sub/one"}]
        volumes = [
            volume("config", configMap={"name": "data"})[0],
            volume("secret", secret={"secretName": "data"})[0],
            volume("down", downwardAPI=down)[0],
            volume("projected", projected={"sources": [{"configMap": {"name": "data", "items": mapped}}]})[0],
        ]
        mounts = [
            {"name": "config", "mountPath": "/mnt/config", "subPath": "data_1"},
            {"name": "config", "mountPath": "/etc/a-file", "subPath": "data_2"},
            {"name": "secret", "mountPath": "/mnt/secret", "subPath": "data_1"},
            {"name": "down", "mountPath": "/mnt/down", "subPath": "sub/name"},
            {"name": "projected", "mountPath": "/mnt/projected", "subPath": "sub"},
        ]
        paths = ("/mnt/config", "/etc/a-file", "/mnt/secret", "/mnt/down", "/mnt/projected/one")
        text = "; ".join(f"echo $(cat {path})" for path in paths)
        lines = await printed(api, "p", script(text, volumeMounts=mounts), volumes=volumes)
        assert lines == ["value-1", "value-2", "secret-1", "p", "value-1"]


@virtual
async def test_fifty_config_maps_are_no_race() -> None:
    async with world(nodes=1) as api:
        for each in range(50):
            await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": f"racey-{each}"}, "data": {"data-1": "value-1"}})
        pairs = [
            volume(f"racey-{each}", configMap={"name": f"racey-{each}", "items": [{"key": "data-1", "path": "data-1"}]})
            for each in range(50)
        ]
        container = {"name": "c", "image": "pause:3", "volumeMounts": [each[1] for each in pairs]}
        for each in range(5):
            await api.ok("POST", PODS, pod(f"p{each}", container, volumes=[each[0] for each in pairs]))
        for each in range(5):
            await api.ready(f"p{each}")
        events = await api.items("/api/v1/events")
        assert not [each for each in events if each["reason"] == "FailedMount"]


@virtual
async def test_services_are_in_variables() -> None:
    async with world(nodes=1) as api:
        body = {"metadata": {"name": "fooservice"}, "spec": {"selector": {"app": "x"}, "ports": [{"port": 8765, "targetPort": 8080}]}}
        address = (await api.ok("POST", f"{NAMESPACE}/services", body))["spec"]["clusterIP"]
        lines = set(await printed(api, "p", script("env")))
        port = "FOOSERVICE_PORT_8765_TCP"
        assert lines >= {
            f"FOOSERVICE_SERVICE_HOST={address}", "FOOSERVICE_SERVICE_PORT=8765", f"FOOSERVICE_PORT=tcp://{address}:8765",
            f"{port}=tcp://{address}:8765", f"{port}_PORT=8765", f"{port}_PROTO=tcp", f"{port}_ADDR={address}",
        }  # fmt: skip
        assert any(each.startswith("KUBERNETES_SERVICE_HOST=") for each in lines)
        unlinked = await printed(api, "q", script("env"), enableServiceLinks=False)
        assert not any(each.startswith("FOOSERVICE") for each in unlinked)
        assert any(each.startswith("KUBERNETES_SERVICE_HOST=") for each in unlinked)
