"""ValidatingAdmissionPolicy: verdicts of the policies that a write matches, and what they do to it.

`judged` decides about one policy, binding and parameter (pure); `validate` refuses, or warns.
Source: apiserver `pkg/admission/plugin/policy/validating/{validator,dispatcher}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apiserver.admission.policies.dispatch import Invocation, Write, invocations, write_of
from apiserver.admission.policies.expressions import Evaluation, EvaluationError, OutOfBudget
from apiserver.admission.policies.facts import Facts
from apiserver.admission.policies.hooks import Hook
from apiserver.admission.policies.policy import Check, Policy
from apiserver.registry.admission import Attributes
from kube.cel.library.authorization import Missing
from kube.errors import ApiError

MESSAGE_BYTES_MAX: Final = 5 * 1024
_SPACE: Final = " \t\n\v\f\r\x85\xa0"
_CODES: Final = {"Forbidden": 403, "RequestEntityTooLarge": 413}
_NO_AUTHORIZER: Final = {name: Missing(name) for name in ("authorizer", "authorizer.requestResource")}


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a validation does not admit a write. `reason` "": something went wrong. `always`: whatever the binding does about denials."""

    message: str
    reason: str = ""
    always: bool = False


def judged(policy: Policy, values: Mapping[str, Any]) -> list[Denial]:
    """All that a policy has against a write that it matches; nothing where it admits it, or where it could not say and need not."""
    try:
        if not policy.is_wanted(values):
            return []
        return [*_checked(policy, values), *_annotated(policy, values)]
    except (EvaluationError, OutOfBudget) as error:
        return _failed(policy, str(error))


def _failed(policy: Policy, why: str) -> list[Denial]:
    return [] if policy.ignores_failure else [Denial(why)]


def _checked(policy: Policy, values: Mapping[str, Any]) -> list[Denial]:
    evaluation = Evaluation(values, policy.variables)
    outcomes = [_outcome(evaluation, each) for each in policy.checks]
    told = Evaluation({**values, **_NO_AUTHORIZER}, policy.variables, evaluation.budget)
    messages: list[str] = []
    spent = ""
    try:
        messages = [_message(told, each) for each in policy.checks]
    except OutOfBudget as error:
        spent = f"failed messageExpression: {error}"
    denials: list[Denial] = []
    for index, (check, outcome) in enumerate(zip(policy.checks, outcomes, strict=True)):
        if isinstance(outcome, EvaluationError):
            denials += _failed(policy, str(outcome))
        elif spent:
            denials += _failed(policy, spent)
        elif outcome is not True:
            denials.append(Denial(messages[index] or _default_message(check), check.reason))
    return denials


def _outcome(evaluation: Evaluation, check: Check) -> Any:
    try:
        return evaluation.evaluate(check.expression)
    except EvaluationError as error:
        return error


def _message(evaluation: Evaluation, check: Check) -> str:
    """What the expression says, if that can be a message."""
    if check.computed is None:
        return ""
    try:
        found = evaluation.evaluate(check.computed)
    except EvaluationError:
        return ""
    text = found.strip(_SPACE) if isinstance(found, str) else ""
    return text if len(text.encode()) <= MESSAGE_BYTES_MAX and "\n" not in text else ""


def _default_message(check: Check) -> str:
    return check.message.strip(_SPACE) or f"failed expression: {check.expression.text.strip(_SPACE)}"


def _annotated(policy: Policy, values: Mapping[str, Any]) -> list[Denial]:
    """Audit annotations go nowhere, but what goes wrong with one refuses the write."""
    if not policy.annotations:
        return []
    evaluation = Evaluation({**values, **_NO_AUTHORIZER}, policy.variables)
    denials: list[Denial] = []
    for each in policy.annotations:
        try:
            evaluation.evaluate(each)
        except EvaluationError as error:
            denials += [] if policy.ignores_failure else [Denial(str(error), always=True)]
    return denials


def refusal(facts: Facts, policy: str, binding: str, denial: Denial) -> ApiError:
    """The answer to a write that was denied."""
    by = f" with binding '{binding}'" if binding else ""
    message = f"ValidatingAdmissionPolicy '{policy}'{by} denied request: {denial.message}"
    reason = denial.reason or "Invalid"
    found = facts.refusal(message)
    details = {**found.details, "causes": [{"message": message}]}
    return ApiError(found.message, details=details, code=_CODES.get(reason, 422), reason=reason)


async def validate(hooks: Sequence[Hook], attributes: Attributes) -> None:
    """Ask the policies about a write. Raises ApiError where one denies it; adds warnings."""
    write = await write_of(attributes)
    refused: ApiError | None = None
    for each in await invocations(write, hooks):
        for denial in _denials(each, write):
            if denial.always or "Deny" in each.actions:
                refused = refused or refusal(write.facts, each.policy.name, each.binding, denial)
            if not denial.always and "Warn" in each.actions:
                by = f"ValidatingAdmissionPolicy '{each.policy.name}' with binding '{each.binding}'"
                attributes.ctx.warnings.append(f"Validation failed for {by}: {denial.message}")
    if refused is not None:
        raise refused


def _denials(of: Invocation, write: Write) -> list[Denial]:
    if of.problem:
        return [] if of.policy.ignores_failure else [Denial(of.problem, always=True)]
    return judged(of.policy, write.values(of))
