"""Draw a small cats-and-dogs data set with exact trimaps, stored as TFDS oxford_iiit_pet 4.0.0.

Every animal is a skeleton of spheres in three dimensions, seen through a simple camera: the
spheres give the silhouette, the depth, the shading and the place of every patch of the coat.

    python data/make_pets.py [--out DIR]
"""

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COUNTS = {"train": 200, "test": 80}
SPLIT_SEED = {"train": 1, "test": 2}
BREEDS = [
    "Abyssinian",
    "american_bulldog",
    "american_pit_bull_terrier",
    "basset_hound",
    "beagle",
    "Bengal",
    "Birman",
    "Bombay",
    "boxer",
    "British_Shorthair",
    "chihuahua",
    "Egyptian_Mau",
    "english_cocker_spaniel",
    "english_setter",
    "german_shorthaired",
    "great_pyrenees",
    "havanese",
    "japanese_chin",
    "keeshond",
    "leonberger",
    "Maine_Coon",
    "miniature_pinscher",
    "newfoundland",
    "Persian",
    "pomeranian",
    "pug",
    "Ragdoll",
    "Russian_Blue",
    "saint_bernard",
    "samoyed",
    "scottish_terrier",
    "shiba_inu",
    "Siamese",
    "Sphynx",
    "staffordshire_bull_terrier",
    "wheaten_terrier",
    "yorkshire_terrier",
]
BODY, LEG, PAW, TAIL, NECK, HEAD, MUZZLE, EAR, INNER, NOSE, TONGUE = range(11)
FUR = {
    "black": (0.10, 0.09, 0.09),
    "white": (0.93, 0.91, 0.87),
    "ginger": (0.80, 0.48, 0.20),
    "cream": (0.87, 0.76, 0.58),
    "brown": (0.44, 0.29, 0.17),
    "grey": (0.47, 0.49, 0.53),
    "silver": (0.70, 0.70, 0.70),
    "chocolate": (0.27, 0.17, 0.12),
    "tan": (0.70, 0.50, 0.30),
    "fawn": (0.79, 0.63, 0.45),
}
BRIGHT = [
    (0.25, 0.38, 0.60),
    (0.65, 0.16, 0.16),
    (0.25, 0.45, 0.28),
    (0.16, 0.42, 0.45),
    (0.80, 0.62, 0.18),
    (0.75, 0.45, 0.50),
    (0.42, 0.30, 0.50),
    (0.55, 0.65, 0.75),
]
# species, pattern -> (base colours, second colours, breeds)
COATS = {
    (0, "solid"): ("black grey white chocolate", "black", "Bombay Russian_Blue Persian Sphynx"),
    (0, "tabby"): ("ginger tan grey silver brown", "", "Maine_Coon Egyptian_Mau Abyssinian"),
    (0, "tuxedo"): ("black grey ginger", "white", "Maine_Coon Persian British_Shorthair"),
    (0, "points"): ("cream white fawn", "chocolate grey", "Siamese Birman Ragdoll"),
    (0, "spots"): ("tan silver ginger fawn", "chocolate black", "Bengal Egyptian_Mau"),
    (0, "patches"): ("white", "black ginger grey", "Ragdoll Persian"),
    (1, "solid"): (
        "black white cream tan brown",
        "black",
        "newfoundland samoyed pomeranian great_pyrenees scottish_terrier",
    ),
    (1, "belly"): ("brown ginger tan grey fawn", "white cream", "shiba_inu boxer chihuahua"),
    (1, "brindle"): ("tan brown fawn", "chocolate", "boxer american_pit_bull_terrier"),
    (1, "saddle"): ("tan fawn ginger", "black chocolate", "beagle yorkshire_terrier basset_hound"),
    (1, "patches"): (
        "white",
        "black brown ginger tan",
        "saint_bernard english_setter american_bulldog japanese_chin",
    ),
    (1, "mask"): ("fawn tan cream", "black", "pug leonberger boxer"),
    (1, "tuxedo"): ("black brown chocolate", "white", "staffordshire_bull_terrier havanese"),
    (1, "spots"): ("white silver", "chocolate black brown", "german_shorthaired english_setter"),
}


def unit(v):
    """Scale a vector to length one."""
    v = np.asarray(v, float)
    return v / (np.linalg.norm(v) + 1e-9)


def noise(rng, shape, cell, octaves=3):
    """Return smooth random values of about unit spread, with features about `cell` pixels wide."""
    h, w = shape
    total = np.zeros(shape)
    for k in range(octaves):
        size = max(cell / 2**k, 1.0)
        grid = rng.standard_normal((int(h / size) + 3, int(w / size) + 3)).astype(np.float32)
        big = Image.fromarray(grid).resize((w, h), Image.BICUBIC)
        total += np.asarray(big) / 1.6**k
    return total / 1.35


def blur(a, radius):
    """Blur one channel by running means, three times over, which is close to a Gaussian."""
    # Pillow's own blur knows bytes only, too coarse for the depths that the shading needs.
    r = max(round(radius), 1)
    out = np.asarray(a, float)
    for _ in range(3 if radius > 0.9 else 1):
        for _ in range(2):
            total = np.cumsum(np.pad(out, ((r + 1, r), (0, 0)), mode="edge"), axis=0)
            out = ((total[2 * r + 1 :] - total[: -2 * r - 1]) / (2 * r + 1)).T
    return out


def streaks(rng, fx, fy, length, grain=3.0):
    """Smear white noise along the flow (fx, fy), which reads as strands of hair."""
    h, w = fx.shape
    white = rng.standard_normal((h, w)) * min(3.0 / grain, 1) + noise(rng, (h, w), grain, 1)
    y, x = np.mgrid[0:h, 0:w].astype(float)
    total = np.zeros((h, w))
    for _ in range(length):
        total += white[np.clip(y, 0, h - 1).astype(int), np.clip(x, 0, w - 1).astype(int)]
        y -= fy
        x -= fx
    return total / np.sqrt(length) / 1.4


class Model:
    """Chains of spheres in the animal's own frame: x forward, y up, z to its side."""

    def __init__(self):
        self.chains = []

    def chain(self, points, radii, tag, soft=0.08, flow=None):
        """Add spheres along a bent line; `flow` is the direction in which its hair lies."""
        points, radii = np.asarray(points, float), np.asarray(radii, float)
        out, along = [], 0.0
        for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            length = np.linalg.norm(b - a)
            n = int(np.clip(np.ceil(length / (0.22 * max(min(ra, rb), 0.03))), 1, 24))
            for t in np.arange(n) / n:
                out.append([*(a + t * (b - a)), ra + t * (rb - ra), along + t * length])
            along += length
        out.append([*points[-1], radii[-1], along])
        direction = points[-1] - points[0] if flow is None else flow
        self.chains.append((np.array(out), tag, soft, unit(direction)))

    def flap(self, a, b, tip, radius, tag, bend=(0, 0, 0)):
        """Add an ear: a thin triangle of small spheres, bulging by `bend` half-way."""
        a, b, tip, bend = (np.asarray(p, float) for p in (a, b, tip, bend))
        rows = int(np.clip(np.linalg.norm(tip - (a + b) / 2) / radius * 2.4, 4, 16))
        out = []
        for i in range(rows + 1):
            t = i / rows
            n = max(int(np.linalg.norm(b - a) * (1 - t) / radius * 2.0), 1)
            for j in range(n + 1):
                p = a + (b - a) * j / n
                out.append(
                    [*(p + (tip - p) * t + bend * 4 * t * (1 - t)), radius * (1 - 0.35 * t), t]
                )
        self.chains.append((np.array(out), tag, 0.04, unit(tip - (a + b) / 2)))


