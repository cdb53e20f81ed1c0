"""One step of specs/vectors.csl recomputed, and the views beside the vectors that they come from:
vectors.py DUMP NOISE MASKED STEP TOTAL_STEPS DATA TOLERANCE"""

import math

import numpy
import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import mlp


def check_views(step, vectors, noise, masked):
    """Where a view's number is not left out it is the vector's and noise of the given spread; both views show one vector."""
    kept, off, rows = [], [], []
    for view in "ab":
        values = step.views[view].double()
        distance = ((values[:, None] - vectors[None]) ** 2 * (values != 0)[:, None]).sum(2)
        rows.append(distance.argmin(1))
        off.append(((values - vectors[rows[-1]])[values != 0]).flatten())
        kept.append((values != 0).double().mean().item())
    spread = torch.cat(off).std().item()
    left_out = 1 - sum(kept) / 2
    apart = (step.views["a"] != step.views["b"]).double().mean().item()
    good = abs(spread / noise - 1) < 0.15 and abs(left_out - masked) < 0.08 and apart > 0.9
    good = good and rows[0].equal(rows[1]) and len(set(rows[0].tolist())) == len(rows[0])
    print(f"vectors: noise {spread:.3g}, {left_out:.3g} left out, {apart:.3g} of the numbers differ between views")
    if not good:
        print("FAIL vectors: the views are not what the spec says")
    return good


def check(path, noise, masked, number, total, data, tolerance):
    step, number, total = Step(path), int(number), int(total)
    vectors = torch.from_numpy(numpy.load(data).astype("f8"))

    def loss_of(p, views):
        z = [F.normalize(mlp(F.relu(mlp(views[view], p, "f")), p, "g")) for view in "ab"]
        z = torch.cat(z)
        n = len(z) // 2
        scores = (z @ z.T / 0.5).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
        return F.cross_entropy(scores, torch.arange(2 * n).roll(-n))

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        lr = 1e-3 * 0.5 * (1 + math.cos(math.pi * number / total))
        return adam(parameter, gradient, first, second, number, lr, weight_decay=1e-6)

    good = check_views(step, vectors, float(noise), float(masked))
    return check_step(step, loss_of, update, "vectors", float(tolerance)) and good


main(check)
