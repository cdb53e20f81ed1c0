"""One step of specs/amdim.csl recomputed: amdim.py DUMP DEPTH CLIP EXTRACT STEP TOLERANCE"""

from check import Step, adam, check_step, main
from nce import across_scales
from networks import amdim_encoder, rkhs


def loss_function(depth, clip, extract, number):
    def maps(x, p):
        vector, coarse, fine = amdim_encoder(x, p, "f", int(depth))
        coarse = rkhs(coarse, p, "f.coarse").flatten(2).transpose(1, 2)
        fine = rkhs(fine, p, "f.fine").flatten(2).transpose(1, 2) if extract == "multiscale" else None
        return vector, coarse, fine

    def loss_of(p, views):
        return across_scales(maps(views["a"], p), maps(views["b"], p), float(clip), 0.05, int(number), extract)

    return loss_of


def check(path, depth, clip, extract, number, tolerance):
    step = Step(path)
    number = int(number)

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        lr = 2e-4 * min((number + 1) / 500, 1)
        return adam(parameter, gradient, first, second, number, lr, beta1=0.8, eps=1e-7, weight_decay=1e-5)

    return check_step(step, loss_function(depth, clip, extract, number), update, f"amdim clip {clip} {extract}", float(tolerance))


if __name__ == "__main__":
    main(check)
