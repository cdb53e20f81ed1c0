"""One step of specs/dcl.csl recomputed: dcl.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import mlp, pooled


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)

    def loss_of(p, views):
        z = F.normalize(torch.cat([mlp(pooled(views[v], p, "f"), p, "g") for v in "ab"]))
        n = len(z) // 2
        scores = z @ z.T / 0.1
        twin = torch.arange(2 * n).roll(-n)
        left_out = torch.eye(2 * n, dtype=torch.bool) | torch.eye(2 * n, dtype=torch.bool)[twin]
        positive = scores[torch.arange(2 * n), twin]
        return (scores.masked_fill(left_out, float("-inf")).logsumexp(1) - positive).mean()

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3, weight_decay=1e-6)

    return check_step(step, loss_of, update, "dcl", float(tolerance))


main(check)
