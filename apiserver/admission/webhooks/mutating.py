"""MutatingAdmissionWebhook: the webhooks that a write is for are asked one after the other, and each sees what those before it made of it.

When one has changed something, all of admission runs once more, and of the webhooks those that ask for it (`reinvocationPolicy: IfNeeded`)
and had run before something changed. Source: apiserver `pkg/admission/plugin/webhook/mutating/{dispatcher,reinvocationcontext}.go`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

from apiserver.admission.policies.dispatch import Write, write_of
from apiserver.admission.policies.facts import Form
from apiserver.admission.policies.mutating import keep
from apiserver.admission.webhooks.asking import ask, form_for
from apiserver.admission.webhooks.hooks import Webhook
from apiserver.admission.webhooks.measured import Measured
from apiserver.admission.webhooks.patches import mutated, operations_of
from apiserver.admission.webhooks.review import Response
from apiserver.registry.admission import Attributes, Memory, Reinvocation
from apiserver.registry.changes import dedup_owners
from kube.errors import quoted
from kube.objects import Object

_MEMORY: Final = "MutatingAdmissionWebhook"
_OUTDATED: Final = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; "
    "please fix your requests: "
)


async def mutate(webhooks: Sequence[Webhook], attributes: Attributes, measured: Measured) -> None:
    """Change the object in place as the webhooks say. Raises ApiError where one refuses the write; adds warnings."""
    if attributes.reinvocation is None:
        attributes.reinvocation = Reinvocation()
    again = attributes.reinvocation
    memory: Memory = again.memory.setdefault(_MEMORY, Memory())
    write = await write_of(attributes)
    if again.is_again and memory.output != write.facts.obj:
        memory.changed()
    has_asked = False
    for webhook in webhooks:
        form = await form_for(webhook, write)
        if form is None or (again.is_again and webhook.uid not in memory.wanted):
            continue
        has_asked = True
        if await _asked(webhook, write, form, measured):
            memory.changed()
            again.is_wanted = True
        if webhook.reinvoked:
            memory.invoked.add(webhook.uid)
    if has_asked or again.is_again:
        memory.output = copy.deepcopy(write.facts.obj)


async def _asked(webhook: Webhook, write: Write, form: Form, measured: Measured) -> bool:
    """Whether the webhook has changed the object. Raises ApiError where the write is refused."""
    has_changed = False

    async def accept(response: Response) -> None:
        nonlocal has_changed
        operations = operations_of(webhook.name, response)
        if operations:
            has_changed = await _apply(webhook, write, form, operations)

    outcome = await ask(webhook, write, form, measured, accept)
    write.facts.attributes.ctx.warnings.extend(outcome.warnings)
    if outcome.refusal is not None:
        raise outcome.refusal
    return has_changed


async def _apply(webhook: Webhook, write: Write, form: Form, operations: list[object]) -> bool:
    facts = write.facts
    before = facts.shown(form)["object"]
    new = mutated(webhook.name, form, before, operations)
    has_changed = new != before
    _mend_managed_fields(new, before or {}, facts.attributes)
    form.default(new)
    facts.obj = new = await facts.held(form, new)
    if not facts.is_scale and new.get("metadata"):
        dedup_owners(new["metadata"], facts.attributes.ctx, again=True)
    keep(facts.attributes, new, is_scale=facts.is_scale)
    return has_changed


def _mend_managed_fields(new: Object, before: Object, attributes: Attributes) -> None:
    """Who made something of managedFields that they cannot be has them as they were, and is told."""
    metadata, was = new.get("metadata") or {}, (before.get("metadata") or {}).get("managedFields")
    entries = metadata.get("managedFields")
    problem = _problem_of(entries) if entries and entries != was else ""
    if not problem:
        return
    metadata.pop("managedFields")
    if was:
        metadata["managedFields"] = was
    attributes.ctx.warnings.append(f"{_OUTDATED}{problem}")


def _problem_of(entries: list[Object]) -> str:
    for index, each in enumerate(entries):
        fields_type = each.get("fieldsType") or ""
        if each.get("operation") not in ("Apply", "Update"):
            return "operation must be `Apply` or `Update`"
        if not each.get("apiVersion"):
            return "apiVersion must not be empty"
        if fields_type != "FieldsV1":
            return f"{f'invalid fieldsType {quoted(fields_type)}' if fields_type else 'missing fieldsType'} in managed fields entry {index}"
    return ""
