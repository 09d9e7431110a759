"""What every exercise of the course is: a task with a check, a ladder of hints and a solution."""

import contextlib
import copy
import inspect
import linecache
import textwrap
import traceback
import warnings

import keras
import numpy as np

WIDTH = 100  # characters a line: fits a notebook's output and a terminal


class Incorrect(Exception):
    """What an answer still lacks, as a sentence for the learner."""


class NotAttempted(Exception):
    """The stub is still as it was."""


class Exercise:
    """One exercise: `check` an answer, ask for a `hint`, see the `solution`.

    Args:
        judge: function (attempt) that calls `attempt(...)` as often as it likes, which runs the
            learner's function, and raises Incorrect with what is wrong. It may return a note about
            a choice that is not the course's but no error either.
        reference: a function that passes its own check.
        task: what to write, in a sentence or two.
        call: how the function will be called, such as "my_tile_starts(length, tile, overlap)".
        minutes: how long a learner needs.
        hints: sentences, from a nudge to nearly the answer.
        shown: functions or classes of the package whose source is the solution; by default the
            reference.
    """

    def __init__(self, judge, reference, task, call, minutes, hints, shown=()):
        self.judge, self.reference, self.task, self.call = judge, reference, task, call
        self.minutes, self.hints, self.shown = minutes, hints, tuple(shown) or (reference,)
        self.name = call.removeprefix("my_").split("(")[0]
        self.hints_given = 0

    def check(self, answer):
        """Judge an answer by what it does, and print the verdict in a sentence.

        Args:
            answer: the learner's function (the function itself, not what it returns).

        Returns:
            bool: True when the answer is right. Nothing an answer does raises here.
        """
        passed, sentence = self.verdict(answer)
        say(f"{self.name}: {sentence}")
        return passed

    def verdict(self, answer):
        """Judge an answer; returns (passed, sentence) and prints nothing."""
        if not callable(answer):
            return False, (
                f"not yet. check() takes your function itself, and got {describe(answer)}. Pass "
                f"its name without brackets: exercises.{self.name}.check(my_{self.name})."
            )
        try:
            with float32():
                note = self.judge(lambda *args, **options: attempt(self, answer, args, options))
        except NotAttempted:
            return False, (
                f"not attempted yet (about {self.minutes} minutes). exercises.{self.name}.hint() "
                "gives a nudge."
            )
        except Incorrect as error:
            return False, f"not yet. {error}"
        except Exception as error:
            # The judge met an answer that nobody thought of: still no stack for the learner.
            return False, (
                f"not yet. What {function_name(answer)} returns cannot be used "
                f"({type(error).__name__}: {first_line(error)}). Expected: {self.task}"
            )
        return True, f"right. {note}" if note else "right."

    def hint(self):
        """Print the next hint; the first is a nudge, the last nearly the answer."""
        number = min(self.hints_given, len(self.hints) - 1)
        self.hints_given += 1
        end = "" if number + 1 < len(self.hints) else " (The last one; then there is .solution().)"
        say(f"Hint {number + 1} of {len(self.hints)}: {self.hints[number]}{end}")

    def solution(self):
        """Print the solution: the package's own source, so the two cannot differ."""
        for thing in self.shown:
            print(f"# {thing.__module__}.{thing.__qualname__}")
            print(inspect.getsource(thing).rstrip() + "\n")

    def __repr__(self):
        return textwrap.fill(
            f"Exercise {self.name} (about {self.minutes} minutes): {self.task}", WIDTH
        )


def attempt(exercise, answer, args, options):
    """Run the learner's function on copies of the arguments; raise Incorrect when that fails.

    Raises NotAttempted when the function is still the empty stub.
    """
    given = [copied(argument) for argument in args]
    name = function_name(answer)
    try:
        result = answer(*given, **{key: copied(value) for key, value in options.items()})
    except Incorrect:
        raise
    except Exception as error:
        raise Incorrect(what_raised(exercise, answer, error)) from None
    if result is None:
        if is_stub(answer):
            raise NotAttempted
        raise Incorrect(f"{name} returned None. Is its `return` missing?")
    for before, after in zip(args, given, strict=True):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise Incorrect(
                f"{name} changes the array it was given. Work on a copy (x.copy()), or whoever "
                "calls it loses the original."
            )
    return result


def copied(value):
    """Copy what a learner's function could change: arrays, lists and random generators."""
    # A random generator must go on where it stood, as it would in the notebook.
    return copy.deepcopy(value) if isinstance(value, np.ndarray | list | dict) else value


def is_stub(answer):
    """Tell whether a function is empty: it uses no name and makes no variable."""
    code = getattr(answer, "__code__", None)
    return code is not None and not code.co_names and code.co_nlocals == code.co_argcount


