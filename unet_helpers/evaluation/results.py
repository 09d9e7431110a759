"""The stored runs of the course's experiments, which notebooks and docs/results.md quote."""

import json

from unet_helpers.files import sample_folder


def stored_runs(experiment):
    """Return the stored runs of an experiment, a file in `data/results`, in a dict by variant.

    A run is a dict with "mean_iou", "accuracy", "iou" (dict from class to IoU) and what tells it
    from its like, such as "left_out" or "seed".
    """
    path = sample_folder("results") / f"{experiment}.json"
    groups = {}
    for run in json.loads(path.read_text())["runs"]:
        groups.setdefault(run["variant"], []).append(run)
    return groups
