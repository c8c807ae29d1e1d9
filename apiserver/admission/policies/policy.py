"""A policy, compiled: what it is for, and its expressions. Made once per version of the object.

Source: `compilePolicy` of apiserver `pkg/admission/plugin/policy/{validating/plugin,mutating/compilation}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apiserver.admission.policies.expressions import CONDITIONS_BUDGET, Evaluation, EvaluationError, Expression, OutOfBudget
from apiserver.admission.policies.matching import Match
from apiserver.validation.expressions import APPLY_CONFIGURATION, BOOL, JSON_PATCH, NULL, STRING, Scope
from kube.objects import Object, name_of


@dataclass(frozen=True, slots=True)
class Check:
    """One of a policy's validations."""

    expression: Expression
    message: str
    computed: Expression | None
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """One of a policy's mutations; `is_patch`: a JSON Patch."""

    expression: Expression
    is_patch: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """See the module. A validating policy has `checks` and `annotations`, a mutating one `mutations`."""

    name: str
    match: Match
    ignores_failure: bool
    param_kind: Object | None
    variables: Mapping[str, Expression]
    conditions: Sequence[Expression]
    checks: Sequence[Check] = ()
    annotations: Sequence[Expression] = ()
    mutations: Sequence[Mutation] = ()
    reinvoked: bool = False

    def is_wanted(self, values: Mapping[str, Any]) -> bool:
        """Whether the match conditions hold: one that is false decides, whatever becomes of the others. Raises EvaluationError where that
        cannot be said and failures count."""
        if not self.conditions:
            return True
        evaluation = Evaluation({**values, "namespaceObject": None}, self.variables, CONDITIONS_BUDGET)
        failed: list[str] = []
        try:
            results = [_outcome(evaluation, each, failed) for each in self.conditions]
        except OutOfBudget as error:
            results, failed = [], [str(error)]
        if any(each is False for each in results):
            return False
        if failed and not self.ignores_failure:
            raise EvaluationError(_aggregated(failed))
        return not failed


def _outcome(evaluation: Evaluation, condition: Expression, failed: list[str]) -> Any:
    try:
        return evaluation.evaluate(condition)
    except EvaluationError as error:
        failed.append(str(error))
        return None


def _aggregated(problems: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


def compiled(policy: Object) -> Policy:
    """A Validating- or MutatingAdmissionPolicy."""
    spec = policy.get("spec") or {}
    scope, variables = _variables(spec)
    return Policy(
        name_of(policy),
        Match.of(spec.get("matchConstraints") or {}),
        spec.get("failurePolicy") == "Ignore",
        spec.get("paramKind"),
        variables,
        [Expression(each.get("expression") or "", scope, (BOOL,)) for each in spec.get("matchConditions") or ()],
        [_check(each, scope) for each in spec.get("validations") or ()],
        [Expression(each.get("valueExpression") or "", scope, (STRING, NULL)) for each in spec.get("auditAnnotations") or ()],
        [_mutation(each, replace(scope, has_patch_types=True)) for each in spec.get("mutations") or ()],
        spec.get("reinvocationPolicy") == "IfNeeded",
    )


def _variables(spec: Object) -> tuple[Scope, dict[str, Expression]]:
    scope = Scope(spec.get("paramKind") is not None, {})
    found: dict[str, Expression] = {}
    for each in spec.get("variables") or ():
        name, text = each.get("name") or "", each.get("expression") or ""
        found[name] = Expression(text, scope)
        scope = scope.with_variable(name, text)
    return scope, found


def _check(check: Object, scope: Scope) -> Check:
    computed = check.get("messageExpression")
    return Check(
        Expression(check.get("expression") or "", scope, (BOOL,)),
        check.get("message") or "",
        Expression(computed, replace(scope, has_authorizer=False), (STRING,)) if computed else None,
        check.get("reason") or "Invalid",
    )


def _mutation(mutation: Object, scope: Scope) -> Mutation:
    is_patch = mutation.get("patchType") == "JSONPatch"
    part = mutation.get("jsonPatch" if is_patch else "applyConfiguration") or {}
    return Mutation(Expression(part.get("expression") or "", scope, (JSON_PATCH if is_patch else APPLY_CONFIGURATION,)), is_patch)
