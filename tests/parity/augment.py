"""Augmentations against torchvision on PIL pictures: augment.py PROGRAM [BACKEND:TARGET …]

PROGRAM (augment_steps.c) applies single steps with given parameters and draws parameters; torchvision gets the same
parameters, or says how they are distributed. Errors are counted in steps of 1/255. The program makes the pictures by the
reference and by the code of every back end and target that is named.
"""
import io
import itertools
import math
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop, RandomCrop, ColorJitter
from torchvision.transforms import functional as F

program, ways = sys.argv[1], [[]] + [way.split(":") for way in sys.argv[2:]]
INTERPOLATIONS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def make_pictures():
    """A gradient, noise, a shape, saturated colours, grey, dark and flat, in three sizes; many colours; one pixel."""
    random = np.random.default_rng(5)
    pictures = []
    for height, width in [(32, 32), (57, 83), (96, 64)]:
        y, x = np.mgrid[0:height, 0:width]
        rows, columns = y / (height - 1), x / (width - 1)
        disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 3) ** 2
        made = [
            np.stack([columns, rows, 1 - (rows + columns) / 2], 2) * 255,
            random.integers(0, 256, (height, width, 3)),
            np.where(disc[..., None], [230, 40, 90], [20, 120, 200]) + random.normal(0, 12, (height, width, 3)),
            random.choice([0, 255], (height, width, 3)),
            np.repeat(random.integers(0, 256, (height, width, 1)), 3, 2),
            random.integers(0, 7, (height, width, 3)),
            np.full((height, width, 3), [255, 254, 1]),
        ]
        pictures += [Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)) for values in made]
    every = np.arange(256)
    colours = np.stack(np.meshgrid(every[::15], every[::15], every[::15], indexing="ij"), -1).reshape(18, -1, 3)
    return pictures + [Image.fromarray(colours.astype(np.uint8)), Image.fromarray(np.uint8([[[200, 100, 50]]]))]


class Comparison:
    """Collects requests and the results wanted, runs the program once, and tells the largest differences."""

    def __init__(self, folder):
        self.folder, self.lines, self.wanted, self.failures = folder, [], [], 0

    def picture(self, name, image):
        path = f"{self.folder}/{name}.raw"
        with open(path, "wb") as file:
            file.write(np.asarray(image).tobytes())
        self.lines.append(f"picture {image.height} {image.width} {path}")

    def check(self, name, steps, expected, limit):
        """`steps`: pairs of a step's text and its parameters. `expected`: a PIL picture, or floats of the same layout."""
        values = np.asarray(expected, dtype=np.float32)
        if isinstance(expected, Image.Image):
            values = values / 255
        for text, parameters in steps:
            self.lines.append(f"step {text}")
            if parameters:
                self.lines.append("parameters " + " ".join(f"{key}={value}" for key, value in parameters.items()))
        self.lines.append(f"apply {values.shape[0]} {values.shape[1]}")
        self.wanted.append((name, values, limit, steps))

    def draws(self, step, count, height, width):
        self.lines += [f"step {step}", f"draw {count} {height} {width}"]
        self.wanted.append(None)
        return len(self.wanted) - 1

    def run(self, way):
        """False where the processor lacks the target."""
        requests = "\n".join(self.lines) + "\n"
        done = subprocess.run([program] + way, input=requests.encode(), stdout=subprocess.PIPE)
        if done.returncode == 3:
            return False
        if done.returncode != 0:
            sys.exit(f"{program} {' '.join(way)} failed with status {done.returncode}")
        stream = io.BytesIO(done.stdout)
        self.results = [np.load(stream) for _ in self.wanted]
        return True

    def report(self):
        worst = {}
        for wanted, result in zip(self.wanted, self.results):
            if wanted is None:
                continue
            name, values, limit, steps = wanted
            error = float(np.abs(result.reshape(values.shape).astype(np.float64) - values).max() * 255)
            error = np.inf if np.isnan(error) else error  # max and > would forget it
            count, largest, _, of = worst.get(name, (0, -1.0, limit, None))
            worst[name] = (count + 1, max(error, largest), limit, steps if error > largest else of)
        for name, (count, largest, limit, steps) in worst.items():
            self.expect(name, largest <= limit + 1e-3, f"{count:5} pictures, largest error {largest:.4f}/255 (limit {limit})")
            if largest > limit + 1e-3:
                print("     ", steps)

    def expect(self, name, good, detail):
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {name:34} {detail}")


# ---- pixels


def crops_of(image, random):
    """The whole picture, one pixel, one row, one column and four parts."""
    height, width = image.height, image.width
    yield 0, 0, height, width
    yield height - 1, width // 2, 1, 1
    yield height // 2, 0, 1, width
    yield 0, width - 1, height, 1
    for _ in range(4):
        part_height, part_width = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
        yield int(random.integers(0, height - part_height + 1)), int(random.integers(0, width - part_width + 1)), part_height, part_width


