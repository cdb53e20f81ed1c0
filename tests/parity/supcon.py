"""One step of specs/supcon.csl recomputed: supcon.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import mlp, pooled


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)

    def loss_of(p, views):
        z = F.normalize(torch.cat([mlp(pooled(views[v], p, "f"), p, "g") for v in "ab"]))
        labels = step.dump["labels"].long().repeat(2)
        own = torch.eye(len(z), dtype=torch.bool)
        scores = z @ z.T / 0.1
        log_prob = scores - scores.masked_fill(own, float("-inf")).logsumexp(1, keepdim=True)
        friends = ((labels[:, None] == labels) & ~own).double()
        return -((friends * log_prob).sum(1) / friends.sum(1)).mean()

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3, weight_decay=1e-6)

    return check_step(step, loss_of, update, "supcon", float(tolerance))


main(check)
