"""One step of specs/nnclr.csl recomputed: nnclr.py DUMP STEP TOTAL TOLERANCE; TOTAL is in steps; the step lies within the warm-up"""

import torch
import torch.nn.functional as F

from check import TENSOR_TOLERANCE, Step, adam, check_step, main
from networks import mlp, normalised_mlp, pooled


def check(path, number, total, tolerance):
    step = Step(path)
    number, total = int(number), int(total)
    pushed = []

    def loss_of(p, views):
        z = [F.normalize(normalised_mlp(pooled(views[v], p, "f"), p, "project")) for v in "ab"]
        predicted = [F.normalize(mlp(h, p, "predict")) for h in z]
        pushed.append(z[0].detach())

        def one_way(h, other):
            neighbour = p["queue"][(h.detach() @ p["queue"].T).argmax(1)]
            return F.cross_entropy(neighbour @ other.T / 0.1, torch.arange(len(h)))

        return (one_way(z[0], predicted[1]) + one_way(z[1], predicted[0])) / 2

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, 1e-3 * (number + 1) / (total // 20), weight_decay=1e-6)

    def after(p, report):
        queue = torch.cat([pushed[0], p["queue"][: -len(pushed[0])]])
        report.compare("queue", "queue", step.dump["newstate.queue"], queue, TENSOR_TOLERANCE)

    return check_step(step, loss_of, update, "nnclr", float(tolerance), after)


main(check)
