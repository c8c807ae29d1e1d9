"""ValidatingAdmissionWebhook: the webhooks that a write is for are asked all at once.

Source: apiserver `pkg/admission/plugin/webhook/validating/dispatcher.go`. Where several refuse the write, the first in order is told of
(upstream: the first in time).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from apiserver.admission.policies.dispatch import write_of
from apiserver.admission.webhooks.asking import ask, form_for, seconds_left, too_late
from apiserver.admission.webhooks.hooks import Webhook
from apiserver.admission.webhooks.measured import Measured
from apiserver.registry.admission import Attributes


async def validate(webhooks: Sequence[Webhook], attributes: Attributes, measured: Measured) -> None:
    """Ask the webhooks about a write. Raises ApiError where one refuses it; adds warnings."""
    write = await write_of(attributes)
    found = [(webhook, form) for webhook in webhooks if (form := await form_for(webhook, write)) is not None]
    if not found:
        return
    left = seconds_left(attributes)
    if left is not None and left <= 0:
        raise too_late()
    if len(found) == 1:
        outcomes = [await ask(found[0][0], write, found[0][1], measured)]
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(webhook, write, form, measured)) for webhook, form in found]
        outcomes = [each.result() for each in tasks]
    for each in outcomes:
        attributes.ctx.warnings.extend(each.warnings)
    refusal = next((each.refusal for each in outcomes if each.refusal is not None), None)
    if refusal is not None:
        raise refusal