def add_head(m, dog, at, frame, size, look):
    """Add skull, muzzle, nose, ears and tongue around `at`; `frame` has rows forward, up, side."""

    def put(x, y, z):
        return at + size * (np.array([x, y, z]) @ frame)

    back = -frame[0] + 0.3 * frame[1]
    m.chain([put(0, 0, -0.2), put(0, 0, 0.2)], [size * 0.92] * 2, HEAD, 0.1 * size, back)
    if not dog:
        for s in (-1, 1):
            m.chain(
                [put(0.2, -0.28, 0.3 * s), put(0.3, -0.34, 0.5 * s)],
                [size * 0.62, size * 0.45],
                HEAD,
                0.25 * size,
                frame[2] * s - 0.5 * frame[1],
            )
            m.chain(
                [put(0.6, -0.36, 0.1 * s), put(0.86, -0.4, 0.17 * s)],
                [size * 0.34, size * 0.24],
                MUZZLE,
                0.12 * size,
                frame[2] * s,
            )
            tilt, tall = look["ear_tilt"], look["ear"]
            base_in, base_out = put(0.12, 0.78, 0.22 * s), put(-0.02, 0.38, 0.9 * s)
            tip = put(0.05, 0.75 + 0.85 * tall, (0.62 + 0.3 * tilt) * s)
            m.flap(base_in, base_out, tip, size * 0.1, EAR)
            inner = [p + size * 0.09 * frame[0] for p in (base_in, base_out, tip)]
            mid = sum(inner) / 3
            m.flap(*[mid + 0.62 * (p - mid) for p in inner], size * 0.06, INNER)
        m.chain(
            [put(0.6, -0.6, 0), put(0.74, -0.64, 0)],
            [size * 0.25, size * 0.2],
            MUZZLE,
            0.12 * size,
            -frame[1],
        )
        m.chain(
            [put(0.5, 0.0, 0), put(0.93, -0.22, 0)],
            [size * 0.42, size * 0.15],
            HEAD,
            0.2 * size,
            back,
        )
        m.chain([put(1.0, -0.2, -0.07), put(1.0, -0.2, 0.07)], [size * 0.1] * 2, NOSE, 0.01)
        m.chain([put(1.0, -0.21, 0), put(0.99, -0.3, 0)], [size * 0.1, size * 0.06], NOSE, 0.01)
        return
    n, wide = look["muzzle"], look["jowl"]
    m.chain(
        [put(0.3, -0.2, 0), put(0.65 + 0.25 * n, -0.24, 0), put(0.72 + 0.7 * n, -0.3, 0)],
        [size * 0.62, size * 0.45 * wide, size * 0.36 * wide],
        MUZZLE,
        0.2 * size,
        back,
    )
    for s in (-1, 1):
        m.chain(
            [put(0.5, -0.38, 0.28 * s), put(0.62 + 0.65 * n, -0.46, 0.2 * s)],
            [size * 0.4, size * 0.27 * wide],
            MUZZLE,
            0.1 * size,
            back - frame[1],
        )
        m.chain(
            [put(0.1, -0.2, 0.35 * s), put(0.0, -0.3, 0.5 * s)],
            [size * 0.6, size * 0.45],
            HEAD,
            0.25 * size,
            back - frame[1],
        )
        if look["floppy"]:
            drop = look["ear"]
            m.flap(
                put(0.2, 0.72, 0.55 * s),
                put(-0.5, 0.4, 0.75 * s),
                put(0.12, 0.4 - 1.3 * drop, 1.08 * s),
                size * 0.2,
                EAR,
                size * 0.2 * s * frame[2],
            )
        else:
            base_in, base_out = put(0.02, 0.72, 0.24 * s), put(-0.1, 0.42, 0.84 * s)
            tip = put(0.05, 0.8 + 0.85 * look["ear"], (0.6 + 0.25 * look["ear_tilt"]) * s)
            m.flap(base_in, base_out, tip, size * 0.12, EAR)
            inner = [p + size * 0.11 * frame[0] for p in (base_in, base_out, tip)]
            mid = sum(inner) / 3
            m.flap(*[mid + 0.55 * (p - mid) for p in inner], size * 0.06, INNER)
    m.chain(
        [put(0.45, -0.62, 0), put(0.55 + 0.6 * n, -0.66, 0)],
        [size * 0.34, size * 0.2],
        MUZZLE,
        0.05 * size,
        back,
    )
    nose = 0.98 + 0.72 * n
    m.chain([put(nose, -0.14, -0.09), put(nose, -0.14, 0.09)], [size * 0.16] * 2, NOSE, 0.01)
    m.chain(
        [put(nose, -0.16, 0), put(nose - 0.03, -0.28, 0)], [size * 0.15, size * 0.1], NOSE, 0.01
    )
    if look["tongue"]:
        m.chain(
            [
                put(0.62 + 0.55 * n, -0.68, 0),
                put(0.78 + 0.6 * n, -0.82, 0.03),
                put(0.8 + 0.6 * n, -1.15, 0.05),
            ],
            [size * 0.17, size * 0.19, size * 0.15],
            TONGUE,
            0.01,
        )


