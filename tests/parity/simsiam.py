"""One step of specs/simsiam.csl recomputed: simsiam.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps"""

import math

import torch.nn.functional as F

from check import Step, check_step, main, sgd
from networks import mlp, normalised_mlp, pooled


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)

    def loss_of(p, views):
        z = [normalised_mlp(pooled(views[v], p, "f"), p, "project") for v in "ab"]
        predicted = [mlp(h, p, "predict") for h in z]
        return -(F.cosine_similarity(predicted[0], z[1].detach()).mean() + F.cosine_similarity(predicted[1], z[0].detach()).mean()) / 2

    lr = 0.03 * 0.5 * (1 + math.cos(math.pi * number / total))

    def update(name, parameter, gradient):
        return sgd(parameter, gradient, step.state[f"sgd.{name}.velocity"].double(), lr, weight_decay=5e-4)

    return check_step(step, loss_of, update, "simsiam", float(tolerance))


main(check)
