"""Pod addresses of one node, given out one after the other so that a freed one rests before it is used again."""

from __future__ import annotations

import ipaddress

from kubelet.runtime.base import CRIError

_FIRST = 2
"""x.x.x.0 is the network, .1 the node's own end of it."""


class AddressPool:
    """The addresses of one CIDR. Not thread-safe, never blocks."""

    def __init__(self, cidr: str) -> None:
        try:
            self._network = ipaddress.ip_network(cidr)
        except ValueError as error:
            raise CRIError(f"pod CIDR {cidr!r}: {error}") from error
        self._size = min(self._network.num_addresses - 1, 1 << 20)
        self._next = _FIRST
        self._used: set[str] = set()

    def reserve(self, address: str) -> None:
        """Mark an address that somebody already has; one from elsewhere is none of our business."""
        try:
            if ipaddress.ip_address(address) in self._network:
                self._used.add(address)
        except ValueError as error:
            raise CRIError(f"pod IP {address!r}: {error}") from error

    def take(self) -> str:
        """A free address. Raises CRIError when there is none."""
        for _ in range(_FIRST, self._size):
            address = str(self._network[self._next])
            self._next = self._next + 1 if self._next + 1 < self._size else _FIRST
            if address not in self._used:
                self._used.add(address)
                return address
        raise CRIError(f"failed to allocate for range 0: no IP addresses available in range set: {self._network}")

    def give_back(self, address: str) -> None:
        self._used.discard(address)


def cidr_of_index(index: int) -> str:
    """The pod CIDR of the node with this number where nobody assigned one: 10.244.<n>.0/24, going on in 10.245. and so on, and after
    10.255. in 10.1. (10.0. is left to Services). Of 65,280 nodes and more, some share a range."""
    return f"10.{(243 + index // 256) % 255 + 1}.{index % 256}.0/24"
