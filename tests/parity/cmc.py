"""One step of specs/cmc.csl recomputed, its memories too: cmc.py DUMP FORM SPACE OPTIMISER NEGATIVES STEP TOLERANCE"""

import torch
import torch.nn.functional as F

from check import TENSOR_TOLERANCE, Step, adam, check_step, main, sgd
from draws import random_index
from networks import encoder

TEMPERATURE = 0.1


def lab(x):
    """CIE L*a*b* of sRGB under D65."""
    linear = torch.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)
    matrix = torch.tensor([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], dtype=x.dtype)
    white = torch.tensor([0.95047, 1.0, 1.08883], dtype=x.dtype)
    xyz = torch.einsum("kc,nchw->nkhw", matrix, linear) / white[:, None, None]
    fx, fy, fz = torch.where(xyz > 0.008856, xyz ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)


def ycbcr(x):
    matrix = torch.tensor([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], dtype=x.dtype)
    return torch.einsum("kc,nchw->nkhw", matrix, x) + torch.tensor([16.0, 128.0, 128.0], dtype=x.dtype)[:, None, None]


SPACES = {
    "light": (lab, [50, 6.025, -6.69], [50, 92.208, 101.17]),
    "luma": (ycbcr, [116.151, 121.080, 132.342], [109.5, 111.855, 111.964]),
}


def channels(x, space):
    convert, mean, spread = SPACES[space]
    mean, spread = (torch.tensor(values, dtype=x.dtype)[:, None, None] for values in (mean, spread))
    return (convert(x) - mean) / spread


def check(path, form, space, optimiser, negatives, number, tolerance):
    step = Step(path)
    number, negatives = int(number), int(negatives)
    seen = {}

    def vector(x, p, name):
        h = encoder(x, p, name, "resnet18").mean((2, 3))
        return F.normalize(F.linear(h, p[name + ".fc.weight"], p[name + ".fc.bias"]))

    def loss_of(p, views):
        x = channels(views["v"], space)
        light, tint = vector(x[:, :1], p, "light"), vector(x[:, 1:], p, "tint")
        index, images = step.dump["index"].long(), len(p["light_memory"])
        drawn = random_index(number, 0, len(index) * negatives, images).reshape(len(index), negatives)
        chosen = torch.cat([index[:, None], drawn], 1)
        loss = 0
        for anchor, memory, total in ((light, "tint_memory", "tint_sum"), (tint, "light_memory", "light_sum")):
            scores = torch.einsum("nd,nkd->nk", anchor, p[memory][chosen]) / TEMPERATURE
            if form == "softmax":
                loss = loss + F.cross_entropy(scores, torch.zeros(len(index), dtype=torch.long))
                continue
            before = p[total]
            fixed = before if before.item() >= 0 else scores.exp().mean().detach() * images
            seen[total] = fixed.reshape(1)
            prob, noise = scores.exp() / fixed, negatives / images
            positive = (prob[:, 0] / (prob[:, 0] + noise + 1e-7)).log().sum()
            negative = (noise / (prob[:, 1:] + noise + 1e-7)).log().sum()
            loss = loss - (positive + negative) / len(index)
        for memory, new in (("light_memory", light), ("tint_memory", tint)):
            bank = p[memory].clone()
            bank[index] = F.normalize(0.5 * bank[index] + 0.5 * new.detach())
            seen[memory] = bank
        return loss

    def update(name, parameter, gradient):
        if optimiser == "adam":
            first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
            return adam(parameter, gradient, first, second, number, 1e-3, weight_decay=1e-4)
        return sgd(parameter, gradient, step.state[f"sgd.{name}.velocity"].double(), 0.03, weight_decay=1e-4)

    def after(_, report):
        for name, wanted in seen.items():
            report.compare("memory", name, step.dump["newstate." + name], wanted, TENSOR_TOLERANCE)

    return check_step(step, loss_of, update, f"cmc {form} {space} {optimiser}", float(tolerance), after)


main(check)
