"""One step of specs/swav.csl recomputed: swav.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps; the step lies within the warm-up"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import mlp, pooled


def assign(scores):
    q = ((scores - scores.max()) / 0.05).exp().detach()
    for _ in range(3):
        q = q / q.sum(0)
        q = q / q.sum(1, keepdim=True)
    return q


def predict(q, scores):
    return -(q * F.log_softmax(scores / 0.1, 1)).sum(1).mean()


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)

    def loss_of(p, views):
        centres = F.normalize(p["centres.weight"])
        scores = [F.normalize(mlp(pooled(views[v], p, "f"), p, "project")) @ centres.T for v in "abcd"]
        assigned = [assign(scores[0]), assign(scores[1])]
        return sum(predict(assigned[i], scores[j]) for i in range(2) for j in range(4) if i != j) / 6

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3 * (number + 1) / (total // 20), weight_decay=1e-6)

    return check_step(step, loss_of, update, "swav", float(tolerance))


main(check)
