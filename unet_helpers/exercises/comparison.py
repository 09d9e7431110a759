"""Compare an answer's results with the right ones, and name the mistake that explains them."""

import copy
import functools
import inspect
import warnings
from operator import itemgetter

import numpy as np

from unet_helpers.exercises.exercise import Incorrect, Unexplained, as_number, as_pair
from unet_helpers.exercises.slips import edited, slips
from unet_helpers.labels import VOID

# What may have been done to every value, and how to tell it
CHANGES = {
    "It is 100 times what is expected: per cent in place of a share?": lambda x: 100 * x,
    "The sign is wrong: it is minus what is expected.": lambda x: -x,
    "It is 1 minus what is expected.": lambda x: 1 - x,
    "It is x / (1 - x) of the expected x: a ratio of parts, not a share.": lambda x: x / (1 - x),
    "The fraction is upside down: it is 1 divided by what is expected.": lambda x: 1 / x,
    "The logarithm is to base 2; expected the natural one, np.log.": lambda x: x / np.log(2),
    "The logarithm is to base 10; expected the natural one, np.log.": lambda x: x / np.log(10),
    "A logarithm is missing: it is exp(-x) of the expected x.": lambda x: np.exp(-x),
    "It is nan. Is something divided by 0, or the mean of no values taken?": lambda x: x * np.nan,
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
# What may be used in place of a mask, apart from these
MASKS = {
    "with void counted as class 0": lambda x: np.where(x == VOID, 0, x),
    "with class 0 counted as void": lambda x: np.where(x == 0, VOID, x),
}


def compare(attempt, cases, reference, mistakes, tolerance=1e-5, convert=None, parts=()):
    """Compare an answer with the reference on all cases, and name the mistake it makes.

    A mistake counts when it gives the answer's results in every case and at least two of these are
    wrong. The exercise's own come first, then those that can be made anywhere, then small slips in
    the reference; at last the first wrong part is looked at alone, and some of the cases.

    Args:
        attempt: runs the learner's function.
        cases: list of tuples of arguments.
        reference: gives the right result of a case; messages use the names of its parameters.
        mistakes: dict from a sentence to a wrong function, to an edit "old -> new" of the
            reference's source, or to a list of these.
        tolerance: largest difference that is rounding.
        convert: turns a result into an array or a tuple of arrays, or raises Incorrect; by default
            a number, or a pair of arrays where parts are named.
        parts: names of the two parts of a result.

    Raises Incorrect with the mistake's sentence, or Unexplained with that of a slip, of a mistake
    in some cases, or of the first difference.
    """
    if convert is None:
        convert = (lambda value: as_pair(value, *parts)) if parts else as_number

    def as_tuple(value):
        result = convert(value)
        return result if isinstance(result, tuple) else (result,)

    answers, right, failed = [], [], None
    for case in cases:
        try:
            answers.append(as_tuple(attempt(*case)))
        except Incorrect as error:  # what is wrong before may tell the cause
            failed = error
            break
        right.append(as_tuple(reference(*copy.deepcopy(case))))
        if attempt.quickly and not same(answers[-1], right[-1], tolerance):
            raise Incorrect("It is wrong.")
    cases = cases[: len(answers)]
    wrong = [i for i in range(len(cases)) if not same(answers[i], right[i], tolerance)]
    if failed and len(wrong) < 2:
        raise failed
    if not wrong:
        return
    names = list(inspect.signature(reference).parameters)[: len(cases[0])]
    groups = groups_of(cases, wrong, names)
    if len(wrong) > 1:
        explain = functools.partial(explain_groups, answers, right, parts, tolerance)
        known = known_mistakes(reference, mistakes, parts)
        known += with_other_arguments(reference, cases, names)
        results = [(told, results_of(mistake, cases, as_tuple)) for told, mistake in known]
        results.append((f"It is always {shown(answers[0])}.", answers[:1] * len(cases)))
        explain(results, groups[:1], Incorrect)
        # of less weight: a change to the learner's own code, if there is one, says it better
        results += [(told, results_of(slip, cases, as_tuple)) for told, slip in slips(reference)]
        explain(results, groups, Unexplained)
    if failed:
        raise failed
    first, place = wrong[0], next(place for place, group in groups if group == wrong)
    raise Unexplained(
        f"For {written(cases[first], names)} it gives {shown(answers[first])}; expected "
        f"{shown(right[first])}.{first_difference(answers[first], right[first], tolerance)}{place}"
    )


def known_mistakes(reference, mistakes, parts=()):
    """List (sentence, wrong function) of an exercise's own mistakes; the arguments of `compare`."""
    known = [
        (sentence, edited(reference, mistake) if isinstance(mistake, str) else mistake)
        for sentence, some in mistakes.items()
        for mistake in (some if isinstance(some, list) else [some])
    ]
    if parts:
        told = f"The two results are swapped: first the {parts[0]}, then the {parts[1]}."
        known.append((told, lambda *case: tuple(reference(*case))[::-1]))
    return known


def groups_of(cases, wrong, names):
    """List (what to say, numbers) of all cases, of the wrong ones with each word, of all wrong."""
    told = f" This is so in {{}} of {len(cases)} cases"
    groups = [("", list(range(len(cases))))]
    for index, name in enumerate(names):
        for word in sorted({case[index] for case in cases if isinstance(case[index], str)}):
            some = [number for number in wrong if cases[number][index] == word]
            groups.append((f'{told.format(len(some))}, in all of which {name} is "{word}".', some))
    return [*groups, (f"{told.format(len(wrong))}; the others are right.", wrong)]


def explain_groups(answers, right, parts, tolerance, results, groups, kind):
    """Raise an error of a kind with the first mistake that explains a group of cases.

    answers and right have a tuple of arrays for each case, and so has a mistake in results, a list
    of (sentence, what it gives). Outside the group it must give the right results.
    """
    part = 0  # the first that is wrong: what is wrong in the next may follow from it
    while same([a[part] for a in answers], [r[part] for r in right], tolerance):
        part += 1
    for end in dict.fromkeys((len(right[0]), part + 1)):
        for place, group in (each for each in groups if len(each[1]) > 1):
            wanted = [(answers if i in group else right)[i][:end] for i in range(len(right))]
            for sentence, given in results:
                if same([result and result[:end] for result in given], wanted, tolerance):
                    raise kind(sentence + place)
            chosen, wanted = ([some[i][part] for i in group] for some in (answers, right))
            if end == part + 1 and wanted[0].dtype.kind != "U":
                for sentence, given in changed_results(chosen, wanted):
                    if same(given, chosen, tolerance):
                        prefix = f"The {parts[part]}: " if parts else ""
                        raise kind(prefix + sentence + place)


def changed_results(answers, right):
    """Yield (sentence, results) of what may have been done to each right array of a list."""
    right = [np.asarray(array, float) for array in right]
    wanted = np.concatenate([array.ravel() for array in right])
    given = np.concatenate([array.ravel() for array in answers])
    if len(np.unique(wanted)) < 2:
        return  # nothing is concluded from one value
    of_arrays = {f"It is what is expected {told}.": change for told, change in ARRAYS.items()}
    for sentence, change in (CHANGES | of_arrays).items():
        yield sentence, results_of(change, [(array,) for array in right], np.asarray)
    if len(given) != len(wanted):
        return
    shapes = f"the shape is {answers[0].shape}; expected {right[0].shape}."
    pairs = zip(right, map(np.shape, answers), strict=True)
    yield f"The values are right, but {shapes}", results_of(np.reshape, pairs, np.asarray)
    # A constant is found from one value, so one more must confirm it.
    if len(np.unique(wanted)) > 2:
        largest = np.argmax(np.abs(np.nan_to_num(wanted, posinf=0, neginf=0)))
        factor, more = given[largest] / wanted[largest], given[largest] - wanted[largest]
        yield f"It is {factor:.4g} times what is expected.", [factor * r for r in right]
        size = f"{abs(more):.4g} too {'large' if more > 0 else 'small'}"
        yield f"It is always {size}.", [array + more for array in right]


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


def same(a, b, tolerance):
    """Tell whether arrays, or tuples or lists of them, agree; None, no result, agrees with none."""
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return a is not None and a.shape == b.shape and bool(agree(a, b, tolerance).all())


def agree(a, b, tolerance):
    """Tell for each value whether it is right to rounding; words must be equal."""
    if b.dtype.kind == "U":
        return a == b
    # Counts are exact, however large; computed values come from float32.
    rtol = 1e-6 if np.array_equal(b, np.round(b), equal_nan=True) else 1e-4
    return np.isclose(a, b, atol=tolerance, rtol=rtol, equal_nan=True)


def with_other_arguments(reference, cases, names):
    """List (sentence, wrong function): the reference with an argument changed or confused."""

    def given(new):
        """Make the reference with some arguments replaced: dict from index to function (case)."""
        return lambda *case: reference(*(new.get(i, itemgetter(i))(case) for i in range(len(case))))

    found = []
    words_first = sorted(enumerate(names), key=lambda item: not isinstance(cases[0][item[0]], str))
    for i, name in words_first:
        changes = {}
        if isinstance(cases[0][i], str):
            words = sorted({case[i] for case in cases})
            changes = {f'{{}} "{word}" in all cases': lambda _, word=word: word for word in words}
        elif isinstance(cases[0][i], list | np.ndarray):
            changes = {f"{{}} {told}": change for told, change in (ARRAYS | MASKS).items()}
        for told, change in changes.items():
            told = f"It gives what is right for {told.format(name)}."
            found.append((told, given({i: lambda case, i=i, change=change: change(case[i])})))
        for j in range(len(names)):
            if i != j and type(cases[0][i]) is type(cases[0][j]):
                told = f"It uses {names[j]} where {name} belongs."
                found.append((told, given({i: itemgetter(j)})))
                told = f"It confuses two of its arguments, {name} and {names[j]}."
                found.append((told, given({i: itemgetter(j), j: itemgetter(i)})))
    return found


def written(case, names):
    """Write a case down, short: names and values, or shapes."""
    told = (shown(value).removeprefix("an array ") for value in case)
    return ", ".join(map(" ".join, zip(names, told, strict=True)))


def shown(value):
    """Write an argument or a result down, short."""
    if isinstance(value, tuple | list) and isinstance(value[0], np.ndarray):
        return " and ".join(map(shown, value))
    if isinstance(value, tuple | list):
        return str(value)
    value = np.asarray(value)
    if value.dtype.kind == "U":
        return f'"{value}"'
    if value.shape == ():
        number = float(value)
        return f"{int(number)}" if number.is_integer() else f"{number:.4g}"
    if value.size > 20:
        return f"an array of shape {value.shape}"
    return np.array2string(value, precision=3, separator=", ").replace("\n", "")


def first_difference(given, right, tolerance):
    """Say where two tuples of arrays first differ; empty for numbers and other shapes."""
    for array, wanted in zip(given, right, strict=True):
        wrong = np.array(array.shape == wanted.shape) and ~agree(array, wanted, tolerance)
        if np.ndim(wrong) and wrong.any():
            place = tuple(np.argwhere(wrong)[0].tolist())
            found = f"{shown(array[place])} in place of {shown(wanted[place])}"
            differ = f"({wrong.sum()} of {wrong.size} values differ)"
            return f" The first difference is at {list(place)}: {found} {differ}."
    return ""
