"""Times torchvision on PIL pictures: views_torch.py DATA [--size N] [--kernel N] [--count N] [--steps N].

DATA is a file of CIFAR-10's records, whose pictures are kept in memory, or a folder of JPEG files, which are read and decoded
anew, once for two views, as a training loader does. Prints one JSON object for `count` pictures, the first being a warm-up.
One thread."""

import argparse
import json
import pathlib
import time

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def pipeline(size, kernel):
    return transforms.Compose([
        transforms.RandomResizedCrop(size, scale=(0.08, 1), ratio=(3 / 4, 4 / 3)),
        transforms.RandomHorizontalFlip(0.5),
        transforms.RandomApply([transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)], 0.8),
        transforms.RandomGrayscale(0.2),
        transforms.RandomApply([transforms.GaussianBlur(kernel, (0.1, 2))], 0.5),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ])


def open_pictures(path):
    """Functions that give a PIL picture."""
    if path.is_dir():
        files = sorted(path.rglob("*.jpg"))
        return [lambda file=file: Image.open(file).convert("RGB") for file in files]
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    pictures = [Image.fromarray(np.ascontiguousarray(record)) for record in records]
    return [lambda picture=picture: picture for picture in pictures]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("data", type=pathlib.Path)
    options.add_argument("--size", type=int, default=32)
    options.add_argument("--kernel", type=int, default=3)
    options.add_argument("--count", type=int, default=128)
    options.add_argument("--steps", type=int, default=5)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    views, pictures = pipeline(chosen.size, chosen.kernel), open_pictures(chosen.data)
    for step in range(chosen.steps + 1):
        begin = time.perf_counter()
        for number in range(chosen.count):
            picture = pictures[(step * chosen.count + number) % len(pictures)]()
            views(picture)
            views(picture)
        seconds = time.perf_counter() - begin
        print(json.dumps({"step": step, "warm_up": step == 0, "views": 2 * chosen.count, "seconds": seconds}), flush=True)


main()
