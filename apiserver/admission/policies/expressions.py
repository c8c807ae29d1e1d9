"""Evaluating the expressions of a policy: what they see, what they may spend, and upstream's words for what goes wrong. Pure.

Source: apiserver `pkg/admission/plugin/cel/{activation,composition}.go`, `pkg/cel/lazy`, `pkg/apis/cel/config.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from apiserver.validation.expressions import ExpressionError, Scope, compile_admission
from kube.cel.environment import CelError, CostError, Program

BUDGET: Final = 10_000_000
"""What the expressions of one policy, binding and parameter may cost together."""

CONDITIONS_BUDGET: Final = 2_500_000
"""The same of match conditions."""

_SPENT: Final = "validation failed due to running out of cost budget, no further validation rules will be run"


class OutOfBudget(Exception):
    """Nothing more is evaluated."""

    def __init__(self) -> None:
        super().__init__(_SPENT)


class EvaluationError(Exception):
    """An expression that could not be evaluated; the text is upstream's."""


class Expression:
    """An expression of a policy, compiled, or what keeps it from that."""

    __slots__ = ("problem", "program", "text")

    def __init__(self, text: str, scope: Scope, returns: Sequence[str] = ()) -> None:
        self.text, self.problem = text, ""
        self.program: Program | None = None
        try:
            self.program = compile_admission(text, scope, returns)
        except ExpressionError as problem:
            self.problem = str(problem)


class Evaluation:
    """A run of several expressions over the same values: variables are evaluated once, and when they are asked for."""

    def __init__(self, values: Mapping[str, Any], variables: Mapping[str, Expression], budget: int = BUDGET) -> None:
        self._variables = _Variables(values, variables)
        self._values = {**values, "variables": self._variables}
        self._variables.seen = self._values
        self.budget = budget

    def evaluate(self, expression: Expression) -> Any:
        """The value. Raises EvaluationError, and OutOfBudget when this is the last straw."""
        if expression.program is None:
            raise EvaluationError(f"compilation error: {expression.problem}")
        try:
            return expression.program.evaluate(self._values)
        except (CelError, CostError) as error:
            raise EvaluationError(f"expression '{expression.text}' resulted in error: {error}") from None
        finally:
            self._pay(expression.program.spent + 1)

    def _pay(self, cost: int) -> None:
        self.budget -= cost + self._variables.spent
        self._variables.spent = 0
        if self.budget < 0:
            raise OutOfBudget


class _Variables(Mapping[str, Any]):
    """`variables`: each evaluated when it is first asked for. `spent`: what that has cost, until somebody has paid."""

    def __init__(self, values: Mapping[str, Any], expressions: Mapping[str, Expression]) -> None:
        self.seen, self._expressions = values, expressions
        self._known: dict[str, Any] = {}
        self.spent = 0

    def __getitem__(self, name: str) -> Any:
        expression = self._expressions[name]
        if name not in self._known:
            self._known[name] = self._value(name, expression)
        found = self._known[name]
        if isinstance(found, CelError):
            raise found
        return found

    def _value(self, name: str, expression: Expression) -> Any:
        if expression.program is None:
            return CelError(f'composited variable "{name}" fails to compile: {expression.problem}')
        try:
            return expression.program.evaluate(self.seen)
        except (CelError, CostError) as error:
            return CelError(f'composited variable "{name}" fails to evaluate: {error}')
        finally:
            self.spent += expression.program.spent + 1

    def __contains__(self, name: object) -> bool:
        """Whether there is such a variable, once it is known that it can be evaluated."""
        if name not in self._expressions:
            return False
        self[str(name)]
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)
