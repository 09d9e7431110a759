"""What all exercises have in common: states, messages, hints and solutions."""

import inspect
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from unet_helpers import exercises
from unet_helpers.exercises import showing
from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array, as_number, describe
from unet_helpers.exercises.tasks import Task
from unet_helpers.models import blocks

EVERY = [pytest.param(exercise, id=name) for name, exercise in exercises.ALL.items()]


def parameters(exercise):
    return exercise.call.split("(")[1].rstrip(")")


def make(exercise, body):
    """Write a learner's function with the exercise's name and parameters."""
    name = exercise.call.split("(")[0]
    space = {}
    exec(f"def {name}({parameters(exercise)}):\n    {body}\n", space)
    return space[name]


def test_there_are_enough_exercises_and_each_has_its_attribute():
    assert len(exercises.ALL) >= 14
    for name, exercise in exercises.ALL.items():
        assert getattr(exercises, name) is exercise
        assert exercise.call.startswith(f"my_{name}(")
        assert len(set(exercise.hints)) == len(exercise.hints) >= 2


@pytest.mark.parametrize("exercise", EVERY)
def test_the_reference_passes(exercise, capsys):
    assert exercise.check(exercise.reference) is True
    assert capsys.readouterr().out.startswith(f"{exercise.name}: right.")


@pytest.mark.parametrize("exercise", EVERY)
def test_an_untouched_stub_is_not_attempted(exercise, capsys):
    assert exercise.check(make(exercise, "return None")) is False
    said = capsys.readouterr().out.replace("\n", " ")
    assert "not attempted yet" in said and f"exercises.{exercise.name}.hint()" in said
    assert f"about {exercise.minutes} minutes" in said and 5 <= exercise.minutes <= 20


@pytest.mark.parametrize("exercise", EVERY)
def test_a_wrong_type_is_told(exercise):
    for value in ("'a string'", "{'a': 1}", "object()", "print"):
        passed, sentence = exercise.verdict(make(exercise, f"return {value}"))
        assert not passed and "returns" in sentence and "expected" in sentence.lower(), sentence


def test_what_is_raised_inside_is_told_with_the_line():
    def my_plus(a, b):
        start = 0
        return a / start

    passed, sentence = PLUS.verdict(my_plus)
    assert not passed and "my_plus raised in line" in sentence
    assert "`return a / start`: ZeroDivisionError: division by zero" in sentence


def raises_here():
    raise KeyError("boundary")


def test_the_learners_own_line_is_quoted():
    def my_output_size(size, kernel, stride, padding):
        return raises_here()

    _, sentence = exercises.output_size.verdict(my_output_size)
    assert '`raise KeyError("boundary")`' in sentence and "KeyError" in sentence


def small(call, reference, cases, **options):
    """Make an exercise that compares on these cases."""

    def judge(attempt):
        compare(attempt, cases, reference, {}, **options)

    return Exercise("small", judge, reference, texts=Task(5, "Do it.", "Do.", call=call))


def plus(a, b):
    return a + b


PLUS = small("my_plus(a, b)", plus, [(1, 2), (5, 3), (10, 7)])


def of_one_only(a, b):
    return a * a


def twice_b(a, b):
    return a + b + b


@pytest.mark.parametrize(
    "answer, told",
    [
        (lambda a, b: -(a + b), "The sign is wrong: it is minus what is expected."),
        (lambda a, b: 100 * (a + b), "per cent"),
        (lambda a, b: a - b, "`a - b` stands where `a + b` belongs."),
        (twice_b, "With `a + b` in place of `a + b + b` it is right"),
        (lambda a, b: 3 * (a + b), "It is 3 times what is expected."),
        (lambda a, b: a, "`a` stands where `a + b` belongs."),
        (lambda a, b: a + b + 7, "It is always 7 too large."),
        (lambda a, b: float("nan"), "It is always nan."),
        (lambda a, b: 8, "It is always 8."),
        (
            lambda a, b: -(a + b) if a > 1 else a + b,
            "minus what is expected. This is so in 2 of 3 cases",
        ),
        (of_one_only, "it gives 1; expected 3. It never uses its argument b."),
        # wrong for one input only: nothing is concluded from one
        (lambda a, b: 2 * (a + b) if a == 1 else a + b, "it gives 6; expected 3."),
    ],
)
def test_mistakes_that_any_exercise_can_have_are_named(answer, told):
    passed, sentence = PLUS.verdict(answer)
    assert not passed and told in sentence, sentence


