"""One step of specs/yadim.csl with every location as source, recomputed: yadim.py DUMP ENCODER CLIP WEIGHT STEP TOLERANCE"""

from check import Step, adam, check_step, main
from nce import map_nce
from networks import encoder


def one_way(a, b, clip, weight):
    return sum(map_nce(a[:, l], b, clip, weight) for l in range(a.shape[1])) / a.shape[1]


def check(path, kind, clip, weight, number, tolerance):
    step = Step(path)
    clip, weight = float(clip), float(weight)

    def loss_of(p, views):
        maps = [encoder(views[view], p, "f", kind).flatten(2).transpose(1, 2) for view in "ab"]
        return (one_way(*maps, clip, weight) + one_way(*maps[::-1], clip, weight)) / 2

    lr = 2e-4 * min((int(number) + 1) / 500, 1)

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, int(number), lr, beta1=0.8, weight_decay=1e-5)

    return check_step(step, loss_of, update, f"yadim {kind}", float(tolerance))


main(check)
