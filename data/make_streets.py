"""Draw the street scenes of the course: a small 3-D renderer, five streets, two data sets.

Everything in a scene is a parallelogram in space (a `face`): corner O, edges U and V, and a
cut-out that says which part of it is solid (a disc, a car's outline, the bars of a fence, the
leaves of a twig). Round things (trunks, limbs, heads, twigs) are faces turned to the viewer.
A frame is made in four steps:

1. `build_street` lays out what stands still, `add_traffic` what moves in this frame;
2. `rasterise` finds for every sample the nearest face (a z-buffer), once from the camera and
   once from the sun: what the sun does not see lies in shadow;
3. `shade` paints each sample with the material of its face, and knows its class;
4. 3 x 3 samples are averaged to one pixel of the image; the mask takes the class of the sample
   in the middle, so a label is never a mixture.

Fences: boards of a picket fence are labelled one by one in the CARLA set (one sees through the
gaps); railings and wire mesh, thinner than a pixel, are labelled as a filled surface. In the
CamVid set all fences and tree crowns are filled, as a person with a polygon tool does it.

    python data/make_streets.py [--out DIR] [--only dataA] [--set carla|camvid]

A set as large as you like, in CARLA's format, of streets that nobody has seen:

    python data/make_streets.py --out DIR --recordings 50 --frames 70 [--size 192 256]

Its streets lie in the folders dataA to dataE in turn, so the loader's split is by street. Each has
its own plan, weather and camera. Frames that are there are not drawn again.
"""

import argparse
import copy
import functools
import os
import pathlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
from PIL import Image
from tqdm import tqdm

# What a surface is; the two tables below map it to the codes of the two data sets.
(
    SKY,
    BUILDING,
    FENCE,
    OTHER,
    PERSON,
    POLE,
    LINE,
    ROAD,
    SIDEWALK,
    PLANT,
    CAR,
    WALL,
    SIGN,
    CYCLIST,
) = range(14)
CARLA_CODE = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 4], np.uint8)
CAMVID_CODE = np.array([0, 1, 7, 11, 9, 2, 3, 3, 4, 5, 8, 1, 6, 10], np.uint8)
VOID = 11

RECORDINGS = ("dataA", "dataB", "dataC", "dataD", "dataE")
CARLA_FRAMES = 48
CAMVID_SPLITS = {
    "train": [(r, f) for r in RECORDINGS[:3] for f in range(20)],
    "val": [("dataD", f) for f in range(20)],
    "test": [("dataE", f) for f in range(20)],
}
SAMPLES = 3  # samples per pixel side
LEVELS = 4  # the image is rounded to multiples of this, which halves the PNG files
STREET_END = 250.0

# Materials: how a face is painted.
(
    PLAIN,
    ASPHALT,
    PAVING,
    LAWN,
    FACADE,
    MASONRY,
    BOARDS,
    LEAVES,
    PAINT,
    WINDOWS,
    SIGNFACE,
    LAMPS,
    TILES,
    POSTER,
    WHEEL,
) = range(15)
# Cut-outs: which part of a face is solid. Numbers from 20 on are convex polygons, below.
WHOLE, DISC, RING, CAPSULE, TWIG, PICKETS, RAILING, MESH = range(8)
# Kinds: a face fixed in space, a beam or a ball turned to the viewer.
FIXED, BEAM, BALL = range(3)

PROFILES = {  # length, half width, belt height, bonnet height, roof height, cabin y0 y1, insets
    "sedan": (4.5, 0.88, 0.92, 0.82, 1.45, -1.75, 1.00, 0.22, 0.30),
    "hatch": (3.9, 0.85, 0.95, 0.88, 1.52, -1.85, 0.95, 0.12, 0.26),
    "suv": (4.6, 0.95, 1.10, 1.02, 1.78, -2.20, 1.05, 0.10, 0.22),
    "van": (5.2, 1.00, 1.15, 1.05, 2.25, -2.55, 1.95, 0.02, 0.16),
    "bus": (10.0, 1.25, 1.20, 1.20, 3.10, -4.95, 4.95, 0.01, 0.01),
}


def polygon(*points):
    """Turn the corners of a convex polygon (anticlockwise) into its half planes."""
    edges = []
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        edges.append((y0 - y1, x1 - x0, x0 * y1 - x1 * y0))
    return edges


