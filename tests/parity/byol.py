"""One step of specs/byol.csl recomputed, its twins too: byol.py DUMP STEP TOTAL WARMUP TOLERANCE, the latter in steps"""

import math

import torch
import torch.nn.functional as F

from check import Step, check_average, check_step, lars, main
from networks import batch_norm, encoder


def mlp(h, p, name):
    h = F.relu(batch_norm(F.linear(h, p[name + ".0.weight"]), p, name + ".1"))
    return F.linear(h, p[name + ".3.weight"], p[name + ".3.bias"])


def check(path, number, total, warmup, tolerance):
    step = Step(path)
    number, total, warmup = int(number), int(total), int(warmup)

    def loss_of(p, views):
        predicted = [mlp(mlp(encoder(views[v], p, "online", "resnet18").mean((2, 3)), p, "project"), p, "predict") for v in "ab"]
        with torch.no_grad():
            targets = [mlp(encoder(views[v], p, "target", "resnet18").mean((2, 3)), p, "target_project") for v in "ab"]
        return -2 * F.cosine_similarity(predicted[0], targets[1]).mean() - 2 * F.cosine_similarity(predicted[1], targets[0]).mean()

    def update(name, parameter, gradient):
        lr = (number + 1) / warmup  # the step lies within the warm-up
        return lars(parameter, gradient, step.state[f"lars.{name}.velocity"].double(), lr, weight_decay=1e-5)

    def after(p, report):
        momentum = 1 - (1 - 0.996) * (math.cos(math.pi * number / total) + 1) / 2
        check_average(step, report, "target", "online", momentum)
        check_average(step, report, "target_project", "project", momentum)

    return check_step(step, loss_of, update, "byol", float(tolerance), after)


main(check)