def check_geometry(test, image, random):
    for top, left, height, width in crops_of(image, random):
        for interpolation, mode in INTERPOLATIONS.items():
            for size in [(32, 32), (24, 40), (111, 70), (7, 5), (height, 9)]:
                step = f"random_resized_crop size={size[0]},{size[1]} interpolation={interpolation}"
                expected = F.resized_crop(image, top, left, height, width, list(size), mode)
                parameters = {"top": top, "left": left, "height": height, "width": width}
                test.check(f"random_resized_crop, {interpolation}", [(step, parameters)], expected, 1)
    for interpolation, mode in INTERPOLATIONS.items():
        for size in [(32, 32), (50, 41), (200, 3)]:
            step = f"resize size={size[0]},{size[1]} interpolation={interpolation}"
            test.check(f"resize, {interpolation}", [(step, {})], F.resize(image, list(size), mode), 1)
    for size in [(32, 32), (31, 20), (1, 1), (image.height + 3, image.width - 1 or 1), (image.height + 1, image.width + 7)]:
        test.check("center_crop", [(f"center_crop size={size[0]},{size[1]}", {})], F.center_crop(image, list(size)), 0)
    for pad, size in [(4, image.size[::-1]), (0, (min(20, image.height), min(20, image.width)))]:
        padded = F.pad(image, pad)
        top, left, height, width = RandomCrop.get_params(padded, size)
        step = f"random_crop size={height},{width} pad={pad}"
        test.check("random_crop", [(step, {"top": top - pad, "left": left - pad})], F.crop(padded, top, left, height, width), 0)
    for reach, dx, dy in [(4, 4, -4), (4, -3, 0), (4, 0, 0), (40, 40, -39), (40, -17, 33)]:
        mirrored = F.pad(image, reach, padding_mode="reflect")
        expected = F.crop(mirrored, reach + dy, reach + dx, image.height, image.width)
        test.check("random_translate", [(f"random_translate reach={reach}", {"dx": dx, "dy": dy})], expected, 0)
    test.check("horizontal_flip", [("horizontal_flip", {"flip": 1})], F.hflip(image), 0)
    test.check("not applied", [("horizontal_flip", {"apply": 0}), ("grayscale", {"apply": 0})], image, 0)


def check_panorama(test, random):
    """Thousands of pixels become one: filters far wider than any other case has."""
    image = Image.fromarray(random.integers(0, 256, (3, 12000, 3), dtype=np.uint8))
    test.picture("panorama", image)
    for interpolation, mode in INTERPOLATIONS.items():
        step = f"resize size=8,8 interpolation={interpolation}"
        test.check("resize of a panorama", [(step, {})], F.resize(image, [8, 8], mode), 1)


