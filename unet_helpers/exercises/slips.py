"""Small slips made in the solution's own code, to find the one that an answer contains.

A forgotten term or line, a wrong operator, a number off by one, a sum for a mean: each is put into
the reference, one at a time, and what then comes out is compared with the answer.
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
    "diag": ("trace",),
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
    nodes = list(ast.walk(tree))
    names = {argument.arg: None for argument in tree.body[0].args.args}  # in order, each once
    names |= {n.id: None for n in nodes if isinstance(n, ast.Name) and type(n.ctx) is ast.Store}
    parents = {id(part): node for node in nodes for part in ast.iter_child_nodes(node)}
    for node in nodes[1:]:
        for sentence, wrong in changes(node, names):
            around = parents[id(node)]
            changed = copy.deepcopy(tree, {id(node): wrong})  # the tree, wrong in place of node
            if isinstance(around, ast.expr) and "stands" in sentence:
                around = copy.deepcopy(around, {id(node): wrong})
                sentence = f"{sentence[:-1]}, in `{ast.unparse(around)}`."
            space = dict(function.__globals__)
            exec(compile(ast.fix_missing_locations(changed), "<slip>", "exec"), space)
            yield sentence, space[function.__name__]


def changes(node, names):
    """Yield (sentence, changed copy) for every way to slip at a node of the syntax tree."""

    def changed(**fields):
        new = copy.copy(node)
        for field, value in fields.items():
            setattr(new, field, value)
        return new

    def stands(right, wrong, **fields):
        return f"`{wrong}` stands where `{right}` belongs.", changed(**fields)

    text = ast.unparse(node)
    if isinstance(node, ast.BinOp):
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        yield f"`{right}` is missing next to `{left}`.", node.left
        rest = {ast.Sub: ast.UnaryOp(ast.USub(), node.right)}
        rest[ast.Div] = ast.BinOp(ast.Constant(1), ast.Div(), node.right)
        yield f"`{left}` is missing next to `{right}`.", rest.get(type(node.op), node.right)
        if isinstance(node.op, ast.Sub | ast.Div):
            wrong = changed(left=node.right, right=node.left)
            yield f"`{ast.unparse(wrong)}` is the wrong way round.", wrong
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        called, inside = ast.unparse(node.func), ast.unparse(node.args[0])
        yield f"`{called}` is missing around `{inside}`.", node.args[0]
        if called == "range":
            yield stands(text, f"range(1, {inside})", args=[ast.Constant(1), node.args[0]])
            less = ast.BinOp(node.args[0], ast.Sub(), ast.Constant(1))
            yield stands(text, f"range({inside} - 1)", args=[less])
    if isinstance(node, ast.Call) and node.keywords and node.keywords[0].arg == "axis":
        yield f"The axis is missing in `{text}`.", changed(keywords=node.keywords[1:])
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        whole = ast.unparse(node.value)
        yield f"`{text.removeprefix(whole)}` is missing behind `{whole}`.", node.value
    if isinstance(node, ast.UnaryOp):
        yield f"The sign before `{ast.unparse(node.operand)}` is missing.", node.operand
    if isinstance(node, ast.Assign | ast.AugAssign):
        yield f"A step like `{text}` is missing.", ast.Pass()
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