POLYGONS = [
    polygon((0, 0), (1, 0), (0.5, 1)),
    polygon((0.3, 0), (0.7, 0), (1, 0.3), (1, 0.7), (0.7, 1), (0.3, 1), (0, 0.7), (0, 0.3)),
    polygon((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),
]
TRIANGLE, OCTAGON, DIAMOND = 20, 21, 22
CAR_CUTS = {}
for _name, (*_size, _rear, _front) in PROFILES.items():
    _belt = _size[3] / _size[2]
    CAR_CUTS[_name] = 20 + len(POLYGONS)
    POLYGONS.append(polygon((0.01, 0), (0.99, 0), (1, 0.5), (0.985, _belt), (0.02, 1), (0, 0.6)))
    POLYGONS.append(polygon((0, 0), (1, 0), (1 - _front, 1), (_rear, 1)))
    POLYGONS.append(polygon((0, 0), (1, 0), (0.88, 1), (0.12, 1)))


# --- noise ---------------------------------------------------------------------------------


def hash01(ix, iy, seed=0):
    """Return a number in [0, 1) for each pair of integers, always the same one."""
    ix, iy = (np.asarray(i).astype(np.int64).astype(np.uint32) for i in (ix, iy))
    seed = (np.asarray(seed, np.int64) * 40503 % (1 << 32)).astype(np.uint32)
    with np.errstate(over="ignore"):  # the products are meant to wrap around
        h = ix * np.uint32(374761393) + iy * np.uint32(668265263) + seed
        h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
    return ((h >> np.uint32(9)) & np.uint32(0xFFFF)).astype(np.float32) / np.float32(65536)


def noise(x, y, seed=0):
    """Smooth value noise in [0, 1) with one bump per unit."""
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = x - x0, y - y0
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    low = hash01(x0, y0, seed) * (1 - fx) + hash01(x0 + 1, y0, seed) * fx
    high = hash01(x0, y0 + 1, seed) * (1 - fx) + hash01(x0 + 1, y0 + 1, seed) * fx
    return low * (1 - fy) + high * fy


def linear(colour):
    """Turn an 8-bit colour into light."""
    return (np.asarray(colour, np.float32) / 255) ** 2.2


# --- scenes --------------------------------------------------------------------------------


class Scene:
    """A list of faces."""

    def __init__(self):
        self.rows = []

    def face(self, o, u, v, material, cls, colour, cut=WHOLE, seed=0, p=(0, 0, 0), kind=FIXED):
        """Add the parallelogram with corner o and edges u, v."""
        u, v = np.asarray(u, float), np.asarray(v, float)
        size = (np.sqrt(u @ u), np.sqrt(v @ v))
        self.rows.append((o, u, v, size, colour, p, (material, cls, cut, seed, kind)))

    def beam(self, a, b, radius, cls, colour, material=PLAIN, cut=WHOLE, seed=0, p=(0, 0, 0)):
        """Add a round bar from a to b: a strip that always turns to the viewer."""
        a, b = np.asarray(a, float), np.asarray(b, float)
        self.face(a, (2 * radius, 0, 0), b - a, material, cls, colour, cut, seed, p, BEAM)

    def ball(self, c, rx, rz, cls, colour, material=PLAIN, cut=DISC, seed=0, p=(0, 0, 0)):
        """Add an ellipsoid: a disc that always turns to the viewer."""
        self.face(c, (2 * rx, 0, 0), (0, 0, 2 * rz), material, cls, colour, cut, seed, p, BALL)

    def box(self, o, e1, e2, e3, material, cls, colour, top=None, seed=0, p=(0, 0, 0)):
        """Add the four sides of a box and its top (which may be painted differently)."""
        o, e1, e2, e3 = (np.asarray(x, float) for x in (o, e1, e2, e3))
        # The sides run so that their texture never lies mirrored or upside down.
        if np.cross(e1, e2) @ e3 < 0:
            o, e1 = o + e1, -e1
        for a, u in ((o, e1), (o + e1, e2), (o + e1 + e2, -e1), (o + e2, -e2)):
            self.face(a, u, e3, material, cls, colour, seed=seed, p=p)
        roof, roof_colour = top or (PLAIN if material == FACADE else material, colour)
        self.face(o + e3, e1, e2, roof, cls, roof_colour, seed=seed, p=p)

    def freeze(self):
        """Return the faces as arrays."""
        o, u, v, size, colour, p, codes = (np.array(x) for x in zip(*self.rows, strict=True))
        return {
            "o": o.astype(float),
            "u": u,
            "v": v,
            "size": size.astype(np.float32),
            "colour": linear(colour),
            "p": p.astype(np.float32),
            "codes": codes,
        }


def turned(base, yaw):
    """Return a function from a thing's own coordinates (right, ahead, up) to the world's."""
    c, s = np.cos(yaw), np.sin(yaw)
    return lambda x, y, z: np.array([base[0] + x * c + y * s, base[1] - x * s + y * c, base[2] + z])


def add_person(scene, base, yaw, phase, seed, cls=PERSON):
    """Add a walking person: two legs, two arms, coat, head and hair."""
    h = [float(hash01(i, 7, seed)) for i in range(10)]
    size = 0.92 + 0.16 * h[0]
    at = turned(base, yaw)
    point = lambda x, y, z: at(x * size, y * size, z * size)  # noqa: E731
    coats = (
        (40, 42, 48),
        (120, 44, 40),
        (58, 74, 104),
        (130, 124, 110),
        (76, 86, 58),
        (190, 184, 172),
        (84, 60, 44),
        (168, 130, 60),
        (150, 80, 100),
        (100, 104, 108),
    )
    trousers = ((36, 38, 46), (58, 66, 88), (96, 88, 74), (60, 54, 50), (120, 116, 108))
    skins = ((224, 178, 148), (196, 146, 112), (140, 96, 70), (98, 66, 50))
    hairs = ((40, 30, 26), (92, 66, 42), (150, 120, 80), (120, 118, 116))
    coat, legs = coats[int(h[1] * 10)], trousers[int(h[2] * 5)]
    skin, hair = skins[int(h[3] * 4)], hairs[int(h[4] * 4)]
    swing = 0.3 * np.sin(phase)
    for side in (-1, 1):
        knee = point(side * 0.09, side * swing * 0.65 + 0.05, 0.48)
        foot = point(side * 0.09, side * swing, 0.06)
        scene.beam(point(side * 0.09, 0, 0.92), knee, 0.09 * size, cls, legs)
        scene.beam(knee, foot, 0.068 * size, cls, legs)
        scene.ball(point(side * 0.09, side * swing + 0.05, 0.05), 0.11, 0.055, cls, (40, 34, 32))
        elbow = point(side * 0.27, -side * swing * 0.3, 1.14)
        scene.beam(point(side * 0.2, 0, 1.42), elbow, 0.065 * size, cls, coat)
        scene.beam(elbow, point(side * 0.26, -side * swing * 0.9 + 0.08, 0.9), 0.05, cls, coat)
        scene.ball(point(side * 0.26, -side * swing * 0.9 + 0.08, 0.86), 0.05, 0.06, cls, skin)
    hem = 0.62 if h[5] > 0.7 else 0.82
    scene.beam(point(0, 0, hem), point(0, 0, 1.5), 0.22 * size, cls, coat, cut=CAPSULE)
    scene.beam(point(0, 0, 1.42), point(0, 0, 1.58), 0.06, cls, skin)
    scene.ball(point(0, 0.02, 1.66), 0.105 * size, 0.14 * size, cls, skin)
    scene.ball(point(0, -0.03, 1.72), 0.115 * size, 0.1 * size, cls, hair)
    if h[6] > 0.6:
        scene.ball(point(0, -0.2, 1.2), 0.17, 0.25, cls, coats[int(h[7] * 10)], cut=CAPSULE)


def add_cyclist(scene, base, yaw, phase, seed):
    """Add a bicycle with its rider."""
    h = [float(hash01(i, 9, seed)) for i in range(4)]
    at = turned(base, yaw)
    shirt = ((190, 60, 50), (50, 90, 130), (200, 196, 180), (60, 66, 60))[int(h[0] * 4)]
    legs, steel = (48, 50, 60), ((40, 40, 44), (150, 40, 36), (60, 96, 110))[int(h[1] * 3)]
    for y in (-0.52, 0.52):
        o = at(0, y - 0.34, 0.0)
        scene.face(o, at(0, y + 0.34, 0) - o, (0, 0, 0.68), PLAIN, CYCLIST, (30, 30, 32), RING)
        scene.beam(at(0, y, 0.02), at(0, y, 0.66), 0.025, CYCLIST, (30, 30, 32))
    for a, b in (
        ((-0.52, 0.34), (-0.15, 0.85)),
        ((-0.15, 0.85), (0.4, 0.8)),
        ((0, 0.3), (0.4, 0.8)),
        ((0, 0.3), (-0.15, 0.85)),
        ((0.4, 1.0), (0.52, 0.34)),
    ):
        scene.beam(at(0, *a), at(0, *b), 0.03, CYCLIST, steel)
    hip, neck = (-0.18, 0.98), (0.16, 1.46)
    scene.beam(at(0, *hip), at(0, *neck), 0.21, CYCLIST, shirt, cut=CAPSULE)
    for side in (-1, 1):
        pedal = (side * 0.16 * np.cos(phase), 0.3 + side * 0.16 * np.sin(phase))
        knee = at(side * 0.13, 0.22 + 0.3 * pedal[0], 0.55 + 0.5 * pedal[1])
        scene.beam(at(side * 0.09, *hip), knee, 0.09, CYCLIST, legs)
        scene.beam(knee, at(side * 0.12, *pedal), 0.065, CYCLIST, legs)
        scene.beam(at(side * 0.2, 0.14, 1.4), at(side * 0.24, 0.42, 1.06), 0.055, CYCLIST, shirt)
    scene.ball(at(0, 0.26, 1.62), 0.105, 0.14, CYCLIST, (206, 160, 130))
    scene.ball(at(0, 0.22, 1.71), 0.125, 0.09, CYCLIST, (210, 210, 200) if h[2] > 0.5 else steel)


def add_car(scene, base, yaw, profile, colour, pitch=0.0):
    """Add a car: body, cabin with windows, wheels, lamps and number plate."""
    length, w, belt, bonnet, roof, y0, y1, rear, front = PROFILES[profile]
    flat = turned(base, yaw)
    at = lambda x, y, z: flat(x, y, z + pitch * y)  # noqa: E731
    back, ahead, low = -length / 2, length / 2, 0.3

    def quad(a, b, c, material, tint, cut=WHOLE, p=(0, 0, 0)):
        o = at(*a)
        scene.face(o, at(*b) - o, at(*c) - o, material, CAR, tint, cut, 0, p)

    dark, cut = (26, 26, 28), CAR_CUTS[profile]
    scene.box(
        at(-w + 0.08, back + 0.1, 0.14),
        at(w, 0, 0) - at(-w + 0.16, 0, 0),
        at(0, ahead, 0) - at(0, back + 0.2, 0),
        (0, 0, 0.25),
        PLAIN,
        CAR,
        dark,
    )
    quad((-w, back, low), (w, back, low), (-w, back, belt), PAINT, colour)
    quad((-w, ahead, low), (w, ahead, low), (-w, ahead, bonnet), PAINT, colour)
    quad((-w, back, belt), (w, back, belt), (-w, ahead, bonnet), PAINT, colour)
    cabin, top = y1 - y0, w - 0.2 if roof < 2 else w - 0.08
    floor = belt - 0.06
    wheel = 0.33 if length < 6 else 0.48
    for x in (-1, 1):
        quad((x * w, back, low), (x * w, ahead, low), (x * w, back, belt), PAINT, colour, cut)
        slope = (rear, front, 1.0)
        quad(
            (x * (w - 0.03), y0, floor),
            (x * (w - 0.03), y1, floor),
            (x * top, y0, roof),
            WINDOWS,
            colour,
            cut + 1,
            slope,
        )
        for y in (back + 0.2 * length, ahead - 0.19 * length):
            quad(
                (x * (w + 0.02), y - wheel, 0),
                (x * (w + 0.02), y + wheel, 0),
                (x * (w + 0.02), y - wheel, 2 * wheel),
                WHEEL,
                dark,
                DISC,
            )
            quad(
                (x * w, y - 0.22, 0.02),
                (x * (w - 0.22), y - 0.22, 0.02),
                (x * w, y - 0.22, 0.5),
                PLAIN,
                dark,
            )
            quad(
                (x * w, y + 0.22, 0.02),
                (x * (w - 0.22), y + 0.22, 0.02),
                (x * w, y + 0.22, 0.5),
                PLAIN,
                dark,
            )
        for y, z, tint in (
            (back - 0.02, belt - 0.24, (170, 24, 20)),
            (ahead + 0.02, bonnet - 0.22, (236, 236, 224)),
        ):
            quad(
                (x * (w - 0.05), y, z),
                (x * (w - 0.36), y, z),
                (x * (w - 0.05), y, z + 0.16),
                PLAIN,
                tint,
            )
        quad(
            (x * w, y1 - 0.1, belt),
            (x * (w + 0.16), y1 - 0.1, belt),
            (x * w, y1 - 0.1, belt + 0.14),
            PAINT,
            colour,
        )
    quad(
        (-0.26, back - 0.02, 0.52),
        (0.26, back - 0.02, 0.52),
        (-0.26, back - 0.02, 0.64),
        PLAIN,
        (214, 206, 160),
    )
    quad(
        (-w, back - 0.01, low),
        (w, back - 0.01, low),
        (-w, back - 0.01, low + 0.16),
        PLAIN,
        (50, 50, 52),
    )
    quad(
        (-0.5, ahead + 0.01, 0.4),
        (0.5, ahead + 0.01, 0.4),
        (-0.5, ahead + 0.01, 0.66),
        PLAIN,
        (38, 38, 42),
    )
    inset = (0.12, 0.12, 0.0)
    quad(
        (-w, y0, floor),
        (w, y0, floor),
        (-w, y0 + rear * cabin, roof),
        WINDOWS,
        colour,
        cut + 2,
        inset,
    )
    quad(
        (-w, y1, floor),
        (w, y1, floor),
        (-w, y1 - front * cabin, roof),
        WINDOWS,
        colour,
        cut + 2,
        inset,
    )
    quad(
        (-top, y0 + rear * cabin, roof),
        (top, y0 + rear * cabin, roof),
        (-top, y1 - front * cabin, roof),
        PAINT,
        colour,
    )


def add_tree(scene, base, height, shape, colour, seed):
    """Add a tree: trunk, branches and a crown of twigs at hashed places."""
    h = lambda i, j: float(hash01(i, j, seed))  # noqa: E731
    base = np.asarray(base, float)
    bark = (86, 70, 56) if seed % 3 else (110, 104, 94)
    wide, low, count = {
        "round": (0.36, 0.32, 30),
        "tall": (0.17, 0.16, 26),
        "cone": (0.24, 0.08, 30),
        "bush": (0.6, 0.05, 10),
    }[shape]
    lean = np.array([h(1, 1) - 0.5, h(1, 2) - 0.5, 0]) * 0.06 * height
    top = base + lean + (0, 0, height)
    if shape != "bush":
        scene.beam(base, base + (top - base) * 0.55, 0.022 * height, PLANT, bark, p=(0.35, 0, 0))
    centre = base + (top - base) * (0.5 + low / 2)
    for i in range(count):
        up = (i + h(i, 3)) / count
        # The crown's half width at this height, and a twig somewhere inside it.
        girth = 1.0 - up if shape == "cone" else np.sqrt(max(0.06, 1 - (2 * up - 1) ** 2))
        angle, out = 6.283 * h(i, 4), 0.25 + 0.75 * h(i, 5) ** 0.5
        r = wide * height * girth * out * 0.75
        spot = base + (top - base) * (low + (0.96 - low) * up)
        spot = spot + (r * np.cos(angle), r * np.sin(angle), 0)
        if shape == "round" and i % 6 == 0:
            scene.beam(base + (top - base) * 0.4, spot, 0.007 * height, PLANT, bark)
        size = height * (0.1 + 0.06 * h(i, 6)) * (1.25 if shape == "bush" else 1)
        if shape == "cone":
            size *= 0.55 + 0.6 * (1 - up)
        tint = np.array(colour) * (0.75 + 0.4 * h(i, 8)) + (12 * h(i, 9), 0, 0)
        away = (spot - centre) / (0.5 * height)
        scene.ball(
            spot,
            size,
            size * 0.85,
            PLANT,
            np.clip(tint, 0, 255),
            LEAVES,
            TWIG,
            seed * 64 + i,
            tuple(away),
        )


# --- streets -------------------------------------------------------------------------------

# Letters of a side: T block of flats at the pavement, H house with picket fence, W yard behind
# a high wall, P park behind railings, M lot behind wire mesh, G house with low wall and hedge.
STREETS = {
    "dataA": {  # clear noon, a town with a park
        "seed": 11,
        "bend": (3.0, 55.0, 0.3),
        "hill": (0.6, 50.0),
        "half": 4.8,
        "walk": 3.0,
        "left": "THTWTWPGT",
        "right": "PHWMTGTTP",
        "junctions": (72.0, 155.0),
        "centre": "dash",
        "edge": "white",
        "parked": (0.7, 0.0),
        "lamp": 21,
        "storeys": (3, 5),
        "walls": ((176, 120, 92), (202, 184, 152), (150, 144, 136), (214, 208, 196)),
        "trees": (("round", (88, 116, 48)), ("tall", (72, 104, 50))),
        "tree_gap": 15,
        "sun": (0.75, -0.35, 1.3),
        "light": (1.65, 1.55, 1.35),
        "ambient": (0.42, 0.5, 0.62),
        "zenith": (92, 142, 206),
        "horizon": (196, 216, 232),
        "haze": 700.0,
        "cloud": 0.35,
        "wet": 0.0,
        "asphalt": (112, 110, 106),
        "fov": 74,
    },
    "dataB": {  # overcast, a suburb that climbs
        "seed": 22,
        "bend": (-5.0, 60.0, 0.0),
        "hill": (4.0, 62.0),
        "half": 4.9,
        "walk": 2.8,
        "left": "HGWHTMHG",
        "right": "GWHWPGTHW",
        "junctions": (64.0, 140.0),
        "centre": "yellow",
        "edge": "none",
        "parked": (0.0, 0.4),
        "lamp": 24,
        "storeys": (2, 4),
        "walls": ((188, 186, 180), (158, 108, 84), (198, 190, 164), (140, 150, 150)),
        "trees": (("round", (82, 104, 56)), ("cone", (58, 86, 54)), ("bush", (92, 108, 58))),
        "tree_gap": 13,
        "sun": (-0.25, 0.2, 2.2),
        "light": (0.5, 0.5, 0.5),
        "ambient": (0.92, 0.95, 1.0),
        "zenith": (172, 178, 186),
        "horizon": (208, 210, 212),
        "haze": 420.0,
        "cloud": 0.8,
        "wet": 0.15,
        "asphalt": (96, 98, 100),
        "fov": 70,
    },
    "dataC": {  # low golden sun, a wide avenue
        "seed": 33,
        "bend": (9.0, 48.0, 0.0),
        "hill": (-1.0, 60.0),
        "half": 6.2,
        "walk": 4.2,
        "left": "TTMPWTHT",
        "right": "TWHTWMTG",
        "junctions": (66.0, 150.0),
        "centre": "yellow",
        "edge": "white",
        "parked": (0.4, 0.3),
        "lamp": 18,
        "storeys": (4, 7),
        "walls": ((206, 190, 160), (130, 128, 128), (178, 150, 118), (120, 84, 70)),
        "trees": (("tall", (104, 108, 44)), ("round", (124, 104, 44))),
        "tree_gap": 17,
        "sun": (-0.75, 0.55, 0.34),
        "light": (3.2, 2.2, 1.2),
        "ambient": (0.72, 0.71, 0.82),
        "zenith": (112, 142, 190),
        "horizon": (250, 214, 162),
        "haze": 380.0,
        "cloud": 0.4,
        "wet": 0.0,
        "asphalt": (120, 114, 108),
        "fov": 78,
    },
    "dataD": {  # after rain, a narrow old street
        "seed": 44,
        "bend": (-6.0, 42.0, 0.2),
        "hill": (-2.0, 55.0),
        "half": 4.3,
        "walk": 2.5,
        "left": "TGWTHWTP",
        "right": "THMWTHGTP",
        "junctions": (68.0, 140.0),
        "centre": "dash",
        "edge": "yellow",
        "parked": (0.6, 0.0),
        "lamp": 19,
        "storeys": (3, 5),
        "walls": ((172, 158, 132), (150, 100, 82), (196, 192, 186), (128, 122, 114)),
        "trees": (("round", (70, 100, 52)), ("cone", (60, 92, 60))),
        "tree_gap": 16,
        "sun": (0.5, 0.4, 1.0),
        "light": (0.75, 0.75, 0.72),
        "ambient": (0.88, 0.94, 1.02),
        "zenith": (134, 148, 168),
        "horizon": (206, 212, 218),
        "haze": 330.0,
        "cloud": 0.95,
        "wet": 1.0,
        "asphalt": (78, 80, 84),
        "fov": 72,
    },
    "dataE": {  # hazy morning, old and new
        "seed": 55,
        "bend": (5.0, 38.0, 0.9),
        "hill": (-3.2, 70.0),
        "half": 5.2,
        "walk": 3.4,
        "left": "TGWHTPMTH",
        "right": "TWMHWTPGT",
        "junctions": (70.0, 150.0),
        "centre": "dash",
        "edge": "white",
        "parked": (0.3, 0.0),
        "lamp": 22,
        "storeys": (3, 6),
        "walls": ((186, 172, 148), (164, 116, 94), (206, 204, 200), (136, 138, 142)),
        "trees": (("round", (92, 108, 56)), ("cone", (66, 92, 54)), ("tall", (86, 106, 52))),
        "tree_gap": 14,
        "sun": (0.7, 0.5, 0.62),
        "light": (1.9, 1.6, 1.2),
        "ambient": (0.8, 0.82, 0.86),
        "zenith": (150, 172, 198),
        "horizon": (226, 222, 212),
        "haze": 150.0,
        "cloud": 0.5,
        "wet": 0.1,
        "asphalt": (106, 106, 104),
        "fov": 75,
    },
}
LAST_FRAME = 350  # the camera's way ends before the street does


def fresh_street(number):
    """Return the settings of a street that is not among STREETS, always the same for a number.

    The weather is that of one of STREETS, changed a little. Plan, width, junctions and camera are
    drawn anew: it may stand high or low, look up, down or to a side, so that the place in the image
    tells less about the class than in the sample.
    """
    random = np.random.default_rng((2026, number))
    weather = STREETS[RECORDINGS[random.integers(5)]]
    walls = [colour for street in STREETS.values() for colour in street["walls"]]
    trees = [tree for street in STREETS.values() for tree in street["trees"]]

    def near(values, share=0.12):
        return tuple(np.asarray(values) * random.uniform(1 - share, 1 + share, len(values)))

    def plots():
        return "".join(random.permutation([*"TTHHWWPMG"]))

    low = int(random.integers(2, 5))
    first = random.uniform(50, 90)
    return weather | {
        "seed": 100 + number,
        "bend": (random.uniform(-9, 9), random.uniform(30, 60), random.uniform(0, 0.9)),
        "hill": (random.uniform(-3, 4), random.uniform(50, 70)),
        "half": random.uniform(4.3, 6.8),
        "walk": random.uniform(2.2, 4.6),
        "left": plots(),
        "right": plots(),
        "junctions": (first, first + random.uniform(50, 90)),
        "centre": ("dash", "yellow")[random.integers(2)],
        "edge": ("white", "yellow", "none")[random.integers(3)],
        "parked": tuple(np.where(random.random(2) < 0.5, random.uniform(0.2, 0.9, 2), 0.0)),
        "lamp": int(random.integers(18, 28)),
        "storeys": (low, low + int(random.integers(1, 4))),
        "walls": tuple(near(walls[i]) for i in random.choice(len(walls), 4, replace=False)),
        "trees": tuple(trees[i] for i in random.choice(len(trees), 2, replace=False)),
        "tree_gap": int(random.integers(11, 20)),
        "sun": (weather["sun"][0] * random.choice((-1, 1)), *near(weather["sun"][1:])),
        "haze": weather["haze"] * random.uniform(0.7, 1.4),
        "cloud": float(np.clip(weather["cloud"] + random.uniform(-0.2, 0.2), 0, 1)),
        "fov": random.uniform(60, 90),
        # metres above the road and to the right of the lane's middle; angles to the right and up
        "camera": tuple(random.uniform((1.0, -1.5, -0.6, -0.3), (3.2, 1.5, 0.6, 0.15))),
        **{name: near(weather[name], 0.06) for name in ("light", "ambient", "zenith", "horizon")},
        "asphalt": near(weather["asphalt"], 0.06),
    }


CAR_COLOURS = (
    (112, 112, 114),
    (150, 60, 46),
    (62, 84, 60),
    (206, 206, 204),
    (40, 42, 48),
    (60, 84, 126),
    (148, 150, 152),
    (172, 150, 112),
    (86, 92, 98),
    (176, 40, 34),
)
FENCE_COLOURS = {
    "PICKETS": ((206, 204, 198), (126, 96, 66), (92, 104, 84)),
    "RAILING": ((44, 50, 46), (64, 66, 70)),
    "MESH": ((120, 124, 122), (72, 92, 72)),
}
ROOF_COLOURS = ((132, 74, 56), (92, 88, 88), (112, 92, 76))
YARD = {"T": 0.0, "H": 4.5, "W": 5.0, "P": 20.0, "M": 8.0, "G": 4.0}
PLOT = {"T": 15.0, "H": 14.0, "W": 12.0, "P": 24.0, "M": 16.0, "G": 13.0}


class Street:
    """The line of one street, its settings and its scene."""

    def __init__(self, name):
        self.set = STREETS[name]
        self.half, self.walk = self.set["half"], self.set["walk"]
        self.random = np.random.Generator(np.random.PCG64(self.set["seed"])).random
        self.scene = Scene()

    def across(self, s):
        """Return how far the middle of the street lies to the right at s metres."""
        size, length, phase = self.set["bend"]
        return size * (1 - np.cos(s / length + phase))

    def heading(self, s):
        """Return the direction of the street at s, as an angle to the right of ahead."""
        return np.arctan(self.across(s + 0.5) - self.across(s - 0.5))

    def height(self, s):
        """Return the height of the road at s."""
        size, length = self.set["hill"]
        return size * (1 - np.cos(s / length))

    def at(self, s, t, z=0.0):
        """Return the point s metres along, t to the right, z above the road."""
        return np.array([self.across(s) + t, s, self.height(s) + z])

    def lane(self, side):
        """Return where cars drive: the middle of what the parked cars leave of a side."""
        parked = 2.1 if self.set["parked"][side > 0] else 0.0
        return side * min((self.half - parked) / 2, 2.1)

    def pick(self, things):
        """Pick one of some things."""
        return things[int(self.random() * len(things))]

    def strip(self, s0, s1, t0, t1, z, material, cls, colour, step=5.0):
        """Cover the ground from s0 to s1 and t0 to t1."""
        while s0 < s1 - 0.01:
            end = min(s0 + step, s1)
            o = self.at(s0, t0, z)
            self.scene.face(o, (t1 - t0, 0, 0), self.at(end, t0, z) - o, material, cls, colour)
            s0 = end

    def upright(self, s0, s1, t, z0, z1, material, cls, colour, cut=WHOLE, seed=0, p=(0, 0, 0)):
        """Put up a thin vertical surface along the street."""
        while s0 < s1 - 0.01:
            end = min(s0 + 4.0, s1)
            o = self.at(s0, t, z0)
            self.scene.face(
                o, self.at(end, t, z0) - o, (0, 0, z1 - z0), material, cls, colour, cut, seed, p
            )
            s0 = end

    def free(self, s, margin=1.0):
        """Tell whether s lies outside the junctions."""
        return all(abs(s - j) > 6.5 + margin for j in self.set["junctions"])


def add_building(street, s0, s1, side, t, storeys, deep, gable):
    """Add a building with its front at t: facades, cornice, balconies, roof."""
    scene, seed = street.scene, int(street.random() * 9999)
    colour = np.clip(np.array(street.pick(street.set["walls"])) + 24 * street.random() - 12, 0, 255)
    storey = 2.9 + 0.6 * street.random()
    tall = storeys * storey + (0.8 if not gable else 0.3)
    style = int(street.random() * 4) if not gable else int(street.random() * 2)
    p = (storey, 2.1 + 1.3 * street.random(), style + (10 if not gable and seed % 3 else 0))
    a, b = street.at(s0, side * t), street.at(s1, side * t)
    a[2] = b[2] = min(a[2], b[2]) - 0.05
    out = np.array([side * deep, 0.0, 0.0])
    roof = street.pick(ROOF_COLOURS)
    scene.box(
        a, b - a, out, (0, 0, tall), FACADE, BUILDING, colour, (TILES, (120, 116, 110)), seed, p
    )
    pale = np.clip(colour * 1.12, 0, 255)
    up = np.array([0, 0, 1.0])
    if gable:
        ridge = 2.2 + 1.2 * street.random()
        eave, over = 0.45 * np.sign(out), 0.14 * (b - a) / (s1 - s0)
        front = a + up * (tall - 0.15) - eave - over
        scene.face(front, b - a + 2 * over, out / 2 + eave + up * ridge, TILES, BUILDING, roof)
        scene.face(
            front + out + 2 * eave,
            b - a + 2 * over,
            up * ridge - out / 2 - eave,
            TILES,
            BUILDING,
            roof,
        )
        for end in (a, b):
            scene.face(
                end + up * tall, out, up * (ridge - 0.2), MASONRY, BUILDING, colour, TRIANGLE, seed
            )
        chimney = a + 0.3 * (b - a) + out * 0.4 + up * tall
        scene.box(
            chimney,
            (0.6, 0, 0),
            (0, 0.8, 0),
            up * (ridge + 0.8),
            MASONRY,
            BUILDING,
            (130, 84, 66),
            seed=seed,
        )
        return
    lip = -0.35 * np.sign(out)
    scene.box(a + up * (tall - 0.5) + lip, b - a, -lip * 1.2, up * 0.45, PLAIN, BUILDING, pale)
    if seed % 3:  # a ledge, with an awning over some shops
        scene.box(
            a + up * (storey + 0.25) + lip * 0.6, b - a, -lip, up * 0.25, PLAIN, BUILDING, pale
        )
        if seed % 2:
            start, part = a + 0.15 * (b - a) + up * storey, 0.35 * (b - a)
            scene.face(
                start,
                part,
                lip * 3.4 - up * 0.7,
                POSTER,
                BUILDING,
                street.pick(CAR_COLOURS),
                seed=seed,
            )
    for floor in range(1, storeys):
        for k in range(int((s1 - s0) / p[1])):
            if hash01(k, floor, seed) > 0.82 and style != 2:
                bay = (b - a) / int((s1 - s0) / p[1])
                spot = a + bay * (k + 0.12) + up * (floor * storey + 0.35)
                scene.box(
                    spot + lip * 2.2, bay * 0.76, -lip * 2.2, up * 0.14, PLAIN, BUILDING, pale
                )
                scene.face(
                    spot + lip * 2.2, bay * 0.76, up * 1.05, PLAIN, BUILDING, (60, 60, 62), RAILING
                )
    if seed % 4 == 0:
        scene.box(
            a + 0.4 * (b - a) + out * 0.3 + up * tall,
            (1.5, 0, 0),
            (0, 3, 0),
            up * 1.8,
            MASONRY,
            BUILDING,
            colour,
            seed=seed,
        )


def add_boundary(street, kind, s0, s1, side, t):
    """Add what separates a plot from the pavement: a fence, a wall or a hedge."""
    scene, seed = street.scene, int(street.random() * 9999)
    t = side * t
    if kind in "HPM":
        name = {"H": "PICKETS", "P": "RAILING", "M": "MESH"}[kind]
        colour = street.pick(FENCE_COLOURS[name])
        high = {"H": 1.25, "P": 1.7, "M": 2.3}[kind]
        foot = 0.14 if kind != "P" else 0.6
        if kind == "P":
            street.upright(s0, s1, t, 0.1, 0.6, MASONRY, WALL, (150, 144, 134), seed=seed)
        street.upright(
            s0,
            s1,
            t,
            foot,
            foot + high,
            BOARDS,
            FENCE,
            colour,
            {"H": PICKETS, "P": RAILING, "M": MESH}[kind],
            seed,
        )
        for s in np.arange(s0, s1 + 0.1, 3.0):
            scene.beam(street.at(s, t), street.at(s, t, foot + high + 0.1), 0.05, FENCE, colour)
        return
    high, thick = (2.5, 0.3) if kind == "W" else (0.95, 0.3)
    colour = street.pick(street.set["walls"]) if seed % 2 else (148, 144, 138)
    for edge in (t, t + side * thick):
        street.upright(s0, s1, edge, 0.0, high, MASONRY, WALL, colour, seed=seed)
    low = min(t, t + side * thick) - 0.05
    street.strip(s0, s1, low, low + thick + 0.1, high, PLAIN, WALL, (166, 162, 156))
    for s in (s0, s1):
        o = street.at(s, t)
        scene.face(o, (side * thick, 0, 0), (0, 0, high), MASONRY, WALL, colour, seed=seed)
    green = np.array(street.pick(street.set["trees"])[1]) * 0.9
    if kind == "G":  # the hedge behind the low wall
        street.upright(s0, s1, t + side * 0.5, 0.1, 1.5, LEAVES, PLANT, green)
        for s in np.arange(s0 + 0.2, s1, 0.5):
            size = 0.32 + 0.16 * street.random()
            scene.ball(
                street.at(s, t + side * 0.75, 1.45),
                size,
                size,
                PLANT,
                green,
                LEAVES,
                TWIG,
                int(s * 31) + seed,
                (-side * 0.3, 0, 0.5),
            )


def add_sign(street, s, t, kind, big=1.0):
    """Add a traffic sign on its post, seen by those who drive along s."""
    scene = street.scene
    high = 2.2 + 0.3 * big
    scene.beam(street.at(s, t), street.at(s, t, high + 0.75 * big), 0.045, POLE, (128, 130, 132))
    shapes = {
        "limit": (DISC, (214, 210, 204)),
        "stop": (OCTAGON, (168, 36, 34)),
        "warn": (TRIANGLE, (220, 214, 206)),
        "blue": (WHOLE, (44, 84, 150)),
        "no": (DISC, (160, 40, 40)),
        "town": (WHOLE, (206, 180, 70)),
        "way": (DIAMOND, (214, 172, 50)),
        "street": (WHOLE, (60, 100, 80)),
    }
    cut, colour = shapes[kind]
    w = {"town": 1.3, "street": 0.95}.get(kind, 0.78) * big
    z = {"town": 0.6, "street": 0.3}.get(kind, 0.78) * big
    seed = list(shapes).index(kind)
    o = street.at(s - 0.06, t - w / 2, high)
    scene.face(o, (w, 0, 0), (0, 0, z), SIGNFACE, SIGN, colour, cut, seed)
    scene.face(o + (0, 0.1, 0), (w, 0, 0), (0, 0, z), PLAIN, SIGN, (150, 152, 154), cut)


def add_traffic_light(street, s, side, arm):
    """Add a traffic light: post, arm over the road, and the lamps in their housings."""
    scene, t = street.scene, side * (street.half + 0.5)
    grey = (74, 78, 78)
    scene.beam(street.at(s, t), street.at(s, t, 5.6 if arm else 3.4), 0.085, POLE, grey)
    spots = [(t, 2.6)]
    if arm:
        reach = t - side * (street.half * 0.75)
        scene.beam(street.at(s, t, 5.5), street.at(s, reach, 5.6), 0.06, POLE, grey)
        spots.append((reach, 4.8))
        spots.append(((t + reach) / 2, 4.8))
    for x, z in spots:
        o = street.at(s, x - 0.2, z)
        scene.box(
            o - (0, 0.25, 0), (0.4, 0, 0), (0, 0.2, 0), (0, 0, 1.05), PLAIN, SIGN, (38, 44, 40)
        )
        scene.face(
            o - (0.08, 0.27, 0.05),
            (0.56, 0, 0),
            (0, 0, 1.15),
            LAMPS,
            SIGN,
            (34, 40, 36),
            seed=int(street.set["seed"] + 0.1 * s),
        )


def add_furniture(street, kind, s, side):
    """Add one of the things that have no class of their own: bins, benches, boxes, a shelter."""
    scene = street.scene
    t = side * (street.half + 0.75)
    far = side * (street.half + street.walk - 0.55)
    z = 0.14

    def block(x, y, high, t0, s0, base, colour, material=PLAIN, top=None):
        scene.box(
            street.at(s0 - y / 2, t0 - x / 2, base),
            (x, 0, 0),
            (0, y, 0),
            (0, 0, high),
            material,
            OTHER,
            colour,
            top,
        )

    if kind == "mailbox":
        colour = street.pick(((176, 46, 38), (52, 76, 124), (196, 160, 50)))
        block(0.12, 0.12, 0.75, t, s, z, (70, 70, 72))
        block(0.52, 0.5, 0.75, t, s, z + 0.6, colour)
        block(0.56, 0.54, 0.08, t, s, z + 1.35, (50, 50, 52))
    elif kind == "bin":
        colour = street.pick(((70, 84, 70), (90, 92, 94), (54, 58, 62)))
        scene.beam(street.at(s, t, z), street.at(s, t, z + 0.95), 0.29, OTHER, colour)
        scene.beam(street.at(s, t, z + 0.92), street.at(s, t, z + 1.04), 0.33, OTHER, (44, 46, 48))
    elif kind == "bench":
        wood = (128, 92, 60)
        block(0.45, 1.7, 0.07, far, s, z + 0.43, wood, BOARDS)
        block(0.06, 1.7, 0.42, far + side * 0.22, s, z + 0.5, wood, BOARDS)
        for end in (-0.7, 0.7):
            block(0.4, 0.07, 0.43, far, s + end, z, (50, 52, 54))
    elif kind == "cabinet":
        block(0.45, 1.2, 1.35, far, s, z, street.pick(((136, 140, 134), (112, 122, 108))))
    elif kind == "column":
        scene.beam(
            street.at(s, far, z),
            street.at(s, far, z + 2.7),
            0.55,
            OTHER,
            (196, 186, 166),
            POSTER,
            seed=int(s),
        )
        scene.beam(
            street.at(s, far, z + 2.7), street.at(s, far, z + 2.95), 0.66, OTHER, (70, 92, 78)
        )
    elif kind == "bins":
        for k, colour in enumerate(((60, 66, 60), (48, 68, 96), (120, 96, 60))):
            block(0.55, 0.6, 1.0, far, s + 0.75 * k, z, colour)
            block(0.6, 0.66, 0.1, far, s + 0.75 * k, z + 1.0, (42, 44, 46))
    else:  # a bus shelter
        block(1.35, 3.8, 0.16, far - side * 0.25, s, z + 2.35, (96, 100, 102))
        for end in (-1.8, 1.8):
            for x in (far + side * 0.3, far - side * 0.8):
                block(0.08, 0.08, 2.4, x, s + end, z, (84, 88, 90))
        block(0.1, 1.3, 1.9, far + side * 0.3, s + 1.0, z + 0.3, (170, 160, 140), POSTER)
        block(0.4, 2.2, 0.08, far + side * 0.1, s - 0.3, z + 0.5, (128, 92, 60))


def add_plots(street, side, letters):
    """Fill one side of the street with plots: buildings, yards, parks, and their edges."""
    front = street.half + street.walk
    s, i = -14.0, 0
    while s < STREET_END:
        kind = letters[i % len(letters)]
        i += 1
        end = s + PLOT[kind] * (0.85 + 0.3 * street.random())
        for j in street.set["junctions"]:  # leave room for the side street
            if s < j + 9 and end > j - 9:
                if j - 9 - s > 6:
                    end = j - 9
                else:
                    s, end = j + 9, j + 9 + PLOT[kind]
        paved = kind in "TM"
        ground = (PAVING, SIDEWALK, (150, 146, 140)) if paved else (LAWN, PLANT, (96, 112, 62))
        t0, t1 = sorted((side * front, side * (front + 45)))
        street.strip(s, end, t0, t1, 0.12, *ground)
        low, high = street.set["storeys"]
        storeys = low + int(street.random() * (high - low + 1))
        if kind == "T":
            add_building(street, s, end - 0.02, side, front + 0.05, storeys, 12, False)
        else:
            add_boundary(street, kind, s + 0.3, end - 0.3, side, front + 0.1)
            setback = front + YARD[kind]
            if kind in "HG":
                add_building(street, s + 1.5, end - 1.5, side, setback, 2, 9, True)
            elif kind in "WM":
                add_building(street, s + 0.5, end - 0.5, side, setback, storeys, 10, kind == "W")
            else:
                add_building(street, s, end, side, setback, storeys + 1, 12, False)
        for _ in range({"T": 0, "H": 1, "G": 1, "W": 2, "P": 6, "M": 1}[kind]):
            shape, green = street.pick(street.set["trees"])
            tall = 1.8 if shape == "bush" else 5.5 + 3.5 * street.random()
            spot = s + 1.5 + (end - s - 3) * street.random()
            reach = 2.0 + (YARD[kind] - 3.0) * street.random() * (0.5 if kind == "P" else 0.8)
            add_tree(
                street.scene,
                street.at(spot, side * (front + reach), 0.1),
                tall,
                shape,
                green,
                int(street.random() * 9999),
            )
        s = end


@functools.lru_cache(maxsize=5)
def build_street(name):
    """Build what stands still in one street."""
    street = Street(name)
    scene, half, walk = street.scene, street.half, street.walk
    street.strip(-30, STREET_END + 90, -160, 160, -0.06, LAWN, PLANT, (98, 110, 66), 20.0)
    street.strip(-30, STREET_END + 60, -half, half, 0, ASPHALT, ROAD, street.set["asphalt"])
    stops = [-30.0, *(x for j in street.set["junctions"] for x in (j - 6, j + 6)), STREET_END + 60]
    for start, stop in zip(stops[::2], stops[1::2], strict=True):
        for side in (-1, 1):
            t0, t1 = sorted((side * half, side * (half + walk)))
            street.strip(start, stop, t0, t1, 0.14, PAVING, SIDEWALK, (156, 152, 146))
            street.upright(start, stop, side * half, 0, 0.14, PLAIN, SIDEWALK, (168, 166, 162))
    for j in street.set["junctions"]:
        for side in (-1, 1):
            t0, t1 = sorted((side * half, side * 70))
            street.strip(j - 6, j + 6, t0, t1, 0.0, ASPHALT, ROAD, street.set["asphalt"])
            t0, t1 = sorted((side * (half + walk), side * 70))
            for s0, s1, edge in ((j - 9, j - 6, j - 6), (j + 6, j + 9, j + 6)):
                street.strip(s0, s1, t0, t1, 0.14, PAVING, SIDEWALK, (156, 152, 146))
                scene.face(
                    street.at(edge, side * half),
                    (side * (70 - half), 0, 0),
                    (0, 0, 0.14),
                    PLAIN,
                    SIDEWALK,
                    (168, 166, 162),
                )
            add_traffic_light(street, j - 7.2, side, side > 0)
            for s in (j - 12, j + 12):  # what closes the view into the side street
                add_building(street, s - 12, s + 12, side, 68 + 2 * side, 4, 9, False)
        add_sign(street, j + 8, half + 0.6, "street")
        add_sign(street, j - 24, half + 0.6, "warn", 1.15)
    add_plots(street, -1, street.set["left"])
    add_plots(street, 1, street.set["right"])
    # A row that closes the view at the far end.
    for k in range(-6, 7):
        o = street.at(STREET_END + 45, k * 16)
        scene.box(
            o,
            (15, 0, 0),
            (0, 10, 0),
            (0, 0, 9 + 5 * street.random()),
            FACADE,
            BUILDING,
            street.pick(street.set["walls"]),
            None,
            k + 50,
            (3.1, 2.6, k % 2),
        )
    for side in (-1, 1):
        for s in np.arange(3.0 + 5 * (side > 0), STREET_END, street.set["lamp"]):
            if not street.free(s):
                continue
            t = side * (half + 0.4)
            top, tip = street.at(s, t, 6.6), street.at(s, t - side * 1.6, 6.9)
            scene.beam(street.at(s, t), street.at(s, t, 1.1), 0.11, POLE, (92, 96, 96))
            scene.beam(street.at(s, t), top, 0.075, POLE, (104, 108, 108))
            scene.beam(top, tip, 0.045, POLE, (104, 108, 108))
            scene.box(
                tip - (0.3, 0.12, 0.02),
                (0.6, 0, 0),
                (0, 0.24, 0),
                (0, 0, 0.12),
                PLAIN,
                POLE,
                (120, 122, 122),
            )
        kinds = ("limit", "blue", "warn", "no", "town", "way", "stop", "blue")
        for k, s in enumerate(np.arange(12.0 + 4.5 * (side > 0), STREET_END, 12.5)):
            s = s + 2.0 * street.random()
            if street.free(s):
                kind = kinds[(k + 3 * (side > 0) + street.set["seed"]) % len(kinds)]
                add_sign(street, s, side * (half + 0.6), kind, 0.95 + 0.25 * street.random())
        things = ("mailbox", "bin", "bench", "shelter", "bins", "cabinet", "column")
        for k, s in enumerate(np.arange(8.0 + 3 * (side > 0), STREET_END, 8.5)):
            if street.free(s, 3.0):
                add_furniture(street, things[(3 * k + 2 * (side > 0)) % 7], s, side)
        for s in np.arange(10.5 - 4 * side, STREET_END, street.set["tree_gap"]):
            shape, green = street.pick(street.set["trees"])
            if street.free(s, 4.0) and shape != "bush" and street.random() < 0.75:
                shape = "round" if shape == "cone" else shape  # one walks under street trees
                add_tree(
                    scene,
                    street.at(s, side * (half + 0.9), 0.1),
                    5.5 + 2 * street.random(),
                    shape,
                    green,
                    int(street.random() * 9999),
                )
        share = street.set["parked"][side > 0]
        for s in np.arange(9.0 + 3 * (side > 0), STREET_END, 6.4):
            here = street.random() < share * 0.7
            if here and street.free(s, 9.0):
                spot = s + street.random()
                add_car(
                    scene,
                    street.at(spot, side * (half - 1.05)),
                    street.heading(spot) + (np.pi if side < 0 else 0),
                    street.pick(("sedan", "hatch", "suv", "van", "hatch")),
                    street.pick(CAR_COLOURS),
                )
    return street, scene.freeze()


def camera_place(name, frame, dataset):
    """Return where the camera is along the street, and the time in seconds."""
    k = STREETS[name]["seed"]
    if dataset == "carla":
        return 8.0 + 0.6 * frame + 0.9 * np.sin(frame / 7 + k), 0.1 * frame
    return 4.0 + 4.1 * frame + 0.6 * np.sin(1.7 * frame + k), 40.0 + 0.7 * frame


def add_traffic(street, name, frame, dataset):
    """Build what moves: cars, people on the pavements and crossings, cyclists."""
    scene = Scene()
    camera, time = camera_place(name, frame, dataset)
    seed, half = street.set["seed"], street.half
    lane = street.lane(1)
    span = STREET_END + 20

    def car(s, t, backwards, profile, colour):
        yaw = street.heading(s) + (np.pi if backwards else 0)
        slope = street.height(s + 0.5) - street.height(s - 0.5)
        add_car(scene, street.at(s, t), yaw, profile, colour, -slope if backwards else slope)

    shift = seed // 11
    car(
        camera + 13 + shift % 3 + 1.6 * np.sin(time / 1.3 + seed),
        lane,
        False,
        ("sedan", "hatch", "suv", "van", "sedan")[shift % 5],
        CAR_COLOURS[(3 * shift) % 10],
    )
    car(
        camera + 34 + 3 * np.sin(time / 2 + seed),
        lane,
        False,
        ("bus", "van", "hatch", "suv")[shift % 4],
        CAR_COLOURS[(3 * shift + 4) % 10],
    )
    for k in range(8):
        s = (28 + 31 * k + 9 * shift - 7.5 * time) % span
        car(
            s,
            street.lane(-1),
            True,
            ("hatch", "sedan", "suv", "van")[(k + shift) % 4],
            CAR_COLOURS[(7 * k + shift) % 10],
        )
    ride = camera + 8.5 + (shift * 5) % 4 + 1.2 * np.sin(time / 1.9 + seed)
    add_cyclist(
        scene,
        street.at(ride, half - (2.6 if street.set["parked"][1] else 0.75)),
        street.heading(ride),
        5 * time,
        seed,
    )
    for k in range(3):
        s = (40 + 83 * k + 17 * shift - 4.5 * time) % span
        add_cyclist(
            scene,
            street.at(s, street.lane(-1) - 1.3),
            street.heading(s) + np.pi,
            5 * time,
            k + seed,
        )
    for k in range(64):
        r = [float(hash01(k, i, seed)) for i in range(6)]
        side = 1 if k % 2 else -1
        way = 1 if r[0] > 0.45 else -1
        s = (5 + 4.1 * k + 4 * r[1] + way * (0.9 + 0.5 * r[2]) * time) % span
        t = side * (half + 1.0 + (street.walk - 1.5) * r[3])
        at = street.at(s, t, 0.14 if street.free(s, -0.5) else 0.0)
        yaw = street.heading(s) + (np.pi if way < 0 else 0) + 0.3 * (r[4] - 0.5)
        add_person(scene, at, yaw, 6 * time + 6 * r[5], 100 * seed + k)
    for k, j in enumerate(street.set["junctions"]):  # people on the zebra crossings
        for i in range(3):
            reach = half + 3
            t = (1.2 * time * (1 if i % 2 else -1) + 4.1 * i + k + shift) % (2 * reach) - reach
            if abs(j - 9.7 - camera) < 4.5 and abs(t) < half:
                continue  # nobody crosses right in front of a moving car
            add_person(
                scene,
                street.at(j - 9 - 0.7 * i, t, 0.14 * (abs(t) > half)),
                np.pi / 2 if i % 2 else -np.pi / 2,
                6 * time + i,
                900 + 10 * seed + i,
            )
    return scene.freeze()


# --- rasteriser ----------------------------------------------------------------------------


def turn_to_viewer(faces, towards):
    """Give the round faces their corners for a viewer in the directions `towards`."""
    o, u, v, kind = (faces["o"].copy(), faces["u"].copy(), faces["v"].copy(), faces["codes"][:, 4])
    for i, axis in ((kind == BEAM, v), (kind == BALL, np.array([[0.0, 0.0, 1.0]]))):
        axis = axis[i] if len(axis) > 1 else np.repeat(axis, i.sum(), 0)
        right = np.cross(towards[i], axis)
        right /= np.sqrt((right**2).sum(1, keepdims=True)) + 1e-9
        width = faces["u"][i, :1]
        u[i] = right * width
        o[i] -= u[i] / 2
    i = kind == BALL
    up = np.cross(u[i], towards[i])
    up /= np.sqrt((up**2).sum(1, keepdims=True)) + 1e-9
    v[i] = up * faces["v"][i, 2:]
    o[i] -= v[i] / 2
    return o, u, v


class Camera:
    """A pinhole camera: where the eye is and the ray through each sample."""

    def __init__(self, eye, yaw, pitch, roll, fov, height, width):
        self.eye, self.shape = np.asarray(eye, float), (height, width)
        ahead = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
        right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
        up = np.cross(right, ahead)
        right, up = (
            right * np.cos(roll) + up * np.sin(roll),
            up * np.cos(roll) - right * np.sin(roll),
        )
        self.axes, self.focal = (right, up, ahead), width / 2 / np.tan(np.radians(fov) / 2)
        # The ray through sample (row, column) is base + column * dx + row * dy.
        self.dx, self.dy = right / self.focal, -up / self.focal
        self.base = ahead - self.dx * (width - 1) / 2 - self.dy * (height - 1) / 2
        self.middle = (height - 1) / 2
        self.horizon = self.middle + self.focal * np.tan(pitch)

    def band(self, first, last):
        """Return a camera that sees some rows of the picture only."""
        band = copy.copy(self)
        band.shape, band.base = (last - first, self.shape[1]), self.base + first * self.dy
        band.middle, band.horizon = self.middle - first, self.horizon - first
        return band

    def view(self, faces):
        """Return the faces' equations and their boxes on the screen."""
        towards = faces["o"] - self.eye
        o, u, v = turn_to_viewer(faces, towards)
        c = o - self.eye
        uv = np.cross(u, v)
        det = (c * uv).sum(1)
        det = np.where(np.abs(det) < 1e-9, np.inf, det)
        duals = [x / det[:, None] for x in (uv, np.cross(v, c), np.cross(c, u))]
        rays = np.stack([self.base, self.dx, self.dy])
        planes = np.stack([(d[:, None, :] * rays[None]).sum(2) for d in duals], 1)
        corners = np.stack([c, c + u, c + u + v, c + v], 1)
        x, y, z = ((corners * axis).sum(2) for axis in self.axes)
        boxes = self.boxes(x, y, z)
        return planes, boxes, uv

    def boxes(self, x, y, z):
        """Return first and last row and column of each face, cut at a near plane."""
        near, height, width = 0.15, *self.shape
        boxes = np.zeros((len(x), 4), int)
        whole = (z > near).all(1)
        safe = np.maximum(z, near)
        column = (width - 1) / 2 + self.focal * x / safe
        row = self.middle - self.focal * y / safe
        for i in np.flatnonzero(~whole & (z > near).any(1)):
            points = []
            for a in range(4):
                b = (a + 1) % 4
                if z[i, a] > near:
                    points.append((column[i, a], row[i, a]))
                if (z[i, a] > near) != (z[i, b] > near):
                    w = (near - z[i, a]) / (z[i, b] - z[i, a])
                    px, py = (q[i, a] + w * (q[i, b] - q[i, a]) for q in (x, y))
                    points.append(
                        (
                            (width - 1) / 2 + self.focal * px / near,
                            self.middle - self.focal * py / near,
                        )
                    )
            points = np.array(points)
            column[i] = [points[:, 0].min(), points[:, 0].max()] * 2
            row[i] = [points[:, 1].min(), points[:, 1].max()] * 2
        column, row = np.clip(column, -1e6, 1e6), np.clip(row, -1e6, 1e6)
        boxes[:, 0] = np.clip(np.floor(row.min(1)), 0, height)
        boxes[:, 1] = np.clip(np.ceil(row.max(1)) + 1, 0, height)
        boxes[:, 2] = np.clip(np.floor(column.min(1)), 0, width)
        boxes[:, 3] = np.clip(np.ceil(column.max(1)) + 1, 0, width)
        boxes[~(z > near).any(1)] = 0
        return boxes

    perspective = True
    far = 1 / 600.0


class Sun:
    """The sun as a camera without perspective: what it does not see lies in shadow."""

    perspective = False
    far = -1e9

    def __init__(self, direction, texel=0.14):
        self.to_sun = np.asarray(direction, float) / np.sqrt(np.sum(np.square(direction)))
        right = np.cross(self.to_sun, (0.0, 0.0, 1.0))
        self.right = right / np.sqrt(right @ right)
        self.up = np.cross(self.right, self.to_sun)
        self.texel = texel
        corners = np.array([(x, y, z) for x in (-26, 42) for y in (-12, 190) for z in (-5, 18)])
        a, b = corners @ self.right, corners @ self.up
        self.a0, self.b0 = a.min(), b.min()
        self.shape = (int(np.ptp(b) / texel) + 1, int(np.ptp(a) / texel) + 1)

    def view(self, faces):
        """Return the faces' equations and their boxes on the map."""
        towards = np.repeat(-self.to_sun[None], len(faces["o"]), 0)
        o, u, v = turn_to_viewer(faces, towards)
        d = -self.to_sun[None]
        uv = np.cross(u, v)
        det = (d * uv).sum(1)
        det = np.where(np.abs(det) < 1e-9, np.inf, det)
        duals = [x / det[:, None] for x in (uv, np.cross(v, d), np.cross(d, u))]
        base = self.right * self.a0 + self.up * self.b0
        planes = np.empty((len(o), 3, 3))
        for k, dual in enumerate(duals):
            planes[:, k, 0] = (dual * (base - o)).sum(1)
            planes[:, k, 1] = (dual * self.right).sum(1) * self.texel
            planes[:, k, 2] = (dual * self.up).sum(1) * self.texel
        corners = np.stack([o, o + u, o + u + v, o + v], 1)
        column = ((corners * self.right).sum(2) - self.a0) / self.texel
        row = ((corners * self.up).sum(2) - self.b0) / self.texel
        boxes = np.stack(
            [
                np.floor(row.min(1)),
                np.ceil(row.max(1)) + 1,
                np.floor(column.min(1)),
                np.ceil(column.max(1)) + 1,
            ],
            1,
        )
        boxes = np.clip(boxes, 0, np.repeat(self.shape, 2)[None]).astype(int)
        return planes, boxes, uv

    def lit(self, near, points, bias):
        """Return how much of the sun's disc each point sees, from the map `near`."""
        a = ((points * self.right.astype(np.float32)).sum(1) - self.a0) / self.texel
        b = ((points * self.up.astype(np.float32)).sum(1) - self.b0) / self.texel
        depth = (points * self.to_sun.astype(np.float32)).sum(1) + bias
        total = np.zeros(len(points), np.float32)
        for da, db in ((-0.4, 0.1), (0.1, 0.45), (0.45, -0.1), (-0.1, -0.45)):
            i = np.clip(b + db + 0.5, 0, self.shape[0] - 1).astype(int)
            j = np.clip(a + da + 0.5, 0, self.shape[1] - 1).astype(int)
            total += near[i, j] <= depth
        return total / 4


def solid(cut, a, b, size, seed, filled):
    """Tell where a face is solid; with `filled`, as a person would outline it."""
    if cut >= 20:
        inside = np.ones(a.shape, bool)
        for ea, eb, e1 in POLYGONS[cut - 20]:
            inside &= ea * a + eb * b + e1 >= 0
        return inside
    if cut in (DISC, RING, TWIG):
        r = (2 * a - 1) ** 2 + (2 * b - 1) ** 2
        if cut == DISC:
            return r < 1
        if cut == RING:
            return (r < 1) & (filled | (r > 0.76))
        if filled:
            return r < 0.72
        return r < 0.22 + 0.85 * hash01(a * 9 + 0.5 * np.floor(b * 9), b * 9, seed)
    if cut == CAPSULE:
        end = min(0.45, size[0] / size[1] / 2)
        y = np.maximum(np.maximum(end - b, b - 1 + end), 0) / end
        return (2 * a - 1) ** 2 * (1.25 - 0.25 * b) + y**2 * 0.8 < 1
    x, y = a * size[0], b * size[1]
    if filled:
        return np.ones(a.shape, bool)
    if cut == PICKETS:
        f = x / 0.17 % 1
        point = y < size[1] - 0.12 * np.abs(2 * f / 0.66 - 1)
        return (f < 0.66) & point | (np.abs(y - 0.35) < 0.05) | (np.abs(y - 0.9) < 0.05)
    if cut == RAILING:
        return (x / 0.14 % 1 < 0.26) | (y > size[1] - 0.05) | (np.abs(y - 0.15) < 0.03)
    return ((x + y) / 0.2 % 1 < 0.17) | ((x - y) / 0.2 % 1 < 0.17) | (y > size[1] - 0.06)


def rasterise(viewer, faces, filled_cuts=(), near=None):
    """Find the nearest face of each sample.

    Returns the nearness, the face and the place on it (a, b) that one sees, and the face that
    gives the label: the same but for see-through faces that are labelled as a whole.
    """
    planes, boxes, uv = viewer.view(faces)
    planes = planes.astype(np.float32)
    shape = viewer.shape
    shadow = not viewer.perspective
    near = np.full(shape, viewer.far, np.float32) if near is None else near.copy()
    label_near = near.copy()
    face, label = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    place_a, place_b = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    column, row = np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32)
    codes, sizes = faces["codes"], faces["size"]
    area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    for i in np.flatnonzero(area > 0):
        r0, r1, c0, c1 = boxes[i]
        x, y = column[None, c0:c1], row[r0:r1, None]
        (k0, kx, ky), (a0, ax, ay), (b0, bx, by) = planes[i]
        k = (k0 + kx * x) + ky * y
        here = (slice(r0, r1), slice(c0, c1))
        front = k > label_near[here] if not shadow else k > near[here]
        if not shadow:
            front |= k > near[here]
        if not front.any():
            continue
        a, b = (a0 + ax * x) + ay * y, (b0 + bx * x) + by * y
        if viewer.perspective:
            t = 1 / np.maximum(k, 1e-6)
            a *= t
            b *= t
        front &= (a > -1e-3) & (a < 1.001) & (b > -1e-3) & (b < 1.001)
        cut, seed, size = codes[i, 2], codes[i, 3], sizes[i]
        seen = front if cut == WHOLE else front & solid(cut, a, b, size, seed, False)
        seen_here = seen & (k > near[here])
        np.copyto(near[here], k, where=seen_here)
        if shadow:
            continue
        np.copyto(face[here], i, where=seen_here)
        np.copyto(place_a[here], a, where=seen_here)
        np.copyto(place_b[here], b, where=seen_here)
        if cut in filled_cuts:
            seen = front & solid(cut, a, b, size, seed, True)
        seen = seen & (k > label_near[here])
        np.copyto(label_near[here], k, where=seen)
        np.copyto(label[here], i, where=seen)
    return near, face, place_a, place_b, label, label_near, uv