def squared(a, b):
    print("not shown again and again")
    c = a * a
    return c + b


def one_too_many(a, b):
    total = a + b
    total += b * a
    return total


def raises_at_the_end(a, b):
    total = a + b
    return total[0]


def branches(a, b):
    return a - b if a else a + b


@pytest.mark.parametrize(
    "answer, told",
    [
        (raises_at_the_end, "not subscriptable. With `total` in place of `total[0]` it is right"),
        (branches, "With `a + b` in place of `a - b if a else a + b` it is right"),
        (squared, "With `a` in place of `a * a` it is right (line 3 of your function)."),
        (one_too_many, "Without `total += b * a` it is right"),
    ],
)
def test_the_change_that_makes_an_answer_right_is_named(answer, told, capsys):
    assert told in PLUS.verdict(answer)[1]
    assert capsys.readouterr().out.count("not shown") <= 3


def test_a_list_takes_no_number_s_place_where_it_could_grow_without_end():
    def my_receptive_field(layers):
        field = step = 1
        for kernel, stride in layers:
            field += (kernel - stride) * step
            step *= stride
        return field

    told = "With `kernel - 1` in place of `kernel - stride` it is right (line 4"
    assert told in exercises.receptive_field.verdict(my_receptive_field)[1]


def test_a_default_value_that_cannot_be_changed_breaks_no_check():
    def my_plus(a, b=1):
        return lost  # noqa: F821

    assert "NameError: name 'lost' is not defined" in PLUS.verdict(my_plus)[1]


def test_what_is_wrong_before_an_error_tells_the_cause():
    def my_plus(a, b):
        return (a - b) / (a != 10)

    assert "`a - b` stands where `a + b` belongs" in PLUS.verdict(my_plus)[1]


def test_the_first_place_that_differs_is_shown():
    tables = small("my_table(n)", lambda n: np.eye(n), [(2,), (3,)], convert=as_array)

    half = 0.5  # in a closure, so that no change to the code can be tried

    def my_table(n):
        table = np.eye(n)
        table[1, 0] = half
        return table

    sentence = tables.verdict(my_table)[1]
    assert "The first difference is at [1, 0]: 0.5 in place of 0 (1 of 4 values differ)" in sentence
    shifted = tables.verdict(lambda n: np.eye(n)[None])[1]
    assert "values are right, but the shape is (1, 2, 2); expected (2, 2)" in shifted


@pytest.mark.parametrize(
    "body",
    ["# write it here\n    return None", "pass", "...", '"What it does."', "return"],
)
def test_a_stub_with_only_its_comment_is_not_attempted(body):
    assert "not attempted yet" in PLUS.verdict(make(PLUS, body))[1]


@pytest.mark.parametrize("body", ["a + b", "c = a", "print(end='')", "for _ in (1,): pass"])
def test_a_function_without_return_is_not_a_stub(body):
    assert "Is its `return` missing?" in PLUS.verdict(make(PLUS, body))[1]


@pytest.mark.parametrize(
    "body",
    ["while True: pass", "\n    while True:\n        try: len('')\n        except Exception: pass"],
)
def test_an_endless_answer_is_stopped(body, monkeypatch):
    monkeypatch.setattr(Exercise, "seconds", 0.2)
    handler = signal.getsignal(signal.SIGALRM)
    passed, sentence = PLUS.verdict(make(PLUS, body))
    assert not passed and "my_plus was stopped after 0.2 seconds" in sentence
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_answer_in_a_thread_is_judged_without_a_limit():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(PLUS.verdict, lambda a, b: a + b).result() == (True, "right.")


@pytest.mark.parametrize("leave", [sys.exit, lambda: sys.exit("text"), exit])
def test_an_answer_that_exits_does_not_take_the_notebook_along(leave):
    passed, sentence = PLUS.verdict(lambda a, b: leave())
    assert not passed and "exits Python" in sentence


