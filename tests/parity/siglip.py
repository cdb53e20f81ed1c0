"""One step of specs/siglip.csl recomputed: siglip.py DUMP HEAD STEP TOTAL_STEPS TOLERANCE"""

import torch
import torch.nn.functional as F

from check import Step, check_step, main
from pairs import pair, updater


def check(path, kind, number, total, tolerance):
    step = Step(path)

    def loss_of(p, views):
        u, v = pair(views, p, kind)
        logits = u @ v.T * p["log_scale"].exp().squeeze() + p["offset"].squeeze()
        labels = 2 * torch.eye(len(u)) - 1
        return -F.logsigmoid(labels * logits).sum() / len(u)

    update = updater(step, int(number), int(total), beta2=0.95, weight_decay=1e-4)
    return check_step(step, loss_of, update, f"siglip {kind}", float(tolerance))


main(check)
