"""What is asked of whoever calls webhooks, and what comes of it: the interface that `apiserver/webhook_client.py` fills.

Admission and conversions of custom resources find it at `registries.webhooks`.
"""

from __future__ import annotations

from typing import Any, Protocol

from kube.errors import ApiError
from kube.objects import Object


class CallFailed(Exception):
    """A webhook did not answer, or not with a document. The text is client-go's: `Post "https://...": dial tcp ...`. `status` is the
    Status that it answered with or that its answer stands for; None where there was no answer."""

    def __init__(self, why: str, status: ApiError | None = None) -> None:
        super().__init__(why)
        self.status = status


class WebhookCaller(Protocol):
    """Calls webhooks."""

    async def post(self, config: Object, document: Object, *, timeout_s: float) -> Any:
        """The answer to `document` of the server at `config`, a WebhookClientConfig: a JSON value, whatever it may be. The webhook is told
        how many seconds it has (`timeout_s`, rounded up). Raises CallFailed."""
        ...


class NoWebhooks:
    """Where there are no sockets: every call fails."""

    async def post(self, config: Object, document: Object, *, timeout_s: float) -> Any:
        raise CallFailed("this server has no way to reach webhooks")
