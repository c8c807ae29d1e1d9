"""The loops that run inside the API server, for what only it can know: its own objects' statuses, and what a cluster must have.

They follow the watch caches of this process and write through its registry; nothing here goes over HTTP. Read `follow.py` first.
"""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.bootstrap import Place
from apiserver.handlers.server import Server
from apiserver.loops.api_service import APIServiceLoop, LocalAPIServiceLoop, prober
from apiserver.loops.custom_api_service import CustomAPIServiceLoop
from apiserver.loops.custom_resource import CustomResourceLoop
from apiserver.loops.extension_discovery import ExtensionDiscoveryLoop
from apiserver.loops.flow_schema import FlowSchemaLoop
from apiserver.loops.follow import Follower, Loop
from apiserver.loops.ip_address import IPAddressLoop
from apiserver.loops.upkeep import keep_up, serve_default_cidr


async def start_loops(server: Server, place: Place) -> list[asyncio.Task[Any]]:
    """Settle everything there is, then keep it so: the tasks that do, to be cancelled when the server stops. Only what asks extension API
    servers is left for later: they need not be there yet."""
    registries = server.registries
    loops = (CustomResourceLoop, CustomAPIServiceLoop, LocalAPIServiceLoop, FlowSchemaLoop, IPAddressLoop)
    followers = [Follower(registries, loop(registries)) for loop in loops]
    remote: list[Loop] = [APIServiceLoop(registries, prober(server)), ExtensionDiscoveryLoop(server, server.extra["extensions"])]
    patient = [Follower(registries, loop) for loop in remote]
    settled = [serve_default_cidr(registries), *(each.start() for each in followers), *(each.listen() for each in patient)]
    await asyncio.gather(*settled)
    running = asyncio.get_running_loop()
    return [running.create_task(each.run()) for each in (*followers, *patient)] + [running.create_task(keep_up(registries, place))]


__all__ = ["start_loops"]
