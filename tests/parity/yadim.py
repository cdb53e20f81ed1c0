"""One step of specs/yadim.csl recomputed: yadim.py DUMP ENCODER EXTRACT SOURCE PATCH CLIP WEIGHT STEP TOLERANCE"""

from check import Step, adam, check_step, main
from nce import across_scales, map_nce, random_location
from networks import encoder, maps_of, patches, rkhs


def loss_function(kind, extract, source, patch, clip, weight, number):
    clip, weight, patch, number = float(clip), float(weight), int(patch), int(number)

    def locations(x, p):
        if patch == 0:
            return encoder(x, p, "f", kind).flatten(2).transpose(1, 2)
        grid = patches(x, patch, patch // 2)
        h = encoder(grid.flatten(0, 2), p, "f", kind).mean((2, 3))
        return h.reshape(len(x), grid.shape[1] * grid.shape[2], -1)

    def scales(x, p):
        fine, coarse = maps_of(x, p, "f", kind)[2:]
        projected = (rkhs(h, p, "f." + name).flatten(2).transpose(1, 2) for h, name in ((coarse, "coarse"), (fine, "fine")))
        return coarse.mean((2, 3)), *projected

    def one_way(x, y, stream):
        if source == "random":
            return map_nce(random_location(x, number, stream), y, clip, weight)
        return sum(map_nce(x[:, l], y, clip, weight) for l in range(x.shape[1])) / x.shape[1]

    def loss_of(p, views):
        if extract == "multiscale":
            return across_scales(scales(views["a"], p), scales(views["b"], p), clip, weight, number)
        a, b = locations(views["a"], p), locations(views["b"], p)
        return (one_way(a, b, 0) + one_way(b, a, 1)) / 2

    return loss_of


def check(path, kind, extract, source, patch, clip, weight, number, tolerance):
    step = Step(path)
    loss_of = loss_function(kind, extract, source, patch, clip, weight, number)
    number = int(number)
    lr = 2e-4 * min((number + 1) / 500, 1)

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, number, lr, beta1=0.8, weight_decay=1e-5)

    return check_step(step, loss_of, update, f"yadim {kind} {extract} {source} patch {patch}", float(tolerance))


if __name__ == "__main__":
    main(check)
