"""Write the tables of docs/results.md from data/results: python experiments/tables.py

A table stands between the lines <!-- NAME --> and <!-- end of NAME -->; the rest is left alone.
"""

import re
import statistics

from results import ROOT

from unet_helpers.evaluation import stored_runs

PAGE = ROOT / "docs" / "results.md"
# A table's file in data/results, its variants, compared with the first, and of which runs.
TABLES = {
    "learner": ("learner", ("unet", "crops and dropout")),
    "crops": ("learner_jax", ("unet", "crops")),
    "designs": ("streets", ("unet", "fcn_8s", "fcn_16s", "fcn_32s")),
    "skips": ("streets", ("unet", "without_skips")),
    "weights": ("streets", ("no_weights", "unet", "full_weights")),
    "one_skip": ("streets_jax", ("unet", *(f"without_skip_{n}" for n in range(1, 5)))),
    "recipe": (
        "streets_jax",
        ("unet", "no_augmentation", "dropout", "batch_norm_once_a_block", "no_batch_norm", "plain"),
    ),
    "leak": (
        "leak",
        (
            "at random, own test images",
            "at random, new street",
            "by recording, own test images",
            "by recording, new street",
        ),
    ),
    "real_pets": (
        "real_sets",
        (
            "pets, plain",
            "pets, course",
            "pets, course, 4 epochs",
            "pets, small images first, 6 epochs",
            "pets, pets first, 1 epoch",
            "pets, pets first, 2 epochs",
        ),
    ),
    "real_camvid": ("real_sets", ("CamVid, plain", "CamVid, course", "CamVid, streets first")),
    "camvid_5": ("real_sets", ("CamVid, course, 5 epochs", "CamVid, streets first, 5 epochs")),
    **{
        f"transfer_{n}": ("transfer", ("scratch", "frozen", "all weights"), {"images": n})
        for n in (20, 60, 300)
    },
}


def spread(values, sign=False):
    """Write mean and standard deviation of some numbers."""
    form = "+.3f" if sign else ".3f"
    return f"{statistics.mean(values):{form}} ± {statistics.stdev(values):.3f}"


def table(head, rows):
    """Write a Markdown table from a list of names and a list of rows."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def by_part(found, variants):
    """Write mean IoU on each recording left out, or by seed, and the difference to the first.

    Where a recording has several seeds, their mean is written.
    """
    base = variants[0]
    part = "left_out" if "left_out" in found[base][0] else "seed"
    parts = sorted({run[part] for run in found[base]})

    def values_of(variant, name):
        runs = [[run[name] for run in found[variant] if run[part] == which] for which in parts]
        return [statistics.mean(values) for values in runs]

    means = {variant: values_of(variant, "mean_iou") for variant in variants}
    heads = parts if part == "left_out" else [f"seed {seed}" for seed in parts]
    head, rows = ["", *heads, "mean IoU", "accuracy"], []
    for variant, values in means.items():
        accuracy = spread(values_of(variant, "accuracy"))
        rows.append([variant, *(f"{v:.3f}" for v in values), spread(values), accuracy])
    if len(variants) > 1:
        head += [f"difference to {base}", "lower in"]
        for row, variant in zip(rows, variants, strict=True):
            pairs = zip(means[variant], means[base], strict=True)
            differences = [one - other for one, other in pairs]
            lower = f"{sum(d < 0 for d in differences)} of {len(parts)}"
            row += ["", ""] if variant == base else [spread(differences, sign=True), lower]
    return table(head, rows)


def by_class(found, variants):
    """Write each class's IoU, the mean over the recordings."""
    classes = list(found[variants[0]][0]["iou"])
    rows = []
    for variant in variants:
        means = (statistics.mean(run["iou"][name] for run in found[variant]) for name in classes)
        rows.append([variant, *(f"{mean:.2f}" for mean in means)])
    return table(["", *classes], rows)


def chosen(file, variants, only=None):
    """Read the runs of some variants of an experiment, all of them or those with certain values."""
    found = stored_runs(file)
    return {
        variant: [run for run in found[variant] if (only or {}).items() <= run.items()]
        for variant in variants
    }


def tables():
    """Return all tables: dict from name to Markdown."""
    groups = {name: (chosen(*how), how[1]) for name, how in TABLES.items()}
    return {name: by_part(*group) + "\n\n" + by_class(*group) for name, group in groups.items()}


def filled(page):
    """Return a page's text with all tables renewed."""
    for name, text in tables().items():
        pattern = rf"(?s)(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        if not re.search(pattern, page):
            raise SystemExit(f"{PAGE} has no place for the table {name}.")
        page = re.sub(pattern, rf"\1{text}\n\2", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