JITTERS = [("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast), ("saturation", F.adjust_saturation),
           ("hue", F.adjust_hue)]


def check_colours(test, image, random):
    order = "0,1,2,3"
    for key, adjust in JITTERS:
        factors = [-0.5, -0.31, -0.004, 0, 0.1, 0.25, 0.5] if key == "hue" else [0, 0.3, 0.999, 1, 1.37, 2.5]
        for factor in factors:
            step = f"color_jitter {key}={0.5 if key == 'hue' else 2}"
            test.check(f"color_jitter, {key}", [(step, {"order": order, key: factor})], adjust(image, factor), 2 if key == "hue" else 1)
    for permutation in itertools.permutations(range(4)):
        factors = {key: float(random.uniform(-0.5, 0.5) if key == "hue" else random.uniform(0, 2)) for key, _ in JITTERS}
        expected = image
        for i in permutation:
            expected = JITTERS[i][1](expected, factors[JITTERS[i][0]])
        step = "color_jitter brightness=2 contrast=2 saturation=2 hue=0.5"
        test.check("color_jitter, each order", [(step, {"order": ",".join(map(str, permutation)), **factors})], expected, 2)
    test.check("grayscale", [("grayscale", {})], F.rgb_to_grayscale(image, 3), 1)
    for kernel, sigma in [(3, 0.1), (3, 0.8), (5, 1.1), (9, 2.0), (23, 1.7), (23, 0.11)]:
        if kernel // 2 < min(image.size):  # torchvision mirrors no more than once
            step = f"gaussian_blur kernel={kernel}"
            test.check("gaussian_blur", [(step, {"sigma": sigma})], F.gaussian_blur(image, kernel, sigma), 2)
    mean, std = [0.491, 0.482, 0.447], [0.247, 0.244, 0.262]
    numbers = "mean=" + ",".join(map(str, mean)) + " std=" + ",".join(map(str, std))
    expected = F.normalize(F.to_tensor(image), mean, std).permute(1, 2, 0).numpy()
    test.check("normalize", [("normalize " + numbers, {})], expected, 1e-3)


def check_pipeline(test, image):
    """SimCLR's steps one after another, drawn by torchvision."""
    crop, jitter = RandomResizedCrop(32, scale=(0.2, 1)), ColorJitter(0.8, 0.8, 0.8, 0.2)
    top, left, height, width = crop.get_params(image, crop.scale, crop.ratio)
    order, *factors = jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    expected = F.hflip(F.resized_crop(image, top, left, height, width, [32, 32]))
    for i in order:
        expected = JITTERS[i][1](expected, factors[i])
    expected = F.gaussian_blur(expected, 3, 0.9)
    expected = F.normalize(F.to_tensor(expected), [0.5] * 3, [0.25] * 3).permute(1, 2, 0).numpy()
    jitters = {"order": ",".join(str(int(i)) for i in order), **{key: factor for (key, _), factor in zip(JITTERS, factors)}}
    steps = [("random_resized_crop size=32,32 scale=0.2,1", {"top": top, "left": left, "height": height, "width": width}),
             ("horizontal_flip", {"flip": 1}), ("color_jitter brightness=0.8 contrast=0.8 saturation=0.8 hue=0.2", jitters),
             ("grayscale", {"apply": 0}), ("gaussian_blur kernel=3", {"sigma": 0.9}),
             ("normalize mean=0.5,0.5,0.5 std=0.25,0.25,0.25", {})]
    test.check("a whole pipeline, normalized", steps, expected, 2 / 0.25)


# ---- distributions: fixed seeds, and bounds that a right program exceeds once in about a thousand seeds

COUNT = 40000
COLUMNS = ["apply", "top", "left", "height", "width", "flip", "dx", "dy", "order0", "order1", "order2", "order3", "brightness",
           "contrast", "saturation", "hue", "sigma"]


def column(table, name):
    return table[:, COLUMNS.index(name)].astype(np.float64)


def distance(a, b):
    """Kolmogorov and Smirnov's distance of two samples, times the root of their effective size."""
    places = np.unique(np.concatenate([a, b]))
    of_a, of_b = (np.searchsorted(np.sort(x), places, side="right") / len(x) for x in (a, b))
    return np.abs(of_a - of_b).max() * math.sqrt(len(a) * len(b) / (len(a) + len(b)))


def distance_to_uniform(values, low, high):
    inside = values.min() >= low - 1e-6 and values.max() <= high + 1e-6
    ordered = (np.sort(values) - low) / (high - low)
    ranks = np.arange(len(values) + 1) / len(values)
    largest = max(np.abs(ordered - ranks[1:]).max(), np.abs(ordered - ranks[:-1]).max())
    return largest * math.sqrt(len(values)) if inside else math.inf


def chi_square(counts):
    """How many standard deviations the statistic of equally likely cells lies from its mean."""
    expected = sum(counts) / len(counts)
    statistic = sum((count - expected) ** 2 / expected for count in counts)
    return (statistic - (len(counts) - 1)) / math.sqrt(2 * (len(counts) - 1))


MOST_DISTANCE, MOST_DEVIATION = 1.95, 4.0


def ask_for_draws(test):
    asked = {}
    for height, width, low in [(32, 32, 0.2), (57, 83, 0.08), (20, 64, 0.3)]:
        step = f"random_resized_crop size=32,32 scale={low},1"
        asked["crop", height, width, low] = test.draws(step, COUNT, height, width)
    for height, width in [(10, 200), (300, 11), (7, 7), (1, 9), (1, 1)]:
        asked["fallback", height, width] = test.draws("random_resized_crop size=8,8 scale=0.99,1 ratio=0.5,0.6", 50, height, width)
    asked["jitter"] = test.draws("color_jitter brightness=0.4 contrast=1.5 saturation=1 hue=0.1 p=0.8", COUNT, 32, 32)
    asked["blur"] = test.draws("gaussian_blur kernel=9 sigma=0.1,2 p=0.5", COUNT, 32, 32)
    asked["translate"] = test.draws("random_translate reach=4", COUNT, 32, 32)
    asked["random_crop"] = test.draws("random_crop size=32,32 pad=4", COUNT, 32, 40)
    for step, p in itertools.product(["horizontal_flip", "grayscale", "color_jitter", "gaussian_blur kernel=3"], [0, 0.2, 0.5, 1]):
        asked["p", step.split()[0], p] = test.draws(f"{step} p={p}", COUNT, 32, 32)
    return asked


def judge_crops(test, table, height, width, low):
    image = Image.new("RGB", (width, height))
    crop = RandomResizedCrop(32, scale=(low, 1))
    theirs = np.array([crop.get_params(image, crop.scale, crop.ratio) for _ in range(6000)], dtype=np.float64)
    ours = np.stack([column(table, name) for name in ("top", "left", "height", "width")], 1)

    def measures(sample):
        top, left, part_height, part_width = sample.T
        return [top, left, part_height, part_width, part_height * part_width, part_width / part_height,
                (top + 0.5) / (height - part_height + 1), (left + 0.5) / (width - part_width + 1)]

    largest = max(distance(a, b) for a, b in zip(measures(ours), measures(theirs)))
    inside = (ours >= 0).all() and (ours[:, 0] + ours[:, 2] <= height).all() and (ours[:, 1] + ours[:, 3] <= width).all()
    test.expect(f"crops of {height}x{width}", inside and largest < MOST_DISTANCE, f"largest distance {largest:.2f} (limit {MOST_DISTANCE})")


def judge_fallback(test, table, height, width):
    image = Image.new("RGB", (width, height))
    wanted = RandomResizedCrop.get_params(image, [0.99, 1], [0.5, 0.6])
    wanted = [max(wanted[2], 1), max(wanted[3], 1)]
    wanted = [(height - wanted[0]) // 2, (width - wanted[1]) // 2] + wanted
    ours = np.unique(table[:, 1:5], axis=0)
    test.expect(f"fallback crop of {height}x{width}", ours.tolist() == [wanted], f"{ours.tolist()}, torchvision {wanted}")


def judge_jitter(test, table):
    ranges = {"brightness": (0.6, 1.4), "contrast": (0, 2.5), "saturation": (0, 2), "hue": (-0.1, 0.1)}
    bounds = ColorJitter(0.4, 1.5, 1, 0.1)
    for name, (low, high) in ranges.items():
        assert np.allclose(getattr(bounds, name), (low, high))
        largest = distance_to_uniform(column(table, name), low, high)
        test.expect(f"jitter's {name}", largest < MOST_DISTANCE, f"in {low}..{high}, distance {largest:.2f} (limit {MOST_DISTANCE})")
    orders = [tuple(row) for row in table[:, COLUMNS.index("order0"):COLUMNS.index("order3") + 1].astype(int)]
    counts = [orders.count(permutation) for permutation in itertools.permutations(range(4))]
    deviation = chi_square(counts)
    test.expect("jitter's orders", sum(counts) == COUNT and deviation < MOST_DEVIATION, f"chi-square {deviation:.2f} deviations off")
    first = np.array([order[0] for order in orders])
    drawn = np.stack([column(table, name) for name in ("apply", *ranges)] + [first])
    together = np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() * math.sqrt(COUNT)
    test.expect("jitter's independence", together < MOST_DEVIATION, f"largest correlation {together:.2f} deviations off")


def judge_draws(test, asked):
    for key, number in asked.items():
        table = test.results[number]
        if key[0] == "crop":
            judge_crops(test, table, *key[1:])
        elif key[0] == "fallback":
            judge_fallback(test, table, *key[1:])
        elif key[0] == "p":
            share, p = column(table, "apply").mean(), key[2]
            good = abs(share - p) <= MOST_DEVIATION * math.sqrt(p * (1 - p) / COUNT)
            test.expect(f"{key[1]} with p = {p}", good, f"applied to {share:.4f}")
    judge_jitter(test, test.results[asked["jitter"]])
    sigma = distance_to_uniform(column(test.results[asked["blur"]], "sigma"), 0.1, 2)
    test.expect("blur's sigma", sigma < MOST_DISTANCE, f"in 0.1..2, distance {sigma:.2f} (limit {MOST_DISTANCE})")
    for key, columns, cells in [("translate", ("dx", "dy"), (range(-4, 5), range(-4, 5))),
                                ("random_crop", ("top", "left"), (range(-4, 5), range(-4, 13)))]:
        pairs = list(zip(*(column(test.results[asked[key]], name).astype(int) for name in columns)))
        counts = [pairs.count(cell) for cell in itertools.product(*cells)]
        deviation = chi_square(counts)
        test.expect(f"{key}'s places", sum(counts) == COUNT and deviation < MOST_DEVIATION, f"chi-square {deviation:.2f} deviations off")


def main():
    torch.manual_seed(1)
    random = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as folder:
        test = Comparison(folder)
        for number, image in enumerate(make_pictures()):
            test.picture(number, image)
            check_geometry(test, image, random)
            check_colours(test, image, random)
            check_pipeline(test, image)
        check_panorama(test, random)
        asked = ask_for_draws(test)
        for way in ways:
            if test.run(way):
                print(" ".join(way) or "reference")
                test.report()
            else:
                print("skipped: this processor has no", way[-1])
    judge_draws(test, asked)
    print(f"{test.failures} failed")
    sys.exit(test.failures != 0)


main()
