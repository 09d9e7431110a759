"""Compare an answer's results with the right ones, and name the mistake that explains them.

An exercise lists the mistakes of its own. What can be done wrong in any exercise (per cent, a
wrong sign, swapped arguments, a sum for a mean, one too many) is looked for here, in all of them.
"""

import copy
import inspect
import warnings
from operator import itemgetter

import numpy as np

from unet_helpers.exercises.exercise import Incorrect, Unexplained, as_number, as_pair
from unet_helpers.exercises.slips import edited, find_repair, slips
from unet_helpers.labels import VOID

# What may have been done to every value, and how to tell it
CHANGES = {
    "It is 100 times what is expected: per cent in place of a share?": lambda x: 100 * x,
    "It is a hundredth of what is expected. Is it divided by 100?": lambda x: x / 100,
    "The sign is wrong: it is minus what is expected.": lambda x: -x,
    "It is 1 minus what is expected.": lambda x: 1 - x,
    "It is one too large.": lambda x: x + 1,
    "It is one too small.": lambda x: x - 1,
    "It is x / (1 - x) of the expected x: a ratio of two parts, not a share.": lambda x: (
        x / (1 - x)
    ),
    "It is twice what is expected.": lambda x: 2 * x,
    "It is half of what is expected.": lambda x: x / 2,
    "The fraction is upside down: it is 1 divided by what is expected.": lambda x: 1 / x,
    "It is the square of what is expected.": np.square,
    "It is the square root of what is expected.": np.sqrt,
    "The logarithm is to base 2; expected the natural one, np.log.": lambda x: x / np.log(2),
    "The logarithm is to base 10; expected the natural one, np.log.": lambda x: x / np.log(10),
    "A logarithm is missing: it is exp(-x) of the expected x.": lambda x: np.exp(-x),
    "It is rounded down to a whole number.": np.floor,
    "It is rounded up to a whole number.": np.ceil,
}
# What may have been done to a whole array, a result or an argument
ARRAYS = {
    "without its last entry": lambda x: x[:-1],
    "without its first entry": lambda x: x[1:],
    "cut to its first entry": lambda x: x[:1],
    "cut to its last entry": lambda x: x[-1:],
    "from the last to the first": lambda x: x[::-1],
    "with its second axis reversed": lambda x: x[:, ::-1],
    "with its first two axes swapped": lambda x: np.swapaxes(x, 0, 1),
    "with its last two axes swapped": lambda x: np.swapaxes(x, -1, -2),
    "turned by 180 degrees": lambda x: x[::-1, ::-1],
    "with its axes in the opposite order": np.transpose,
}
# What may be used in place of an argument: a mask with void, an array, a number
MASKS = {
    "with void counted as class 0": lambda x: np.where(x == VOID, 0, x),
    "with class 0 counted as void": lambda x: np.where(x == 0, VOID, x),
}
NUMBERS = {
    "{} - 1": lambda x: x - 1,
    "{} + 1": lambda x: x + 1,
    "{} = 1": lambda x: 1,
    "{} = 0": lambda x: 0,
    "twice {}": lambda x: 2 * x,
    "half of {}": lambda x: x / 2,
}


