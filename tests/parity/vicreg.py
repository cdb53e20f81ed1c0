"""One step of specs/vicreg.csl recomputed: vicreg.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps; the step lies within the warm-up"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import mlp, pooled


def spread(z):
    covariance = torch.cov(z.T)
    own = torch.eye(len(covariance), dtype=torch.bool)
    deviation = (z.var(0) + 1e-4).sqrt()
    return 25 * F.relu(1 - deviation).mean() / 2 + covariance[~own].square().sum() / z.shape[1]


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)

    def loss_of(p, views):
        za, zb = (mlp(pooled(views[v], p, "f"), p, "project") for v in "ab")
        return 25 * F.mse_loss(za, zb) + spread(za) + spread(zb)

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3 * (number + 1) / (total // 80), weight_decay=1e-6)

    return check_step(step, loss_of, update, "vicreg", float(tolerance))


main(check)
