"""Which ranges of pod addresses are free for a new node."""

from __future__ import annotations

import pytest

from controllers.manager.node_ipam import Ranges

CLUSTER = "10.0.0.0/22"

TAKEN: dict[str, tuple[list[str], str | None]] = {
    "none yet": ([], "10.0.0.0/24"),
    "the first": (["10.0.0.0/24"], "10.0.1.0/24"),
    "the first gap": (["10.0.0.0/24", "10.0.2.0/24"], "10.0.1.0/24"),
    "a larger one by hand": (["10.0.0.0/23"], "10.0.2.0/24"),
    "a smaller one by hand": (["10.0.0.64/26"], "10.0.1.0/24"),
    "others do not matter": (["10.1.0.0/24", "9.255.255.0/24", "fd00::/64", "nonsense"], "10.0.0.0/24"),
    "more than the cluster has": (["10.0.0.0/8"], None),
    "all": ([f"10.0.{number}.0/24" for number in range(4)], None),
}


@pytest.mark.parametrize(("taken", "free"), TAKEN.values(), ids=TAKEN.keys())
def test_the_first_free_range(taken: list[str], free: str | None) -> None:
    ranges = Ranges(CLUSTER)
    for each in taken:
        ranges.take(each)
    assert ranges.first_free() == free
    for each in taken:
        ranges.give_back(each)
    assert ranges.first_free() == "10.0.0.0/24"


def test_a_range_that_two_have_taken_is_free_when_both_are_gone() -> None:
    ranges = Ranges(CLUSTER)
    ranges.take("10.0.0.0/24")
    ranges.take("10.0.0.0/24")
    ranges.give_back("10.0.0.0/24")
    assert ranges.first_free() == "10.0.1.0/24"
    ranges.give_back("10.0.0.0/24")
    assert ranges.first_free() == "10.0.0.0/24"


def test_nodes_may_get_smaller_parts() -> None:
    ranges = Ranges("10.0.0.0/24", 26)
    ranges.take("10.0.0.0/26")
    assert ranges.first_free() == "10.0.0.64/26"


WRONG = {
    "no range": ("pods", 24, "--cluster-cidr pods: 'pods' does not appear to be an IPv4 or IPv6 network"),
    "an address within": ("10.0.0.1/16", 24, "--cluster-cidr 10.0.0.1/16: 10.0.0.1/16 has host bits set"),
    "of the other family": ("fd00::/56", 64, "--cluster-cidr fd00::/56: must be an IPv4 range"),
    "parts larger than the whole": ("10.0.0.0/16", 8, "--node-cidr-mask-size 8: must be from 16 (--cluster-cidr) to 30"),
    "parts too small for pods": ("10.0.0.0/16", 31, "--node-cidr-mask-size 31: must be from 16 (--cluster-cidr) to 30"),
}


@pytest.mark.parametrize(("cidr", "prefix", "said"), WRONG.values(), ids=WRONG.keys())
def test_ranges_that_cannot_be_divided_name_the_flag(cidr: str, prefix: int, said: str) -> None:
    with pytest.raises(ValueError, match="--") as caught:
        Ranges(cidr, prefix)
    assert str(caught.value) == said
