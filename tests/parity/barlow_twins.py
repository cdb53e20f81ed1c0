"""One step of specs/barlow_twins.csl recomputed: barlow_twins.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps; the step lies within the warm-up"""

import torch

from check import Step, adam, check_step, main
from networks import mlp, pooled


def standardised(z):
    return (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)

    def loss_of(p, views):
        za, zb = (standardised(mlp(pooled(views[v], p, "f"), p, "project")) for v in "ab")
        correlation = za.T @ zb / len(za)
        own = torch.eye(len(correlation), dtype=torch.bool)
        return (correlation[own] - 1).square().sum() + 0.005 * correlation[~own].square().sum()

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3 * (number + 1) / (total // 80), weight_decay=1e-6)

    return check_step(step, loss_of, update, "barlow_twins", float(tolerance))


main(check)
