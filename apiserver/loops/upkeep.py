"""Puts back, every few seconds, what a cluster must have and somebody has taken away: upstream's bootstrap controllers.

Roles and priority classes are looked at when the server starts, and not again. Sources: kubernetes `pkg/controlplane/controller`
(systemnamespaces, kubernetesservice, defaultservicecidr), `pkg/registry/flowcontrol/rest/storage_flowcontrol.go`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Final

from apiserver.bootstrap import Place, cluster, flow_control
from apiserver.bootstrap.ensure import Keeper
from apiserver.loops.status import apply_condition
from apiserver.registry.registry import Registries
from kube.objects import condition_of, is_deleting

log: Final = logging.getLogger("wherry.apiserver.loops")
UPKEEP_S: Final = 10.0
FLOW_CONTROL_EVERY: Final = 6
"""Flow control is looked at every so many rounds: once a minute, as upstream does."""


async def keep_up(registries: Registries, place: Place) -> None:
    """Until cancelled."""
    cidr = registries.service_cidr
    service = cluster.kubernetes_service(cidr, advertise_address=place.advertise_address, port=place.port)
    often = [Keeper(registries, each) for each in (cluster.namespaces(), [cluster.default_cidr(cidr)], service)]
    flows = Keeper(registries, flow_control.objects())
    for turn in itertools.count(1):
        await asyncio.sleep(UPKEEP_S)
        try:
            for each in often:
                await each.ensure()
            await serve_default_cidr(registries)
            if turn % FLOW_CONTROL_EVERY == 0:
                await flows.ensure()
        except Exception as error:
            log.warning("upkeep: %s; trying again in %s s", error or type(error).__name__, UPKEEP_S)


async def serve_default_cidr(registries: Registries) -> None:
    """Say in the status of the default ServiceCIDR that it gives out addresses, where nothing is said yet and it is ours."""
    cache = registries.get(cluster.SERVICE_CIDRS).cache
    await cache.catch_up()
    entry = cache.get("", cluster.DEFAULT_CIDR)
    if entry is None:
        return
    present = cache.object_of(entry)
    ours = [each.strip() for each in registries.service_cidr.split(",")]
    if is_deleting(present) or condition_of(present, "Ready") is not None or (present.get("spec") or {}).get("cidrs") != ours:
        return
    ready = {"type": "Ready", "status": "True", "message": cluster.CIDR_IS_READY}
    await apply_condition(registries, cluster.SERVICE_CIDRS, cluster.DEFAULT_CIDR, ready, manager=cluster.CIDR_MANAGER)