# --- materials -----------------------------------------------------------------------------


def mix(a, b, w):
    """Blend two colours with the weight w of the second."""
    w = np.asarray(w, np.float32)[..., None]
    return a * (1 - w) + b * w


def road_paint(street, s, t):
    """Return where paint lies on the road: 0 none, 1 white, 2 yellow."""
    half, settings = street.half, street.set
    paint = np.zeros(s.shape, np.int8)
    side = np.abs(t)
    if settings["centre"] == "dash":
        paint[(side < 0.09) & (s % 6 < 3)] = 1
    else:
        paint[(np.abs(side - 0.16) < 0.075)] = 2
    if half > 6:
        paint[(np.abs(side - half * 0.55) < 0.08) & ((s + 2) % 5 < 2.2)] = 1
    if settings["edge"] != "none":
        paint[np.abs(side - half + 0.38) < 0.07] = 1 if settings["edge"] == "white" else 2
    for on, sign in zip(settings["parked"], (-1, 1), strict=True):
        if on:
            paint[(np.abs(t * sign - half + 1.15) < 1.0) & (s % 6.4 < 0.12)] = 1
    for j in settings["junctions"]:
        paint[(np.abs(s - j) < 14) & (np.abs(s - j) > 7.4)] = 0
        paint[(np.abs(s - j) <= 7.4) | (side > half)] = 0
        for zebra in (j - 9.5, j + 9.5):
            paint[(np.abs(s - zebra) < 1.6) & (side < half - 0.3) & ((t + 20) % 1 < 0.5)] = 1
        paint[(np.abs(s - j + 12.3) < 0.2) & (t > 0.1) & (t < half - 0.2)] = 1
        # An arrow ahead of the stop line: a shaft and a head.
        y, x = s - (j - 20), np.abs(t - street.lane(1))
        paint[(y > 0) & (y < 2.4) & (x < 0.09)] = 1
        paint[(y >= 2.4) & (y < 3.6) & (x < 0.42 * (3.6 - y) / 1.2)] = 1
    return paint


