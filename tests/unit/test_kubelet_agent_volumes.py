"""Volumes of simulated pods, as the agent sees to them."""

from __future__ import annotations

import asyncio

from kube.objects import Object
from kube.resources import CONFIG_MAPS, PODS, SECRETS
from tests.unit.kubelet_world import ready, until, world
from tests.virtual import virtual


@virtual
async def test_a_container_sees_the_files_of_its_volumes() -> None:
    async with world() as w:
        volumes = [
            {"name": "conf", "configMap": {"name": "cm", "items": [{"key": "a", "path": "sub/a.txt"}]}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"secret": {"name": "s"}},
                        {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    ]
                },
            },
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        ]
        mounts = [
            {"name": "conf", "mountPath": "/etc/conf"},
            {"name": "conf", "mountPath": "/one.txt", "subPath": "sub/a.txt"},
            {"name": "all", "mountPath": "/all/"},
            {"name": "token", "mountPath": "/var/run/token"},
        ]
        w.api.set(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"a": "hello"}}, "default/cm")
        w.api.set(SECRETS, {"metadata": {"name": "s", "namespace": "default"}, "data": {"p": "c2VjcmV0"}}, "default/s")
        w.api.pod(container={"volumeMounts": mounts}, volumes=volumes, meta={"labels": {"app": "web"}})
        await ready(w.api)
        runtime = w.agents.nodes["n1"].host.runtime
        (container,) = await runtime.list_containers("uid-web")
        script = "cat /etc/conf/sub/a.txt /one.txt /all/p /all/l"
        assert (await runtime.exec_sync(container.id, ["sh", "-c", script], timeout_s=5)).stdout == b'hellohellosecretapp="web"'


@virtual
async def test_files_follow_what_they_are_made_of_but_for_sub_paths() -> None:
    async with world() as w:
        volumes: list[Object] = [
            {"name": "conf", "configMap": {"name": "cm", "optional": True}},
            {"name": "down", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ]
        mounts = [
            {"name": "conf", "mountPath": "/conf"},
            {"name": "conf", "mountPath": "/one", "subPath": "a"},
            {"name": "down", "mountPath": "/down"},
        ]

        def config(**data: str) -> Object:
            return {"metadata": {"name": "cm", "namespace": "default"}, "data": data}

        w.api.set(CONFIG_MAPS, config(a="1", b="1"), "default/cm")
        w.api.pod(container={"volumeMounts": mounts}, volumes=volumes, meta={"labels": {"x": "1"}})
        await ready(w.api)
        runtime = w.agents.nodes["n1"].host.runtime
        (container,) = await runtime.list_containers("uid-web")

        async def seen() -> str:
            script = "for each in /conf/a /conf/b /one /down/l; do echo $(cat $each); done"
            return (await runtime.exec_sync(container.id, ["sh", "-c", script], timeout_s=5)).stdout.decode()

        assert await seen() == '1\n1\n1\nx="1"\n'
        w.api.set(CONFIG_MAPS, config(a="2"), "default/cm")
        await asyncio.sleep(5)
        assert await seen() == '2\n\n1\nx="1"\n'
        w.api.change("web", lambda pod: pod["metadata"].update(labels={"x": "2"}))
        await asyncio.sleep(5)
        assert await seen() == '2\n\n1\nx="2"\n'
        w.api.set(CONFIG_MAPS, None, "default/cm")
        await asyncio.sleep(5)
        assert await seen() == '\n\n1\nx="2"\n'
        assert len(w.agents.followed) == 1
        w.api.set(PODS, None, "default/web")
        await asyncio.sleep(5)
        assert len(w.agents.followed) == 0, "nobody is watched for nothing"


@virtual
async def test_a_pod_waits_for_a_volume_that_cannot_be_set_up() -> None:
    async with world() as w:
        volumes = [{"name": "conf", "configMap": {"name": "cm"}}]
        w.api.pod(container={"volumeMounts": [{"name": "conf", "mountPath": "/c"}]}, volumes=volumes)
        await asyncio.sleep(20)
        assert w.api.status()["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
        assert ("Warning", "FailedMount", 'MountVolume.SetUp failed for volume "conf" : configmap "cm" not found', "") in w.events.seen
        w.api.set(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {}}, "default/cm")
        await ready(w.api)
        assert w.events.reasons().count("Pulling") == 1


@virtual
async def test_a_containers_last_words_are_its_termination_message() -> None:
    async with world() as w:
        script = "echo gone wrong > /dev/termination-log; exit 7"
        w.api.pod(container={"image": "busybox:1", "command": ["sh", "-c", script]}, restartPolicy="Never")
        await until(lambda: w.api.status()["phase"] == "Failed")
        ended = w.api.status()["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (7, "gone wrong\n")
