"""`python -m controllers manager|scheduler|cloud|metrics`: the control loops, as upstream's kube-controller-manager, kube-scheduler and
cloud-controller-manager, and the metrics server."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from controllers.cloud.balancing import Network
from controllers.cloud.local_cloud import RANGE, LocalCloud, ranges
from controllers.selection import Registered, UnknownController, selected
from kube.feature_gates import KNOWN, FeatureGateError, read_gates
from kube.runtime.component import Component, add_flags, port, run_component
from kube.schema.gotime import parse_duration

MANAGER_PORT, CLOUD_PORT, SCHEDULER_PORT = 10257, 10258, 10259
METRICS_PORT, METRICS_HEALTH_PORT = 4443, 10261


def duration(text: str) -> timedelta:
    """An argument that is a length of time, as Go writes it (`8760h0m0s`)."""
    try:
        return timedelta(microseconds=parse_duration(text) // 1000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 8760h or 30m") from error


def rate(text: str) -> float:
    """An argument that is a number above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return found


def true_or_false(text: str) -> bool:
    """An argument that is `true` or `false`."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def networks(text: str) -> tuple[Network, ...]:
    """An argument that is a range of addresses, or one of each family."""
    try:
        return ranges(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of addresses like {RANGE}: {error}") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m controllers", description="Wherry's control loops.", allow_abbrev=False)
    commands = p.add_subparsers(dest="command", required=True)
    manager = commands.add_parser("manager", help="the controllers (kube-controller-manager)", allow_abbrev=False)
    add_flags(manager, default_port=MANAGER_PORT, elects=True)
    _add_controllers(manager)
    manager.add_argument(
        "--feature-gates",
        action="append",
        default=[],
        metavar="NAME=BOOL[,...]",
        help=f"features to switch: {', '.join(KNOWN)} (off by default), AllAlpha, AllBeta; repeatable",
    )
    manager.add_argument(
        "--local-volume-directory",
        default="",
        metavar="DIR",
        help="where the directories of wherry.io/local volumes are on this machine; without it they are never touched",
    )
    manager.add_argument(
        "--node-monitor-grace-period", type=duration, metavar="TIME", help="a node that is silent for longer is lost (default 50s)"
    )
    manager.add_argument(
        "--node-eviction-rate", type=rate, metavar="N", help="of how many lost nodes of a zone pods are evicted a second (default 0.1)"
    )
    manager.add_argument(
        "--secondary-node-eviction-rate", type=rate, metavar="N", help="in a large zone most of which is lost (default 0.01)"
    )
    manager.add_argument("--cluster-cidr", metavar="CIDR", help="the addresses of pods; each node gets a part (default 10.244.0.0/16)")
    manager.add_argument("--node-cidr-mask-size", type=int, metavar="BITS", help="how large a node's part is (default 24)")
    manager.add_argument(
        "--cluster-signing-cert-file", default="", metavar="FILE", help="the CA (PEM) that signs CertificateSigningRequests"
    )
    manager.add_argument("--cluster-signing-key-file", default="", metavar="FILE", help="its key (PEM)")
    manager.add_argument(
        "--service-account-private-key-file", default="", metavar="FILE", help="the key (PEM) that signs tokens in Secrets"
    )
    manager.add_argument(
        "--cluster-signing-duration",
        type=duration,
        default="8760h0m0s",
        metavar="TIME",
        help="for how long certificates are valid at most (default 8760h0m0s)",
    )
    manager.add_argument(
        "--use-service-account-credentials",
        type=true_or_false,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="have each controller act as a ServiceAccount of its own in kube-system, with the rights of its role",
    )
    scheduler = commands.add_parser("scheduler", help="the scheduler (kube-scheduler)", allow_abbrev=False)
    add_flags(scheduler, default_port=SCHEDULER_PORT, elects=True, needs_kubeconfig=False)
    scheduler.add_argument("--config", default="", metavar="FILE", help="a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1)")
    scheduler.add_argument("--scheduler-name", default="", metavar="NAME", help="which pods are this one's to schedule, without --config")
    scheduler.set_defaults(leader_elect=None)
    cloud = commands.add_parser("cloud", help="the cloud's controllers, for a cluster on one machine", allow_abbrev=False)
    add_flags(cloud, default_port=CLOUD_PORT, elects=True)
    _add_controllers(cloud)
    cloud.add_argument(
        "--load-balancer-range",
        type=networks,
        default=RANGE,
        metavar="CIDR[,CIDR]",
        help=f"where load balancers have their addresses, one range for each family (default {RANGE}: all of loopback is this machine's)."
        " This process listens there",
    )
    cloud.add_argument(
        "--load-balancer-dial",
        choices=["port-forward", "pod-ip"],
        default="port-forward",
        help="how load balancers reach pods: through the API server (default; works wherever kubectl port-forward does), or at their"
        " addresses, where the network of pods can be reached from here",
    )
    metrics = commands.add_parser("metrics", help="the metrics server (metrics.k8s.io/v1beta1)", allow_abbrev=False)
    add_flags(metrics, default_port=METRICS_HEALTH_PORT, elects=False)
    metrics.add_argument(
        "--secure-port", type=port, default=METRICS_PORT, metavar="PORT", help=f"port to serve on, 0 for any (default {METRICS_PORT})"
    )
    metrics.add_argument(
        "--advertise-host", default="", metavar="HOST", help="address or name at which the API server finds it (default: the bind address)"
    )
    metrics.add_argument(
        "--metric-resolution", type=duration, default="15s", metavar="TIME", help="for how long what a node said is good (default 15s)"
    )
    return p


def _add_controllers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--controllers",
        default="*",
        metavar="LIST",
        help="which to run: '*' all that are on by default, 'name' this one, '-name' not this one",
    )


def main() -> int:
    flags = parser().parse_args()
    if flags.command == "cloud":
        return _cloud(flags)
    if flags.command == "manager":
        return _manager(flags)
    if flags.command == "metrics":
        return _metrics(flags)
    return _scheduler(flags)


def _chosen(flags: argparse.Namespace, command: str, known: Mapping[str, Registered[Any]]) -> list[str] | None:
    """What `--controllers` says; None, and a line on stderr, where it names one that does not exist."""
    chosen = [each.strip() for each in flags.controllers.split(",") if each.strip()]
    try:
        selected(chosen, known)
    except UnknownController as error:
        print(f"{command}: --controllers {flags.controllers}: {error}; there are {', '.join(known)}", file=sys.stderr)
        return None
    return chosen


def _manager(flags: argparse.Namespace) -> int:
    from controllers.manager.accounts import AccountClients, transport_of
    from controllers.manager.certificate_signing import Files
    from controllers.manager.manager import run_manager
    from controllers.manager.node_health import EvictionRates
    from controllers.manager.node_ipam import CLUSTER_CIDR, NODE_PREFIX, Ranges
    from controllers.manager.node_lifecycle import GRACE_S
    from controllers.manager.registry import CONTROLLERS, Options

    rates = {"usual": flags.node_eviction_rate, "disrupted": flags.secondary_node_eviction_rate}
    chosen = _chosen(flags, "kube-controller-manager", CONTROLLERS)
    if chosen is None:
        return 2
    try:
        gates = read_gates(flags.feature_gates)
    except FeatureGateError as error:
        print(f"kube-controller-manager: --feature-gates {','.join(flags.feature_gates)}: {error}", file=sys.stderr)
        return 2
    cluster_cidr, node_prefix = flags.cluster_cidr or CLUSTER_CIDR, flags.node_cidr_mask_size or NODE_PREFIX
    try:
        Ranges(cluster_cidr, node_prefix)
    except ValueError as error:
        print(f"kube-controller-manager: {error}", file=sys.stderr)
        return 2

    async def work(component: Component) -> None:
        root_ca = (component.config.ca_data or b"").decode()
        options = Options(
            root_ca=root_ca,
            node_monitor_grace_period_s=flags.node_monitor_grace_period.total_seconds() if flags.node_monitor_grace_period else GRACE_S,
            eviction_rates=EvictionRates(**{name: value for name, value in rates.items() if value is not None}),
            cluster_cidr=cluster_cidr,
            node_cidr_mask_size=node_prefix,
            local_volume_directory=flags.local_volume_directory,
            gates=gates,
            cluster_signing=Files(flags.cluster_signing_cert_file, flags.cluster_signing_key_file),
            cluster_signing_duration=flags.cluster_signing_duration,
            service_account_private_key_file=flags.service_account_private_key_file,
        )
        client_of = None
        if flags.use_service_account_credentials:
            transport = transport_of(component.config)
            component.closing.append(transport.close)
            client_of = AccountClients(transport, component.client, clock=component.clock).of
        await run_manager(
            component.client,
            clock=component.clock,
            rng=component.rng,
            controllers=chosen,
            options=options,
            client_of=client_of,
        )

    return run_component("kube-controller-manager", flags, work)


def _cloud(flags: argparse.Namespace) -> int:
    from controllers.cloud.balancer import Balancer
    from controllers.cloud.dialing import Dialer
    from controllers.cloud.registry import controllers_of
    from controllers.running import run_controllers

    cloud = LocalCloud(load_balancer_ranges=flags.load_balancer_range)
    chosen = _chosen(flags, "cloud-controller-manager", controllers_of(cloud))
    if chosen is None:
        return 2

    async def work(component: Component) -> None:
        logging.getLogger("cloud").info("load balancers get addresses of %s", ", ".join(map(str, cloud.load_balancer_ranges)))
        async with Balancer(Dialer(component.client, flags.load_balancer_dial), clock=component.clock) as balancer:
            known = controllers_of(cloud, balancer)
            running = {name: known[name] for name in selected(chosen, known)}
            await run_controllers(running, None, component.client, clock=component.clock, rng=component.rng)

    return run_component("cloud-controller-manager", flags, work)


def _metrics(flags: argparse.Namespace) -> int:
    from controllers.metrics.process import Settings, serve

    settings = Settings(flags.bind_address, flags.secure_port, flags.advertise_host, flags.metric_resolution.total_seconds())

    async def work(component: Component) -> None:
        await serve(component, settings)

    return run_component("metrics-server", flags, work)


def _scheduler(flags: argparse.Namespace) -> int:
    from controllers.scheduler.config.file import SchedulerConfigError
    from controllers.scheduler.config.models import KubeSchedulerConfiguration
    from controllers.scheduler.scheduler import Scheduler
    from controllers.scheduler.startup import configuration, terms_of

    try:
        config: KubeSchedulerConfiguration = configuration(flags)
    except SchedulerConfigError as error:
        print("\n".join(f"kube-scheduler: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2

    async def work(component: Component) -> None:
        clock, rng, events = component.clock, component.rng, component.events
        await Scheduler(component.client, component.informers, clock=clock, rng=rng, events=events, config=config).run()

    terms = terms_of(config.leader_election)
    return run_component("kube-scheduler", flags, work, event_source=config.profiles[0].scheduler_name, terms=terms)


if __name__ == "__main__":
    sys.exit(main())