def asphalt(street, colour, s, t, distance):
    """Paint the road: patches, cracks, manholes, worn paint; return the class as well."""
    seed = street.set["seed"]
    fade = np.clip(1.3 - distance / 22, 0, 1)
    tone = 0.84 + 0.3 * noise(s / 5, t / 2.2, seed)
    tone *= 1 - 0.1 * np.exp(-((np.abs(np.abs(t) - street.lane(1)) - 0.75) ** 2) / 0.06)
    tone *= 1 + 0.22 * fade * (noise(s * 4, t * 7, seed + 1) - 0.5)
    cell_s, cell_t = np.floor(s / 7), np.floor(t / 2.3)
    pick = hash01(cell_s, cell_t, seed + 2)
    x, y = np.abs(s / 7 % 1 - 0.5), np.abs(t / 2.3 % 1 - 0.5)
    long = 0.15 + 0.3 * hash01(cell_s, cell_t, seed + 3)
    patch = (pick < 0.3) & (x < long) & (y < 0.36)
    tone = np.where(patch, tone * (0.72 + 1.6 * pick), tone)
    tone = np.where(patch & ((x > long - 0.008) | (y > 0.335)), tone * 0.72, tone)
    n = noise(s / 2.5, t / 1.3, seed + 4) + 0.35 * noise(s * 1.4, t * 1.4, seed + 5)
    open_crack = noise(s / 1.8, t / 1.8, seed + 9) > 0.5
    tone = np.where(open_crack & (np.abs(n - 0.67) < 0.011 * fade), tone * 0.62, tone)
    cell_s, cell_t = np.floor(s / 13), np.floor(t / 3)
    hole = hash01(cell_s, cell_t, seed + 6) < 0.4
    r = np.sqrt((s - 13 * cell_s - 6) ** 2 + (t - 3 * cell_t - 1.4) ** 2)
    tone = np.where(hole & (r < 0.36), tone * np.where(r < 0.29, 0.7, 0.45), tone)
    tone = np.where(street.half - np.abs(t) < 0.25, tone * 0.86, tone)
    albedo = colour * tone[:, None]
    paint = road_paint(street, s, t)
    wear = noise(s * 1.7, t * 3.1, seed + 7) * 0.6 + 0.4 * noise(s * 6, t * 9, seed + 8)
    paint[wear > 0.74] = 0
    cover = np.where(paint > 0, np.clip(1.5 - 1.1 * wear, 0.55, 0.95), 0)
    ink = np.where(paint[:, None] == 2, linear((206, 164, 58)), linear((222, 222, 216)))
    return mix(albedo, ink, cover), np.where(paint > 0, LINE, ROAD)


