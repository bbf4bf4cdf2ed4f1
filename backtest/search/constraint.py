"""Conditions on parameters, as `fast < slow` or `fast * 2 <= slow and depth > 0.01`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from backtest.search.space import Value
from schemas.errors import ConfigurationError

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_COMPUTE: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


class Constraint:
    """A condition that a set of parameters holds, or not.

    It is made of arithmetic (+ - * / %), comparisons, `and`, `or` and `not` over parameters, numbers and
    quoted words. Nothing is called.

    Args:
        text: As written.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise ConfigurationError(f"the constraint {text!r} cannot be read: {error}") from None
        self.names = {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)}
        """Parameters that it looks at."""
        if not isinstance(self._tree, ast.Compare | ast.BoolOp | ast.UnaryOp):
            raise ConfigurationError(f"the constraint {text!r} compares nothing; write it as 'fast < slow'")
        for node in ast.walk(self._tree):
            self._check(node)

    def holds(self, parameters: Mapping[str, Value]) -> bool:
        """Whether a set of parameters, which has all `names`, is allowed.

        Raises:
            ConfigurationError: It compares a word with a number, or divides by 0.
        """
        try:
            return bool(self._value(self._tree, parameters))
        except (TypeError, ZeroDivisionError) as error:
            raise ConfigurationError(
                f"the constraint {self.text!r} with {dict(parameters)}: {error}"
            ) from None

    def _check(self, node: ast.AST) -> None:
        known = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Name, ast.Load)
        ok = isinstance(node, (*known, ast.BinOp)) or type(node) in _COMPARE or type(node) in _COMPUTE
        if not ok and not (isinstance(node, ast.Constant) and type(node.value) in (int, float, str)):
            raise ConfigurationError(
                f"the constraint {self.text!r} holds a {type(node).__name__}; it takes parameters, numbers, "
                "+ - * / %, comparisons, and, or, not"
            )

    def _value(self, node: ast.expr, parameters: Mapping[str, Value]) -> Any:
        match node:
            case ast.Name(id=name):
                return parameters[name]
            case ast.Constant(value=value):
                return value
            case ast.BinOp(left=left, op=op, right=right):
                return _COMPUTE[type(op)](self._value(left, parameters), self._value(right, parameters))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._value(operand, parameters)
            case ast.UnaryOp(operand=operand):
                return -self._value(operand, parameters)
            case ast.BoolOp(op=ast.And(), values=values):
                return all(self._value(each, parameters) for each in values)
            case ast.BoolOp(values=values):
                return any(self._value(each, parameters) for each in values)
            case ast.Compare(left=left, ops=ops, comparators=others):
                values = [self._value(each, parameters) for each in (left, *others)]
                pairs = zip(ops, values, values[1:], strict=False)
                return all(_COMPARE[type(op)](one, other) for op, one, other in pairs)
        raise TypeError(f"{type(node).__name__} has no value")


def allowed_by(
    constraints: Sequence[Constraint], defaults: Mapping[str, Value]
) -> Callable[[Mapping[str, Value]], bool]:
    """What tells whether a set holds all constraints; parameters that it does not name have their defaults.

    Raises:
        ConfigurationError: A constraint names a parameter that there is not.
    """
    for each in constraints:
        unknown = sorted(each.names - defaults.keys())
        if unknown:
            raise ConfigurationError(
                f"the constraint {each.text!r} names {', '.join(unknown)}; there are {', '.join(defaults)}"
            )

    def allowed(parameters: Mapping[str, Value]) -> bool:
        whole = {**defaults, **parameters}
        return all(each.holds(whole) for each in constraints)

    return allowed
