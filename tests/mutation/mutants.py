"""Small mistakes made in a module on purpose: each is one change of its source. Pure.

A comparison is moved at its boundary (`<` to `<=`); a sign or an operator becomes its opposite, `and` `or`, a
condition its negation, a whole number the next one, `min` `max`; and a statement that does something (a call,
an assignment to an attribute or an item, `continue`, `break`) is left out.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
OPPOSITES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    Attributes:
        path: Of the module, below the root.
        function: In which it is, with its class.
        line: Where it begins, from 1.
        was: The line, or lines, in which it is.
        becomes: The same with the change.
        source: The whole module with the change.
    """

    path: str
    function: str
    line: int
    was: str
    becomes: str
    source: str

    @property
    def name(self) -> str:
        """What it is told and looked up by: no line number, which moves."""
        return f"{self.path} {self.function}: {self.was} -> {self.becomes}"

    @property
    def rank(self) -> bytes:
        """Its place in a selection: spread over the module, and the same each time."""
        return hashlib.blake2b(self.name.encode(), digest_size=8).digest()


def mutants(path: str, source: str) -> list[Mutant]:
    """All changes of the functions of a module, in the order of their places."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()
    found: dict[tuple[int, int, str], Mutant] = {}
    for function, node in _nodes(ast.parse(source)):
        for becomes in _changes(node):
            assert isinstance(node, ast.expr | ast.stmt)
            begin = starts[node.lineno - 1] + node.col_offset
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            end = starts[node.end_lineno - 1] + node.end_col_offset
            first, last = starts[node.lineno - 1], starts[node.end_lineno]
            change = data[first:begin] + becomes.encode() + data[end:last]
            whole = (data[:first] + change + data[last:]).decode()
            was, now = (" ".join(text.decode().split()) for text in (data[first:last], change))
            found[begin, end, becomes] = Mutant(path, function, node.lineno, was, now, whole)
    return list(found.values())


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """All nodes within functions that may be changed, with the name of the function."""

    def inside(node: ast.AST, function: str, scope: str) -> Iterator[tuple[str, ast.AST]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{scope}{node.name}"
            within = "" if isinstance(node, ast.ClassDef) else name
            # Neither annotations, nor defaults, nor decorators: what they say is checked otherwise.
            for child in node.body:
                yield from inside(child, within, f"{name}.")
            return
        if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return  # messages, and what never holds
        if function:
            yield function, node
        if isinstance(node, ast.AnnAssign):
            children: list[ast.AST] = [node.value] if node.value else []
        else:
            children = list(ast.iter_child_nodes(node))
        for part in children:
            yield from inside(part, function, scope)

    for statement in tree.body:
        yield from inside(statement, "", "")


def _changes(node: ast.AST) -> Iterator[str]:
    """What may stand in the place of a node."""
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                swapped = COMPARED[type(operator)]()
                operators = [*node.ops[:index], swapped, *node.ops[index + 1 :]]
                yield f"({ast.unparse(ast.Compare(node.left, operators, node.comparators))})"
        case ast.BinOp() if type(node.op) in COMPUTED and not _is_text(node):
            yield f"({ast.unparse(ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right))})"
        case ast.AugAssign() if type(node.op) in COMPUTED:
            yield ast.unparse(ast.AugAssign(node.target, COMPUTED[type(node.op)](), node.value))
            yield "pass"
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp(op=ast.Not()):
            yield f"({ast.unparse(node.operand)})"
        case ast.UnaryOp(op=ast.USub()):
            yield f"({ast.unparse(node.operand)})"
        case ast.IfExp():
            yield f"({ast.unparse(ast.IfExp(node.test, node.orelse, node.body))})"
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value)):
            yield str(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in OPPOSITES:
            yield ast.unparse(ast.Call(ast.Name(OPPOSITES[name]), node.args, node.keywords))
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case ast.Continue() | ast.Break():
            yield "pass"


def _is_text(node: ast.BinOp) -> bool:
    """Whether texts are joined or filled in: another operator there is an error at once."""
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr) or _is_str(side) for side in sides)


def _is_str(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
