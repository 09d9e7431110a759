"""Small slips made in the solution's own code, to find the one that an answer contains.

A forgotten term, a wrong operator, a number off by one, a sum for a mean: each is put into the
reference, one at a time, and what then comes out is compared with the answer.
"""

import ast
import copy
import inspect
import textwrap

OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div, ast.Pow),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
}
FUNCTIONS = {
    "sum": ("mean", "max"),
    "mean": ("sum", "max", "min", "median"),
    "nanmean": ("mean", "nansum", "nanmax", "nanmin", "nanmedian"),
    "median": ("mean", "max", "min"),
    "max": ("min", "sum", "mean"),
    "min": ("max",),
    "ceil": ("floor", "round"),
    "argmax": ("argmin",),
}


def slips(function):
    """Yield (sentence, wrong function) for every small slip in a function's source.

    Args:
        function: written in Python, without a closure. Nothing is yielded for others.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return
    if not isinstance(tree.body[0], ast.FunctionDef) or function.__closure__:
        return
    arguments = [argument.arg for argument in tree.body[0].args.args]
    for number, node in enumerate(ast.walk(tree)):
        for what, wrong in changes(node, arguments):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            replace(changed, target, wrong)
            ast.fix_missing_locations(changed)
            space = dict(function.__globals__)
            exec(compile(changed, "<slip>", "exec"), space)
            told = " ".join(ast.unparse(wrong).split())
            yield f"It computes `{told}` somewhere: {what}.", space[function.__name__]


def changes(node, arguments):
    """Yield (what is wrong, changed copy) for every way to slip at a node of the syntax tree."""

    def changed(**fields):
        new = copy.deepcopy(node)
        for field, value in fields.items():
            setattr(new, field, value)
        return new

    if isinstance(node, ast.BinOp):
        yield f"`{ast.unparse(node.right)}` is missing", node.left
        yield f"`{ast.unparse(node.left)}` is missing", node.right
    if isinstance(node, ast.UnaryOp):
        yield "a sign is missing", node.operand
    if isinstance(node, ast.BinOp | ast.AugAssign):
        for operator in OPERATORS.get(type(node.op), ()):
            yield "the operator is wrong", changed(op=operator())
    if isinstance(node, ast.AugAssign):
        yield "it forgets what was there before", ast.Assign([node.target], node.value)
    if isinstance(node, ast.Compare):
        for operator in OPERATORS.get(type(node.ops[0]), ()):
            yield "the comparison is wrong", changed(ops=[operator()])
    if isinstance(node, ast.Constant) and type(node.value) is int:
        for value in (node.value - 1, node.value + 1):
            yield f"it is {node.value} that belongs there", changed(value=value)
    if isinstance(node, ast.Attribute):
        for name in FUNCTIONS.get(node.attr, ()):
            yield f"it is {node.attr} that belongs there", changed(attr=name)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        for name in FUNCTIONS.get(node.id, ()):
            yield f"it is {node.id} that belongs there", changed(id=name)
        for name in arguments if node.id in arguments else ():
            if name != node.id:
                yield f"it is {node.id} that belongs there", changed(id=name)


def replace(tree, old, new):
    """Put a node into a syntax tree in place of another."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list) and any(part is old for part in value):
                setattr(parent, field, [new if part is old else part for part in value])
