"""Lifecycle hooks of containers: postStart and preStop, by exec, HTTP or sleep.

An httpGet hook goes through `RuntimeService.probe`, which knows how to reach a container. Upstream: `pkg/kubelet/lifecycle/handlers.go`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kube.objects import Object
from kubelet.runtime.base import CRIError, RuntimeService

if TYPE_CHECKING:
    from kubelet.worker import PodWorker

HOOK_S_MAX = 3600.0
"""No hook runs longer than this (upstream sets no bound for postStart)."""


class HookFailed(Exception):
    """The text is the event's message."""


async def carry_out(runtime: RuntimeService, container_id: str, handler: Object, *, timeout_s: float) -> None:
    """Raises HookFailed. A handler that is not understood fails too."""
    try:
        async with asyncio.timeout(timeout_s):
            await _handle(runtime, container_id, handler, timeout_s)
    except TimeoutError as error:
        raise HookFailed(f"timed out after {timeout_s:g}s") from error
    except CRIError as error:
        raise HookFailed(str(error)) from error


async def _handle(runtime: RuntimeService, container_id: str, handler: Object, timeout_s: float) -> None:
    if "exec" in handler:
        command = handler["exec"].get("command") or []
        result = await runtime.exec_sync(container_id, command, timeout_s=timeout_s)
        if result.exit_code:
            shown = (result.stdout + result.stderr).decode("utf-8", "replace")
            raise HookFailed(f"command '{' '.join(command)}' exited with {result.exit_code}: {shown}")
    elif "sleep" in handler:
        await asyncio.sleep(float(handler["sleep"].get("seconds") or 0))
    elif "httpGet" in handler:
        result_of_get = await runtime.probe(container_id, handler, kind="hook")
        if not result_of_get.success:
            raise HookFailed(result_of_get.output)
    else:
        raise HookFailed(f"invalid handler: {sorted(handler)}")


async def pre_stop(worker: PodWorker, container: Object, container_id: str, *, grace_s: float) -> float:
    """Run the preStop hook, if any, within the grace period; answers how much of that is left for the stop itself."""
    handler = (container.get("lifecycle") or {}).get("preStop")
    if not handler or grace_s <= 0:
        return grace_s
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await carry_out(worker.host.runtime, container_id, handler, timeout_s=grace_s)
    except HookFailed as error:
        worker.record(container["name"], "Warning", "FailedPreStopHook", f"PreStopHook failed: {error}")
    return max(grace_s - (loop.time() - began), min(2.0, grace_s))


async def post_start(worker: PodWorker, container: Object, container_id: str) -> None:
    """Run the postStart hook; a container whose hook fails is stopped, and restarted as its policy says."""
    try:
        await carry_out(worker.host.runtime, container_id, container["lifecycle"]["postStart"], timeout_s=HOOK_S_MAX)
    except HookFailed as error:
        worker.record(container["name"], "Warning", "FailedPostStartHook", f"PostStartHook failed: {error}")
        worker.record(container["name"], "Normal", "Killing", "FailedPostStartHook")
        await worker.host.runtime.stop_container(
            container_id, timeout_s=float(worker.pod["spec"].get("terminationGracePeriodSeconds") or 30)
        )
