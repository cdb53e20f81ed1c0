"""One step of specs/amdim.csl recomputed: amdim.py DUMP DEPTH CLIP EXTRACT STEP TOLERANCE"""

import torch

from check import Step, adam, check_step, main
from draws import random_index
from nce import map_nce
from networks import amdim_encoder, rkhs


def check(path, depth, clip, extract, number, tolerance):
    step = Step(path)
    number = int(number)

    def maps(x, p):
        vector, coarse, fine = amdim_encoder(x, p, "f", int(depth))
        coarse = rkhs(coarse, p, "f.coarse").flatten(2).transpose(1, 2)
        fine = rkhs(fine, p, "f.fine").flatten(2).transpose(1, 2) if extract == "multiscale" else None
        return vector, coarse, fine

    def loss_of(p, views):
        (a1, a5, a7), (b1, b5, b7) = maps(views["a"], p), maps(views["b"], p)

        def both(xa, yb, xb, ya):
            return (map_nce(xa, yb, float(clip), 0.05) + map_nce(xb, ya, float(clip), 0.05)) / 2

        def chosen(map5, stream):
            return map5[torch.arange(len(map5)), random_index(number, stream, len(map5), map5.shape[1])]

        loss = both(a1, b5, b1, a5)
        if extract == "multiscale":
            loss = loss + both(a1, b7, b1, a7) + both(chosen(a5, 0), b5, chosen(b5, 1), a5)
        return loss

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        lr = 2e-4 * min((number + 1) / 500, 1)
        return adam(parameter, gradient, first, second, number, lr, beta1=0.8, eps=1e-7, weight_decay=1e-5)

    return check_step(step, loss_of, update, f"amdim {extract} clip {clip}", float(tolerance))


main(check)
