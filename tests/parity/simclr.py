"""One step of specs/simclr.csl recomputed: simclr.py DUMP ENCODER STEM TEMPERATURE DENOMINATOR OPTIMISER STEP WARMUP TOLERANCE,
WARMUP in steps, which LARS is within"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, lars, main
from networks import batch_norm, encoder


def head(h, p):
    h = F.linear(h, p["g.0.weight"], p["g.0.bias"])
    return F.linear(F.relu(batch_norm(h, p, "g.1")), p["g.3.weight"])


def nt_xent(za, zb, temperature):
    z = F.normalize(torch.cat([za, zb]), dim=1)
    n = len(za)
    scores = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return F.cross_entropy(scores, torch.arange(2 * n).roll(-n))


def subtracted(za, zb, temperature):
    """With e^(1 / temperature) taken from sums that hold each vector's score with itself."""
    z = F.normalize(torch.cat([za, zb]), dim=1)
    negatives = ((z @ z.T / temperature).exp().sum(1) - torch.tensor(1 / temperature, dtype=z.dtype).exp()).clamp(min=1e-6)
    positive = (F.normalize(za, dim=1) * F.normalize(zb, dim=1)).sum(1) / temperature
    return (negatives.log() - torch.cat([positive, positive])).mean()


LOSSES = {"masked": nt_xent, "subtracted": subtracted}


def loss_function(kind, stem, temperature, denominator):
    def loss_of(p, views):
        za, zb = (head(encoder(views[view], p, "f", kind, stem).mean((2, 3)), p) for view in "ab")
        return LOSSES[denominator](za, zb, float(temperature))

    return loss_of


def check(path, kind, stem, temperature, denominator, optimiser, number, warmup, tolerance):
    step = Step(path)
    number = int(number)

    def update(name, parameter, gradient):
        if optimiser == "lars":
            lr = 1.5 * (number + 1) / int(warmup)
            return lars(parameter, gradient, step.state[f"lars.{name}.velocity"].double(), lr, weight_decay=1e-6)
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3, weight_decay=1e-6)

    loss_of = loss_function(kind, stem, temperature, denominator)
    return check_step(step, loss_of, update, f"simclr {kind} {stem} {denominator} {optimiser}", float(tolerance))


if __name__ == "__main__":
    main(check)