def test_an_interrupt_by_the_learner_passes():
    def my_plus(a, b):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PLUS.verdict(my_plus)


def test_a_shape_error_is_told_with_line_and_shapes():
    arrays = small("my_sum(x, y)", np.add, [(np.ones((2, 3)), np.ones((2, 3)))])

    def my_sum(x, y):
        turned = x.T
        return turned + y

    _, sentence = arrays.verdict(my_sum)
    assert "`return turned + y`: ValueError: operands could not be broadcast" in sentence
    assert "The shapes in this line: y (2, 3), turned (3, 2)." in sentence


def test_the_shapes_of_a_keras_error_are_not_cut_off():
    one = small("my_join(n)", lambda n: n, [(1,)])

    def my_join(n):
        deep = keras.Input((8, 12, 64))
        skip = keras.Input((16, 24, 32))
        return keras.layers.Concatenate()([deep, skip])

    _, sentence = one.verdict(my_join)
    assert "requires inputs with matching shapes" in sentence and "\x1b" not in sentence
    assert "deep (None, 8, 12, 64), skip (None, 16, 24, 32)" in sentence


def test_wrong_parameters_are_told():
    passed, sentence = PLUS.verdict(lambda: 0)
    assert not passed and "cannot be called as my_plus(a, b)" in sentence


@pytest.mark.parametrize("value", [None, 3, "text", np.zeros((2, 2))])
def test_the_function_itself_is_asked_for(value):
    passed, sentence = PLUS.verdict(value)
    assert not passed and "takes your function itself" in sentence


def test_hints_are_a_ladder(capsys):
    exercise, given = exercises.output_size, []
    for _ in range(len(exercise.hints) + 1):
        exercise.hint()
        given.append(capsys.readouterr().out)
    exercise.hints_given = 0
    assert len(set(given)) == len(exercise.hints)
    assert given[-1] == given[-2] and ".solution()" in given[-1]
    assert all(len(line) <= 100 for text in given for line in text.splitlines())


def test_a_hint_can_be_asked_for_by_its_number(capsys):
    exercise = Exercise(
        "thing", None, dict, texts=Task(5, "Do it.", "One.", "Two.", call="my_thing()")
    )
    said = []
    for numbers in ((), (), (1,), (), (3,), (0,), ("x",)):
        exercise.hint(*numbers)
        said.append(capsys.readouterr().out.strip())
    assert [text[:8] for text in said[:4]] == ["Hint 1 o", "Hint 2 o", "Hint 1 o", "Hint 2 o"]
    assert said[4:] == [
        f"thing has the hints 1 to 2, and {n} is none of them." for n in ["3", "0", "'x'"]
    ]


@pytest.fixture
def displayed(monkeypatch):
    """Let exercises believe that they run in a notebook; the list of what they display."""
    shown = []
    monkeypatch.setattr(showing, "in_notebook", lambda: True)
    monkeypatch.setattr(showing, "display", lambda data, raw: shown.append(data))
    return shown


@pytest.mark.parametrize(
    ("answer", "state", "told"),
    [
        (plus, "right", ""),
        (lambda a, b: None, "not attempted yet", "(about 5 minutes)"),
        (lambda a, b: a - b, "not yet", "stands where <code>a + b</code> belongs."),
        (lambda a, b: "<b>", "not yet", "returns '&lt;b&gt;'; expected one number."),
    ],
)
def test_a_notebook_shows_the_verdict_with_its_plain_twin(displayed, capsys, answer, state, told):
    PLUS.check(answer)
    (data,) = displayed
    assert f"{state}</b>" in data["text/html"] and told in data["text/html"]
    assert ("small.hint()" in data["text/html"]) == (state != "right")
    assert data["text/plain"] == showing.filled(f"small: {PLUS.verdict(answer)[1]}")
    assert capsys.readouterr().out == ""


