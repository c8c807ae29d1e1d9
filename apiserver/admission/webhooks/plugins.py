"""The two plugins. A server without webhooks loads nothing of what they would need, and asks only whether there is a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from apiserver.admission.webhooks.measured import Measured
from apiserver.registry.admission import Attributes
from kube.resources import Resource

if TYPE_CHECKING:
    from apiserver.admission.webhooks.hooks import Webhook

_GROUP: Final = "admissionregistration.k8s.io"
MUTATING: Final = Resource(_GROUP, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False)
VALIDATING: Final = Resource(_GROUP, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False)
_EXEMPT: Final = frozenset(
    {
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    }
)
"""What of the group no webhook is asked about: a cluster could not be mended any more."""


class _Webhooks:
    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._registries: Any = None
        self._cache: Any = None
        self._known: Any = None
        self._webhooks: Sequence[Webhook] = ()
        self._as_of = (-1, -1)
        self._concerned: dict[tuple[Resource, str, str], Sequence[Webhook]] = {}
        self.measured = Measured()

    def is_idle(self, registries: Any) -> bool:
        """See `Chain`."""
        return registries is self._registries and self._cache is not None and bool(self._cache.is_known_empty)

    async def _current(self, attributes: Attributes) -> Sequence[Webhook]:
        """The webhooks that may be for such a write; none about what no webhook is for."""
        if self._registries is not attributes.registries:
            self._find(attributes.registries)
        cache = self._cache
        if cache is None:
            return ()
        await cache.catch_up()
        if not cache.count():
            return ()
        resource = attributes.kind.resource
        if attributes.ctx.is_part or (resource.group == _GROUP and resource.plural in _EXEMPT):
            return ()
        as_of = cache.changes, attributes.registries.generation
        if as_of != self._as_of:
            self._read(cache)
            self._as_of = as_of
        key = resource, attributes.operation, attributes.ctx.subresource
        found = self._concerned.get(key)
        if found is None:
            from apiserver.admission.webhooks.hooks import concerned

            found = self._concerned[key] = concerned(self._webhooks, attributes)
        return found

    def _read(self, cache: Any) -> None:
        from apiserver.admission.webhooks.hooks import Known

        self._known = self._known or Known()
        self._webhooks = self._known.all(cache)
        self._concerned.clear()

    def _find(self, registries: Any) -> None:
        served = registries.served(self._resource.group, self._resource.version, self._resource.plural)
        self._cache = served.registry.cache if served is not None else None
        self._registries, self._as_of, self._known = registries, (-1, -1), None


class MutatingWebhooks(_Webhooks):
    """MutatingAdmissionWebhook: see `mutating.py`."""

    def __init__(self) -> None:
        super().__init__(MUTATING)

    async def mutate(self, attributes: Attributes) -> None:
        webhooks = await self._current(attributes)
        if webhooks:
            from apiserver.admission.webhooks.mutating import mutate

            await mutate(webhooks, attributes, self.measured)


class ValidatingWebhooks(_Webhooks):
    """ValidatingAdmissionWebhook: see `validating.py`."""

    def __init__(self) -> None:
        super().__init__(VALIDATING)

    async def validate(self, attributes: Attributes) -> None:
        webhooks = await self._current(attributes)
        if webhooks:
            from apiserver.admission.webhooks.validating import validate

            await validate(webhooks, attributes, self.measured)
