"""One step of specs/byol.csl recomputed, its twins too: byol.py DUMP DISTANCE OPTIMISER STEP TOTAL WARMUP TOLERANCE,
TOTAL and WARMUP in steps"""

import math

import torch
import torch.nn.functional as F

from check import Step, adam, check_average, check_step, clipped, main, sgd
from networks import batch_norm, encoder


def mlp(h, p, name):
    h = F.relu(batch_norm(F.linear(h, p[name + ".0.weight"]), p, name + ".1"))
    return F.linear(h, p[name + ".3.weight"], p[name + ".3.bias"])


def check(path, distance, optimiser, number, total, warmup, tolerance):
    step = Step(path)
    number, total, warmup = int(number), int(total), int(warmup)

    def loss_of(p, views):
        predicted = [mlp(mlp(encoder(views[v], p, "online", "resnet18").mean((2, 3)), p, "project"), p, "predict") for v in "ab"]
        with torch.no_grad():
            targets = [mlp(encoder(views[v], p, "target", "resnet18").mean((2, 3)), p, "target_project") for v in "ab"]
        pairs = (predicted[0], targets[1]), (predicted[1], targets[0])
        if distance == "squared":
            return sum(F.mse_loss(F.normalize(p, dim=1), F.normalize(t, dim=1)) for p, t in pairs)
        return sum(-2 * F.cosine_similarity(p, t).mean() for p, t in pairs)

    def update(name, parameter, gradient):
        share = (number + 1) / warmup  # the step lies within the warm-up
        if optimiser == "clipped_sgd":
            gradient = clipped(parameter, gradient, share, 1e-5)
            return sgd(parameter, gradient, step.state[f"sgd.{name}.velocity"].double(), share)
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        if optimiser == "adam":
            return adam(parameter, gradient, first, second, number, 0.2 * share, weight_decay=1e-5)
        return adam(parameter, clipped(parameter, gradient, 0.2 * share, 1e-5, vectors=True), first, second, number, 0.2 * share)

    def after(p, report):
        momentum = 1 - (1 - 0.996) * (math.cos(math.pi * number / total) + 1) / 2
        check_average(step, report, "target", "online", momentum)
        check_average(step, report, "target_project", "project", momentum)

    return check_step(step, loss_of, update, f"byol {distance} {optimiser}", float(tolerance), after)


main(check)
