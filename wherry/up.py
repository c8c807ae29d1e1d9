"""`wherry up`: start a cluster, show it coming up, keep it running until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from apiserver.settings import read as read_settings
from controllers.manager.local_volume import standard_class
from kube.client.client import Client
from kube.client.config import ConfigError, load_kubeconfig
from kube.errors import AlreadyExists, ApiError
from kube.objects import is_condition_true
from kube.resources import NODES, STORAGE_CLASSES
from kubelet.dns.resolvers import read_upstream
from kubelet.stages.query import StageError
from kubelet.stages.simulation import Simulation
from wherry import state
from wherry.access import grant
from wherry.plan import DNS_ADDRESS, Options, Process, processes, volumes_directory
from wherry.supervisor import ComponentFailed, Supervisor, log_tail

READY_S: Final = 60.0
POLL_S: Final = 0.03
console: Final = Console(highlight=False, soft_wrap=True)


class CannotStart(Exception):
    """The cluster cannot be started; the text says why and what to do."""


def check(options: Options) -> Options:
    """Find out early what would make a component fail; the options, with a real port in place of 0. Raises CannotStart, and SettingsError
    for what the API server would refuse."""
    read_settings(list(processes(options)[0].command[3:]))
    try:
        Simulation.load(options.stages)
    except (StageError, OSError) as error:
        raise CannotStart(f"--stages {error}") from error
    try:
        read_upstream(options.dns_upstream)
    except ValueError as error:
        raise CannotStart(f"--dns-upstream {error}") from error
    running = state.load(options.data_dir)
    if running is not None:
        raise CannotStart(f"this cluster is running already (process {running.pid}, {running.url}); `wherry down` stops it")
    try:
        options.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = "is not a directory" if isinstance(error, FileExistsError | NotADirectoryError) else f"cannot be made: {error.strerror}"
        raise CannotStart(f"--data-dir {options.data_dir} {reason}") from error
    owner = options.data_dir.stat().st_uid
    if hasattr(os, "getuid") and owner != os.getuid():
        whose = f"--data-dir {options.data_dir} belongs to another user (uid {owner})"
        raise CannotStart(f"{whose}; choose another directory, or take it over with chown")
    if not os.access(options.data_dir, os.W_OK | os.X_OK):
        raise CannotStart(f"--data-dir {options.data_dir} cannot be written to")
    if shutil.disk_usage(options.data_dir).free < 16 << 20:
        raise CannotStart(f"--data-dir {options.data_dir}: less than 16 MiB are free on its disk")
    secure_port = _bindable_port(options.bind_address, options.secure_port, "--secure-port (or --bind-address)")
    return replace(options, secure_port=secure_port, dns_port=_bindable_port(DNS_ADDRESS, options.dns_port, "--dns-port"))


def _bindable_port(address: str, port: int, flags: str) -> int:
    """`port`, or a free one for 0: the components must find the server there again when it is started again."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CannotStart(f"cannot listen on {address}:{port}: {error.strerror}. Choose another with {flags}") from error
        return int(probe.getsockname()[1])


def detach(arguments: list[str], data_dir: Path) -> int:
    """Run the same command in the background; return once the cluster is ready (or has failed)."""
    log = data_dir / "logs" / "wherry.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "wherry", *[each for each in arguments if each != "--detach"]]
    with log.open("ab") as out:
        begin = out.tell()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        code = child.poll()
        text = log.read_bytes()[begin:].decode(errors="replace")
        if code is not None:
            sys.stderr.write(text)
            return code or 1
        if "Ready" in text and "KUBECONFIG" in text:
            sys.stdout.write(text.replace("Ctrl-C stops it.", "`wherry down` stops it."))
            return 0
        time.sleep(0.1)
    child.terminate()
    print(f"wherry: not ready after {READY_S:.0f} s; see {log}", file=sys.stderr)
    return 1