def build(rng, dog, pose, cam):
    """Set up one animal's skeleton; return the model, the head's place, frame and size."""
    m = Model()
    u = rng.uniform
    long, leg = (u(1.0, 1.4), u(0.5, 1.0)) if dog else (u(1.05, 1.3), u(0.55, 0.7))
    fat = u(0.24, 0.36) if dog else u(0.22, 0.32)
    limb = fat * u(0.3, 0.4)
    size = u(0.27, 0.36) if dog else u(0.28, 0.35)
    fluffy = u(0.0, 1.0) ** 2
    neck_r = fat * (0.72 + 0.25 * fluffy)
    wide = fat * 0.55
    look = {
        "ear": u(0.75, 1.15),
        "ear_tilt": u(-0.5, 1.0),
        "muzzle": u(0.15, 1.0),
        "jowl": u(0.85, 1.15),
        "floppy": u() < 0.6,
        "tongue": u() < 0.35,
        "fluffy": fluffy,
        "limb": limb,
    }
    x0, x1 = -long / 2, long / 2
    tail_r = limb * (0.55 + 1.0 * fluffy * u(0.3, 1)) if dog else limb * u(0.5, 0.9)
    foot = [limb * 1.05, limb * 0.95]

    def limb_chain(points, first=1.6, last=0.9):
        radii = np.linspace(first, last, len(points)) * limb
        radii[1:-1] *= 0.95
        m.chain(points, radii, LEG, 0.09, (0.1, -1, 0))
        x, _, z = points[-1]
        m.chain([(x, limb, z), (x + 1.1 * limb, limb * 0.9, z)], foot, PAW, 0.05, (1, -0.3, 0))

    if pose in ("stand", "walk"):
        y = leg + fat * 0.8
        m.chain(
            [(x1, y, 0), (0, y - 0.02, 0), (x0, y + 0.02, 0)],
            [fat, fat * 0.94, fat * 0.85],
            BODY,
            0.12,
            (-1, -0.35, 0),
        )
        m.chain(
            [(x1 + 0.05, y - 0.1, 0), (0.0, y - 0.12, 0)],
            [fat * 0.85, fat * 0.8],
            BODY,
            0.15,
            (-1, -0.5, 0),
        )
        swing = u(0.16, 0.32) * leg if pose == "walk" else u(0.0, 0.07)
        for s in (-1, 1):
            dx = swing * s * (1 if pose == "stand" else rng.choice([-1, 1]))
            limb_chain(
                [
                    (x1, y - 0.12, wide * s),
                    (x1 - 0.05 + dx * 0.3, leg * 0.52, wide * s),
                    (x1 + dx, limb, wide * 0.9 * s),
                ],
                2.0,
            )
            dx = -dx * u(0.6, 1.2)
            knee = (x0 + 0.12 + dx * 0.3, leg * 0.62, wide * s)
            hock = (x0 - 0.14 + dx, leg * 0.33, wide * s)
            limb_chain(
                [(x0 - 0.02, y - 0.1, wide * s), knee, hock, (x0 - 0.1 + dx, limb, wide * s)], 2.5
            )
        chest, tail = np.array([x1 + 0.06, y + 0.08, 0]), np.array([x0 - fat * 0.7, y + 0.12, 0])
        up = u(-0.5, 0.9)
        path = [(0, 0, 0), (-0.22, 0.1 * up, 0), (-0.36, 0.42 * up, 0.03), (-0.36, 0.85 * up, 0.1)]
        if dog and fluffy > 0.5:
            path = [(0, 0, 0), (-0.14, 0.2, 0), (0.0, 0.36, 0.05), (0.16, 0.28, 0.08)]
    elif pose == "sit":
        tall = leg * 0.75 + fat * 1.6
        m.chain(
            [(0.22, tall, 0), (0.02, tall * 0.66, 0), (-0.22, fat * 1.05, 0)],
            [fat * 0.85, fat * 1.0, fat * 1.18],
            BODY,
            0.15,
            (-0.4, -1, 0),
        )
        for s in (-1, 1):
            limb_chain(
                [
                    (0.26, tall - 0.1, wide * s),
                    (0.27, tall * 0.45, wide * 0.85 * s),
                    (0.33, limb, wide * 0.75 * s),
                ],
                2.0,
            )
            m.chain(
                [(-0.18, fat * 1.0, wide * 1.1 * s), (0.12, fat * 0.95, wide * 1.6 * s)],
                [fat * 0.78, fat * 0.52],
                BODY,
                0.12,
                (0.2, -1, 0),
            )
            m.chain(
                [(-0.05, limb, wide * 1.6 * s), (0.32, limb * 0.95, wide * 1.75 * s)],
                [limb * 1.1, limb * 1.1],
                PAW,
                0.05,
                (1, 0, 0),
            )
        chest, tail = np.array([0.26, tall + 0.06, 0]), np.array([-0.22 - fat, limb, 0.0])
        side = rng.choice([-1, 1])
        path = [
            (0, 0, 0),
            (-0.18, 0, 0.15 * side),
            (-0.12, 0.0, 0.42 * side),
            (0.22, 0, 0.55 * side),
        ]
    else:
        y = fat * 0.95
        m.chain(
            [(x1 - 0.1, y * 1.08, 0), (0, y, 0), (x0, y * 0.98, 0)],
            [fat * 0.92, fat * 0.97, fat * 1.02],
            BODY,
            0.14,
            (-1, -0.5, 0),
        )
        for s in (-1, 1):
            if pose == "lie":
                reach = u(0.25, 0.55)
                m.chain(
                    [
                        (x1 - 0.05, y, wide * s),
                        (x1 - 0.05, limb * 1.4, wide * 1.3 * s),
                        (x1 + reach, limb, wide * s),
                    ],
                    [limb * 1.9, limb * 1.35, limb],
                    LEG,
                    0.09,
                    (1, -0.2, 0),
                )
                m.chain(
                    [(x1 + reach, limb, wide * s), (x1 + reach + limb, limb, wide * s)],
                    foot,
                    PAW,
                    0.05,
                    (1, -0.3, 0),
                )
            else:
                m.chain(
                    [(x1 + 0.05, limb, wide * 0.6 * s), (x1 + 0.16, limb, wide * 0.5 * s)],
                    foot,
                    PAW,
                    0.06,
                    (1, -0.3, 0),
                )
            m.chain(
                [(x0 + 0.02, y, wide * 1.2 * s), (x0 + 0.3, y * 0.62, wide * 1.75 * s)],
                [fat * 0.82, fat * 0.5],
                BODY,
                0.12,
                (0.3, -1, 0),
            )
            m.chain(
                [(x0 + 0.2, limb, wide * 2.0 * s), (x0 + 0.5, limb, wide * 1.9 * s)],
                [limb * 1.1, limb],
                PAW,
                0.05,
                (1, 0, 0),
            )
        chest, tail = np.array([x1, y * 1.25, 0]), np.array([x0 - fat * 0.75, limb, 0.0])
        side = rng.choice([-1, 1])
        path = [
            (0, 0.05, 0),
            (-0.25, 0, 0.1 * side),
            (-0.3, 0.0, 0.4 * side),
            (0.0, 0, 0.62 * side),
        ]
    stretch = u(0.8, 1.25) if not dog else u(0.5, 1.0)
    m.chain(tail + np.array(path) * stretch, np.array([1.25, 1.1, 1.0, 0.75]) * tail_r, TAIL, 0.08)

    # The head turns towards the camera as far as a neck allows, or looks where the body goes.
    view = cam[2]
    azimuth = np.arctan2(view[2], view[0]) + rng.normal(0, 0.3)
    azimuth = np.clip(azimuth, -1.45, 1.45) * (1.0 if u() < 0.7 else u(-0.1, 0.6))
    lift = rng.normal(0.02, 0.14)
    sleepy = pose == "loaf" and u() < 0.4
    forward = np.array([np.cos(azimuth) * np.cos(lift), np.sin(lift), np.sin(azimuth)])
    frame_x = unit(forward)
    frame_z = unit(np.cross(frame_x, [0, 1, rng.normal(0, 0.1)]))
    frame = np.stack([frame_x, np.cross(frame_z, frame_x), frame_z])
    rise = u(0.6, 0.95) if pose in ("stand", "walk", "lie") else u(0.65, 0.9)
    reach = u(0.3, 0.6) if pose in ("stand", "walk") else u(0.12, 0.3)
    rise, reach = rise * (0.62 if not dog else 0.78), reach * (1.0 if dog else 0.8)
    if sleepy or (pose == "walk" and u() < 0.3):
        rise, reach = rise * 0.45, reach + 0.18
    head = chest + np.array([reach, rise * (0.55 + size), 0])
    m.chain(
        [chest - [0.06, 0.05, 0], head - frame_x * 0.3 * size - [0, 0.1 * size, 0]],
        [neck_r * 1.1, min(neck_r, size * 0.85)],
        NECK,
        0.14,
        (-0.5, -1, 0),
    )
    add_head(m, dog, head, frame, size, look)
    look["sleepy"] = sleepy
    return m, head, frame, size, look


class View:
    """A camera turned by yaw and pitch, with weak perspective, in pixels of the drawn grid."""

    def __init__(self, matrix, strength):
        self.matrix, self.strength = matrix, strength
        self.scale, self.ox, self.oy = 1.0, 0.0, 0.0

    def project(self, points):
        """Return pixel columns, pixel rows, depth towards the viewer and magnification."""
        p = np.asarray(points) @ self.matrix.T
        zoom = self.scale / (1 - self.strength * np.clip(p[..., 2], -2, 2))
        return self.ox + p[..., 0] * zoom, self.oy - p[..., 1] * zoom, p[..., 2], zoom

    def back(self, x, y, depth):
        """Return the points in the animal's frame that lie at these pixels and depths."""
        zoom = self.scale / (1 - self.strength * np.clip(depth, -2, 2))
        p = np.stack([(x - self.ox) / zoom, (self.oy - y) / zoom, depth], -1)
        return p @ self.matrix


