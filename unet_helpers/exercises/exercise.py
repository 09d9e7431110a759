"""What every exercise of the course is: a task with a check, a ladder of hints and a solution."""

import ast
import contextlib
import copy
import dis
import inspect
import linecache
import re
import signal
import textwrap
import threading
import traceback

import keras
import numpy as np

from unet_helpers.exercises import kept
from unet_helpers.exercises.showing import filled, show_code, show_verdict
from unet_helpers.exercises.slips import find_repair, parsed


class Incorrect(Exception):
    """What an answer still lacks, as a sentence for the learner."""


class Unexplained(Incorrect):
    """An error or a wrong result of which a change to the answer's code may tell the cause."""


class NotAttempted(Exception):
    """The stub is still as it was."""


class TooSlow(BaseException):
    """A call took too long. Not an Exception, so that an answer's own `except` lets it through."""


class Exercise:
    """One exercise: `check` an answer, ask for a `hint`, see the `solution`.

    Args:
        name: the exercise's name.
        judge: function (attempt). It runs the learner's function by `attempt(...)` and raises
            Incorrect with what is wrong; it may return a note on a choice that is as good.
        reference: a function that passes its own check.
        texts: its Task.
        shown: the functions whose source is the solution; by default the reference.
    """

    seconds = 60  # limit for one call of an answer; right ones take up to 20 on a busy machine

    def __init__(self, name, judge, reference, texts, shown=()):
        self.name, self.judge, self.reference = name, judge, reference
        self.shown = tuple(shown) or (reference,)
        self.minutes, self.task, self.hints = texts.minutes, texts.task, texts.hints
        self.call = texts.call or f"my_{name}{inspect.signature(reference)}"
        self.hints_given = 0

    def check(self, answer):
        """Judge a learner's function by what it does and print the verdict; True if it passed."""
        passed, sentence = self.verdict(answer)
        if passed and f"my_{self.name}" in kept.PARTS:
            sentence = f"{sentence} {kept.keep(f'my_{self.name}', answer, self.verdict)}".strip()
        show_verdict(self.name, sentence)
        return passed

    def yours(self):
        """Return the learner's function from my_unet.py, or the course's; prints which, and why."""
        name = f"my_{self.name}"
        if name not in kept.PARTS:
            raise ValueError(f"No answer to {self.name} is kept, only {', '.join(kept.PARTS)}.")
        function, why = kept.find(name)
        told = f"the course's, because {why}" if why else f"yours, from {kept.FILE}."
        print(filled(f"{name}: {told}"))
        return function or self.reference

    def verdict(self, answer, quickly=False):
        """Judge an answer, `quickly` without looking for the cause; returns (passed, sentence)."""
        own = f"exercises.{self.name}"
        if not callable(answer):
            told = f"not yet. check() takes your function itself, and got {describe(answer)}."
            return False, f"{told} Pass its name without brackets: {own}.check(my_{self.name})."

        def run(*args, **options):
            run.arguments = args
            return attempt(self, answer, args, options)

        run.arguments, run.quickly = (), quickly
        try:
            with computing("float32"):  # whatever precision the notebook trains with
                note = self.judge(run)
        except NotAttempted:
            told = f"not attempted yet (about {self.minutes} minutes)."
            return False, f"{told} {own}.hint() gives a nudge."
        except Unexplained as error:
            told = ""
            if not quickly:
                told = find_repair(answer, run.arguments, self.verdict) or unused_arguments(answer)
            return False, f"not yet. {error} {told}".rstrip()
        except Incorrect as error:
            return False, f"not yet. {error}"
        except Exception as error:
            # The judge met an answer that nobody thought of: still no stack for the learner.
            told = f"{type(error).__name__}: {message(error)}"
            told = f"not yet. What {function_name(answer)} returns cannot be used ({told})."
            return False, f"{told} Expected: {self.task}"
        return True, f"right. {note}" if note else "right."

    def hint(self, number=None):
        """Print the next hint, or the one with a number; the last is nearly the answer."""
        last = len(self.hints)
        number = min(self.hints_given + 1, last) if number is None else number
        if number not in range(1, last + 1):
            print(filled(f"{self.name} has the hints 1 to {last}, and {number!r} is none of them."))
            return
        self.hints_given = number
        end = "" if number < last else " (The last one; then there is .solution().)"
        print(filled(f"Hint {number} of {last}: {self.hints[number - 1]}{end}"))

    def solution(self):
        """Show the solution: the package's own source, so the two cannot differ."""
        sources = (
            f"# {thing.__module__}.{thing.__qualname__}\n{inspect.getsource(thing).rstrip()}\n"
            for thing in self.shown
        )
        show_code("\n".join(sources))


def attempt(exercise, answer, args, options):
    """Run the learner's function on copies of the arguments.

    Raises Incorrect when that fails, and NotAttempted for the empty stub.
    """
    given = [copied(argument) for argument in args]
    name = function_name(answer)
    try:
        with time_limit(exercise.seconds):
            result = answer(*given, **{key: copied(value) for key, value in options.items()})
    except TooSlow:
        told = f"{name} was stopped after {exercise.seconds} seconds. Does a loop never end?"
        raise Incorrect(told) from None
    except SystemExit:
        raise Incorrect(f"{name} exits Python (sys.exit or exit). Use `return` instead.") from None
    except Exception as error:
        raise Unexplained(what_raised(exercise, answer, error)) from None
    if result is None:
        if is_stub(answer):
            raise NotAttempted
        raise Incorrect(f"{name} returned None. Is its `return` missing?")
    for before, after in zip(args, given, strict=True):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise Incorrect(f"{name} changes the array it was given. Work on a copy, x.copy().")
    return result


