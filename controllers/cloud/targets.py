"""Which endpoints are behind a load balancer's ports, as informers have them: worked out when asked for, kept until something changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kube.client.informer import Informers
from kube.objects import Object, key_of, labels_of, namespace_of
from kube.resources import ENDPOINT_SLICES, SERVICES

from .balancing import Backend, Frontend, backends

SERVICE_NAME: Final = "kubernetes.io/service-name"
_INDEX: Final = "service"


class Targets:
    """`of` a frontend. `nodes` says which nodes take traffic; tell it with `nodes_changed` when that changes."""

    def __init__(self, informers: Informers, nodes: Callable[[], frozenset[str]]) -> None:
        self._services, self._slices, self._nodes = informers.of(SERVICES), informers.of(ENDPOINT_SLICES), nodes
        self._known: dict[str, dict[Frontend, tuple[Backend, ...]]] = {}
        self._slices.add_index(_INDEX, services_of)
        self._slices.add_handler(self._slice_changed)
        self._services.add_handler(self._service_changed)

    def of(self, frontend: Frontend) -> tuple[Backend, ...]:
        """Where a connection to it may go now."""
        known = self._known.setdefault(frontend.service, {})
        found = known.get(frontend)
        if found is None:
            service = self._services.get(frontend.service)
            slices = self._slices.by_index(_INDEX, frontend.service)
            found = known[frontend] = () if service is None else backends(service, frontend, slices, self._nodes())
        return found

    def nodes_changed(self) -> None:
        self._known.clear()

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        for each in (old, new):
            for key in services_of(each) if each is not None else ():
                self._known.pop(key, None)

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        for each in (old, new):
            if each is not None:
                self._known.pop(key_of(each), None)


def services_of(of: Object) -> list[str]:
    """The key of the Service that the slice belongs to."""
    name = labels_of(of).get(SERVICE_NAME)
    return [f"{namespace_of(of)}/{name}"] if name else []
