"""Being a process: health endpoints, log lines, signals."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal

import httpx
import pytest

from kube.runtime.health import HealthServer
from kube.runtime.logs import JsonFormatter, KlogFormatter, redacted, set_up_logging
from kube.runtime.process import run_until_signal


async def test_health_paths_answer_as_upstreams() -> None:
    trouble: list[str] = []
    server = HealthServer(
        port=0,
        checks={"etcd": lambda: trouble[0] if trouble else None},
        ready_checks={"informers": lambda: "not synced"},
        version={"gitVersion": "v1.36.0"},
    )
    await server.start()

    async def get(path: str) -> tuple[int, str]:
        response = await client.get(path)
        return response.status_code, response.text

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert await get("/healthz") == (200, "ok")
        assert await get("/livez?verbose") == (200, "[+]ping ok\n[+]etcd ok\nlivez check passed\n")
        assert await get("/readyz") == (
            500,
            "[+]ping ok\n[+]etcd ok\n[-]informers failed: reason withheld\nreadyz check failed\n",
        )
        assert (await get("/readyz?exclude=informers"))[0] == 200
        assert await get("/readyz?verbose&exclude=informers&exclude=etcd") == (
            200,
            "[+]ping ok\n[+]etcd excluded: ok\n[+]informers excluded: ok\nreadyz check passed\n",
        )
        assert await get("/healthz/etcd") == (200, "ok")
        trouble.append("no leader")
        assert await get("/healthz/etcd") == (500, "internal server error: no leader\n")
        assert (await get("/healthz"))[0] == 500
        assert await get("/healthz/none") == (404, "404 page not found\n")
        assert await get("/elsewhere") == (404, "404 page not found\n")
        assert json.loads((await get("/version"))[1]) == {"gitVersion": "v1.36.0"}
        metrics = await client.get("/metrics")
        assert "# TYPE workqueue_depth gauge" in metrics.text
        assert metrics.headers["content-type"] == "text/plain; version=1.0.0; charset=utf-8"
        head = await client.head("/livez/ping")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "2", b"")
        refused = await client.post("/healthz", content=b"x" * 10_000)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    other = HealthServer(port=server.port)
    with pytest.raises(OSError, match=str(server.port)):
        await other.start()
    await server.stop()
    await server.stop()


async def test_a_check_that_raises_is_one_that_fails() -> None:
    def check() -> str | None:
        raise KeyError("leader")

    server = HealthServer(port=0, checks={"leader": check})
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/livez")).status_code == 500
        assert (await client.get("/livez/leader")).text == "internal server error: KeyError: 'leader'\n"
    await server.stop()


def record(message: str) -> logging.LogRecord:
    made = logging.LogRecord("test", logging.WARNING, "/x/informer.py", 42, message, None, None)
    made.created = 1.5
    return made


def test_a_log_line_is_klogs_or_json_and_is_one_line() -> None:
    line = KlogFormatter().format(record("two\nlines"))
    assert line.startswith("W0101 ")
    assert line.endswith("informer.py:42] two\\nlines")
    entry = json.loads(JsonFormatter().format(record("hello")))
    assert entry == {"ts": 1500.0, "caller": "informer.py:42", "logger": "test", "level": "warning", "msg": "hello"}


SECRETS = [
    ("Authorization: Bearer abcdefgh.ijk", "abcdefgh.ijk"),
    ('token="abcdefgh12"', "abcdefgh12"),
    ("password: hunter2hunter2", "hunter2hunter2"),
    ("client-key-data: QUJDREVGR0g=", "QUJDREVGR0g="),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_secret_is_logged(text: str, secret: str) -> None:
    assert "<redacted>" in redacted(text)
    assert secret not in KlogFormatter().format(record(text))
    assert secret not in JsonFormatter().format(record(text))


def test_another_log_format_is_refused() -> None:
    with pytest.raises(ValueError, match="neither text nor json"):
        set_up_logging(format="xml")


def test_a_signal_cancels_the_main_task_and_is_a_good_end() -> None:
    ended: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    assert run_until_signal(main) == 0
    assert ended == ["cleaned up"]


def test_a_main_task_that_fails_is_logged_and_exit_code_1(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        raise RuntimeError("cannot begin")

    assert run_until_signal(main) == 1
    assert "RuntimeError: cannot begin" in caplog.text
