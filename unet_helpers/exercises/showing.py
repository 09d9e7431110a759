"""How an exercise speaks: in a notebook HTML with a plain-text twin, elsewhere plain lines."""

import html
import re
import textwrap

from IPython import get_ipython
from IPython.display import display

WIDTH = 100  # characters a line: fits a notebook's output and a terminal
# What a verdict begins with, its sign, and a colour that reads on light and on dark themes.
SIGNS = (
    ("right", "\N{CHECK MARK}", "#2b9348"),
    ("not attempted yet", "\N{WHITE CIRCLE}", "#808080"),
    ("not yet", "\N{WHITE RIGHT-POINTING TRIANGLE}", "#b86e00"),
)
EMPTY_STUB = re.compile(
    r"^(def my_\w+\(.*\):)([ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*)(?=[^\s#]|\Z)", re.MULTILINE
)


def in_notebook():
    """Tell whether this runs in the kernel of a notebook."""
    return hasattr(get_ipython(), "kernel")


def filled(text):
    """Break a sentence into lines that fit."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def show(plain, **twins):
    """Print a text; in a notebook display its twins ("html", "markdown") instead, if they can."""
    if not in_notebook():
        print(plain)
        return
    data = {"text/plain": plain} | {f"text/{kind}": text for kind, text in twins.items()}
    display(data, raw=True)


def show_verdict(name, sentence):
    """Show an exercise's verdict: its state with sign and colour, the cause and the next step."""
    state, sign, colour = next(known for known in SIGNS if sentence.startswith(known[0]))
    told = sentence.removeprefix(state).lstrip(". ")
    told = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(told, quote=False))
    if state == "not yet":
        told += (
            "<br><small>Change your function and run this cell again; "
            f"<code>exercises.{name}.hint()</code> gives a hint.</small>"
        )
    show(
        filled(f"{name}: {sentence}"),
        html=f'<div style="border-left: 4px solid {colour}; padding: 0.3em 0.8em; '
        f'max-width: 60em"><b style="color: {colour}">{sign} {state}</b> '
        f"&nbsp;<code>{name}</code><br>{told}</div>",
    )


def show_code(source):
    """Show Python source, highlighted in a notebook in the colours of its theme."""
    show(source, markdown=f"```python\n{source}\n```")


def complete_stubs(lines):
    """Complete functions my_... in which only comments are left, so that a cell's lines run."""
    return EMPTY_STUB.sub(r"\1 pass\2", "".join(lines)).splitlines(keepends=True)


if in_notebook():  # IPython passes every cell through these functions before it compiles it
    get_ipython().input_transformers_cleanup.append(complete_stubs)
