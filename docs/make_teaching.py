"""Write the schedules and notes of docs/teaching.md: python docs/make_teaching.py

Minutes come from the notebooks, mistakes from the exercises' checks. What is generated stands
between the lines <!-- NAME --> and <!-- end of NAME -->; the rest is left alone.
"""

import ast
import inspect
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from unet_helpers import exercises  # noqa: E402

PAGE = HERE / "teaching.md"
SCHEDULES = {
    "two days": {
        "day 1, morning": ("00", "01"),
        "day 1, afternoon": ("02", "03"),
        "day 2, morning": ("04", "05"),
        "day 2, afternoon": ("06", "10", "15"),
    },
    "seven weeks": {
        "week 1": ("00", "01"),
        "week 2": ("02", "03"),
        "week 3": ("04", "05"),
        "week 4": ("06", "07"),
        "week 5": ("08", "09", "10"),
        "week 6": ("11", "12", "13"),
        "week 7": ("14", "15", "16"),
    },
}
LIVE = {  # notebook: the section to show, and how
    "00": ("How good is a mask? IoU by hand", "let the room count before the cell does"),
    "01": ("From coarse to fine: the transposed convolution", "stamp one row on the board first"),
    "02": ("The receptive field, by gradients", "let them guess the width before it is measured"),
    "03": ("What does each skip connection carry?", "pull its sliders, and guess what goes first"),
    "04": ("The U, drawn from your live layers", "draw the U of a learner's own blocks"),
    "05": ("Step 3: resize", "ask what lies between road and car, then average a mask"),
    "06": ("The trap in the labels", "believe the description first"),
    "07": ("Void in the loss, by hand", "leave void in, and see what the loss becomes"),
    "08": ("The threshold", "vote on one before validation decides"),
    "09": ("The weight map", "ask where a network earns most by being right"),
    "10": ("A flattering number", "take the predictions before the cell runs"),
    "11": ("An alarm for strange images", "ask which of the six changes will not ring"),
    "12": ("The leak, measured", "show both scores, and vote which network to ship"),
    "13": ("What is forgotten", "vote on the rates, then ask what the frozen start has lost"),
    "14": ("1. Your street photo in, mask out", "take the photo in the break"),
    "15": ("1. What would be good enough?", "write the room's criteria on the board"),
    "16": ("3. The step against the processor's limit", "compare the machines in the room"),
}
OFTEN = {  # exercise: the beginning of what its check says of the mistake to expect
    "class_share": "Void pixels are counted",
    "stack_cost": "A layer has one bias for each filter",
    "dense_as_convolution": "The weights are read in another order",
    "transposed_convolution": "The stamps lie side by side",
    "output_size": 'With padding "valid" the size is rounded up',
    "conv_block": "Values are dropped at prediction",
    "receptive_field": "A layer's stride is counted too early",
    "upsampling_block": "The upsampled features and the skip connection are added",
    "transposed_size": "This is the size of an ordinary",
    "centre_crop": "where nothing goes, is the end -0?",
    "cut_skip": "Levels are counted from the wrong end",
    "unet_model": "No output is negative",
    "pixel_loss": "All classes go into it",
    "resize_mask": "The mask is shifted by half a pixel up",
    "input_pipeline": "A pair looks the same in every epoch",
    "paired_flip": "Image and mask make different moves",
    "iou_from_confusion": "An absent class gets 0",
    "cross_entropy_with_void": "It is divided by all pixels",
    "median_frequency_weights": "A class's pixels are divided by those of all images",
    "soft_dice": "Void pixels take part",
    "threshold_for_recall": "That is a threshold for precision",
    "border_weights": "Only the nearest cell counts",
    "iou_and_dice": "In Dice the hits are subtracted",
    "mean_per_image": "One absent class makes the mean nan",
    "calibration_error": "The bins are not weighed",
    "split_by_recording": "The split depends on the order",
    "augmentation": "The mask's margin is repeated",
    "bug_hunt": "Was its first line changed",
    "backbone_skips": "It takes the first tensor of each size",
    "tile_starts": "the last tile begins at",
    "acceptance_test": "The mean over the classes decides",
    "fold": "The factor lies on the channels",
    "roofline": "The two times are added up",
}


def mistake(exercise):
    """Return the sentence of an exercise's check that begins as in OFTEN."""
    module = sys.modules[exercise.judge.__module__]
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and OFTEN[exercise.name] in text:
            rest = text[text.index(OFTEN[exercise.name]) :]
            sentence = re.match(r".+?[.?](?=\s|$)", rest)[0]
            return sentence[0].upper() + sentence[1:]
    raise SystemExit(
        f"No check in {module.__name__} says {OFTEN[exercise.name]!r} any more: give OFTEN another "
        f"mistake of {exercise.name}."
    )


def minutes(opening, found):
    """Read a notebook's minutes from its opening; those of reading are without its exercises."""
    time = re.search(r"\*\*Time\*\* about (\d+) minutes(.*)", opening)
    return int(time[1]) + ("of reading" in time[2]) * sum(exercise.minutes for exercise in found)


def notebooks():
    """Return the notebooks by number, each with its file, title, headings, exercises, minutes."""
    found = {}
    for path in sorted((HERE.parent / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        names = re.findall(r"exercises\.(\w+)\.check\(", "\n".join(texts))
        own = [exercises.ALL[name] for name in names if name in exercises.ALL]
        headings = re.findall(r"^#+ (.+)", "\n".join(texts), re.MULTILINE)
        found[path.name[:2]] = {
            "file": path.name,
            "title": headings[0],
            "headings": headings,
            "exercises": own,
            "minutes": minutes(texts[0], own),
        }
    return found


def schedule(found, parts):
    """Write a schedule as a table, with the sum of its minutes."""
    times = [sum(found[number]["minutes"] for number in part) for part in parts.values()]
    rows = [
        f"| {name} | {', '.join(part)} | {time} |"
        for (name, part), time in zip(parts.items(), times, strict=True)
    ]
    total = f"| together | | {sum(times)} |"
    return "\n".join(["| | notebooks | minutes |", "|---|---|---|", *rows, total])


def note(number, notebook):
    """Write what a teacher wants to know of a notebook."""
    section, how = LIVE[number]
    if section not in notebook["headings"]:
        raise SystemExit(f"{notebook['file']} has no section {section!r} any more: change LIVE.")
    link = f"**[{notebook['title']}](../notebooks/{notebook['file']})**"
    lines = [f"{link}, {notebook['minutes']} minutes. Show *{section}*: {how}.", ""]
    for exercise in notebook["exercises"]:
        lines.append(f"- `{exercise.name}`, {exercise.minutes} minutes: {mistake(exercise)}")
    return "\n".join(lines).strip()


def filled(page):
    """Return a page's text with everything generated renewed."""
    found = notebooks()
    texts = {name: schedule(found, parts) for name, parts in SCHEDULES.items()}
    texts["notebooks"] = "\n\n".join(note(number, found[number]) for number in found)
    for name, text in texts.items():
        pattern = rf"(?s)(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        if not re.search(pattern, page):
            raise SystemExit(f"{PAGE} has no place for {name}: no line <!-- {name} -->.")
        page = re.sub(pattern, lambda place, text=text: f"{place[1]}{text}\n{place[2]}", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