def compare(attempt, cases, reference, mistakes, call=None, tolerance=1e-5, convert=None, parts=()):
    """Compare an answer with the reference on all cases, and name the mistake it makes.

    The exercise's own mistakes come first. One counts when it gives the answer's results in every
    case and at least two of these are wrong. Then come the mistakes that can be made anywhere:
    those that change a value must explain all values that are wrong, in at least two cases and
    with at least two different right values. When nothing explains all, the first part that is
    wrong is looked at alone, and then the cases of each word that an argument can be. Then come
    the small changes to the learner's code that make it right, and small slips in the reference.

    Args:
        attempt: runs the learner's function.
        cases: list of tuples of arguments.
        reference: function that gives the right result of a case. Its parameters' names are used
            to tell the learner about arguments.
        mistakes: dict from a sentence to a wrong function, to an edit "old -> new" of the
            reference's source that makes one, or to a list of these.
        call: function (arguments) -> how to write this case down for the learner; by default the
            arguments' names with their values or shapes.
        tolerance: largest difference that is rounding.
        convert: turns a result into an array or a tuple of arrays, and raises Incorrect when it is
            of another kind; by default a number, or a pair of arrays where parts are named.
        parts: names of the two parts of a result.

    Raises:
        Incorrect: with the mistake's sentence.
        Unexplained: no mistake fits; with the first case and place that differ.
    """
    if convert is None:
        convert = (lambda value: as_pair(value, *parts)) if parts else as_number
    answers, failed = [], None
    for case in cases:
        try:
            answers.append(convert(attempt(*case)))
        except Incorrect as error:  # what is wrong before may tell the cause
            failed, cases = error, cases[: len(answers)]
            break
    right = [convert(reference(*copy.deepcopy(case))) for case in cases]
    wrong = [not same(a, b, tolerance) for a, b in zip(answers, right, strict=True)]
    if failed and sum(wrong) < 2:
        raise failed
    if not any(wrong):
        return
    names = argument_names(reference, cases)
    mistakes = [
        (sentence, [edited(reference, m) if isinstance(m, str) else m for m in listed(some)])
        for sentence, some in mistakes.items()
    ]
    if len(parts) == 2:
        told = f"The two results are swapped: first the {parts[0]}, then the {parts[1]}."
        mistakes.append((told, lambda *case: tuple(reference(*case))[::-1]))
    number = isinstance(answers[0], np.ndarray) and not answers[0].ndim
    if number and len(cases) > 2 and all(np.all(answer == answers[0]) for answer in answers):
        mistakes.append((f"It is always {shown(answers[0])}.", lambda *case: answers[0]))
    mistakes += with_other_arguments(reference, cases, names)
    for some in (mistakes, slips(reference)):
        results = [
            (sentence, results_of(function, cases, convert))
            for sentence, functions in some
            for function in listed(functions)
        ]
        explain_some(answers, right, results, cases, names, tolerance, parts)
        if some is mistakes and sum(wrong) > 1:
            explain_repair(attempt, cases, right, convert, tolerance)
    if failed:
        raise failed
    first = wrong.index(True)
    case = call(*cases[first]) if call else written(cases[first], names)
    raise Unexplained(
        f"For {case} it gives {shown(answers[first])}; expected {shown(right[first])}."
        f"{first_difference(answers[first], right[first], tolerance)}{where(cases, wrong, names)}"
    )


def listed(value):
    return value if isinstance(value, list | tuple) else [value]


def explain_repair(attempt, cases, right, convert, tolerance):
    """Raise Incorrect when one small change to the learner's code makes the answer right."""

    def is_right(function):
        for case, wanted in zip(cases, right, strict=True):
            if not same(convert(function(*copy.deepcopy(case))), wanted, tolerance):
                return False
        return attempt.exercise.verdict(function)[0]  # in what else the exercise tries, too

    if told := find_repair(getattr(attempt, "answer", None), cases[0], is_right):
        raise Incorrect(told)


def explain_some(answers, right, results, cases, names, tolerance, parts=(), prefix=""):
    """Raise Incorrect when a mistake explains these answers; results are those of the mistakes."""
    if same(answers, right, tolerance):
        return
    for sentence, given in results:
        if fits(given, answers, right, tolerance):
            raise Incorrect(sentence)
    if isinstance(right[0], tuple):
        for number, part in enumerate(parts):
            # the parts before are right, so the mistake is one that leaves them right
            of_part = [
                (told, [g[number] for g in given])
                for told, given in results
                if all(given)
                and same([g[:number] for g in given], [r[:number] for r in right], tolerance)
            ]
            one, other = ([result[number] for result in all_] for all_ in (answers, right))
            explain_some(one, other, of_part, cases, names, tolerance, prefix=f"The {part}: ")
            if not same(one, other, tolerance):
                return  # what is wrong in the next part may follow from this one
        return
    if right[0].dtype.kind != "U":
        tell_change(answers, right, cases, names, tolerance, prefix)
    for index, name in enumerate(names or ()):
        words = {case[index] for case in cases if isinstance(case[index], str)}
        for word in sorted(words) if len(words) > 1 else ():
            chosen = [i for i, case in enumerate(cases) if case[index] == word]
            some = [[all_[i] for i in chosen] for all_ in (answers, right, cases)]
            place = f'Where {name} is "{word}": '
            # only mistakes that are right elsewhere: the others explain more than these cases
            of_some = [
                (place + told, [given[i] for i in chosen])
                for told, given in results
                if all(
                    i in chosen or same(given[i], right[i], tolerance) for i in range(len(cases))
                )
            ]
            explain_some(some[0], some[1], of_some, some[2], names, tolerance, prefix=place)


def results_of(function, cases, convert):
    """Return a wrong function's result of each case, None where it has none."""
    results = []
    for case in cases:
        try:
            # What a mistake's formula warns of is not the learner's business.
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                results.append(convert(function(*copy.deepcopy(case))))
        except Exception:  # a mistake that has no result here is not the one that was made
            results.append(None)
    return results


