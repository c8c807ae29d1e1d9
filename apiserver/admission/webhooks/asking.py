"""One webhook is asked about one write: whether it is to be at all, what is said and answered, and what becomes of failures.

Source: apiserver `pkg/admission/plugin/webhook/generic/webhook.go` (ShouldCallHook), `{mutating,validating}/dispatcher.go`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from apiserver.admission.policies.dispatch import Write
from apiserver.admission.policies.expressions import EvaluationError
from apiserver.admission.policies.facts import Form
from apiserver.admission.webhooks.hooks import Webhook
from apiserver.admission.webhooks.measured import Measured
from apiserver.admission.webhooks.review import Response, Undecodable, Unfit, denial, no_dry_run, read, review, version_for
from apiserver.registry.admission import Attributes
from apiserver.registry.metadata import new_uid
from apiserver.registry.webhooks import CallFailed
from kube.errors import ApiError, BadRequest, InternalError, ServiceUnavailable, Timeout, forbidden, quoted


class NotAsked(Exception):
    """A webhook could not be asked, or has not answered: its failurePolicy says what that means, unless `is_late`: the request itself has
    no more time. `code` is the status of it."""

    def __init__(self, why: str, code: int, *, is_late: bool = False) -> None:
        super().__init__(why)
        self.code, self.is_late = code, is_late


class Denied(Exception):
    """A webhook said no."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class Outcome(NamedTuple):
    """`refusal`: why the write is refused, None where it may go on."""

    refusal: ApiError | None
    warnings: Sequence[str] = ()


async def form_for(webhook: Webhook, write: Write) -> Form | None:
    """The version of the object that the webhook is to see; None where it is not for this write. Raises ApiError where that cannot be
    said."""
    facts = write.facts
    form = webhook.policy.match.form(facts, write.labels())
    if form is None or not webhook.policy.conditions:
        return form
    await facts.see(form)
    try:
        return form if webhook.policy.is_wanted(write.seen(form)) else None
    except EvaluationError as error:
        raise forbidden(facts.resource.plural, facts.resource.group, facts.name, str(error)) from None


def seconds_left(attributes: Attributes) -> float | None:
    """How much of its time the request has left; None: it has all it wants."""
    limit = attributes.ctx.timeout_s
    if limit is None:
        return None
    passed: float = (attributes.registries.clock.now() - attributes.ctx.now).total_seconds()
    return limit - passed


def too_late() -> ApiError:
    return Timeout("Timeout: request did not complete within the allotted timeout", details={})


async def ask(
    webhook: Webhook, write: Write, form: Form, measured: Measured, accept: Callable[[Response], Awaitable[None]] | None = None
) -> Outcome:
    """Ask a webhook. `accept` is given what it answered when it allows the write, and for mutating ones alone; it may raise NotAsked and
    ApiError."""
    attributes = write.facts.attributes
    type_ = "admit" if accept is not None else "validating"
    started = measured.now()
    warnings: list[str] = []
    try:
        response = await _answer(webhook, write, form, mutating=accept is not None)
        warnings += response.warnings
        if not response.allowed:
            raise Denied(denial(webhook.name, response.result))
        if accept is not None:
            await accept(response)
        code, refusal, error_type = 200, None, ""
    except NotAsked as error:
        code, refusal, error_type = error.code, too_late() if error.is_late else _failure(webhook, error), "calling_webhook_error"
    except Denied as error:
        code, refusal, error_type = error.error.http_code, error.error, "no_error"
    except ApiError as error:
        code, refusal, error_type = 0, error, "apiserver_internal_error"
    operation, rejected = attributes.operation, refusal is not None
    measured.called(webhook.name, operation, type_, code, measured.now() - started, rejected=rejected)
    if rejected:
        measured.rejected(webhook.name, operation, type_, error_type, code)
    elif error_type:
        measured.failed_open(webhook.name, type_)
    return Outcome(refusal, warnings)


def _failure(webhook: Webhook, error: NotAsked) -> ApiError | None:
    if webhook.ignores_failure:
        return None
    why = f"failed calling webhook {quoted(webhook.name)}: {error}"
    return InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})


async def _answer(webhook: Webhook, write: Write, form: Form, *, mutating: bool) -> Response:
    """Raises NotAsked; BadRequest for a dry run that the webhook is not made for."""
    attributes = write.facts.attributes
    if attributes.ctx.dry_run and not webhook.is_safe_in_dry_runs:
        raise no_dry_run(webhook.name)
    version, uid = version_for(webhook.versions), new_uid(attributes.registries.rng)
    if not version:
        why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
        raise NotAsked(f"could not create admission objects: {why}", BadRequest.code)
    facts = write.facts
    await facts.see(form)
    document = review(version, uid, {**facts.request(form.resource, form.kind), **facts.shown(form)})
    left = seconds_left(attributes)
    timeout_s = webhook.timeout_s if left is None else max(min(webhook.timeout_s, left), 0.0)
    try:
        answer = await attributes.registries.webhooks.post(webhook.client_config, document, timeout_s=timeout_s)
        return read(answer, version=version, uid=uid, mutating=mutating)
    except CallFailed as error:
        code = error.status.http_code if error.status is not None else ServiceUnavailable.code
        is_late = timeout_s < webhook.timeout_s and isinstance(error.__cause__, TimeoutError)
        raise NotAsked(f"failed to call webhook: {error}", code, is_late=is_late) from error
    except Undecodable as error:
        raise NotAsked(f"failed to call webhook: {error}", ServiceUnavailable.code) from error
    except Unfit as error:
        raise NotAsked(f"received invalid webhook response: {error}", ServiceUnavailable.code) from error
