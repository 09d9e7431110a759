"""Small slips in Python code, such as a forgotten term or a wrong operator.

One in the solution may give what an answer gives; one in the learner's code may make it right.
"""

import ast
import contextlib
import copy
import inspect
import io
import textwrap
import time
import warnings

import numpy as np

from unet_helpers.labels import VOID

SECONDS = 5  # limit for looking for a repair, of computing
OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Div),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
}
# Functions that are taken for one another
ALIKE = (
    ("sum", "mean", "median", "max", "min"),
    ("nansum", "nanmean", "nanmedian", "nanmax", "nanmin", "mean"),
    ("ceil", "floor", "round"),
    ("maximum", "minimum"),
    ("argmax", "argmin"),
    ("zeros", "ones"),
    ("diag", "trace"),
    ("any", "all"),
)
# What is shown of the code: a name or a number alone would tell little
LONG = (ast.BinOp, ast.Call, ast.Compare, ast.IfExp, ast.Subscript)
LONG += (ast.Assign, ast.AugAssign, ast.Return)


def parsed(function):
    """Return the syntax tree of a function, None where it has no source or has a closure."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(tree.body[0], ast.FunctionDef) or function.__closure__:
        return None
    tree.body[0].decorator_list = []
    return tree


def compiled(tree, function):
    """Make a function from a changed syntax tree, among the names that the old one sees."""
    space = dict(function.__globals__)
    exec(compile(tree, "<slip>", "exec"), space)
    return space[function.__name__]


def edited(function, *edits):
    """Return a function with pieces of its source replaced; an edit is "old -> new"."""
    source = textwrap.dedent(inspect.getsource(function))
    for edit in edits:
        old, new = edit.split(" -> ")
        if old not in source:
            raise ValueError(f"{old!r} is not in the source of {function.__name__}.")
        source = source.replace(old, new)
    return compiled(ast.parse(source), function)


def slips(function):
    """Yield (sentence, wrong function) for every small slip in a function's source."""
    for before, after, wrong in variants(function, changes):
        if isinstance(after, ast.Pass):
            yield f"A step like `{ast.unparse(before)}` is missing.", wrong
        else:
            yield f"`{ast.unparse(after)}` stands where `{ast.unparse(before)}` belongs.", wrong


def find_repair(answer, case, check):
    """Find a change to a learner's code that makes it right; returns a sentence or None.

    case is a tuple of its arguments, check a function (answer, quickly) -> (passed, sentence).
    """
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = time.process_time() + SECONDS
        # a list or a word in a number's place could be multiplied until the memory is full
        lists = [i for i, value in enumerate(case) if isinstance(value, list | str)]
        for kinds in (changes, additions):
            for before, after, changed in variants(answer, kinds, lists):
                if time.process_time() > end:
                    return None
                with contextlib.suppress(Exception, SystemExit), np.errstate(all="ignore"):
                    if check(changed, quickly=True)[0]:
                        told = f"With `{ast.unparse(after)}` in place of"
                        told = "Without" if isinstance(after, ast.Pass) else told
                        place = f"line {before.lineno} of your function"
                        return f"{told} `{ast.unparse(before)}` it is right ({place})."
    return None


def variants(function, kinds, lists=()):
    """Yield (old code, new code, function) for every change of some kinds to a function.

    kinds is a function (node of the syntax tree, variables) -> nodes to put in its place; arguments
    at the positions in lists take no other variable's place. Nothing is yielded for a function
    without source, nor for one with a `while`, which could run for ever after a change.
    """
    tree = parsed(function)
    nodes = list(ast.walk(tree)) if tree else [ast.While()]
    if any(isinstance(node, ast.While) for node in nodes):
        return
    arguments = [argument.arg for argument in tree.body[0].args.args]
    lists = {name for i, name in enumerate(arguments) if i in lists}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.ListComp):
            lists.add(ast.unparse(node.targets[0]))
    stored = [n.id for n in nodes if isinstance(n, ast.Name) and type(n.ctx) is ast.Store]
    names = [name for name in dict.fromkeys(arguments + stored) if name not in lists]
    parents = {id(part): node for node in nodes for part in ast.iter_child_nodes(node)}
    for node in nodes[2:]:
        path = [node]  # from here to the whole tree; all else is shared by the copies
        while id(path[-1]) in parents:
            path.append(parents[id(path[-1])])
        shared = {id(other): other for other in nodes if other not in path}
        shown = next((old for old in path if isinstance(old, LONG)), node)
        for new in kinds(node, names):
            new = ast.fix_missing_locations(ast.copy_location(new, node))
            memo = shared | {id(node): new}
            changed = copy.deepcopy(tree, memo)
            with contextlib.suppress(Exception):  # such as a default value of a later name
                yield shown, memo[id(shown)], compiled(changed, function)