def fits(given, answers, right, tolerance):
    """Tell whether a mistake gives an answer's results in all cases, and two of them are wrong."""
    if not same(given, answers, tolerance):
        return False
    return sum(not same(a, b, tolerance) for a, b in zip(answers, right, strict=True)) > 1


def same(a, b, tolerance):
    """Tell whether arrays, or tuples or lists of them, agree in shape and values (nan equals nan).

    None, a result that does not exist, agrees with nothing.
    """
    if a is None:
        return False
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return a.shape == b.shape and bool(agree(a, b, tolerance).all())


def agree(a, b, tolerance):
    """Tell for each value whether it is right to rounding; words must be equal."""
    if b.dtype.kind == "U":
        return a == b
    # Counts are exact, however large; computed values come from float32.
    rtol = 1e-6 if np.array_equal(b, np.round(b), equal_nan=True) else 1e-4
    return np.isclose(a, b, atol=tolerance, rtol=rtol, equal_nan=True)


def argument_names(reference, cases):
    """Return the names of the arguments, or None when the reference does not name them."""
    parameters = inspect.signature(reference).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    return names[: len(cases[0])] if len(names) >= len(cases[0]) else None


def with_other_arguments(reference, cases, names):
    """List (sentence, wrong function): the reference with an argument changed or confused."""

    def given(new):
        """Make the reference with some arguments replaced: dict from index to function (case)."""
        return lambda *case: reference(*(new.get(i, itemgetter(i))(case) for i in range(len(case))))

    of_words, others = [], []
    for i, name in enumerate(names or ()):
        values = [case[i] for case in cases]
        words = sorted(set(values)) if isinstance(values[0], str) else []
        if len(words) == 2:
            other = dict(zip(words, words[::-1], strict=True))
            told = f'The rules for {name} "{words[0]}" and "{words[1]}" are swapped.'
            of_words.append((told, given({i: lambda case, i=i, other=other: other[case[i]]})))
        changes = NUMBERS
        if isinstance(values[0], list | np.ndarray):
            may_be = ARRAYS | (MASKS if np.any(values[0] == VOID) else {})
            changes = {f"{{}} {told}": change for told, change in may_be.items()}
        if words:
            changes = {f'{{}} "{word}" in all cases': lambda _, word=word: word for word in words}
        for told, change in changes.items():
            told = f"It gives what is right for {told.format(name)}."
            changed = given({i: lambda case, i=i, change=change: change(case[i])})
            (of_words if words else others).append((told, changed))
        for j in range(len(names)):
            if i != j and type(values[0]) is type(cases[0][j]):
                told = f"It uses {names[j]} where {name} belongs."
                others.append((told, given({i: itemgetter(j)})))
                told = f"It confuses two of its arguments, {name} and {names[j]}."
                others.append((told, given({i: itemgetter(j), j: itemgetter(i)})))
    return of_words + others


def tell_change(answers, right, cases, names, tolerance, prefix):
    """Raise Incorrect when the same simple change explains every value that is wrong."""

    def tell(sentence):
        raise Incorrect(prefix + sentence[0].lower() + sentence[1:] if prefix else sentence)

    answers, right = ([np.asarray(a, float) for a in arrays] for arrays in (answers, right))
    for told, change in ARRAYS.items():
        if fits(results_of(change, [(r,) for r in right], np.asarray), answers, right, tolerance):
            tell(f"It is what is expected {told}.")
    in_a_row = [[a.ravel() for a in arrays] for arrays in (answers, right)]
    for a, b in zip(answers, right, strict=True):
        if a.shape != b.shape:
            if same(*in_a_row, tolerance):
                tell(f"The values are right, but the shape is {a.shape}; expected {b.shape}.")
            return
    wrong = [~agree(a, b, tolerance) for a, b in zip(answers, right, strict=True)]
    wrong_cases = [mask.any() for mask in wrong]
    given, wanted = (
        np.concatenate([a[w] for a, w in zip(all_, wrong, strict=True)])
        for all_ in (answers, right)
    )
    place = where(cases, wrong_cases, names)
    if sum(wrong_cases) > 1 and np.isnan(given).all():
        tell(f"It is nan. Is something divided by 0, or the mean of no values taken?{place}")
    if sum(wrong_cases) < 2 or len(np.unique(wanted)) < 2:
        return
    size = sum(mask.size for mask, is_wrong in zip(wrong, wrong_cases, strict=True) if is_wrong)
    if len(wanted) < size:
        place = f" This is so for {len(wanted)} of {size} values; the others are right."

    def candidates():
        """Yield (sentence, what the values would be)."""
        for sentence, change in CHANGES.items():
            yield sentence, change(wanted)
        for name, values in numbers_of(cases, names):
            of_value = np.repeat(values, [mask.sum() for mask in wrong])
            if len(np.unique(of_value)) > 1:
                expected = "It is what is expected"
                yield f"{expected} plus {name}.", wanted + of_value
                yield f"{expected} minus {name}.", wanted - of_value
                told = "Is it multiplied once too often, or is a sum taken for a mean?"
                yield f"{expected} times {name}. {told}", wanted * of_value
                told = "Is it divided once too often, or is a mean taken for a sum?"
                yield f"{expected} divided by {name}. {told}", wanted / of_value
        # A constant is found from one value, so one more must confirm it.
        if len(np.unique(wanted)) > 2:
            largest = np.argmax(np.abs(np.nan_to_num(wanted, posinf=0, neginf=0)))
            factor, more = given[largest] / wanted[largest], given[largest] - wanted[largest]
            yield f"It is {factor:.4g} times what is expected.", factor * wanted
            size = f"{abs(more):.4g} too {'large' if more > 0 else 'small'}"
            yield f"It is always {size}.", wanted + more

    with np.errstate(all="ignore"):
        for sentence, values in candidates():
            if agree(values, given, tolerance).all():
                tell(sentence + place)


