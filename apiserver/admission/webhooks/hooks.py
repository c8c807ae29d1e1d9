"""The webhooks that there are: read from the registry's cache, anew when a configuration changes.

Configurations are asked in the order of their names, the webhooks of one in its own.
Source: apiserver `pkg/admission/configuration/{mutating,validating}_webhook_manager.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apiserver.admission.policies.expressions import Expression
from apiserver.admission.policies.facts import Facts
from apiserver.admission.policies.matching import Match
from apiserver.admission.policies.policy import Policy
from apiserver.registry.admission import Attributes
from apiserver.validation.expressions import BOOL, NO_PARAMS
from kube.objects import Object, name_of

DEFAULT_TIMEOUT_S: Final = 10.0
SAFE_IN_DRY_RUNS: Final = ("None", "NoneOnDryRun")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of a configuration, read. `uid` tells it from all others; `policy` is what it is for, as a policy would say it."""

    uid: str
    name: str
    policy: Policy
    client_config: Object
    versions: Sequence[str]
    is_safe_in_dry_runs: bool
    timeout_s: float
    reinvoked: bool

    @property
    def ignores_failure(self) -> bool:
        return self.policy.ignores_failure


def webhooks_of(configuration: Object) -> Iterator[Webhook]:
    """The webhooks of a configuration that are for anything at all."""
    seen: dict[str, int] = {}
    for each in configuration.get("webhooks") or ():
        name = each.get("name") or ""
        count = seen[name] = seen.get(name, -1) + 1
        if each.get("rules"):
            yield _read(each, f"{name_of(configuration)}/{name}/{count}")


def _read(webhook: Mapping[str, Any], uid: str) -> Webhook:
    name = webhook.get("name") or ""
    match = Match.of({**webhook, "resourceRules": webhook["rules"]})
    conditions = [Expression(each.get("expression") or "", NO_PARAMS, (BOOL,)) for each in webhook.get("matchConditions") or ()]
    return Webhook(
        uid,
        name,
        Policy(name, match, webhook.get("failurePolicy") == "Ignore", None, {}, conditions),
        webhook.get("clientConfig") or {},
        webhook.get("admissionReviewVersions") or (),
        webhook.get("sideEffects") in SAFE_IN_DRY_RUNS,
        float(webhook.get("timeoutSeconds") or DEFAULT_TIMEOUT_S),
        webhook.get("reinvocationPolicy") == "IfNeeded",
    )


def concerned(webhooks: Sequence[Webhook], attributes: Attributes) -> list[Webhook]:
    """The webhooks that may be for writes of this kind, operation and subresource: the same for all of them."""
    facts = Facts(attributes)
    return [each for each in webhooks if each.policy.match.concerns(facts)]


class Known:
    """The webhooks of a cache of configurations. Each version of a configuration is read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], list[Webhook]] = {}

    def all(self, cache: Any) -> list[Webhook]:
        """Those of all configurations, in order."""
        before, self._read = self._read, {}
        for entry in sorted(cache.entries(), key=lambda each: each.name):
            key = entry.name, entry.revision
            self._read[key] = before.get(key) or list(webhooks_of(cache.object_of(entry)))
        return [webhook for found in self._read.values() for webhook in found]
