"""Write the tables of docs/results.md from data/results: python experiments/tables.py

A table stands between the lines <!-- NAME --> and <!-- end of NAME -->; the rest is left alone.
"""

import re
import statistics

from results import ROOT

from unet_helpers.evaluation import stored_runs

PAGE = ROOT / "docs" / "results.md"
# Tables of experiments/streets.py: variants whose five runs are there, compared with the first.
STREETS = {
    "designs": ("unet", "fcn_8s", "fcn_16s", "fcn_32s"),
    "skips": ("unet", "without_skips"),
    "weights": ("no_weights", "unet", "full_weights"),
}


def spread(values, sign=False):
    """Write mean and standard deviation of some numbers."""
    form = "+.3f" if sign else ".3f"
    return f"{statistics.mean(values):{form}} ± {statistics.stdev(values):.3f}"


def table(head, rows):
    """Write a Markdown table from a list of names and a list of rows."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def by_street(found, variants):
    """Write mean IoU on each recording left out, and the difference to the first, run by run."""
    base = variants[0]
    means = {v: {run["left_out"]: run["mean_iou"] for run in found[v]} for v in variants}
    streets = sorted(means[base])
    head, rows = ["", *streets, "mean IoU", "accuracy"], []
    for variant in variants:
        values = [means[variant][street] for street in streets]
        accuracy = spread([run["accuracy"] for run in found[variant]])
        rows.append([variant, *(f"{v:.3f}" for v in values), spread(values), accuracy])
    if len(variants) > 1:
        head += [f"difference to {base}", "lower in"]
        for row, variant in zip(rows, variants, strict=True):
            differences = [means[variant][s] - means[base][s] for s in streets]
            lower = f"{sum(d < 0 for d in differences)} of {len(streets)}"
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


def tables():
    """Return all tables: dict from name to Markdown."""
    groups = {"learner": (stored_runs("learner"), ("unet",))}
    groups |= {name: (stored_runs("streets"), variants) for name, variants in STREETS.items()}
    return {name: by_street(*group) + "\n\n" + by_class(*group) for name, group in groups.items()}


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
