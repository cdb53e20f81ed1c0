"""One step of specs/simclr.csl recomputed: simclr.py DUMP ENCODER STEM TEMPERATURE STEP TOLERANCE"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import batch_norm, encoder


def head(h, p):
    h = F.linear(h, p["g.0.weight"], p["g.0.bias"])
    return F.linear(F.relu(batch_norm(h, p, "g.1")), p["g.3.weight"])


def nt_xent(za, zb, temperature):
    z = F.normalize(torch.cat([za, zb]), dim=1)
    n = len(za)
    scores = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return F.cross_entropy(scores, torch.arange(2 * n).roll(-n))


def check(path, kind, stem, temperature, number, tolerance):
    step = Step(path)

    def loss_of(p, views):
        za, zb = (head(encoder(views[view], p, "f", kind, stem).mean((2, 3)), p) for view in "ab")
        return nt_xent(za, zb, float(temperature))

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, int(number), 1e-3, weight_decay=1e-6)

    return check_step(step, loss_of, update, f"simclr {kind} {stem}", float(tolerance))


main(check)
