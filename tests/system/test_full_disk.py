"""No space is left on the disk: writes are refused, reads go on, and when there is space again everything works and nothing that was
acknowledged is missing. The full disk is a limit on the size of the server's files.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.client import Answer, Api
from tests.system.running import Processes, wait_until
from wherry.plan import Process

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux only")
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
FREE_BYTES = 400_000
VALUE = "x" * 50_000


class Server:
    """An API server on its own, the size of whose files can be limited."""

    def __init__(self, data: Path) -> None:
        self._data = data
        command = (sys.executable, "-m", "apiserver", f"--data-dir={data}", "--secure-port=0", "--v=2")
        self._processes = Processes([Process("apiserver", command, data.with_name("log"))])

    def start(self) -> Api:
        (self._data / "kubeconfig").unlink(missing_ok=True)
        self._processes.start("apiserver")
        wait_until((self._data / "kubeconfig").exists, "the admin's kubeconfig is written")
        api = Api.of(self._data / "kubeconfig")
        wait_until(api.is_ready, "the API server is ready")
        return api

    def limit(self, size_bytes: int) -> None:
        """From now on none of its files grows beyond this."""
        pid = self._processes.pid("apiserver")
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))

    def largest_file_bytes(self) -> int:
        return max(each.stat().st_size for each in self._data.glob("state.db*"))

    def stop(self) -> None:
        self._processes.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    try:
        yield server
    finally:
        server.stop()


def create(api: Api, number: int) -> Answer:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"big-{number}"}, "data": {"value": VALUE}}
    return api.call("POST", CONFIG_MAPS, obj)


def names(api: Api) -> set[str]:
    return {each["metadata"]["name"] for each in api.get(CONFIG_MAPS)["items"]}


def test_a_full_disk_and_space_again(server: Server) -> None:
    api = server.start()
    acknowledged: set[str] = set()
    server.limit(server.largest_file_bytes() + FREE_BYTES)
    refused = None
    for number in range(100):
        answer = create(api, number)
        if answer.status != 201:
            refused = answer
            break
        acknowledged.add(f"big-{number}")
    assert refused is not None, "the disk never became full"
    assert len(acknowledged) >= 3
    assert refused.status in (500, 503)
    status = refused.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", refused.status)
    assert "the write was not stored" in status["message"]

    server.limit(1)  # not even room for something small
    for again in (100, 101):
        assert create(api, again).status == refused.status
    assert api.call("DELETE", f"{CONFIG_MAPS}/big-0").status == refused.status
    assert names(api) == acknowledged, "reads go on, and what was refused is not there"
    assert api.get(f"{CONFIG_MAPS}/big-0")["data"]["value"] == VALUE

    server.limit(resource.RLIM_INFINITY)
    answer = create(api, 200)
    assert answer.status == 201, answer.body[:500]
    assert names(api) == acknowledged | {"big-200"}
    assert api.call("DELETE", f"{CONFIG_MAPS}/big-0").status == 200

    server.stop()
    api = server.start()
    assert names(api) == acknowledged - {"big-0"} | {"big-200"}
    assert api.get(f"{CONFIG_MAPS}/big-1")["data"]["value"] == VALUE
