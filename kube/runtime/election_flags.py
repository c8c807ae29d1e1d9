"""The flags of leader election: upstream's names and defaults. Source: component-base `config/options/leaderelectionconfig.go`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from kube.runtime.election import JITTER, LEASE_DURATION_S, RENEW_DEADLINE_S, RETRY_PERIOD_S, Terms
from kube.schema.gotime import parse_duration


class ElectionFlagsError(ValueError):
    """Flags that do not go together; the text names them."""


def add_election_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to a command line; those that are not given are None (--leader-elect: False)."""
    # deviates: --leader-elect is off unless asked for: a component that is alone need not wait for a Lease when it is started again
    parser.add_argument(
        "--leader-elect", type=flag, nargs="?", const=True, default=False, metavar="BOOL", help="work only while holding the Lease"
    )
    for name, what, default in (
        ("lease-duration", "how long a Lease that is not renewed keeps the others waiting", LEASE_DURATION_S),
        ("renew-deadline", "how long the leader tries to renew before it stops", RENEW_DEADLINE_S),
        ("retry-period", "how often the Lease is looked at and renewed", RETRY_PERIOD_S),
    ):
        parser.add_argument(f"--leader-elect-{name}", type=_seconds, metavar="TIME", help=f"{what} (default {default:g}s)")
    parser.add_argument("--leader-elect-resource-name", metavar="NAME", help="the Lease's name (default: the component's)")
    parser.add_argument("--leader-elect-resource-namespace", metavar="NAME", help="the Lease's namespace (default kube-system)")


def terms_of_flags(flags: argparse.Namespace, otherwise: Terms) -> Terms:
    """`otherwise`, but for what the flags say. Raises ElectionFlagsError."""
    given = {
        "name": flags.leader_elect_resource_name,
        "namespace": flags.leader_elect_resource_namespace,
        "lease_duration_s": flags.leader_elect_lease_duration,
        "renew_deadline_s": flags.leader_elect_renew_deadline,
        "retry_period_s": flags.leader_elect_retry_period,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "lease_duration_s" in changes:
        changes["lease_duration_s"] = int(changes["lease_duration_s"])  # a Lease counts whole seconds
    terms = replace(otherwise, **changes)
    if terms.lease_duration_s <= terms.renew_deadline_s:
        raise ElectionFlagsError(
            f"--leader-elect-lease-duration ({terms.lease_duration_s}s) must be greater than --leader-elect-renew-deadline"
            f" ({terms.renew_deadline_s:g}s)"
        )
    if terms.renew_deadline_s <= terms.retry_period_s * JITTER:
        raise ElectionFlagsError(
            f"--leader-elect-renew-deadline ({terms.renew_deadline_s:g}s) must be greater than {JITTER:g} times --leader-elect-retry-period"
            f" ({terms.retry_period_s:g}s)"
        )
    return terms


def flag(text: str) -> bool:
    """An argument that is true or false."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text) / 1e9
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 15s") from error
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not greater than zero")
    return seconds
