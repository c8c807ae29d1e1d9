"""What a Service must have alone in the cluster: addresses, node ports, a health check's port. Claimed before it is even validated.

`begin` claims, and hands back how to end it: a write that failed gives back what was claimed, one that went through what it gave up
(another type). `after_delete` releases. Addresses are in `cluster_ips.py`, ports in `node_ports.py`, families in `service_families.py`,
fields that follow others in `service_fields.py`. Source: kubernetes `pkg/registry/core/service/storage/alloc.go`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from apiserver.kinds.core import cluster_ips, node_ports
from apiserver.kinds.core.service_families import HEADLESS, settle
from apiserver.kinds.core.service_fields import complete, has_node_ports, needs_health_check
from apiserver.registry.kind import Context, Finish
from kube.errors import InternalError, NotFound, invalid, invalid_object
from kube.objects import Object, name_of
from kube.resources import ENDPOINTS

Step = Callable[[], Awaitable[None]]


class Claims:
    """What one write has claimed, and what it gives up should it go through."""

    def __init__(self, registries: Any, service: Object, ctx: Context, ports: node_ports.NodePorts) -> None:
        self.registries, self.service, self.ctx = registries, service, ctx
        self.ports = node_ports.NodePorts(ports.used) if ctx.dry_run else ports
        self._undo: list[Step] = []
        self._later: list[Step] = []

    async def claim_ip(self, ip: str) -> None:
        await cluster_ips.claim(self.registries, self.service, ip, self.ctx)
        self._undo.append(lambda: self._return_ip(ip))

    async def claim_any_ip(self, family: str) -> str:
        ip = await cluster_ips.claim_any(self.registries, self.service, family, self.ctx)
        self._undo.append(lambda: self._return_ip(ip))
        return ip

    def give_up_ip(self, ip: str) -> None:
        self._later.append(lambda: self._return_ip(ip))

    def claim_port(self, port: int) -> None:
        self.ports.claim(port)
        self._undo.append(lambda: self._return_port(port))

    def claim_any_port(self) -> int:
        port = self.ports.claim_any(self.registries.rng)
        self._undo.append(lambda: self._return_port(port))
        return port

    def give_up_port(self, port: int) -> None:
        self._later.append(lambda: self._return_port(port))

    async def _return_ip(self, ip: str) -> None:
        await cluster_ips.release(self.registries, ip, self.ctx)

    async def _return_port(self, port: int) -> None:
        self.ports.release((port,))

    async def finish(self, went_through: bool) -> None:
        """See `registry/kind.py`, Finish."""
        steps = self._later if went_through else self._undo[::-1]
        if not self.ctx.dry_run:
            for step in steps:
                await step()


async def begin(new: Object, old: Object | None, ctx: Context, registries: Any) -> Finish | None:
    """Settle families, addresses and ports of a service about to be written. Raises Invalid or InternalError, with nothing claimed."""
    spec, before = new["spec"], old["spec"] if old is not None else None
    complete(spec, before)
    problems = settle(spec, before, cluster_ips.families(registries.service_cidr))
    if problems:
        raise invalid_object("Service", "", name_of(new), problems)
    claims = Claims(registries, new, ctx, await node_ports.of(registries))
    try:
        await (_claim_ips(claims, spec) if before is None else _change_ips(claims, spec, before))
        if before is None:
            _claim_ports(claims, spec)
        else:
            _change_ports(claims, spec, before)
        _change_health_check_port(claims, spec, before or {})
    except BaseException:
        await claims.finish(False)
        raise
    return claims.finish


async def after_delete(old: Object, ctx: Context, registries: Any) -> None:
    """Release what a deleted service held, and delete the Endpoints of its name."""
    spec, meta = old["spec"], old["metadata"]
    ports = await node_ports.of(registries)
    ports.release(node_ports.all_ports_of(spec))
    if spec.get("type") != "ExternalName":
        for ip in spec.get("clusterIPs") or ():
            if ip != HEADLESS:
                await cluster_ips.release(registries, ip, ctx)
    try:
        await registries.get(ENDPOINTS).delete(meta["namespace"], meta["name"], {}, cluster_ips.system_context(ctx, "delete"))
    except NotFound:
        pass


def _internal(why: str) -> InternalError:
    return InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})


# --- addresses --------------------------------------------------------------------------------------------------------


async def _claim_ips(claims: Claims, spec: Object) -> None:
    if spec.get("type") == "ExternalName" or (spec.get("clusterIPs") or [""])[0] == HEADLESS:
        return
    ips = list(spec.get("clusterIPs") or [])
    ips += [""] * (len(spec.get("ipFamilies") or []) - len(ips))
    for index, family in enumerate(spec.get("ipFamilies") or []):
        ips[index] = await _claim_one(claims, spec, family, ips[index])
    spec["clusterIPs"] = ips
    spec["clusterIP"] = ips[0]


async def _claim_one(claims: Claims, spec: Object, family: str, ip: str) -> str:
    if not ip:
        try:
            return await claims.claim_any_ip(family)
        except cluster_ips.RangeFull as error:
            raise _internal(f"failed to allocate a serviceIP: {error}") from error
    try:
        await claims.claim_ip(ip)
    except cluster_ips.NotAllocated as error:
        problem = invalid("spec.clusterIPs", spec.get("clusterIPs"), f"failed to allocate IP {ip}: {error}")
        raise invalid_object("Service", "", name_of(claims.service), [problem]) from error
    return ip


async def _change_ips(claims: Claims, spec: Object, before: Object) -> None:
    had = before.get("clusterIPs") or []
    if before.get("type") == "ExternalName":
        if spec.get("type") != "ExternalName":
            await _claim_ips(claims, spec)
        return
    if not had or had[0] == HEADLESS:
        return
    if spec.get("type") == "ExternalName":
        for ip in had:
            claims.give_up_ip(ip)
        return
    new_count, old_count = len(spec.get("ipFamilies") or []), len(before.get("ipFamilies") or [])
    if (old_count, new_count) == (1, 2):
        ips = [*(spec.get("clusterIPs") or []), ""][:2]
        ips[1] = await _claim_one(claims, spec, spec["ipFamilies"][1], ips[1])
        spec["clusterIPs"] = ips
    elif (old_count, new_count) == (2, 1):
        claims.give_up_ip(had[1])


# --- ports ------------------------------------------------------------------------------------------------------------


def _wants_node_ports(spec: Object) -> bool:
    return spec.get("type") == "NodePort" or (spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def _refuse_port(claims: Claims, index: int, port: int, error: Exception) -> Exception:
    problem = invalid(f"spec.ports[{index}].nodePort", port, str(error))
    return invalid_object("Service", "", name_of(claims.service), [problem])


def _any_port(claims: Claims) -> int:
    try:
        return claims.claim_any_port()
    except node_ports.PortNotAllocated as error:
        raise _internal(f"failed to allocate a nodePort: {error}") from error


def _claim_ports(claims: Claims, spec: Object) -> None:
    """Ports of one number (TCP and UDP) share a node port."""
    if not has_node_ports(spec):
        return
    chosen: dict[int, int] = {}
    for index, port in enumerate(spec.get("ports") or ()):
        asked, number = port.get("nodePort") or 0, port.get("port") or 0
        if not asked and not _wants_node_ports(spec):
            continue
        if number not in chosen:
            asked = next((each["nodePort"] for each in spec["ports"] if each.get("port") == number and each.get("nodePort")), 0)
            chosen[number] = port["nodePort"] = _claim_given(claims, index, asked) if asked else _any_port(claims)
        elif not asked:
            port["nodePort"] = chosen[number]
        elif asked != chosen[number]:
            _claim_given(claims, index, asked)


def _claim_given(claims: Claims, index: int, port: int) -> int:
    try:
        claims.claim_port(port)
    except node_ports.PortNotAllocated as error:
        raise _refuse_port(claims, index, port, error) from error
    return port


def _change_ports(claims: Claims, spec: Object, before: Object) -> None:
    had = node_ports.ports_of(before) if has_node_ports(before) else []
    if not has_node_ports(spec):
        for port in had:
            claims.give_up_port(port)
        return
    taken: set[int] = set()
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.get("ports") or ()):
        asked = port.get("nodePort") or 0
        if not asked and not _wants_node_ports(spec):
            continue
        if not asked:
            port["nodePort"] = _any_port(claims)
        elif asked not in had and asked not in taken:
            _claim_given(claims, index, asked)
            taken.add(asked)
        key = (port.get("protocol") or "", port["nodePort"])
        if key in seen:
            raise _internal(f"duplicate nodePort: {{{key[0]} {key[1]}}}")
        seen.add(key)
    for port in set(had) - set(node_ports.ports_of(spec)):
        claims.give_up_port(port)


def _change_health_check_port(claims: Claims, spec: Object, before: Object) -> None:
    if needs_health_check(spec) and not needs_health_check(before):
        asked = spec.get("healthCheckNodePort") or 0
        try:
            if asked:
                claims.claim_port(asked)
            else:
                spec["healthCheckNodePort"] = claims.claim_any_port()
        except node_ports.PortNotAllocated as error:
            what = f"requested HealthCheck NodePort {asked}" if asked else "a HealthCheck NodePort 0"
            raise _internal(f"failed to allocate {what}: {error}") from error
    elif needs_health_check(before) and not needs_health_check(spec):
        if before.get("healthCheckNodePort"):
            claims.give_up_port(before["healthCheckNodePort"])
        spec.pop("healthCheckNodePort", None)