def facade(faces, p, x, y, size, distance, sky):
    """Paint a facade: brick or plaster, windows with frames and sills, shops, doors."""
    colour, seed = faces["colour"][p], faces["codes"][p, 3]
    storey, bay, code = faces["p"][p].T
    shop, style = code >= 10, code % 10
    wide, tall = size.T
    fade = np.clip(1.4 - distance / 30, 0, 1)
    count = np.maximum(np.floor(wide / bay), 1)
    bay = wide / count
    k, floor = np.floor(x / bay), np.floor(y / storey)
    fx, fy = x / bay % 1, y / storey % 1
    tone = 0.88 + 0.2 * noise(x / 3, y / 2.5, seed) + 0.06 * noise(x, y * 4, seed)
    course = np.floor(y / 0.22)
    brick = (style == 1) | (style == 3)
    stone = hash01(np.floor(x / 0.5 + 0.5 * (course % 2)), course, seed)
    joint = (y / 0.22 % 1 < 0.14) | ((x / 0.5 + 0.5 * (course % 2)) % 1 < 0.07)
    tone = np.where(brick, tone * (1 + fade * (0.22 * (stone - 0.5) - 0.14 * joint)), tone)
    tone = tone * np.clip(0.75 + 0.3 * y, 0.75, 1)
    albedo = colour * tone[:, None]
    trim = np.where((hash01(seed, 1) > 0.4)[:, None], linear((216, 212, 204)), colour * 0.55)
    band = (fy > 0.955) & (floor < np.floor(tall / storey)) & (style != 2)
    albedo = np.where(band[:, None], mix(colour, trim, np.full(len(x), 0.5)) * 1.1, albedo)
    # Windows: half widths and height as parts of a bay and a storey.
    half = np.where(style == 2, 0.46, 0.2 + 0.12 * hash01(seed, 2))
    bottom = np.where(style == 2, 0.3, np.where(hash01(seed, 3) > 0.6, 0.12, 0.3))
    top = np.where(style == 2, 0.9, 0.78 + 0.08 * hash01(seed, 4))
    door = (floor == 0) & ~shop & (k == np.floor(count * hash01(seed, 5)))
    bottom = np.where(door, 0.02, bottom)
    ground = (floor == 0) & shop
    half = np.where(ground, 0.44, half)
    bottom, top = np.where(ground, 0.1, bottom), np.where(ground, 0.74, top)
    dx, ok = np.abs(fx - 0.5), (y < np.floor(tall / storey) * storey) & (y > 0)
    inside = ok & (dx < half) & (fy > bottom) & (fy < top)
    edge = np.minimum((half - dx) * bay, np.minimum(fy - bottom, top - fy) * storey)
    sill = ok & (dx < half + 0.04) & (fy <= bottom) & (fy > bottom - 0.045) & ~ground
    lintel = ok & (dx < half + 0.03) & (fy >= top) & (fy < top + 0.05) & ~ground & (style != 2)
    albedo = np.where((sill | lintel)[:, None], trim, albedo)
    shutter = ok & (hash01(seed, 6) > 0.65) & (style < 2) & (dx > half) & (dx < half + 0.13)
    shutter &= (fy > bottom) & (fy < top) & ~door & ~ground
    tint = mix(linear((58, 82, 66)), linear((110, 70, 52)), hash01(seed, 7) > 0.5)
    albedo = np.where(shutter[:, None], tint * (0.8 + 0.3 * (fy * 20 % 1))[:, None], albedo)
    room = hash01(k, floor, seed + 9)
    glass = mix(linear((34, 40, 48)), sky * 0.55, 0.12 + 0.5 * room * np.clip(fy * 1.3, 0, 1))
    curtain = (room > 0.55) & (dx > half * 0.5)
    glass = np.where(curtain[:, None], linear((168, 162, 150)) * 0.8, glass)
    lamp = np.where((ground & (fy > 0.2) & (fy < 0.45))[:, None], linear((120, 104, 84)), glass)
    glass = mix(glass, lamp, noise(x * 2.2, y * 2, seed + 3) > 0.55)
    glass *= np.where(edge > 0.2, 1, 0.75)[:, None]
    albedo = np.where(inside[:, None], glass, albedo)
    frame = inside & ((edge < 0.075) | ((dx * bay < 0.04) & ~ground))
    albedo = np.where(frame[:, None], trim * 0.9, albedo)
    wood = mix(linear((84, 58, 42)), linear((60, 74, 88)), hash01(seed, 8) > 0.5)
    albedo = np.where((inside & door & (edge > 0.06) & (fy < 0.68))[:, None], wood, albedo)
    board = ground & (fy > 0.78) & (fy < 0.95)
    names = [(124, 40, 38), (44, 70, 60), (50, 60, 92), (180, 170, 150), (60, 56, 54)]
    which = (hash01(np.floor(k / 2), 4, seed) * 5).astype(int)
    paint = linear(names)[which]
    letters = board & (np.abs(fy - 0.865) < 0.04) & (hash01(np.floor(x / 0.16), 1, seed) > 0.45)
    albedo = np.where(board[:, None], paint, albedo)
    return np.where(letters[:, None], linear((220, 210, 180)), albedo)


