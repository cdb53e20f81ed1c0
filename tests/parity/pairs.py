"""What clip.py and siglip.py share: heads on two vectors of one thing, AdamW, a warm-up and a cosine."""

import math

import torch.nn.functional as F

from check import adamw
from networks import mlp


def head(x, p, name, kind):
    h = F.linear(x, p[name + ".weight"], p[name + ".bias"]) if kind == "linear" else mlp(x, p, name, norm=False)
    return F.normalize(h)


def pair(views, p, kind):
    return head(views["image"], p, "f", kind), head(views["text"], p, "g", kind)


def learning_rate(step, total, warmup=10, base=1e-3):
    if step < warmup:
        return base * (step + 1) / warmup
    return base * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def updater(step, number, total, **settings):
    def update(name, parameter, gradient):
        first, second = (step.state[f"adamw.{name}.{slot}"].double() for slot in ("first", "second"))
        return adamw(parameter, gradient, first, second, number, learning_rate(number, total), **settings)

    return update
