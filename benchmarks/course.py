"""Time the course's notebooks as they are, and with the plain Keras recipe; alternating.

    python benchmarks/course.py [05 07 10 ...] [--rounds 1]

Plain means: float32 whatever the machine can do, Keras's own Adam and batch normalisation, and
XLA where Keras chooses it. The rest is the same, the numbers of epochs too. Nothing is stored.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import machine
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))
from refresh import execute  # noqa: E402

PLAIN = """
import keras
from unet_helpers.training import fused, precision

fused.fuse_adam = lambda adam: adam
fused.fuse_batch_norm = lambda model: model
precision.cpu_precision = lambda flags: ("float32", "Plain Keras computes in float32.")
precision.gpu_precision = lambda capability: ("float32", "Plain Keras computes in float32.")
plain_compile = keras.Model.compile
keras.Model.compile = lambda *parts, **options: plain_compile(
    *parts, **options | {"jit_compile": "auto"}
)
"""


def run(path, plain):
    """Execute a notebook in a new kernel; returns seconds."""
    notebook = nbformat.read(path, as_version=4)
    if plain:
        first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        notebook.cells.insert(first + 1, nbformat.v4.new_code_cell(PLAIN))
    start = time.perf_counter()
    execute(notebook, path.name)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", help="such as 05; all, if none is named")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    print(machine.describe())
    paths = [
        path
        for path in sorted(NOTEBOOKS.glob("*.ipynb"))
        if not options.numbers or path.stem[:2] in options.numbers
    ]
    if not paths:
        sys.exit(f"No notebook of the numbers {' '.join(options.numbers)} in {NOTEBOOKS}.")
    totals = {"plain": 0.0, "course": 0.0}
    for path in paths:
        seconds = {"plain": [], "course": []}
        for _ in range(options.rounds):
            for name, values in seconds.items():
                values.append(run(path, name == "plain"))
        middles = {name: statistics.median(values) for name, values in seconds.items()}
        totals = {name: totals[name] + middles[name] for name in totals}
        print(
            f"{path.stem:32} plain {middles['plain']:5.0f} s, course {middles['course']:5.0f} s, "
            f"{middles['plain'] / middles['course']:.1f} x",
            flush=True,
        )
    print(f"all: plain {totals['plain']:.0f} s, course {totals['course']:.0f} s")


if __name__ == "__main__":
    main()
