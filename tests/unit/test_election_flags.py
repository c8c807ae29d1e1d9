"""The flags of leader election, and what is said of those that make no sense."""

from __future__ import annotations

import argparse

import pytest

from kube.runtime.election import Terms
from kube.runtime.election_flags import ElectionFlagsError, add_election_flags, terms_of_flags

OTHERWISE = Terms(name="kube-scheduler", lease_duration_s=15, renew_deadline_s=10.0, retry_period_s=2.0)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_election_flags(parser)
    return parser.parse_args(list(words))


GIVEN: dict[str, tuple[tuple[str, ...], Terms]] = {
    "none": ((), OTHERWISE),
    "all": (
        (
            "--leader-elect-lease-duration=1m",
            "--leader-elect-renew-deadline=40s",
            "--leader-elect-retry-period=500ms",
            "--leader-elect-resource-name=mine",
            "--leader-elect-resource-namespace=ops",
        ),
        Terms(name="mine", namespace="ops", lease_duration_s=60, renew_deadline_s=40.0, retry_period_s=0.5),
    ),
    "one, and the rest as configured": (
        ("--leader-elect-retry-period=1s",),
        Terms(name="kube-scheduler", lease_duration_s=15, renew_deadline_s=10.0, retry_period_s=1.0),
    ),
}


@pytest.mark.parametrize(("words", "expected"), GIVEN.values(), ids=GIVEN.keys())
def test_terms(words: tuple[str, ...], expected: Terms) -> None:
    assert terms_of_flags(parsed(*words), OTHERWISE) == expected


REFUSED = {
    "a deadline beyond the lease": ("--leader-elect-renew-deadline=15s", r"--leader-elect-lease-duration \(15s\) must be greater"),
    "a period near the deadline": (
        "--leader-elect-retry-period=9s",
        r"--leader-elect-renew-deadline \(10s\) must be greater than 1.2 times",
    ),
}


@pytest.mark.parametrize(("word", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_terms_that_make_no_sense_are_refused(word: str, why: str) -> None:
    with pytest.raises(ElectionFlagsError, match=why):
        terms_of_flags(parsed(word), OTHERWISE)


@pytest.mark.parametrize("word", ["--leader-elect-lease-duration=soon", "--leader-elect-retry-period=0s", "--leader-elect=perhaps"])
def test_words_that_are_no_times_are_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(word)


@pytest.mark.parametrize(("words", "elects"), [((), False), (("--leader-elect",), True), (("--leader-elect=false",), False)])
def test_whether_there_is_an_election(words: tuple[str, ...], elects: bool) -> None:
    assert parsed(*words).leader_elect is elects