def test_a_notebook_highlights_the_solution(displayed):
    exercises.centre_crop.solution()
    (data,) = displayed
    source = inspect.getsource(blocks.crop_to)
    assert source in data["text/plain"]
    assert data["text/markdown"] == f"```python\n{data['text/plain']}\n```"


@pytest.mark.parametrize(
    "body",
    [
        "    # your code here\n",
        "",
        "\n    # one\n\n    # two\n\n# at the margin\n",
        "    # your code here\n\n\nlast = 1\n",
    ],
)
def test_a_stub_of_comments_only_runs_in_a_notebook(body):
    lines = f"first = 0\ndef my_plus(a, b=(1, 2)):  # write it\n{body}".splitlines(keepends=True)
    space = {}
    exec("".join(showing.complete_stubs(lines)), space)
    assert "not attempted yet" in PLUS.verdict(space["my_plus"])[1]
    assert len(showing.complete_stubs(lines)) == len(lines)


@pytest.mark.parametrize("body", ["    # c\n    return a\n", "\n  return a\n", "    pass\n"])
def test_functions_with_a_body_are_left_alone(body):
    lines = f"def my_plus(a, b):\n{body}\n# end\n".splitlines(keepends=True)
    assert showing.complete_stubs(lines) == lines


def test_the_solution_is_source_of_the_package(capsys):
    for exercise in exercises.ALL.values():
        exercise.solution()
        printed = capsys.readouterr().out
        for thing in exercise.shown:
            assert thing.__module__.startswith("unet_helpers.")
            assert inspect.getsource(thing).rstrip() in printed
        assert exercise.reference in exercise.shown or any(
            thing.__name__ in inspect.getsource(exercise.reference) for thing in exercise.shown
        )


def test_changing_the_arguments_is_told():
    def judge(attempt):
        compare(attempt, [(np.arange(3),)], lambda x: x.sum(), {})

    exercise = Exercise("sum", judge, np.sum, texts=Task(5, "Sum.", "Add.", call="my_sum(x)"))

    def my_sum(x):
        x += 1
        return x.sum()

    passed, sentence = exercise.verdict(my_sum)
    assert not passed and "changes the array it was given" in sentence
    assert exercise.verdict(lambda x: x.sum()) == (True, "right.")


def test_something_that_no_check_thought_of_is_a_sentence():
    def judge(attempt):
        return attempt()["missing"]

    exercise = Exercise("thing", judge, dict, texts=Task(5, "Do it.", "Do.", call="my_thing()"))
    passed, sentence = exercise.verdict(lambda: {})
    assert not passed and "KeyError" in sentence and "Do it." in sentence


def test_checks_compute_in_float32_and_put_the_policy_back():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert exercises.upsampling_block.verdict(exercises.upsampling_block.reference)[0]
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_mistake_is_only_named_when_it_fits_every_case():
    def judge(attempt):
        mistakes = {"You doubled.": lambda x: 2 * x, "Never.": lambda x: 1 / 0}
        compare(attempt, [(1,), (2,), (3,)], lambda x: x * x, mistakes)

    exercise = Exercise("square", judge, abs, texts=Task(5, "Square.", "x", call="my_square(x)"))
    assert exercise.verdict(lambda x: x * x) == (True, "right.")
    assert "You doubled." in exercise.verdict(lambda x: x + x)[1]
    _, sentence = exercise.verdict(lambda x: x if x < 3 else 10)
    assert sentence == (
        "not yet. For x 2 it gives 2; expected 4. This is so in 2 of 3 cases; the others are right."
    )


def test_numbers_of_all_kinds_are_numbers():
    for value in (3, 3.0, np.int64(3), np.array(3), np.array([3]), keras.ops.convert_to_tensor(3)):
        assert as_number(value) == 3
    for value in ("3", [1, 2], None, {}, print):
        with pytest.raises(Incorrect, match="expected one number"):
            as_number(value)


def test_values_are_described_in_words():
    assert describe(np.zeros((2, 3))) == "an array of shape (2, 3)"
    assert describe(keras.layers.ReLU()) == "the layer ReLU"
    assert describe((1, 2)) == "a tuple of 2"
    assert describe(4) == "4" and describe(np.float32(0.5)) == "0.5"