def what_raised(exercise, answer, error):
    """Say in a sentence what was raised, and in which of the learner's lines."""
    name = function_name(answer)
    what = f"{type(error).__name__}: {first_line(error)}"
    code = getattr(answer, "__code__", None) or getattr(type(answer).__call__, "__code__", None)
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if code is not None and frame.filename == code.co_filename
    ]
    if not own and isinstance(error, TypeError):
        return f"{name} cannot be called as {exercise.call} ({first_line(error)})."
    if not own:
        return f"{name} raised {what}."
    frame = own[-1]
    line = (frame.line or linecache.getline(frame.filename, frame.lineno)).strip()
    return f"{name} raised in line {frame.lineno}, `{line}`: {what}."


def first_line(error):
    """Give the first sentence or line of an error's message, without its full stop."""
    lines = str(error).strip().splitlines() or ["no message"]
    text = lines[0].split(". ")[0].rstrip(".")
    return text if len(text) <= 200 else text[:197] + "..."


def function_name(answer):
    """Give the name to call an answer by."""
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
        return f"{value!r}" if not isinstance(value, np.generic) else f"{value.item()!r}"
    if isinstance(value, tuple | list):
        return f"{article(type(value).__name__)} of {len(value)}"
    return article(type(value).__name__)


def article(noun):
    """Put a or an before a noun."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def say(text):
    """Print a sentence in lines that fit."""
    print(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False))


@contextlib.contextmanager
def float32():
    """Compute in float32 inside, whatever precision the notebook trains with."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


# ---------------------------------------------------------------- answers that are numbers


def compare(attempt, cases, reference, mistakes, call, tolerance=1e-5, convert=None):
    """Compare an answer with the reference on all cases, and name the mistake it makes.

    Args:
        attempt: runs the learner's function.
        cases: list of tuples of arguments.
        reference: function that gives the right result of a case.
        mistakes: list of (wrong function, sentence). The sentence is told when the wrong function
            gives the answer's results in every case; a wrong function that has no result in a
            case raises, and does not count.
        call: function (arguments) -> how to write this case down for the learner.
        tolerance: largest difference that is rounding.
        convert: turns a result into an array or a tuple of arrays, and raises Incorrect when it is
            of another kind; by default `as_number`.

    Raises:
        Incorrect: with the mistake's sentence, or with the first case that differs.
    """
    convert = convert or as_number
    answers = [convert(attempt(*case)) for case in cases]
    right = [convert(reference(*copy.deepcopy(case))) for case in cases]
    wrong = [not same(a, b, tolerance) for a, b in zip(answers, right, strict=True)]
    if not any(wrong):
        return
    for mistake, sentence in mistakes:
        if makes(mistake, cases, answers, convert, tolerance):
            raise Incorrect(sentence)
    first = wrong.index(True)
    raise Incorrect(
        f"For {call(*cases[first])} it gives {shown(answers[first])}; expected "
        f"{shown(right[first])}."
    )


def makes(mistake, cases, answers, convert, tolerance):
    """Tell whether a wrong function gives the same results as an answer in all cases."""
    try:
        # What a mistake's formula warns of is not the learner's business.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return all(
                same(convert(mistake(*copy.deepcopy(case))), given, tolerance)
                for case, given in zip(cases, answers, strict=True)
            )
    except Exception:  # a mistake that has no result here is not the one that was made
        return False


def same(a, b, tolerance):
    """Tell whether two arrays, or tuples of arrays, agree in shape and values (nan equals nan)."""
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return a.shape == b.shape and np.allclose(a, b, atol=tolerance, rtol=1e-4, equal_nan=True)


def as_number(value):
    """Take a number, as a 0-dimensional array; raises Incorrect for anything else."""
    array = to_numpy(value)
    if array is None or array.shape not in ((), (1,)):
        raise Incorrect(f"It returns {describe(value)}; expected one number.")
    return array.reshape(()).astype(np.float64)


def as_array(value):
    """Take an array or tensor; raises Incorrect for anything else."""
    array = to_numpy(value)
    if array is None or array.dtype == object:
        raise Incorrect(f"It returns {describe(value)}; expected an array.")
    return array


def as_pair(value, first="first", second="second"):
    """Take two arrays; raises Incorrect unless there are two, with what they should be."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; expected two things, {first} and {second}.")
    return tuple(as_array(part) for part in value)


def to_numpy(value):
    """Turn numbers, arrays and tensors of any backend into a NumPy array, else give None."""
    if isinstance(value, str | bytes | dict | set) or value is None or callable(value):
        return None
    try:
        array = np.asarray(
            keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value
        )
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "biuf" else None


def shown(value):
    """Write a result down, short."""
    if isinstance(value, tuple):
        return " and ".join(shown(part) for part in value)
    if value.shape == ():
        number = float(value)
        return f"{int(number)}" if number.is_integer() else f"{number:.4g}"
    if value.size > 30:
        return f"an array of shape {value.shape}"
    return np.array2string(value, precision=3, separator=", ").replace("\n", "")