def numbers_of(cases, names):
    """Yield (name, values) of the numbers among the arguments, and of the arrays' lengths."""
    for index, name in enumerate(names or ()):
        values = [case[index] for case in cases]
        if all(isinstance(value, int | float) for value in values):
            yield name, np.array(values, float)
        elif all(isinstance(value, list | np.ndarray) for value in values):
            yield f"the length of {name}", np.array([len(value) for value in values], float)
            shapes = [np.shape(value) for value in values if isinstance(value, np.ndarray)]
            if len(shapes) == len(cases) and len({len(shape) for shape in shapes}) == 1:
                yield f"the number of values in {name}", np.prod(shapes, axis=1)
                yield f"the length of {name}'s last axis", np.array(shapes, float)[:, -1]


def where(cases, wrong, names):
    """Say in which cases an answer is wrong, by an argument if one decides; empty when in all."""
    if all(wrong):
        return ""
    for index, name in enumerate(names or ()):
        bad, good = (
            [case[index] for case, w in zip(cases, wrong, strict=True) if w == is_wrong]
            for is_wrong in (True, False)
        )
        if all(isinstance(value, str) for value in bad + good):
            if len(set(bad)) == 1 and bad[0] not in good:
                return f' This is so where {name} is "{bad[0]}"; elsewhere it is right.'
            if len(set(bad)) == 1:
                return f' This is so in {len(bad)} of {len(cases)} cases, all with "{bad[0]}".'
        elif all(isinstance(value, int | float) for value in bad + good):
            if min(bad) > max(good):
                return f" This is so where {name} is above {max(good):g}; below it is right."
            if max(bad) < min(good):
                return f" This is so where {name} is below {min(good):g}; above it is right."
    return f" This is so in {sum(wrong)} of {len(cases)} cases; the others are right."


def written(case, names):
    """Write a case down, short: names and values, or shapes."""
    told = []
    for name, value in zip(names or [""] * len(case), case, strict=True):
        if isinstance(value, np.ndarray):
            small = value.size <= 20 and value.ndim <= 2
            value = value.tolist() if small else f"of shape {value.shape}"
        elif isinstance(value, list) and isinstance(value[0], np.ndarray):
            value = f"of {len(value)} arrays"
        elif isinstance(value, str):
            value = f'"{value}"'
        told.append(f"{name} {value}")
    return ", ".join(told).strip()


def shown(value):
    """Write a result down, short."""
    if isinstance(value, tuple):
        return " and ".join(shown(part) for part in value)
    if value.dtype.kind == "U":
        return f'"{value}"'
    if value.shape == ():
        number = float(value)
        return f"{int(number)}" if number.is_integer() else f"{number:.4g}"
    if value.size > 30:
        return f"an array of shape {value.shape}"
    return np.array2string(value, precision=3, separator=", ").replace("\n", "")


def first_difference(given, right, tolerance):
    """Say where two arrays, or tuples of arrays, first differ; empty for numbers and shapes."""
    if isinstance(given, tuple):
        pairs = zip(given, right, strict=True)
        return next((d for pair in pairs if (d := first_difference(*pair, tolerance))), "")
    wrong = ~agree(given, right, tolerance) if given.shape == right.shape else np.array(False)
    if not wrong.ndim or not wrong.any():
        return ""
    place = tuple(np.argwhere(wrong)[0])
    return (
        f" The first difference is at [{', '.join(map(str, place))}]: {shown(given[place])} in "
        f"place of {shown(right[place])} ({wrong.sum()} of {wrong.size} values differ)."
    )
