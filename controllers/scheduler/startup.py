"""What `python -m controllers scheduler` makes of its flags: the configuration, with and without a file."""

from __future__ import annotations

import argparse

from controllers.scheduler.config.file import SchedulerConfigError, load_configuration
from controllers.scheduler.config.models import DEFAULT_SCHEDULER, KubeSchedulerConfiguration, KubeSchedulerProfile, LeaderElection
from controllers.scheduler.extender import extenders_of
from controllers.scheduler.profiles import check
from kube.runtime.election import Terms


def configuration(flags: argparse.Namespace) -> KubeSchedulerConfiguration:
    """That of `--config`, or the default one. Flags that were given count before the file; those that were not are set from it.
    Raises SchedulerConfigError."""
    if flags.config:
        config = _from_file(flags.config)
        if flags.scheduler_name:
            raise SchedulerConfigError("--scheduler-name goes without --config only: profiles name their schedulers themselves")
    else:
        name = flags.scheduler_name or DEFAULT_SCHEDULER
        profile, election = KubeSchedulerProfile(scheduler_name=name), LeaderElection(leader_elect=False)
        config = KubeSchedulerConfiguration(profiles=(profile,), leader_election=election)
    if flags.leader_elect is None:
        flags.leader_elect = config.leader_election.leader_elect
    flags.kubeconfig = flags.kubeconfig or config.client_connection.kubeconfig
    if not flags.kubeconfig:
        raise SchedulerConfigError("--kubeconfig is required, or clientConnection.kubeconfig in the file of --config")
    return config


def _from_file(path: str) -> KubeSchedulerConfiguration:
    config = load_configuration(path)
    try:
        check(config)
        extenders_of(config)
    except SchedulerConfigError as error:
        raise SchedulerConfigError(f"{path}: {error}") from None
    return config


def terms_of(election: LeaderElection) -> Terms:
    return Terms(
        name=election.resource_name,
        namespace=election.resource_namespace,
        lease_duration_s=int(election.lease_duration),
        renew_deadline_s=election.renew_deadline,
        retry_period_s=election.retry_period,
    )
