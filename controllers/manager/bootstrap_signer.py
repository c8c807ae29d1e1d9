"""The ConfigMap kube-public/cluster-info is signed by every bootstrap token that may, so that who joins knows whom it talks to.

Off by default, as upstream. Source: upstream `pkg/controller/bootstrap/bootstrapsigner.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from kube.objects import Object
from kube.resources import CONFIG_MAPS, SECRETS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Update, perform

from .bootstrap_token import NAMESPACE, SIGNATURE, TYPE, detached_signature, signing_tokens

NAME: Final = "cluster-info"
KUBECONFIG: Final = "kubeconfig"
RESYNC_S: Final = 60.0
_KEY = f"kube-public/{NAME}"


def plan(desired: Object, observed: Iterable[Object], now: datetime) -> list[Action]:
    """Give the ConfigMap the signatures of the tokens in `observed`, and those alone."""
    data = desired.get("data") or {}
    content = data.get(KUBECONFIG)
    if content is None:
        return []
    others = {key: value for key, value in data.items() if not key.startswith(SIGNATURE)}
    signed = {
        SIGNATURE + token_id: detached_signature(content, token_id, secret) for token_id, secret in signing_tokens(observed, now).items()
    }
    wanted = {**others, **signed}
    return [] if wanted == data else [Update(CONFIG_MAPS, {**desired, "data": wanted})]


class BootstrapSigner:
    """The only key is that of the ConfigMap."""

    name = "bootstrapsigner"
    tick_s = RESYNC_S

    def start(self, run: Run) -> None:
        self.run = run
        self.config_maps = run.informers.of(CONFIG_MAPS, namespace="kube-public", field_selector=f"metadata.name={NAME}")
        self.secrets = run.informers.of(SECRETS, namespace=NAMESPACE, field_selector=f"type={TYPE}")
        for informer in (self.config_maps, self.secrets):
            informer.add_handler(lambda old, new: run.queue.add(_KEY))

    async def tick(self) -> None:
        """Tokens expire without anybody changing them."""
        self.run.queue.add(_KEY)

    async def reconcile(self, key: str) -> float | None:
        config_map = self.config_maps.get(_KEY)
        if config_map is not None:
            actions = plan(config_map, self.secrets.list(), self.run.clock.now())
            await perform(actions, client=self.run.client, events=self.run.events)
        return None