def sign_face(colour, kind, a, b):
    """Paint a traffic sign: a rim and a figure; kind is the place in add_sign's list."""
    x, y = 2 * a - 1, 2 * b - 1
    r = np.sqrt(x * x + y * y)
    white, red, black = linear((222, 220, 214)), linear((170, 34, 32)), linear((30, 30, 32))
    square = np.maximum(np.abs(x), np.abs(y))
    rim = np.where(np.isin(kind, (0, 4)), r > 0.72, square > 0.86)
    rim = np.where(kind == 2, (b < 0.14) | (np.abs(x) > 0.74 - 0.93 * b), rim)
    rim_colour = np.where(np.isin(kind, (0, 2))[:, None], red, white)
    figure = np.where(kind == 0, (np.abs(np.abs(x) - 0.22) < 0.09) & (np.abs(y) < 0.35), False)
    figure |= (kind == 2) & (np.abs(x) < 0.08) & (b > 0.26) & (b < 0.62)
    figure |= (kind == 3) & (np.abs(x + 0.1 * y) < 0.35) & (np.abs(y) < 0.55)
    figure |= (kind == 4) & (np.abs(x) < 0.55) & (np.abs(y) < 0.13)
    figure |= (kind == 1) & (np.abs(y) < 0.2) & (np.abs(x) < 0.7)
    letters = (np.abs(np.abs(y) - 0.3) < 0.16) & (hash01(np.floor(x * 7), np.floor(y), 3) > 0.4)
    figure |= np.isin(kind, (5, 7)) & letters & (np.abs(x) < 0.8)
    ink = np.where(np.isin(kind, (0, 2, 5))[:, None], black, white)
    albedo = np.where(rim[:, None], rim_colour, colour)
    return np.where(figure[:, None], ink, albedo)