def changes(node, names):
    """Yield what may stand in a node's place after a slip there."""

    def changed(**fields):
        wrong = copy.copy(node)
        wrong.__dict__.update(fields)
        return wrong

    match node:
        case ast.BinOp(left, _, right):
            yield left
            yield right
            if isinstance(node.op, ast.Sub):
                yield ast.UnaryOp(ast.USub(), right)
            if isinstance(node.op, ast.Div):
                yield ast.BinOp(ast.Constant(1), ast.Div(), right)
            yield changed(left=right, right=left)
            # for a - b * c: (a - b) * c, its brackets forgotten, or a * c - b, a factor misplaced
            if isinstance(left, ast.BinOp):
                yield ast.BinOp(left.left, left.op, changed(left=left.right))
                yield changed(left=left.left, right=ast.BinOp(right, left.op, left.right))
            if isinstance(right, ast.BinOp):
                yield ast.BinOp(changed(right=right.left), right.op, right.right)
                yield changed(left=ast.BinOp(left, right.op, right.right), right=right.left)
        case ast.Call(function, [argument]) if not node.keywords:
            yield argument
            if ast.unparse(function) == "range":
                yield changed(args=[ast.Constant(1), argument])
                yield changed(args=[plus(argument, -1)])
        case ast.Call(ast.Attribute(reduced), [], []):
            yield reduced
        case ast.Call(args=[first, second]):
            yield from (first, second, changed(args=[second, first]))
        case ast.IfExp(_, first, second):
            yield from (first, second)
        case ast.Subscript(whole, ctx=ast.Load()):
            yield whole
        case ast.UnaryOp(_, operand):
            yield operand
        case ast.Assign() | ast.AugAssign():
            yield ast.Pass()
        case ast.Constant(int(value)) if not isinstance(value, bool):
            yield from (changed(value=other) for other in (value - 1, value + 1, VOID))
        case ast.Name(name, ast.Load()) if name in names:
            yield from (changed(id=other) for other in names if other != name)
        case ast.Constant(bool(value)):
            yield changed(value=not value)
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        yield changed(keywords=[other for other in node.keywords if other is not keyword])
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value, lineno=node.lineno)
    if isinstance(node, ast.BinOp | ast.AugAssign):
        yield from (changed(op=operator()) for operator in OPERATORS.get(type(node.op), ()))
    if isinstance(node, ast.Compare):
        yield from (changed(ops=[other()]) for other in OPERATORS.get(type(node.ops[0]), ()))
    field = {ast.Name: "id", ast.Attribute: "attr"}.get(type(node))
    for group in ALIKE:
        if field and getattr(node, field) in group and getattr(node, field) not in names:
            yield from (changed(**{field: name}) for name in group if name != getattr(node, field))


def additions(node, names):
    """Yield what may stand in a node's place once something that was forgotten is added."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Subscript):
        yield ast.AugAssign(node.targets[0], ast.Add(), node.value)
    if isinstance(node, ast.Constant):
        yield from (ast.Name(name, ast.Load()) for name in names)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from (ast.Constant(number) for number in (0, 1, 2))
    is_value = isinstance(node, ast.BinOp | ast.Call | ast.Name | ast.Subscript | ast.Attribute)
    if is_value and isinstance(getattr(node, "ctx", None), ast.Load | None):
        yield from (plus(node, 1), plus(node, -1))
        for operator in (ast.Mult, ast.Div):  # a name added or subtracted fits by chance
            yield from (ast.BinOp(node, operator(), ast.Name(name, ast.Load())) for name in names)


def plus(node, number):
    operator = ast.Add() if number > 0 else ast.Sub()
    return ast.BinOp(node, operator, ast.Constant(abs(number)))
