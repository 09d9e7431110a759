"""What is a split at random worth, when neighbouring frames are near copies?

    python experiments/leak.py

For each of the five recordings: it is left out, and the other four are split into training and
test images twice, by recording (three and one) and frame by frame at random (three quarters and
one quarter). Two equal networks are trained, with the recipe of streets.py, and each is scored on
its own test images and on the recording left out, which is new to both.
"""

import keras
import numpy as np
import results
import streets

from unet_helpers.labels import CARLA


def split(four, how):
    """Split the frames of four recordings; returns (training, test), each (images, masks)."""
    if how == "by recording":
        return streets.together(four[1:]), streets.frames()[four[0]]
    images, masks = streets.together(four)
    order = np.random.default_rng(0).permutation(len(images))
    test, train = np.split(order, [len(images) // 4])
    return (images[train], masks[train]), (images[test], masks[test])


def main():
    keep = results.Results("leak", streets.SETTINGS)
    for number, left_out in enumerate(streets.STREETS):
        four = [*streets.STREETS[number + 1 :], *streets.STREETS[:number]]
        for how in ("by recording", "at random"):
            if keep.has(variant=f"{how}, new street", left_out=left_out):
                continue
            keras.utils.set_random_seed(0)
            model = streets.UNET((*streets.SETTINGS["size"], 3), n_classes=CARLA.n_classes)
            train, test = split(four, how)
            streets.fit(model, train)
            scored = {"own test images": test, "new street": streets.frames()[left_out]}
            for name, pairs in scored.items():
                run = {"variant": f"{how}, {name}", "left_out": left_out}
                keep.add(**run, **streets.score(model, pairs))


if __name__ == "__main__":
    main()
