"""Kill a training run at random moments until it is done; compare it with an undisturbed one.

python benchmarks/kills.py [EPOCHS] [SECONDS]     each run trains for up to SECONDS
"""

import json
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "tests" / "survivor.py"


def run(folder, epochs, life):
    """Train, and kill the process life seconds after it began to train.

    Returns its last printed line, or None when it was killed.
    """
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "train", str(folder), "end", str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if line == "STARTED\n" and life:
            threading.Timer(life, process.kill).start()
    return said[-1] if process.wait() == 0 else None


def main(epochs=60, seconds=8.0):
    """Print a line for every kill and the comparison at the end."""
    random.seed(0)
    with tempfile.TemporaryDirectory() as place:
        whole = json.loads(run(Path(place) / "undisturbed", epochs, None))
        folder, kills, answer = Path(place) / "killed", 0, None
        while answer is None:
            answer = run(folder, epochs, random.uniform(0.1, seconds))
            if answer is None:
                kills += 1
                state = folder / "history.json"
                kept = json.loads(state.read_text())["history"]["loss"] if state.exists() else []
                half = sorted(path.name for path in folder.glob("part-*"))
                print(
                    f"kill {kills:2}: {len(kept):3} epochs kept, half-written: {half}", flush=True
                )
        history = json.loads(answer)
        whole.pop("seconds")
        history.pop("seconds")
        worst = max(
            abs(a - b) for key in whole for a, b in zip(whole[key], history[key], strict=True)
        )
        print(
            f"{kills} kills, {len(history['loss'])} epochs, same keys: {set(whole) == set(history)}"
        )
        print(f"largest difference from the undisturbed history: {worst:.1e}")
        print("left in the folder:", sorted(path.name for path in folder.iterdir()))


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, float), sys.argv[1:], strict=False)))
