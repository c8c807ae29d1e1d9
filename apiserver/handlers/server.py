"""What the handlers work with: one per server process, handed to each request."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from apiserver.registry.registry import Registries
from kube.clock import Clock


@dataclass(slots=True)
class Server:
    """`kubelets` opens connections to node agents (see `connect.py`); `documents` are discovery and OpenAPI.
    For `kubelet_address_types` and `aggregator_routing` see the settings of `--kubelet-preferred-address-types` and
    `--enable-aggregator-routing`."""

    registries: Registries
    clock: Clock
    rng: random.Random
    kubelets: Any = None
    kubelet_address_types: tuple[str, ...] = ()
    aggregator_routing: bool = False
    stopping: bool = False
    bookmark_s: float = 60.0
    extra: dict[str, Any] = field(default_factory=dict)
