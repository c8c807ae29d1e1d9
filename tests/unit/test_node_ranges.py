"""Which ranges of pod addresses are free for a new node."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from controllers.manager.node_ipam import Ranges

CLUSTER = IPv4Network("10.0.0.0/22")

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
