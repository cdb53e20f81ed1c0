"""One step of specs/yadim.csl with every location as source, recomputed: yadim.py DUMP ENCODER CLIP WEIGHT STEP TOLERANCE"""

import torch

from check import Step, adam, check_step, main
from networks import encoder


def map_nce(source, maps, clip, weight):
    """AMDIM's loss: source [N, D] against maps [N, L, D]; the exponentials stay finite as the scores are clipped or small."""
    raw = torch.einsum("id,jld->ijl", source, maps) / source.shape[1] ** 0.5
    score = clip * torch.tanh(raw / clip) if clip > 0 else raw
    n = len(source)
    same = torch.eye(n, dtype=torch.bool)
    positive = score[same]
    other = torch.logsumexp(score.masked_fill(same[:, :, None], float("-inf")).reshape(n, -1), 1)
    return (torch.logaddexp(positive, other[:, None]) - positive).mean() + weight * (raw**2).mean()


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
