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
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
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


class Replacing(ast.NodeTransformer):
    """Puts a node into a syntax tree in place of another."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else super().visit(node)


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
    names = [argument.arg for argument in tree.body[0].args.args]
    names += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and type(n.ctx) is ast.Store]
    nodes = list(ast.walk(tree))
    parents = {id(part): i for i, node in enumerate(nodes) for part in ast.iter_child_nodes(node)}
    for number, node in enumerate(nodes):
        for sentence, wrong in changes(node, names):
            changed = copy.deepcopy(tree)
            copies = list(ast.walk(changed))
            Replacing(copies[number], wrong).visit(changed)
            ast.fix_missing_locations(changed)
            space = dict(function.__globals__)
            exec(compile(changed, "<slip>", "exec"), space)
            around = copies[parents[id(node)]] if number else changed
            if isinstance(around, ast.expr) and "stands" in sentence:
                sentence = f"{sentence[:-1]}, in `{ast.unparse(around)}`."
            yield sentence, space[function.__name__]


def changes(node, names):
    """Yield (sentence, changed copy) for every way to slip at a node of the syntax tree."""

    def changed(**fields):
        new = copy.deepcopy(node)
        for field, value in fields.items():
            setattr(new, field, value)
        return new

    def stands(right, wrong, **fields):
        return f"`{wrong}` stands where `{right}` belongs.", changed(**fields)

    if isinstance(node, ast.BinOp):
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        yield f"`{right}` is missing next to `{left}`.", node.left
        yield f"`{left}` is missing next to `{right}`.", node.right
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        called, inside = ast.unparse(node.func), ast.unparse(node.args[0])
        yield f"`{called}` is missing around `{inside}`.", node.args[0]
    if isinstance(node, ast.UnaryOp):
        yield f"The sign before `{ast.unparse(node.operand)}` is missing.", node.operand
    if isinstance(node, ast.BinOp | ast.AugAssign):
        for operator in OPERATORS.get(type(node.op), ()):
            wrong = changed(op=operator())
            yield f"The operator in `{ast.unparse(wrong)}` is wrong.", wrong
    if isinstance(node, ast.AugAssign):
        wrong = ast.Assign([node.target], node.value, lineno=node.lineno)
        yield f"`{ast.unparse(wrong)}` forgets what was there before.", wrong
    if isinstance(node, ast.Compare):
        for operator in OPERATORS.get(type(node.ops[0]), ()):
            wrong = changed(ops=[operator()])
            yield f"The comparison `{ast.unparse(wrong)}` is wrong.", wrong
    if isinstance(node, ast.Constant) and type(node.value) is int:
        for value in (node.value - 1, node.value + 1):
            yield stands(node.value, value, value=value)
    if isinstance(node, ast.Attribute):
        for name in FUNCTIONS.get(node.attr, ()):
            yield stands(node.attr, name, attr=name)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        for name in names if node.id in names else FUNCTIONS.get(node.id, ()):
            if name != node.id:
                yield stands(node.id, name, id=name)