def shade(street, faces, uv, camera, sun, buffers, shadow_map, light, frame):
    """Paint every sample; return light, class and distance."""
    near, face, place_a, place_b = buffers
    settings, n = street.set, face.size
    height, width = face.shape
    rows, columns = np.divmod(np.arange(n), width)
    ray = camera.base + columns[:, None] * camera.dx + rows[:, None] * camera.dy
    ray = ray.astype(np.float32)
    norm = np.sqrt((ray**2).sum(1))
    colour = sky_light(settings, ray / norm[:, None], sun, frame)
    cls = np.full(n, SKY, np.uint8)
    hit = np.flatnonzero(face.ravel() >= 0)
    p = face.ravel()[hit]
    depth = 1 / near.ravel()[hit]
    ray = ray[hit]
    point = (camera.eye + ray * depth[:, None]).astype(np.float32)
    distance = depth * norm[hit]
    a, b = place_a.ravel()[hit], place_b.ravel()[hit]
    codes, size = faces["codes"], faces["size"][p]
    material, kind = codes[p, 0], codes[p, 4]
    x, y = a * size[:, 0], b * size[:, 1]
    albedo = faces["colour"][p]
    surface = codes[p, 1].copy()
    normal = uv / (np.sqrt((uv**2).sum(1, keepdims=True)) + 1e-9)
    normal = normal.astype(np.float32)[p]
    normal *= np.where((normal * ray).sum(1) > 0, -1, 1)[:, None].astype(np.float32)
    # A round face gets the normals of a cylinder or a ball.
    axis = faces["frame_u"].astype(np.float32)[p]
    lean, rise = 2 * a - 1, np.where(kind == BALL, 2 * b - 1, 0)
    bulge = np.sqrt(np.clip(1 - 0.9 * lean**2 - 0.9 * rise**2, 0.05, 1))
    round_normal = normal * bulge[:, None] + axis * (0.95 * lean)[:, None]
    round_normal[:, 2] += 0.95 * rise
    normal = np.where((kind != FIXED)[:, None], round_normal, normal)
    s, t = point[:, 1], point[:, 0] - street.across(point[:, 1])
    seed = codes[p, 3]
    sky = linear(settings["horizon"])
    shine = np.zeros(len(p), np.float32)
    for m in np.unique(material):
        i = np.flatnonzero(material == m)
        q = p[i]
        if m == PLAIN:
            tone = 0.93 + 0.14 * noise(x[i] * 3, y[i] * 3, q)
            albedo[i] *= tone[:, None]
        elif m == ASPHALT:
            albedo[i], surface[i] = asphalt(street, albedo[i], s[i], t[i], distance[i])
        elif m == PAVING:
            fade = np.clip(1.3 - distance[i] / 18, 0, 1)
            u, v = s[i] / 0.8, t[i] / 0.6
            tone = 0.86 + 0.24 * noise(s[i] / 3, t[i] / 1.4, 5)
            tone *= 1 + 0.14 * fade * (hash01(np.floor(u), np.floor(v), 6) - 0.5)
            tone *= 1 - 0.24 * fade * ((u % 1 < 0.06) | (v % 1 < 0.08))
            kerb = np.abs(np.abs(t[i]) - street.half - 0.1) < 0.1
            tone = np.where(kerb, 1.12 - 0.15 * (s[i] % 1.0 < 0.05), tone)
            albedo[i] *= tone[:, None]
        elif m == LAWN:
            tone = 0.7 + 0.35 * noise(s[i], t[i], 8) + 0.3 * noise(s[i] * 5, t[i] * 5, 9)
            dry = noise(s[i] / 4, t[i] / 4, 10) * 0.6
            albedo[i] = mix(albedo[i], linear((140, 128, 88)), dry) * tone[:, None]
        elif m == FACADE:
            albedo[i] = facade(faces, q, x[i], y[i], size[i], distance[i], sky)
        elif m == MASONRY:
            fade = np.clip(1.4 - distance[i] / 25, 0, 1)
            course = np.floor(y[i] / 0.24)
            along = x[i] / 0.55 + 0.5 * (course % 2)
            stone = hash01(np.floor(along), course, seed[i])
            joint = (y[i] / 0.24 % 1 < 0.13) | (along % 1 < 0.06)
            tone = 0.82 + 0.3 * noise(s[i] / 2, y[i], 3) + fade * (0.3 * (stone - 0.5))
            tone *= 1 - 0.2 * fade * joint
            albedo[i] *= (tone * np.clip(0.7 + 0.5 * y[i], 0.7, 1))[:, None]
        elif m == BOARDS:
            board = hash01(np.floor(x[i] / 0.17), 0, seed[i])
            albedo[i] *= (0.85 + 0.25 * board)[:, None]
        elif m == LEAVES:
            leaf = hash01(np.floor(x[i] / 0.13), np.floor(y[i] / 0.11), seed[i])
            clump = noise(x[i] * 2.2, y[i] * 2.2, seed[i])
            albedo[i] *= (0.5 + 0.4 * leaf + 0.5 * clump)[:, None]
            outward = faces["p"][q] + (0, 0, 0.35)
            normal[i] = normal[i] * 0.35 + outward
        elif m == PAINT:
            shine[i] = 0.28
        elif m == WINDOWS:
            rear, front, pillar = faces["p"][q].T
            edge = np.minimum(a[i] - rear * b[i], 1 - front * b[i] - a[i]) * size[i, 0]
            edge = np.minimum(edge, np.minimum(b[i] - 0.05, 0.92 - b[i]) * size[i, 1])
            glass = (edge > 0.05) & ~((pillar > 0) & (np.abs(a[i] - 0.52) * size[i, 0] < 0.05))
            pane = mix(linear((30, 34, 40)), sky, 0.08 + 0.25 * b[i])
            albedo[i] = np.where(glass[:, None], pane, albedo[i])
            shine[i] = np.where(glass, 0.1, 0.28)
        elif m == SIGNFACE:
            albedo[i] = sign_face(albedo[i], seed[i], a[i], b[i]) * 1.1
        elif m == LAMPS:
            k = np.floor(b[i] * 3)
            r = ((a[i] - 0.5) * 1.6) ** 2 + ((b[i] * 3 % 1 - 0.5) * 1.1) ** 2
            lamps = linear([(70, 214, 130), (235, 170, 50), (232, 56, 40)])
            on = (seed[i] // 3 % 2) * 2
            bright = np.where(k == on, 1.6, 0.1)[:, None]
            lens = lamps[np.clip(k, 0, 2).astype(int)] * bright
            albedo[i] = np.where((r < 0.2)[:, None], lens, albedo[i])
        elif m == TILES:
            row = np.floor(y[i] / 0.3)
            tone = 0.85 + 0.2 * hash01(np.floor(x[i] / 0.3), row, 2) - 0.2 * (y[i] / 0.3 % 1 < 0.2)
            albedo[i] *= tone[:, None]
        elif m == POSTER:
            sheet = hash01(np.floor(x[i] / 0.55), np.floor(y[i] / 0.8), seed[i])
            other = linear(CAR_COLOURS)[(sheet * 10).astype(int)]
            albedo[i] = mix(albedo[i], other, 0.65 * (sheet > 0.35))
        elif m == WHEEL:
            r = (2 * a[i] - 1) ** 2 + (2 * b[i] - 1) ** 2
            albedo[i] = np.where((r < 0.42)[:, None], linear((112, 114, 118)), albedo[i])
            albedo[i] *= np.where((r > 0.34) & (r < 0.42), 0.5, 1)[:, None]
    normal /= np.sqrt((normal**2).sum(1, keepdims=True)) + 1e-6
    leafy = material == LEAVES
    to_sun = sun.to_sun.astype(np.float32)
    facing = np.clip((normal * to_sun).sum(1), 0, 1)
    facing = np.where(leafy, 0.25 + 0.75 * facing, facing)
    bias = np.where(leafy | (kind != FIXED), 0.55, 0.12)
    lit = sun.lit(shadow_map, point + normal * 0.08, bias)
    open_sky = 0.62 + 0.38 * normal[:, 2]
    ground = np.clip((point[:, 2] - street.height(s)) / 3, 0, 1)
    open_sky *= np.where(normal[:, 2] > 0.8, 1, 0.8 + 0.2 * ground)
    # Under a roof of leaves or a car the sky's light is weaker as well.
    open_sky *= 0.8 + 0.2 * lit
    warm = np.array(settings["light"], np.float32) * light
    cool = np.array(settings["ambient"], np.float32)
    shaded = albedo * (warm * (facing * lit)[:, None] + cool * open_sky[:, None])
    grazing = 1 - np.clip(-(normal * ray).sum(1) / norm[hit], 0, 1)
    gloss = shine * (0.25 + 0.75 * grazing**2)
    shaded = mix(shaded, sky * np.clip(0.45 + normal[:, 2], 0.2, 1)[:, None], gloss)
    haze = 1 - np.exp(-distance / settings["haze"])
    shaded = mix(shaded, linear(settings["horizon"]), haze)
    colour[hit], cls[hit] = shaded, surface
    colour = colour.reshape(height, width, 3)
    far = np.full(n, 999.0, np.float32)
    far[hit] = distance
    far = far.reshape(height, width)
    cls = cls.reshape(height, width)
    if settings["wet"] > 0:
        colour = reflect(colour, cls, far, camera.horizon, settings)
    return colour, cls, far


def reflect(colour, cls, far, horizon, settings):
    """Mirror the picture faintly in a wet road: each row shows the row above the horizon."""
    height, width = far.shape
    rows = np.arange(height)
    mirror = np.clip(2 * horizon - rows, 0, height - 1).astype(int)
    image = sum(colour[np.clip(mirror + d, 0, height - 1)] for d in (-14, -7, 0, 7, 14)) / 5
    image = sum(np.roll(image, d, 1) for d in (-3, 0, 3)) / 3
    steep = np.clip(far / 24, 0.2, 1)
    columns = np.arange(width)[None] + np.zeros((height, 1))
    puddle = 0.6 + 0.8 * noise(columns / 90, rows[:, None] * 0 + 9000 / (rows[:, None] + 60), 4)
    wet = np.where((cls == ROAD) | (cls == LINE), 0.7, np.where(cls == SIDEWALK, 0.25, 0))
    return mix(colour, image, np.clip(settings["wet"] * wet * steep * puddle, 0, 0.6))


def sky_light(settings, ray, sun, frame):
    """Return the light of the sky in each direction: a gradient, clouds, the sun's glow."""
    up = np.clip(ray[:, 2], 0, 1)
    zenith, horizon = linear(settings["zenith"]), linear(settings["horizon"])
    colour = mix(horizon[None], zenith[None], np.clip(1.9 * up, 0, 1) ** 0.75)
    flat = 1 / (up + 0.12)
    x, y = ray[:, 0] * flat * 1.1 + 0.01 * frame, ray[:, 1] * flat * 1.1
    seed = settings["seed"]
    cloud = (
        0.55 * noise(x, y, seed)
        + 0.3 * noise(2.1 * x, 2.1 * y, seed + 1)
        + 0.15 * noise(4.3 * x, 4.3 * y, seed + 2)
    )
    cover = np.clip((cloud - 0.75 + 0.5 * settings["cloud"]) * 2.6, 0, 1)
    cover *= np.clip(up * 5, 0, 1) * 0.75
    colour = mix(colour, horizon * (0.75 + 0.35 * cloud)[:, None], cover)
    glow = np.clip((ray * sun.to_sun.astype(np.float32)).sum(1), 0, 1)
    glow = glow**40 * 0.5 + glow**6 * 0.15
    return colour + glow[:, None] * np.array(settings["light"], np.float32) * 0.6


# --- frames --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=5)
def still_shadows(name):
    """Return the sun of a street and the map of what it sees of the things that stand still."""
    sun = Sun(STREETS[name]["sun"])
    near = rasterise(sun, build_street(name)[1])[0]
    return sun, near


def render(recording, frame, dataset="carla", size=None):
    """Draw one frame; return the image (H x W x 3) and the mask (H x W), both uint8."""
    size = size or ((150, 200) if dataset == "carla" else (120, 160))
    scene = set_up(recording, frame, dataset, size, SAMPLES)
    street = scene[0]
    image, fine, far = draw(*scene, dataset, SAMPLES)
    if dataset == "carla":
        return image, CARLA_CODE[fine]
    return image, leave_unlabelled(fine, far, street.set["seed"] + frame)


def render_large(recording, frame, size, rows=120):
    """Draw a frame as a camera of many pixels sees it, several bands of rows at a time.

    One sample a pixel, so edges are not smoothed, and no reflections in a wet road. Returns the
    image (H x W x 3) and CARLA's mask (H x W), both uint8.
    """
    street, camera, *rest = set_up(recording, frame, "carla", size, 1)
    street = copy.copy(street)
    street.set = {**street.set, "wet": 0}  # a reflection needs rows of other bands
    bands = [(r, min(r + rows, size[0])) for r in range(0, size[0], rows)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy computes outside Python's lock
        parts = pool.map(lambda ends: draw(street, camera.band(*ends), *rest, "carla", 1), bands)
        images, fine, _ = zip(*parts, strict=True)
    return np.concatenate(images), CARLA_CODE[np.concatenate(fine)]


def set_up(recording, frame, dataset, size, samples):
    """Return a frame's street, camera, faces, sun, shadows, brightness and number."""
    street, still = build_street(recording)
    settings = street.set
    sun, shadows = still_shadows(recording)
    moving = add_traffic(street, recording, frame, dataset)
    faces = {k: np.concatenate([still[k], moving[k]]) for k in still}
    # The map holds heights towards the sun, so what moves wins where it is nearer to the sun.
    shadows = rasterise(sun, moving, near=shadows)[0]
    s, time = camera_place(recording, frame, dataset)
    carla = dataset == "carla"
    t = street.lane(1) + (0.15 * np.sin(frame / 8) if carla else -0.35 + 0.3 * np.sin(frame))
    slope = street.height(s + 3) - street.height(s - 1)
    height, right, yaw, pitch = settings.get("camera", (1.65 if carla else 1.45, 0, 0, 0))
    camera = Camera(
        street.at(s, t + right, height),
        street.heading(s + 5) + yaw,
        slope / 4 - 0.02 + 0.006 * np.sin(frame / 3) + pitch,
        0.006 * np.sin(frame / 5),
        settings["fov"] - (0 if carla else 8),
        size[0] * samples,
        size[1] * samples,
    )
    centre = faces["o"] - camera.eye
    reach = np.abs(faces["u"]).max(1) + np.abs(faces["v"]).max(1)
    ahead = (centre * camera.axes[2]).sum(1)
    keep = (ahead + reach > 0) & (ahead - reach < 260)
    faces = {k: v[keep] for k, v in faces.items()}
    light = 1 + 0.13 * np.sin(time / 1.6 + settings["seed"])
    return street, camera, faces, sun, shadows, light, frame


def draw(street, camera, faces, sun, shadows, light, frame, dataset, samples):
    """Draw what a camera sees; return the image, what each pixel shows, and how far it is."""
    carla = dataset == "carla"
    faces = dict(faces)
    filled = (RAILING, MESH, RING) if carla else (RAILING, MESH, RING, PICKETS, TWIG)
    near, face, a, b, label, label_near, uv = rasterise(camera, faces, filled)
    towards = faces["o"] - camera.eye
    axis = turn_to_viewer(faces, towards)[1]
    faces["frame_u"] = axis / (np.sqrt((axis**2).sum(1, keepdims=True)) + 1e-9)
    colour, cls, far = shade(
        street, faces, uv, camera, sun, (near, face, a, b), shadows, light, frame
    )
    over = label != face
    cls[over] = faces["codes"][label[over], 1]
    middle = (slice(samples // 2, None, samples),) * 2
    fine, far = cls[middle], np.minimum(far, 1 / label_near)[middle]
    height, width = (side // samples for side in camera.shape)
    colour = colour.reshape(height, samples, width, samples, 3).mean((1, 3))
    colour = np.clip(colour, 0, None) * (0.96 if carla else 1.02)
    colour = colour * (1 + 0.12 * colour) / (1 + 0.35 * colour)  # soft shoulder for bright skies
    image = 255 * np.clip(colour, 0, 1) ** (1 / 2.2)
    image = np.clip(np.round(image / LEVELS) * LEVELS, 0, 255).astype(np.uint8)
    return image, fine, far


def leave_unlabelled(fine, far, seed):
    """Return CamVid's codes, without a label where annotators left none.

    That is far away, where nothing can be told apart, in bits along the edge of tree crowns,
    and in small specks between road and kerb.
    """
    mask = CAMVID_CODE[fine]
    rows, columns = np.indices(mask.shape)
    blotch = noise(columns / 9, rows / 9, seed)
    speck = noise(columns / 2.5, rows / 2.5, seed + 1)
    distant = (far > 75) & (fine != SKY) & (blotch > 0.35) & (mask != 1)
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    tree = edge & np.isin(mask, (0, 5)) & (speck > 0.62)
    kerb = edge & np.isin(mask, (3, 4)) & (blotch > 0.66)
    return np.where(distant | tree | kerb, VOID, mask).astype(np.uint8)


def save(path, array):
    """Write a PNG file as small as Pillow makes it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    Image.fromarray(array).save(part, "PNG", optimize=True)
    part.replace(path)


def save_carla(root, name, image, mask):
    """Write a frame of the CARLA set, the mask last."""
    save(root / "CameraRGB" / name, image)
    save(root / "CameraSeg" / name, np.stack([mask, 0 * mask, 0 * mask], 2))


def draw_fresh(number, frames, size, out):
    """Draw those frames of a fresh street that are not there yet; returns how many."""
    name, drawn = f"street {number}", 0
    STREETS[name] = fresh_street(number)
    recording = RECORDINGS[number % len(RECORDINGS)]
    for frame in range(frames):
        file = f"{number:04d}_{frame:04d}.png"
        if not (out / recording / recording / "CameraSeg" / file).is_file():
            save_carla(out / recording / recording, file, *render(name, frame, size=size))
            drawn += 1
    return drawn


def make_large_set(recordings, frames, size, out):
    """Draw fresh streets on all processors."""
    with ProcessPoolExecutor() as pool:
        work = [pool.submit(draw_fresh, n, frames, size, out) for n in range(recordings)]
        drawn = [job.result() for job in tqdm(work, "streets")]
    print(f"{out}: {recordings * frames} frames, of which {sum(drawn)} were drawn now.")


def main():
    """Write the files of both sets, of one recording only, or of a large set of fresh streets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--only", choices=RECORDINGS)
    parser.add_argument("--set", choices=("carla", "camvid"))
    parser.add_argument("--recordings", type=int, help="that many fresh streets, five or more")
    parser.add_argument("--frames", type=int, default=70, help="of each fresh street")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("H", "W"))
    args = parser.parse_args()
    if args.recordings is not None:
        if args.recordings < 5 or not 0 < args.frames <= LAST_FRAME or min(args.size) < 32:
            parser.error(
                f"expected 5 recordings or more, 1 to {LAST_FRAME} frames of each, and sides of 32 "
                f"pixels or more; found {args.recordings}, {args.frames} and {args.size}"
            )
        if args.out == pathlib.Path(__file__).parent:
            parser.error("--recordings needs --out, a folder of its own")
        make_large_set(args.recordings, args.frames, tuple(args.size), args.out)
        return
    for name in RECORDINGS:
        if args.only not in (None, name):
            continue
        for frame in range(CARLA_FRAMES if args.set != "camvid" else 0):
            image, mask = render(name, frame)
            save_carla(args.out / "carla" / name / name, f"{frame:06d}.png", image, mask)
        for split, frames in CAMVID_SPLITS.items():
            for recording, frame in frames if args.set != "carla" else ():
                if recording == name:
                    image, mask = render(name, frame, "camvid")
                    file = f"{name[-1]}_{30 * frame:05d}.png"
                    save(args.out / "camvid" / split / file, image)
                    save(args.out / "camvid" / (split + "annot") / file, mask)


if __name__ == "__main__":
    main()