@contextlib.contextmanager
def time_limit(seconds):
    """Raise TooSlow inside after some seconds; without effect off the main thread or on Windows."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_):
        raise TooSlow

    handler = signal.signal(signal.SIGALRM, stop)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)


def copied(value):
    """Copy what a learner's function could change; a random generator must go on where it is."""
    return copy.deepcopy(value) if isinstance(value, np.ndarray | list | dict) else value


def is_stub(answer):
    """Tell whether a function does nothing at all but return a constant."""
    nothing = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    return inspect.isfunction(answer) and {step.opname for step in dis.Bytecode(answer)} <= nothing


def unused_arguments(answer):
    """Say which of its arguments a function never uses; empty when it uses all."""
    tree = parsed(answer)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree else set()
    arguments = tree.body[0].args.args if tree else []
    unused = [argument.arg for argument in arguments if argument.arg not in used]
    if not unused:
        return ""
    return f"It never uses its argument{'s' * (len(unused) > 1)} {' and '.join(unused)}."


def what_raised(exercise, answer, error):
    """Say in a sentence what was raised, and in which of the learner's lines, with its shapes."""
    name = function_name(answer)
    what = f"{type(error).__name__}: {message(error)}"
    code = getattr(answer, "__code__", None) or getattr(type(answer).__call__, "__code__", None)
    own = [
        (frame, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if code is not None and frame.f_code.co_filename == code.co_filename
    ]
    if not own and isinstance(error, TypeError):
        return f"{name} cannot be called as {exercise.call} ({message(error)})."
    if not own:
        return f"{name} raised {what}."
    frame, number = own[-1]
    line = linecache.getline(frame.f_code.co_filename, number).strip()
    shapes = [
        f"{variable} {tuple(value.shape)}"
        for variable, value in frame.f_locals.items()
        if re.search(rf"\b{variable}\b", line) and getattr(value, "shape", ()) not in ((), None)
    ]
    told = f" The shapes in this line: {', '.join(shapes)}." if shapes else ""
    if "index 255 " in what:
        told += " 255 is void, not a class: leave these pixels out first."
    elif re.search(r"shapes \((\d+),\d+\) \(\1,\)", what):
        told += " Does a sum or a maximum need keepdims=True?"
    return f"{name} raised in line {number}, `{line}`: {what}.{told}"


def message(error):
    """Return what an error says, in one line, without colours, names of operations and stack."""
    text = re.sub(r"\x1b\[[\d;]*m|\{\{.*?\}\}|\[Op:.*|Exception encountered when.*", "", str(error))
    text = text.strip().split("\n\n")[0].rstrip(". \n")
    return textwrap.shorten(text, 300, placeholder="...") or "no message"


def function_name(answer):
    """Return the name to call an answer by."""
    return getattr(answer, "__name__", None) or f"this {type(answer).__name__}"


def describe(value):
    """Describe a value in a few words: its type, and its shape or itself."""
    if isinstance(value, keras.layers.Layer) and not isinstance(value, keras.Model):
        return f"the layer {type(value).__name__}"
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        kind = "an array" if isinstance(value, np.ndarray) else "a tensor"
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, bool | int | float | str | np.generic):
        return repr(value.item() if isinstance(value, np.generic) else value)
    kind = type(value).__name__
    noun = f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
    return f"{noun} of {len(value)}" if isinstance(value, tuple | list) else noun


@contextlib.contextmanager
def computing(precision):
    """Compute inside by one of Keras's dtype policies, such as "float32"."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def as_number(value):
    """Take a number, as a 0-dimensional array; raises Incorrect for anything else."""
    array = to_numpy(value)
    if array is None or array.shape not in ((), (1,)):
        raise Unexplained(f"It returns {describe(value)}; expected one number.")
    return array.reshape(()).astype(np.float64)


def as_array(value):
    """Take an array or tensor; raises Incorrect for anything else."""
    array = to_numpy(value)
    if array is None or array.dtype == object:
        raise Unexplained(f"It returns {describe(value)}; expected an array.")
    return array


def as_pair(value, first="first", second="second"):
    """Take two arrays; raises Incorrect, with what they should be, unless there are two."""
    shape = getattr(value, "shape", None)
    if not (isinstance(value, tuple | list) or shape) or len(value) != 2:
        told = f"It returns {describe(value)}"
        raise Unexplained(f"{told}; expected two things, {first} and {second}.")
    return tuple(as_array(part) for part in value)


def to_numpy(value):
    """Turn numbers, arrays and tensors of any backend into a NumPy array, or return None."""
    if isinstance(value, str | bytes | dict | set) or value is None or callable(value):
        return None
    try:
        array = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value
        array = np.asarray(array)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "biuf" else None