async def up(options: Options) -> int:
    """Start everything, wait until the nodes are Ready, stay until a signal; the exit code."""
    started = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(lambda text: console.print(f"[yellow]![/] {text}"), lambda pids: state.update(options.data_dir, pids))
    try:
        running = asyncio.create_task(_run(options, supervisor, started, stop))
        stopped = asyncio.create_task(_until_set(stop))
        ends: tuple[asyncio.Future[None], ...] = (running, stopped, supervisor.failed)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopped):
            task.cancel()
        results = await asyncio.gather(running, stopped, return_exceptions=True)
        if supervisor.failed.done():
            supervisor.failed.result()
        if isinstance(results[0], Exception):
            raise results[0]
    except (ComponentFailed, CannotStart) as error:
        console.print(f"[red]x[/] {error}")
        return 1
    finally:
        if stop.is_set():
            console.print("stopping ...")
        supervisor.failed.cancel()
        await supervisor.stop()
        state.clear(options.data_dir)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return 0


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()


async def _run(options: Options, supervisor: Supervisor, started: float, stop: asyncio.Event) -> None:
    wanted = processes(options)
    server, components = wanted[0], wanted[1:]
    admin = options.data_dir / "kubeconfig"
    before = admin.stat().st_mtime_ns if admin.exists() else 0
    console.print(f"starting a cluster of {options.nodes} {options.runtime} nodes in {options.data_dir}")
    await supervisor.start(server)
    await _until_written(admin, before, [each.kubeconfig for each in components if each.kubeconfig], server)
    for process in components:
        if process.is_needed_first:
            await supervisor.start(process)
    url = load_kubeconfig(admin).server
    run = state.Run(os.getpid(), state.process_start(os.getpid()), options.nodes, url, supervisor.pids())
    state.save(options.data_dir, run)
    client = Client.from_config(load_kubeconfig(admin), user_agent="wherry")
    try:
        await _until_serving(client, server)
        _tick("apiserver", f"serving on {url}", started)
        await grant(client)
        with contextlib.suppress(AlreadyExists):
            await client.create(STORAGE_CLASSES, standard_class(str(volumes_directory(options).resolve())))
        await _until_nodes_ready(client, options.nodes, started)
        for process in components:
            if not process.is_needed_first:
                await supervisor.start(process)
        state.save(options.data_dir, replace(run, children=supervisor.pids()))
    finally:
        await client.close()
    supervisor.restarts = True
    console.print(f"\n[bold]{options.nodes} nodes Ready[/] after {time.monotonic() - started:.1f} s. Ctrl-C stops it.\n")
    dig = f"dig @{DNS_ADDRESS} -p {options.dns_port} kubernetes.default.svc.cluster.local"
    console.print(f"  export KUBECONFIG={admin.resolve()}\n  kubectl get nodes\n  {dig}\n")
    await stop.wait()


def _tick(name: str, what: str, started: float) -> None:
    console.print(f"[green]+[/] {name:<20} {what} ({time.monotonic() - started:.1f} s)")


async def _until_written(admin: Path, before: int, files: list[Path], server: Process) -> None:
    """The server writes its kubeconfigs anew at each start, before it serves; the admin's is the first."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            written = admin.stat().st_mtime_ns
            if written != before and all(each.exists() and each.stat().st_mtime_ns >= written for each in files):
                return
        await asyncio.sleep(POLL_S)
    raise CannotStart(f"the API server did not start within {READY_S:.0f} s. Its log, {server.log}, ends with:\n{log_tail(server)}")


async def _until_serving(client: Client, server: Process) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(ApiError, OSError, ConfigError):
            await client.raw("GET", "/readyz")
            return
        await asyncio.sleep(POLL_S)
    raise CannotStart(f"the API server is not ready after {READY_S:.0f} s. Its log, {server.log}, ends with:\n{log_tail(server)}")


async def _until_nodes_ready(client: Client, count: int, started: float) -> None:
    seen: set[str] = set()
    deadline = time.monotonic() + READY_S
    while len(seen) < count:
        if time.monotonic() > deadline:
            raise CannotStart(f"only {len(seen)} of {count} nodes are Ready after {READY_S:.0f} s; see the kubelets' logs")
        with contextlib.suppress(ApiError, OSError):
            for node in (await client.list(NODES))["items"]:
                name = node["metadata"]["name"]
                if name not in seen and is_condition_true(node, "Ready"):
                    seen.add(name)
                    _tick(f"node {name}", "Ready", started)
        await asyncio.sleep(POLL_S)
