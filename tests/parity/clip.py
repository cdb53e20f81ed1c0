"""One step of specs/clip.csl recomputed: clip.py DUMP HEAD LARGEST STEP TOTAL_STEPS TOLERANCE"""

import math

import torch
import torch.nn.functional as F

from check import Step, check_step, main
from pairs import pair, updater


def check(path, kind, largest, number, total, tolerance):
    step = Step(path)

    def loss_of(p, views):
        u, v = pair(views, p, kind)
        logits = u @ v.T * p["log_scale"].exp().squeeze()
        truth = torch.arange(len(u))
        return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2

    plain = updater(step, int(number), int(total), beta2=0.98, eps=1e-6, weight_decay=0.2)

    def update(name, parameter, gradient):
        value = plain(name, parameter, gradient)
        return value.clamp(max=math.log(float(largest))) if name == "log_scale" else value

    return check_step(step, loss_of, update, f"clip {kind}", float(tolerance))


main(check)
