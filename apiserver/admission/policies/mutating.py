"""MutatingAdmissionPolicy: what the policies that a write matches make of the object, one after the other.

When one has run, all of admission runs once more, and of the policies those that ask for it (`reinvocationPolicy: IfNeeded`) and had run
before something changed. Source: apiserver `pkg/admission/plugin/policy/mutating/{dispatcher,reinvocationcontext}.go`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from apiserver.admission.policies.dispatch import Invocation, Write, invocations, write_of
from apiserver.admission.policies.expressions import Evaluation, EvaluationError, OutOfBudget
from apiserver.admission.policies.facts import Facts
from apiserver.admission.policies.hooks import Hook
from apiserver.admission.policies.patches import MutationError, mutated
from apiserver.admission.policies.policy import Mutation
from apiserver.registry.admission import Attributes, Memory, Reinvocation
from apiserver.registry.scale import number_at, set_replicas
from kube.errors import ApiError
from kube.objects import name_of, namespace_of

_MEMORY: Final = "MutatingAdmissionPolicy"
Key = tuple[str, str, str, str]
"""(policy, binding, namespace and name of the parameter)"""


class Problem(NamedTuple):
    """Why a policy refuses a write."""

    message: str
    reason: str = ""


async def mutate(hooks: Sequence[Hook], attributes: Attributes) -> None:
    """Change the object in place as the policies say. Raises ApiError where one refuses the write."""
    write = await write_of(attributes)
    found = await invocations(write, hooks)
    problems = [_problem(each, each.problem) for each in found if each.problem and not each.policy.ignores_failure]
    runs = [each for each in found if not each.problem]
    if runs:
        problems += await _Run(write, attributes).all(runs)
    if problems:
        raise refusal(write.facts, problems)


def _problem(of: Invocation, message: str, reason: str = "") -> Problem:
    by = f"policy '{of.policy.name}' with binding '{of.binding}'" if of.binding else f'policy "{of.policy.name}"'
    return Problem(f"{by} denied request: {message}", reason)


def refusal(facts: Facts, problems: Sequence[Problem]) -> ApiError:
    """The answer to a write that policies refuse: the first says why, the code is always that of what is forbidden."""
    found = facts.refusal("")
    first = problems[0]
    details = {**found.details, "causes": [{"message": each.message} for each in problems]}
    return ApiError(first.message, details=details, code=403, reason=first.reason or "Forbidden")


class _Run:
    """The policies of one write, run in order."""

    def __init__(self, write: Write, attributes: Attributes) -> None:
        self._write, self._attributes = write, attributes
        if attributes.reinvocation is None:
            attributes.reinvocation = Reinvocation()
        self._reinvocation = attributes.reinvocation
        self._memory: Memory = self._reinvocation.memory.setdefault(_MEMORY, Memory())
        self._problems: list[Problem] = []
        self._has_run = False

    async def all(self, found: Sequence[Invocation]) -> list[Problem]:
        """What went wrong, where that counts."""
        memory, facts = self._memory, self._write.facts
        if self._reinvocation.is_again and memory.output != facts.obj:
            memory.changed()
        for each in found:
            await self._one(each)
        if self._has_run:
            memory.changed()
            self._reinvocation.is_wanted = True
        memory.output = copy.deepcopy(facts.obj)
        return self._problems

    async def _one(self, of: Invocation) -> None:
        memory, facts, policy = self._memory, self._write.facts, of.policy
        assert of.form is not None
        await facts.see(of.form)
        try:
            if not policy.is_wanted(self._write.values(of)):
                return
        except EvaluationError as error:
            self._fail(of, error)
            return
        params = of.params or {}
        key = (policy.name, of.binding, namespace_of(params), name_of(params)) if params else (policy.name, of.binding, "", "")
        if self._reinvocation.is_again and key not in memory.wanted:
            return
        before = facts.obj
        for mutation in policy.mutations if before is not None else ():
            self._has_run = True
            try:
                await self._mutate(of, mutation)
            except (EvaluationError, OutOfBudget, MutationError) as error:
                self._fail(of, error)
        if facts.obj != before:
            memory.changed()
        if policy.reinvoked:
            memory.invoked.add(key)

    def _fail(self, of: Invocation, error: Exception) -> None:
        if not of.policy.ignores_failure:
            self._problems.append(_problem(of, str(error), "Invalid"))

    async def _mutate(self, of: Invocation, mutation: Mutation) -> None:
        facts, form, problem = self._write.facts, of.form, mutation.expression.problem
        assert form is not None
        if problem:
            raise MutationError(problem)
        await facts.see(form)
        values = self._write.values(of)
        value = Evaluation(values, of.policy.variables).evaluate(mutation.expression)
        new = mutated(form, facts.forms[0].kind, values["object"], value, is_patch=mutation.is_patch)
        facts.obj = new = await facts.held(form, new)
        keep(self._attributes, new, is_scale=facts.is_scale)


def keep(attributes: Attributes, new: Any, *, is_scale: bool = False) -> None:
    """Make the object that is being written the new one, in place: others hold it and its metadata. A Scale is a wish for replicas."""
    obj = attributes.obj
    assert obj is not None
    if is_scale:
        set_replicas(attributes.kind, obj, number_at(new, ("spec", "replicas")))
        return
    for name in attributes.kind.texts:
        if new.get(name) != obj.get(name):
            attributes.ctx.texts.pop(name, None)
    metadata, wanted = obj.get("metadata"), new.get("metadata")
    content = {**new}
    if isinstance(metadata, dict) and isinstance(wanted, dict) and metadata is not wanted:
        wanted = dict(wanted)
        metadata.clear()
        metadata.update(wanted)
        content["metadata"] = metadata
    obj.clear()
    obj.update(content)