def rasterise(m, view, h, w):
    """Draw the spheres: distance to the silhouette, depth, part, place along it, hair flow."""
    dist = np.full((h, w), 1e4)
    depth = np.full((h, w), -99.0)
    beyond = 8.0
    tag = np.full((h, w), -1)
    along = np.zeros((h, w))
    fx, fy = np.zeros((h, w)), np.ones((h, w)) * 0.3
    for spheres, part, soft, flow in m.chains:
        cx, cy, cz, zoom = view.project(spheres[:, :3])
        r = spheres[:, 3] * zoom
        margin = max(soft * view.scale, 5)
        ya, yb = int(max((cy - r).min() - margin, 0)), int(min((cy + r).max() + margin + 1, h))
        xa, xb = int(max((cx - r).min() - margin, 0)), int(min((cx + r).max() + margin + 1, w))
        if ya >= yb or xa >= xb:
            continue
        # Unlike starting values: equal ones would count as two surfaces that meet.
        d = np.full((yb - ya, xb - xa), 2e4)
        z = np.full(d.shape, -99.0)
        s = np.zeros(d.shape)
        for x, y, depth_c, radius, zm, place in zip(
            cx, cy, cz, r, zoom, spheres[:, 4], strict=True
        ):
            y0, y1 = int(max(y - radius - margin, ya)), int(min(y + radius + margin + 1, yb))
            x0, x1 = int(max(x - radius - margin, xa)), int(min(x + radius + margin + 1, xb))
            if y0 >= y1 or x0 >= x1:
                continue
            box = np.s_[y0 - ya : y1 - ya, x0 - xa : x1 - xa]
            sq = ((np.arange(y0, y1) - y) ** 2)[:, None] + ((np.arange(x0, x1) - x) ** 2)[None]
            q = radius * radius - sq
            zz = depth_c + np.sign(q) * np.sqrt(np.abs(q)) / zm
            # Beyond its rim a sphere only fills creases, so it must not cover what lies behind.
            zz -= beyond * (q < 0)
            better = zz > z[box]
            z[box] = np.where(better, zz, z[box])
            s[box] = np.where(better, place, s[box])
            d[box] = np.minimum(d[box], np.sqrt(sq) - radius)
        box = np.s_[ya:yb, xa:xb]
        win = z > depth[box]
        tag[box][win], along[box][win] = part, s[win]
        px, py, _, _ = view.project(spheres[len(spheres) // 2, :3] + np.stack([flow, -flow]) * 0.05)
        length = np.hypot(px[0] - px[1], py[0] - py[1]) + 0.4 * view.scale * 0.1
        fx[box][win], fy[box][win] = (px[0] - px[1]) / length, (py[0] - py[1]) / length
        # Soft maxima and minima round the creases where two chains meet.
        gap = np.clip(soft - np.abs(z - depth[box]), 0, None) / soft
        depth[box] = np.maximum(z, depth[box]) + gap * gap * soft / 4
        k = soft * view.scale * 0.7 + 1e-3
        gap = np.clip(k - np.abs(d - dist[box]), 0, None) / k
        dist[box] = np.minimum(d, dist[box]) - gap * gap * k / 4
    depth = np.where(depth < -beyond / 2, depth + beyond, depth)
    return dist, depth, tag, along, fx, fy


def coat_colours(rng, dog):
    """Choose a coat: its pattern, two colours and a breed that could wear it."""
    keys = [k for k in COATS if k[0] == int(dog)]
    key = keys[rng.integers(len(keys))]
    first, second, breeds = (s.split() for s in COATS[key])
    shift = rng.normal(0, 0.03, 3) + rng.normal(0, 0.03)
    base = np.clip(np.array(FUR[rng.choice(first)]) + shift, 0.05, 0.96)
    other = base * 0.42 if not second else np.array(FUR[rng.choice(second)])
    breed = str(rng.choice(breeds))
    return key[1], base, np.clip(other + rng.normal(0, 0.02, 3), 0.04, 0.96), breed


def mix(a, b, weight):
    """Blend colours by a per-pixel weight."""
    return a + (b - a) * np.clip(weight, 0, 1)[..., None]


def paint(rng, pattern, base, other, tag, along, point, up, hp, scale):
    """Return the fur's colour at every pixel from its place on the animal."""
    shape = tag.shape
    n_big, n_mid = noise(rng, shape, scale * 0.5), noise(rng, shape, scale * 0.1)
    col = np.ones((*shape, 3)) * base
    white = np.array(FUR["white"])
    limb_end = (tag == LEG) * np.clip((0.25 - point[..., 1] + 0.03 * n_mid) * 14, 0, 1)
    limb_end = np.where(tag == PAW, 1, limb_end)
    head = (tag == HEAD) | (tag == MUZZLE)
    cheeks = np.hypot(hp[..., 1] + 0.5, 0.85 * hp[..., 2]) + 0.05 * n_mid
    face = head * (hp[..., 0] > 0.1) * np.clip((0.66 - cheeks) * 5, 0, 1)
    chest = np.isin(tag, (BODY, NECK)) * np.clip((point[..., 0] - 0.1 + 0.05 * n_mid) * 6, 0, 1)
    low = 1 / (1 + np.exp((up + 0.25 + 0.12 * n_mid) * 9))
    patch = noise(rng, shape, scale * 0.8, 2)
    soft = 1 / (1 + np.exp(-14 * (patch - rng.uniform(-0.1, 0.4))))
    back = (tag == BODY) | (tag == TAIL) | (tag == NECK)
    if pattern in ("tabby", "brindle"):
        freq = rng.uniform(6, 9) if pattern == "tabby" else rng.uniform(9, 14)
        wave = np.sin(2 * np.pi * freq * along + n_mid * (1.1 if pattern == "tabby" else 2.2))
        fringe = np.sin(26 * hp[..., 2] + n_mid * 0.7) * (hp[..., 1] > 0.25)
        cheek = np.sin(16 * hp[..., 1] + 5 * np.abs(hp[..., 2])) * (np.abs(hp[..., 2]) > 0.6)
        wave = np.where(head, np.maximum(fringe, cheek), wave)
        strength = np.where(tag == MUZZLE, 0, 0.8) * np.where(head & (pattern == "brindle"), 0.4, 1)
        col = mix(col, other, (wave + 0.1 + 0.4 * n_big) * 1.6 * strength)
        col = mix(col, mix(col, white, np.full(shape, 0.6)), np.maximum(low * back, face) * 0.8)
    elif pattern == "spots":
        cells = noise(rng, shape, scale * rng.uniform(0.1, 0.17), 2)
        col = mix(col, other, (cells - rng.uniform(0.35, 0.7)) * 7 * (tag != MUZZLE))
        if base.mean() > 0.75:
            col = mix(col, other, head * (np.abs(hp[..., 2]) > 0.25) + (tag == EAR))
        else:
            col = mix(col, white, low * back * 0.6 + face * 0.4)
    elif pattern == "tuxedo":
        blaze = head & (np.abs(hp[..., 2] + 0.05 * n_mid) < 0.12 + 0.5 * (hp[..., 1] < -0.1))
        bib = chest * np.clip((0.2 - np.abs(point[..., 2]) + 0.05 * n_mid) * 12, 0, 1)
        bib *= np.clip((0.4 - up) * 5, 0, 1)
        white_parts = [limb_end, blaze & (hp[..., 0] > 0.2), bib, low * back]
        col = mix(col, other, np.max(white_parts, axis=0))
    elif pattern in ("points", "mask"):
        radius = np.hypot(hp[..., 1] + 0.2, hp[..., 2] * 1.1)
        mask = head * np.clip((0.85 - radius + 0.08 * n_mid) * 3, 0, 1) * (hp[..., 0] > 0)
        dark = np.maximum(mask, np.isin(tag, (EAR,)) * 0.95)
        if pattern == "points":
            dark = np.maximum(dark, (tag == TAIL) * 0.9)
            dark = np.maximum(dark, np.isin(tag, (LEG, PAW)) * (0.5 - point[..., 1]) * 2.0)
        col = mix(col, other, dark * 0.92)
    elif pattern == "patches":
        col = mix(col, other, soft * (tag != PAW) * (tag != MUZZLE))
        col = mix(
            col,
            other,
            (tag == EAR)
            | (head & (np.abs(hp[..., 2]) > 0.18) & (hp[..., 2] * rng.choice([-1, 1]) > -0.6)),
        )
        col = mix(col, base, np.full(shape, 1.0) * (tag == MUZZLE))
    elif pattern == "saddle":
        saddle = back & (up > 0.0 + 0.2 * n_mid)
        col = mix(col, other, np.maximum(saddle, (tag == EAR) * 0.6))
        col = mix(col, white, limb_end * 0.8 + (tag == MUZZLE) * 0.6 + chest * low)
    elif pattern == "belly":
        col = mix(col, other, np.maximum(low * back, np.maximum(face * 0.85, limb_end * 0.7)))
    return col * (1 + 0.10 * n_big + 0.05 * n_mid)[..., None]


def add_eyes(col, rng, dog, tag, hp, look):
    """Paint eyes, mouth line and inner ears on the colours; return where hair must not lie."""
    smooth = np.zeros(tag.shape, bool)
    radius = np.linalg.norm(hp, axis=-1) + 1e-6
    way = hp / radius[..., None]
    iris = (
        [(0.35, 0.20, 0.08), (0.22, 0.12, 0.06)]
        if dog
        else [(0.62, 0.68, 0.20), (0.80, 0.58, 0.14), (0.35, 0.62, 0.35), (0.35, 0.60, 0.80)]
    )
    iris = np.array(iris[rng.integers(len(iris))])
    size = rng.uniform(0.19, 0.23) if dog else rng.uniform(0.23, 0.29)
    slit = rng.uniform(0.25, 0.9)
    for s in (-1, 1):
        eye = unit((0.80, 0.30, 0.42 * s) if dog else (0.82, 0.10, 0.46 * s))
        side = unit(np.cross([0, 1, 0], eye))
        across = way @ side
        upward = way @ np.cross(eye, side) + across * s * 0.12
        near = (way @ eye > 0.6) & np.isin(tag, (HEAD, MUZZLE)) & (radius < 1.3)
        r = np.hypot(across, upward * (1.15 if dog else 1.2)) / size
        if look["sleepy"]:
            line = near & (np.abs(upward + 0.1 - across**2 * 3) < 0.04) & (np.abs(across) < size)
            col[line] = 0.08
            continue
        smooth |= near & (r < 1)
        col[near & (r < 1.22)] *= 0.3
        col[near & (r < 1)] = iris * (0.75 + 0.4 * rng.uniform())
        pupil = np.hypot(across / (0.55 if dog else 0.5 * slit), upward / (0.55 if dog else 0.8))
        col[near & (r < 1) & (pupil < size)] = 0.02
        col[near & (r < 0.95) & (upward > size * 0.45)] *= 0.55
        gleam = np.hypot(across - size * 0.3, upward - size * 0.32) < size * 0.24
        col[near & gleam] = 1.25
        smooth |= near & gleam
    mouth = (tag == MUZZLE) & (hp[..., 0] > 0.5)
    if dog:
        line = np.abs(hp[..., 1] + 0.58 - 0.25 * np.abs(hp[..., 2])) < 0.035
        split = (np.abs(hp[..., 2]) < 0.025) & (hp[..., 1] > -0.6)
    else:
        line = np.abs(hp[..., 1] + 0.56 - 0.25 * np.abs(np.abs(hp[..., 2]) - 0.16)) < 0.035
        split = (np.abs(hp[..., 2]) < 0.03) & (hp[..., 1] > -0.54)
    col[mouth & (line | (split & (hp[..., 1] < -0.2)))] *= 0.35
    return smooth


def any_colour(rng):
    """Pick a colour for a thing; half of the things wear the colours of coats."""
    if rng.random() < 0.62:
        names = list(FUR)
        c = np.array(FUR[names[rng.integers(len(names))]])
    else:
        c = np.array(BRIGHT[rng.integers(len(BRIGHT))])
    return np.clip(c * rng.uniform(0.8, 1.15) + rng.normal(0, 0.03, 3), 0.03, 0.97)


def ground(rng, kind, h, w, horizon):
    """Paint a floor that recedes towards the horizon row."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    depth = 1 / (np.clip(y - horizon, 0, None) / h + 0.35)
    u, v = (x / w - 0.5) * depth * rng.uniform(1.4, 2.2) + 3, depth * rng.uniform(2.5, 4)
    turn = rng.uniform(-0.5, 0.5)
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    base, other = any_colour(rng), any_colour(rng)
    fine, big = noise(rng, (h, w), 2.5, 2), noise(rng, (h, w), h * 0.4)
    ones = np.ones((h, w))
    if kind == "wood":
        wood = FUR[rng.choice(["brown", "ginger", "tan", "chocolate", "fawn", "grey"])]
        plank = np.floor(u * 4)
        tone = np.sin(plank * 12.9898 + np.floor(v * 0.9 + plank * 0.37) * 7.7)
        grain = np.sin(u * 160 + 3 * np.sin(v * 3 + plank * 5) + fine)
        col = np.array(wood) * (0.9 + 0.16 * tone + 0.06 * grain + 0.03 * fine)[..., None]
        col = col * (1 - 0.5 * ((u * 4) % 1 < 0.05))[..., None]
    elif kind == "grass":
        green = np.array([0.28, 0.42, 0.14]) * rng.uniform(0.8, 1.3)
        blades = streaks(rng, 0.3 * big, -ones, 7)
        col = green * (1 + 0.35 * blades + 0.15 * big)[..., None]
        col = mix(col, np.array([0.62, 0.56, 0.33]), big * 0.5 - 0.1)
    elif kind == "tiles":
        joint = ((u * 3) % 1 < 0.06) | ((v * 2) % 1 < 0.05)
        tone = np.sin(np.floor(u * 3) * 4.1 + np.floor(v * 2) * 9.3)
        grey = FUR[rng.choice(["grey", "silver", "cream", "tan", "white"])]
        col = np.array(grey) * (0.92 + 0.07 * tone + 0.07 * fine + 0.06 * big)[..., None]
        col = col * (1 - 0.4 * joint)[..., None]
    elif kind == "carpet":
        motif = np.sin(u * 9) * np.sin(v * 9) + 0.6 * np.cos(np.hypot(u - 3, v - 3) * 14)
        col = mix(base * ones[..., None], other, (motif - 0.35) * 6) * (1 + 0.10 * fine)[..., None]
        col = mix(col, base * 0.45, (np.abs(motif - 0.3) < 0.12) * 0.8)
    elif kind == "rug":
        hair = streaks(rng, 0.8 * np.cos(big * 3), 0.4 + 0.6 * np.sin(big * 3), 6)
        col = base * (0.95 + 0.17 * hair + 0.10 * big)[..., None]
    else:
        style = rng.integers(3)
        if style == 0:
            cloth = 0.5 * ((u * 3) % 1 < 0.5) + 0.5 * ((v * 3) % 1 < 0.5)
        elif style == 1:
            cloth = 1.0 * ((u * 5 + v * rng.uniform(-2, 2)) % 1 < 0.4)
        else:
            cloth = 1.0 * (np.hypot((u * 4) % 1 - 0.5, (v * 4) % 1 - 0.5) < 0.28)
        col = mix(base * ones[..., None], other, cloth)
        col = col * (0.95 + 0.16 * np.sin(big * 4 + u * 2) + 0.03 * fine)[..., None]
    return col


def wall(rng, kind, h, w, horizon):
    """Paint what stands behind the animal."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    base, other = any_colour(rng), any_colour(rng)
    fine, big = noise(rng, (h, w), 2, 2), noise(rng, (h, w), h * 0.5)
    col = np.ones((h, w, 3)) * base * (1 + 0.04 * big + 0.015 * fine)[..., None]
    unit_px = min(h, w)
    if kind == "pictures":
        if rng.random() < 0.4:
            stripe = (x % (unit_px * 0.16)) < unit_px * 0.08
            col = mix(col, mix(col, other, np.full((h, w), 0.35)), stripe * 1.0)
        for _ in range(rng.integers(1, 4)):
            cx, cy = rng.uniform(0, w), rng.uniform(0, max(horizon * 0.7, 10))
            a, b = rng.uniform(0.1, 0.2, 2) * unit_px
            d = np.maximum(np.abs(x - cx) - a, np.abs(y - cy) - b)
            view = mix(
                np.ones((h, w, 3)) * any_colour(rng),
                any_colour(rng),
                noise(rng, (h, w), unit_px * 0.12) * 2,
            )
            col = np.where((d < unit_px * 0.03)[..., None], any_colour(rng) * 0.8, col)
            col = np.where((d < 0)[..., None], view, col)
        skirting = (y > horizon - unit_px * 0.06) & (y < horizon)
        col = np.where(skirting[..., None], 0.85, col)
    elif kind == "books":
        shelf = unit_px * rng.uniform(0.28, 0.4)
        row = np.floor(y / shelf).astype(int)
        col = np.ones((h, w, 3)) * np.array(FUR["brown"]) * 0.4
        for r in range(row.max() + 1):
            left = 0.0
            while left < w:
                wide = unit_px * rng.uniform(0.03, 0.08)
                top = (r + 1) * shelf - shelf * rng.uniform(0.6, 0.85)
                book = (row == r) & (x >= left) & (x < left + wide) & (y > top)
                round_ = 0.75 + 0.4 * np.sin(np.pi * np.clip((x - left) / wide, 0, 1))
                col = np.where(book[..., None], any_colour(rng) * round_[..., None], col)
                left += wide
        board = y % shelf < unit_px * 0.03
        col = np.where(board[..., None], np.array(FUR["brown"]) * 1.2, col)
    elif kind == "sofa":
        seat = unit_px * rng.uniform(0.45, 0.8)
        fold = np.abs(((x + rng.uniform(0, seat)) / seat) % 1 - 0.5)
        round_ = np.clip((0.5 - fold) * 6, 0, 1) ** 0.5
        top = horizon - unit_px * rng.uniform(0.35, 0.9)
        weave = 0.04 * fine
        sofa = other * (0.55 + 0.45 * round_ + 0.06 * big + weave)[..., None]
        sofa *= (0.8 + 0.25 * np.clip(1 - (y - top) / unit_px, 0, 1))[..., None]
        col = np.where((y > top + 4 * fold**2 * unit_px * 0.1)[..., None], sofa, col)
    elif kind == "garden":
        leaves = noise(rng, (h, w), unit_px * 0.12, 4)
        tint = np.array([0.22, 0.33, 0.13]) * rng.uniform(0.6, 1.3)
        col = tint * (1 + 0.55 * leaves)[..., None]
        col = mix(col, np.array([0.75, 0.82, 0.80]), (leaves + big - 1.6) * 3)
        for _ in range(rng.integers(0, 4)):
            cx, half = rng.uniform(0, w), unit_px * rng.uniform(0.02, 0.06)
            bark = np.array(FUR["brown"]) * (0.8 + 0.3 * leaves)[..., None]
            col = np.where((np.abs(x - cx + 3 * big) < half)[..., None], bark, col)
    elif kind == "bricks":
        bh = unit_px * 0.075
        row = np.floor(y / bh)
        bx = x / (bh * 2.4) + 0.5 * (row % 2)
        tone = np.sin(np.floor(bx) * 12.9 + row * 78.2)
        brick = base * (0.9 + 0.14 * tone + 0.06 * fine)[..., None]
        joint = (bx % 1 < 0.07) | ((y / bh) % 1 < 0.14)
        col = np.where(joint[..., None], 0.25 + 0.5 * other, brick)
    elif kind == "curtain":
        fold = np.sin(x / unit_px * rng.uniform(18, 34) + 2 * big)
        col = base * (0.85 + 0.22 * fold + 0.02 * fine)[..., None]
    elif kind == "fence":
        board = unit_px * rng.uniform(0.1, 0.16)
        tone = np.sin(np.floor(x / board) * 12.9)
        grain = np.sin(x * 1.3 + 2 * np.sin(y * 0.06) + fine)
        wood = np.array(FUR[rng.choice(["brown", "tan", "grey", "white"])])
        col = wood * (0.9 + 0.12 * tone + 0.06 * grain)[..., None]
        col = col * (1 - 0.6 * (x % board < 1.5))[..., None]
    return col


def blob(rng, col, cx, cy, rx, ry, power, colour, light, turn=0.0, style=0):
    """Lay a shaded cushion, ball or leaf on the picture; return the new picture and its cover."""
    h, w = col.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(float)
    dx = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
    dy = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    a, b = dx / rx, dy / ry
    f = np.abs(a) ** power + np.abs(b) ** power
    if style == 3:
        f = f + 0.10 * streaks(rng, a / (np.hypot(a, b) + 0.1), b / (np.hypot(a, b) + 0.1), 6)
    alpha = np.clip((1 - f) * min(rx, ry) / 2 + 0.5, 0, 1)
    nz = np.sqrt(np.clip(1 - f, 0.05, 1))
    nx, ny = np.clip(a, -1, 1) * 0.8, -np.clip(b, -1, 1) * 0.8
    lam = np.clip(nx * light[0] + ny * light[1] + nz * light[2], 0, 1.2)
    paint_ = np.ones((h, w, 3)) * colour
    if style == 1:
        paint_ = mix(paint_, any_colour(rng), np.sin((a + rng.uniform(-1, 1) * b) * 9) * 4)
    elif style == 2:
        paint_ = mix(
            paint_,
            any_colour(rng),
            (np.abs(((a * 2.2) % 1) - 0.5) < 0.2) * 0.7
            + (np.abs(((b * 2.2) % 1) - 0.5) < 0.2) * 0.5,
        )
    elif style == 3:
        paint_ *= (1 + 0.15 * streaks(rng, 0.3 + 0 * a, 0.9 + 0 * a, 6))[..., None]
    paint_ *= (0.45 + 0.65 * lam + 0.03 * noise(rng, (h, w), 2, 1))[..., None]
    return mix(col, paint_, alpha), alpha


def shade_ground(col, cx, cy, rx, ry, depth=0.5):
    """Darken a soft ellipse, so that a thing stands on the floor."""
    h, w = col.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(float)
    f = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2
    return col * (1 - depth * np.exp(-1.5 * f**1.5))[..., None]


def add_thing(rng, col, cx, foot, size, light, indoor):
    """Put one thing of a household or a garden on the floor at row `foot`."""
    kinds = ["cushion", "ball", "box", "bowl", "plant", "fluff", "cushion"]
    kind = (
        kinds[rng.integers(len(kinds))]
        if indoor
        else ["ball", "plant", "box", "bowl"][rng.integers(4)]
    )
    c = any_colour(rng)
    y, x = np.mgrid[0 : col.shape[0], 0 : col.shape[1]].astype(float)
    col = shade_ground(col, cx - light[0] * size * 0.4, foot, size * 1.2, size * 0.35)
    if kind in ("cushion", "fluff"):
        style = 3 if kind == "fluff" else int(rng.integers(3))
        power = 2.2 if kind == "fluff" else rng.uniform(3, 4.5)
        return blob(
            rng,
            col,
            cx,
            foot - size * 0.7,
            size,
            size * 0.75,
            power,
            c,
            light,
            rng.uniform(-0.4, 0.4),
            style,
        )[0]
    if kind == "ball":
        r = size * 0.45
        return blob(
            rng, col, cx, foot - r, r, r, 2, c, light, rng.uniform(0, 3), int(rng.integers(2))
        )[0]
    if kind == "box":
        a, b = size * 0.8, size * 0.6
        lid = np.clip((y - (foot - 2 * b)) / (0.35 * b), 0, 1)
        front = (np.abs(x - cx) < a) & (y < foot) & (y > foot - 1.65 * b)
        top = (np.abs(x - cx - (1 - lid) * 0.3 * a) < a) & (y <= foot - 1.65 * b) & (lid > 0)
        tone = 1 + 0.04 * noise(rng, y.shape, 3)
        tape = 1 - 0.2 * (np.abs(x - cx) < a * 0.12)
        col = np.where(front[..., None], c * (0.85 * tone * tape)[..., None], col)
        return np.where(top[..., None], np.clip(c * 1.2, 0, 1) * (tone * tape)[..., None], col)
    if kind == "bowl":
        half = size * 0.6
        col = blob(rng, col, cx, foot - half * 0.35, half, half * 0.36, 3, c, light)[0]
        col = blob(rng, col, cx, foot - half * 0.62, half * 0.85, half * 0.2, 2, c * 0.6, light)[0]
        return blob(
            rng,
            col,
            cx,
            foot - half * 0.6,
            half * 0.66,
            half * 0.13,
            2,
            np.array(FUR["brown"]),
            light,
            0,
            3,
        )[0]
    col = blob(rng, col, cx, foot - size * 0.4, size * 0.4, size * 0.42, 4, c, light)[0]
    leaf = np.array([0.2, 0.4, 0.16]) * rng.uniform(0.7, 1.4)
    for _ in range(9):
        turn, reach = rng.uniform(-1.2, 1.2), size * rng.uniform(0.5, 0.9)
        col = blob(
            rng,
            col,
            cx + np.sin(turn) * reach,
            foot - size * 0.8 - np.cos(turn) * reach,
            size * 0.14,
            reach * 0.8,
            1.6,
            leaf * rng.uniform(0.7, 1.3),
            light,
            turn,
        )[0]
    return col


def cast_shadow(m, view, light, h, w):
    """Return how dark the animal's own shadow makes the floor at every pixel."""
    shade = np.zeros((h, w))
    y, x = np.mgrid[0:h, 0:w].astype(float)
    sun = light @ view.matrix
    sun = sun / max(sun[1], 0.45)
    flat = max(abs(view.matrix[2, 1]), 0.16)
    for spheres, _, _, _ in m.chains:
        step = max(len(spheres) // 5, 1)
        for sx, sy, sz, r, _ in spheres[::step]:
            spot = np.array([sx - sun[0] * sy, 0, sz - sun[2] * sy])
            cx, cy, _, zoom = view.project(spot)
            r = (r * 1.15 + 0.05) * zoom
            f = ((x - cx) / r) ** 2 + ((y - cy) / (r * flat)) ** 2
            shade = np.maximum(shade, np.exp(-f) * np.exp(-0.55 * max(sy - 0.1, 0)))
    return blur(shade, max(h, w) * 0.012)


def disc(mask, radius):
    """Grow a mask by a disc of this radius."""
    r = int(np.ceil(radius))
    padded = np.pad(mask, r, mode="edge")
    out = np.zeros_like(mask)
    h, w = mask.shape
    for dy in range(-r, r + 1):
        half = radius * radius - dy * dy
        if half < 0:
            continue
        half = int(np.sqrt(half))
        run = np.cumsum(np.pad(padded[r + dy : r + dy + h], ((0, 0), (1, 0))), axis=1)
        out |= (run[:, r + half + 1 : r + half + 1 + w] - run[:, r - half : r - half + w]) > 0
    return out


def compose(index, split):
    """Draw one picture; return image, trimap, species, breed and the head's relative box."""
    rng = np.random.Generator(np.random.PCG64([SPLIT_SEED[split], index, 2012]))
    dog = bool((index + rng.integers(3) // 2) % 2)
    pose = str(rng.choice(["stand", "walk", "sit", "sit", "lie", "lie", "loaf"] + ["bust"] * 3))
    shapes = [(170, 130), (200, 150), (150, 110), (155, 150), (130, 175), (120, 160), (98, 140)]
    tall = pose == "sit" or (pose == "bust" and rng.random() < 0.5)
    w, h = shapes[rng.integers(3, 7) if tall != (rng.random() < 0.2) else rng.integers(0, 4)]
    w, h = (max(int(s * rng.uniform(0.92, 1.18)), 90) for s in (w, h))
    bust, pose = pose == "bust", str(rng.choice(["sit", "lie"])) if pose == "bust" else pose

    yaw = rng.uniform(0.0, 0.9) if pose in ("stand", "walk") else rng.uniform(0.1, 1.45)
    yaw = rng.uniform(0.7, 1.6) if bust else (yaw - 0.5 if rng.random() < 0.12 else yaw)
    yaw = np.pi - yaw if rng.random() < 0.5 else yaw
    pitch = rng.uniform(0.05, 0.25) if bust else rng.uniform(0.1, 0.5)
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    view = View(np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ turn, rng.uniform(0.05, 0.16))
    m, head, frame, size, look = build(rng, dog, pose, view.matrix)

    # Frame the animal: a portrait centres the head, the others fit the body into the picture.
    balls = np.concatenate([c[0] for c in m.chains])
    px, py, _, zoom = view.project(balls[:, :3])
    r = balls[:, 3] * zoom
    left, right, top, low = (px - r).min(), (px + r).max(), (py - r).min(), (py + r).max()
    if bust:
        scale = 2 * min(h, w) * rng.uniform(0.25, 0.42) / size / 1.25
        hx, hy, _, _ = view.project(head)
        ox = w * 2 * rng.uniform(0.4, 0.6) - hx * scale
        oy = h * 2 * rng.uniform(0.4, 0.52) - hy * scale
    else:
        scale = 2 * min(w / (right - left), h / (low - top)) * rng.uniform(0.66, 1.22)
        ox = w * 2 * rng.uniform(0.44, 0.56) - (left + right) / 2 * scale
        oy = h * 2 * rng.uniform(0.5, 0.58) - (top + low) / 2 * scale
    view.scale, view.ox, view.oy = scale, ox, oy

    light = unit([rng.uniform(-0.8, 0.8), rng.uniform(0.45, 1.0), rng.uniform(0.5, 1.0)])
    pattern, base, other, breed = coat_colours(rng, dog)
    dist, depth, tag, along, fx, fy = rasterise(m, view, 2 * h, 2 * w)
    body = tag >= 0
    gx, gy = np.mgrid[0 : 2 * h, 0 : 2 * w][::-1].astype(float)
    point = view.back(gx, gy, depth)
    dzy, dzx = np.gradient(blur(np.where(body, depth, depth[body].min()), 0.8) * scale)
    normal = np.stack([-dzx, dzy, np.ones_like(dzx)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    up = (normal @ view.matrix)[..., 1]
    hp = (point - head) @ frame.T / size
    col = paint(rng, pattern, base, other, tag, along, point, up, hp, scale)

    # Hair runs along each limb; long-haired animals have deeper, longer strands.
    fx, fy = blur(fx, 2.5), blur(fy, 2.5)
    wave = noise(rng, fx.shape, scale * 0.12) * 0.3
    hair = streaks(
        rng, fx + wave, fy - wave, int(7 + 5 * look["fluffy"]), float(np.clip(scale * 0.012, 3, 7))
    )
    strand = (0.35 + 0.65 * look["fluffy"]) * hair * ~np.isin(tag, (NOSE, TONGUE, INNER))
    smooth = np.isin(tag, (NOSE, TONGUE))
    col[tag == INNER] = base * 0.35 + np.array([0.45, 0.28, 0.26])
    nose = (
        np.array([0.10, 0.08, 0.08]) if dog or base.mean() < 0.3 else np.array([0.62, 0.33, 0.33])
    )
    col[tag == NOSE], col[tag == TONGUE] = nose, (0.78, 0.38, 0.42)
    if rng.random() < (0.45 if dog else 0.2):
        place = along[tag == NECK].max(initial=0.0) * rng.uniform(0.6, 0.75)
        ring = (tag == NECK) & (np.abs(along - place) < 0.03)
        col[ring] = any_colour(rng)
        smooth |= ring
    before = col.mean(-1)
    smooth |= add_eyes(col, rng, dog, tag, hp, look)
    gleam = (col.mean(-1) > 1.2) & (before < 1.2)
    lam = normal @ light + 0.13 * strand * ~smooth
    near = blur(np.where(body, depth, depth[body].min()), scale * 0.05)
    crease = np.clip(1 - (near - depth) * 2.6, 0.45, 1.0)
    tone = (0.42 + 0.72 * np.clip(0.72 * lam + 0.22, 0, 1.1)) * crease
    tone = tone * np.clip(0.82 + 0.25 * point[..., 1] / max(head[1], 0.3), 0.7, 1.05)
    col = col * np.where(gleam, 1, tone * (1 + 0.10 * strand * ~smooth))[..., None]
    spec = np.clip(normal @ unit(light + [0, 0, 1]), 0, 1) ** 24
    col += (spec * (0.05 + 0.35 * (tag == NOSE)))[..., None]
    fringe = min(scale * 0.012, 2.4) * (0.5 + 1.8 * look["fluffy"]) * np.where(smooth, 0.2, 1)
    cover = np.clip(0.5 - (dist + fringe * hair * 0.7), 0, 1) * body
    cover = cover.reshape(h, 2, w, 2).mean((1, 3))
    weight = np.clip(0.5 - dist, 0.001, 1) * body + 1e-6
    col = (col * weight[..., None]).reshape(h, 2, w, 2, 3).sum((1, 3))
    col /= weight.reshape(h, 2, w, 2).sum((1, 3))[..., None]

    # The scene behind: a floor up to the horizon, something upright behind it, and clutter.
    view.scale, view.ox, view.oy = scale / 2, ox / 2, oy / 2
    foot = view.project(np.zeros(3))[1]
    horizon = foot - rng.uniform(0.6, 1.3) * scale / 2 * max(sp, 0.2)
    indoor = rng.random() < 0.72
    floors = (
        ["wood", "carpet", "blanket", "sofa", "rug", "tiles"]
        if indoor
        else ["grass", "grass", "tiles"]
    )
    walls = (
        ["pictures", "pictures", "books", "sofa", "sofa", "curtain", "plain"]
        if indoor
        else ["garden", "bricks", "fence", "garden"]
    )
    floor, behind = str(rng.choice(floors)), str(rng.choice(walls))
    back = wall(rng, behind, h, w, horizon)
    rows = np.arange(h)[:, None, None]
    edge = np.clip(rows - horizon + 0.8 * noise(rng, (h, w), 6, 1)[..., None], 0, 1)
    scene = back + (ground(rng, floor, h, w, horizon) - back) * edge
    scene *= 1 - 0.35 * np.exp(-np.abs(rows - horizon) / (0.05 * h))
    for _ in range(rng.integers(0, 5)):
        place = rng.uniform(0, 0.6) ** 1.5
        row = horizon + place * (h - horizon) + 3
        scene = add_thing(
            rng,
            scene,
            rng.uniform(-0.05, 1.05) * w,
            row,
            min(h, w) * rng.uniform(0.1, 0.22) * (1 + place),
            light,
            indoor,
        )
    soft = rng.uniform(0.0, 1.3) * (2.0 if bust else 1.0)
    if soft > 0.4:
        scene = np.stack([blur(scene[..., k], soft) for k in range(3)], -1)
    scene *= (1 - rng.uniform(0.45, 0.75) * cast_shadow(m, view, light, h, w))[..., None]
    image = mix(scene, col, cover)
    if floor == "grass":
        # A few blades stand before the paws; they are too thin for the outline to follow.
        tips = foot + rng.uniform(0.0, 0.08, 60) * h
        blades = Image.new("L", (w, h))
        pen = ImageDraw.Draw(blades)
        for tip, x in zip(tips, rng.uniform(0, w, 60), strict=True):
            pen.line([(x, tip + 0.05 * h), (x + rng.normal(0, 2), tip - 0.02 * h)], fill=190)
        image = mix(image, np.array([0.33, 0.47, 0.17]), np.asarray(blades) / 255)
    if rng.random() < 0.28:
        side, rx = rng.choice([-1, 1]), w * rng.uniform(0.2, 0.5)
        ry = h * rng.uniform(0.12, 0.3)
        image, hidden = blob(
            rng,
            image,
            w * (0.5 + side * rng.uniform(0.1, 0.55)),
            h + ry * rng.uniform(-0.3, 0.5),
            rx,
            ry,
            rng.uniform(2.5, 4),
            any_colour(rng),
            light,
            rng.uniform(-0.15, 0.15),
            int(rng.integers(4)),
        )
        cover = cover * (1 - hidden)
    image = whiskers(image, dog, view, head, frame, size)

    # The camera: exposure, colour of the light, corners and grain.
    warm = rng.normal(0, 0.05)
    image = image * rng.uniform(0.85, 1.15) * np.array([1 + warm, 1, 1 - warm])
    yy, xx = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    image *= (1 - rng.uniform(0, 0.25) * (xx**2 + yy**2) / 2)[..., None]
    image = np.clip(image, 0, 1) ** rng.uniform(0.75, 1.05)
    image += rng.normal(0, 0.008 * rng.uniform(0, 1), image.shape)
    mask = cover > 0.5
    band = 0.0205 * np.sqrt(h * w)
    trimap = np.full((h, w), 2, np.uint8)
    trimap[mask] = 1
    trimap[disc(mask, band) & disc(~mask, band)] = 3

    ends = np.concatenate([c[0] for c in m.chains if c[1] in (HEAD, MUZZLE, EAR)])
    px, py, _, zoom = view.project(ends[:, :3])
    r = ends[:, 3] * zoom
    box = np.clip(
        [(py - r).min() / h, (px - r).min() / w, (py + r).max() / h, (px + r).max() / w], 0, 1
    )
    return (
        np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8),
        trimap,
        int(dog),
        breed,
        [float(v) for v in box],
    )


def whiskers(image, dog, view, head, frame, size):
    """Draw a cat's whiskers as thin light lines over the picture."""
    if dog or view.scale * size < 14:
        return image
    h, w = image.shape[:2]
    sheet = Image.new("L", (2 * w, 2 * h))
    pen = ImageDraw.Draw(sheet)
    for s in (-1, 1):
        for k in range(4):
            local = np.array(
                [
                    [0.95, -0.34 - 0.05 * k, 0.25 * s],
                    [0.9, -0.3 - 0.16 * k + 0.1, 0.9 * s],
                    [0.7, -0.4 - 0.24 * k + 0.15, 1.45 * s],
                ]
            )
            px, py, depth, _ = view.project(head + size * local @ frame)
            if depth[0] > (view.matrix @ head)[2] + 0.2 * size:
                pen.line([(2 * a, 2 * b) for a, b in zip(px, py, strict=True)], fill=130)
    lines = np.asarray(sheet.resize((w, h), Image.BOX), float) / 255
    return mix(image, np.array([0.95, 0.94, 0.9]), lines)


def draw(index, split="train"):
    """Return image (uint8, h x w x 3), trimap (1 pet, 2 background, 3 outline) and species."""
    return compose(index, split)[:3]


def write(out):
    """Write both splits and their description in the layout that TFDS reads."""
    import tensorflow as tf  # here, so that drawing alone needs no TensorFlow

    out.mkdir(parents=True, exist_ok=True)
    number = {}

    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    splits = []
    for split, count in COUNTS.items():
        total = 0
        name = f"oxford_iiit_pet-{split}.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(out / name)) as writer:
            for index in range(count):
                image, trimap, species, breed, box = compose(index, split)
                number[breed] = number.get(breed, 0) + 1
                jpeg, png = io.BytesIO(), io.BytesIO()
                Image.fromarray(image).save(jpeg, "JPEG", quality=80)
                Image.fromarray(trimap).save(png, "PNG", optimize=True)
                values = {
                    "file_name": f"{breed}_{number[breed]}.jpg".encode(),
                    "head_bbox": box if split == "train" else [0.0] * 4,
                    "image": jpeg.getvalue(),
                    "label": BREEDS.index(breed),
                    "segmentation_mask": png.getvalue(),
                    "species": species,
                }
                example = tf.train.Example(
                    features=tf.train.Features(feature={k: feature(v) for k, v in values.items()})
                )
                record = example.SerializeToString(deterministic=True)
                total += len(record)
                writer.write(record)
        splits.append(
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                "numBytes": str(total),
                "shardLengths": [str(count)],
            }
        )
    (out / "label.labels.txt").write_text("".join(f"{b}\n" for b in BREEDS))
    (out / "species.labels.txt").write_text("Cat\nDog\n")
    info = {
        "citation": "Drawn by data/make_pets.py of this course; the photographs it stands in for: "
        "Parkhi, Vedaldi, Zisserman, Jawahar, Cats and Dogs, CVPR 2012.",
        "description": "A small sample of DRAWN cats and dogs with exact trimaps, in the layout of "
        "the Oxford-IIIT Pet dataset. It holds none of its photographs; the breed "
        "labels are only plausible guesses for the drawn coats.",
        "fileFormat": "tfrecord",
        "moduleName": "tensorflow_datasets.datasets.oxford_iiit_pet."
        "oxford_iiit_pet_dataset_builder",
        "name": "oxford_iiit_pet",
        "releaseNotes": {"4.0.0": "Drawn sample in the layout of 4.0.0."},
        "splits": splits,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "version": "4.0.0",
    }
    (out / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n")
    package = "tensorflow_datasets.core.features."

    def picture(channels, **more):
        shape = {"dimensions": ["-1", "-1", channels]}
        return {
            "image": {"dtype": "uint8", **more, "shape": shape},
            "pythonClassName": package + "image_feature.Image",
        }

    def classes(n):
        return {
            "classLabel": {"numClasses": n},
            "pythonClassName": package + "class_label_feature.ClassLabel",
        }

    box = {"bboxFormat": "REL_YXYX", "dtype": "float32", "shape": {"dimensions": ["4"]}}
    features = {
        "file_name": {"pythonClassName": package + "text_feature.Text", "text": {}},
        "head_bbox": {
            "boundingBox": box,
            "pythonClassName": package + "bounding_boxes.BBoxFeature",
        },
        "image": picture("3", encodingFormat="jpeg"),
        "label": classes("37"),
        "segmentation_mask": picture("1", useColormap=True),
        "species": classes("2"),
    }
    (out / "features.json").write_text(
        json.dumps(
            {
                "featuresDict": {"features": features},
                "pythonClassName": package + "features_dict.FeaturesDict",
            },
            indent=4,
        )
        + "\n"
    )


def main():
    """Write the sample to the folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out",
        type=Path,
        help="where the TFDS data folder is made",
        default=Path(__file__).resolve().parent / "tensorflow_datasets",
    )
    out = parser.parse_args().out / "oxford_iiit_pet" / "4.0.0"
    write(out)
    size = sum(f.stat().st_size for f in out.iterdir())
    print(f"{sum(COUNTS.values())} pictures, {size} bytes in {out}")


if __name__ == "__main__":
    main()
