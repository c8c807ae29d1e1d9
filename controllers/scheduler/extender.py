"""An extender: a web hook outside that has a say in scheduling, older than plugins. This is the client of one; when it is asked is in
`extending.py`. Source: `pkg/scheduler/extender.go`, `k8s.io/kube-scheduler/extender/v1/types.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from controllers.scheduler.config import models
from controllers.scheduler.config.file import SchedulerConfigError
from controllers.scheduler.framework import Candidate, PluginError
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from kube.client.base import Transport
from kube.client.config import ClientConfig, ConfigError, ssl_context
from kube.client.transport import HttpTransport
from kube.objects import name_of

_SCORE_FACTOR = 10
"""Extenders score from 0 to 10, plugins from 0 to 100."""


class ExtenderError(PluginError):
    """An extender did not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """`left` are the names of the nodes that it lets pass; the others with why, those of `never` whoever is removed from them."""

    left: Sequence[str]
    failed: Mapping[str, str] = field(default_factory=dict)
    never: Mapping[str, str] = field(default_factory=dict)


class Extender:
    """Every question raises ExtenderError."""

    def __init__(self, told: models.Extender, transport: Transport) -> None:
        self.name = told.url_prefix
        self.filters, self.prioritizes = bool(told.filter_verb), bool(told.prioritize_verb)
        self.preempts, self.binds = bool(told.preempt_verb), bool(told.bind_verb)
        self.is_ignorable = told.ignorable
        self._told, self._transport = told, transport
        self._managed = frozenset(each.name for each in told.managed_resources)

    def is_interested(self, pod: PodInfo) -> bool:
        """Whether the pod asks for a resource that it manages; where it manages none, every pod is its business."""
        if not self._managed:
            return True
        containers = [*(pod.spec.get("containers") or ()), *(pod.spec.get("initContainers") or ())]
        asked = [each.get("resources") or {} for each in containers]
        return any(self._managed & {*(each.get("requests") or ()), *(each.get("limits") or ())} for each in asked)

    async def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Filtered:
        answer = await self._ask(self._told.filter_verb, self._about(pod, nodes))
        if answer.get("error"):
            raise ExtenderError(str(answer["error"]))
        names = answer.get("nodenames")
        if not self._told.node_cache_capable or names is None:
            names = [name_of(each) for each in (answer.get("nodes") or {}).get("items") or ()]
        unknown = set(names) - {each.name for each in nodes}
        if unknown:
            raise ExtenderError(f'extender "{self.name}" claims a filtered node "{min(unknown)}" which is not found in the input node list')
        return Filtered(names, answer.get("failednodes") or {}, answer.get("failedandunresolvablenodes") or {})

    async def prioritize(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Mapping[str, int]:
        """Points by node name, to be added to those of the plugins."""
        scores = await self._send(self._told.prioritize_verb, self._about(pod, nodes))
        if not isinstance(scores, list):
            raise ExtenderError(f"extender {self.name} has answered no list of scores")
        lowered = [_lowered(each) for each in scores]
        return {each.get("host", ""): int(each.get("score") or 0) * self._told.weight * _SCORE_FACTOR for each in lowered}

    async def preempt(self, pod: PodInfo, candidates: Iterable[Candidate], nodes: Mapping[str, NodeInfo]) -> list[Candidate]:
        """Those of the candidates that it agrees to, with the victims that it names."""
        if self._told.node_cache_capable:
            victims = {each.node: _victims([{"UID": pod.uid} for pod in each.victims], each) for each in candidates}
            about = {"Pod": pod.pod, "NodeNameToVictims": None, "NodeNameToMetaVictims": victims}
        else:
            victims = {each.node: _victims([pod.pod for pod in each.victims], each) for each in candidates}
            about = {"Pod": pod.pod, "NodeNameToVictims": victims, "NodeNameToMetaVictims": None}
        answer = await self._ask(self._told.preempt_verb, about)
        agreed = answer.get("nodenametometavictims") or {}
        return [self._candidate(name, _lowered(each), nodes.get(name)) for name, each in agreed.items()]

    def _candidate(self, name: str, told: Mapping[str, Any], node: NodeInfo | None) -> Candidate:
        there = {pod.uid: pod for pod in node.pods.values()} if node is not None else {}
        victims: list[PodInfo] = []
        for each in told.get("pods") or ():
            uid = _lowered(each).get("uid", "")
            if uid not in there:
                raise ExtenderError(
                    f"extender: {self.name} claims to preempt pod (UID: {uid}) on node: {name}, but the pod is not found on that node"
                )
            victims.append(there[uid])
        if not victims:
            raise ExtenderError(f'expected at least one victim pod on node "{name}"')
        return Candidate(name, tuple(victims), int(told.get("numpdbviolations") or 0))

    async def bind(self, pod: PodInfo, node: str) -> None:
        about = {"PodName": pod.name, "PodNamespace": pod.namespace, "PodUID": pod.uid, "Node": node}
        answer = await self._ask(self._told.bind_verb, about)
        if answer.get("error"):
            raise ExtenderError(str(answer["error"]))

    async def close(self) -> None:
        await self._transport.close()

    def _about(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> dict[str, Any]:
        if self._told.node_cache_capable:
            return {"Pod": pod.pod, "Nodes": None, "NodeNames": [each.name for each in nodes]}
        return {"Pod": pod.pod, "Nodes": {"metadata": {}, "items": [each.node for each in nodes]}, "NodeNames": None}

    async def _ask(self, verb: str, about: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self._send(verb, about)
        if not isinstance(answer, dict):
            raise ExtenderError(f"extender {self.name} has answered {verb} with no object")
        return _lowered(answer)

    async def _send(self, verb: str, about: Mapping[str, Any]) -> Any:
        timeout_s = self._told.http_timeout or 5.0
        headers = {"Content-Type": "application/json"}
        try:
            answer = await self._transport.request("POST", f"/{verb}", headers=headers, body=orjson.dumps(about), timeout_s=timeout_s)
        except OSError as error:
            raise ExtenderError(f"extender {self.name}: {error}") from error
        if answer.status != 200:
            url = f"{self.name.rstrip('/')}/{verb}"
            raise ExtenderError(f"failed {verb} with extender at URL {url}, code {answer.status}")
        try:
            return orjson.loads(answer.body)
        except ValueError as error:
            raise ExtenderError(f"extender {self.name} has answered {verb} with what is not JSON: {error}") from error


def _victims(pods: list[Any], candidate: Candidate) -> dict[str, Any]:
    return {"Pods": pods, "NumPDBViolations": candidate.violations}


def _lowered(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Go reads the names of fields in any case."""
    return {key.lower(): value for key, value in answer.items()}


def extenders_of(config: models.KubeSchedulerConfiguration) -> list[Extender]:
    """The extenders of a configuration. Raises SchedulerConfigError for TLS files that cannot be used."""
    return [Extender(each, _transport(f"extenders[{index}]", each)) for index, each in enumerate(config.extenders)]


def resources_ignored(extenders: Iterable[models.Extender]) -> frozenset[str]:
    """The resources that extenders alone see to: NodeResourcesFit does not look for room for them."""
    return frozenset(each.name for extender in extenders for each in extender.managed_resources if each.ignored_by_scheduler)


def _transport(path: str, told: models.Extender) -> Transport:
    tls = told.tls_config or models.ExtenderTLSConfig()
    url = urlsplit(told.url_prefix)
    if told.enable_https and url.scheme == "http":
        raise SchedulerConfigError(f"{path}.urlPrefix: must be an https URL, as enableHTTPS is set")
    config = ClientConfig(server=told.url_prefix, tls_server_name=tls.server_name)
    try:
        ca = tls.ca_data or _content(tls.ca_file)
        config = replace(
            config,
            ca_data=ca,
            insecure_skip_tls_verify=tls.insecure or (told.enable_https and not ca),  # upstream asks no one else's CA, either
            client_cert_data=tls.cert_data or _content(tls.cert_file),
            client_key_data=tls.key_data or _content(tls.key_file),
        )
        context = ssl_context(config) if url.scheme == "https" else None
        return HttpTransport(told.url_prefix.rstrip("/"), context, tls_server_name=tls.server_name or None)
    except (OSError, ConfigError, ValueError) as error:
        raise SchedulerConfigError(f"{path}.tlsConfig: {error}") from error


def _content(file: str) -> bytes | None:
    return Path(file).read_bytes() if file else None
