"""One step of specs/moco.csl recomputed, its queue and its twin: moco.py DUMP HEAD KEY_HEAD GROUPS OPTIMISER TEMPERATURE
MOMENTUM STEP TOTAL TOLERANCE"""

import math

import torch
import torch.nn.functional as F

from check import TENSOR_TOLERANCE, Step, adam, check_average, check_step, main, sgd
from networks import encoder


def head(h, p, name, kind):
    if kind == "linear":
        return F.linear(h, p[name + ".weight"], p[name + ".bias"])
    h = F.relu(F.linear(h, p[name + ".0.weight"], p[name + ".0.bias"]))
    return F.linear(h, p[name + ".2.weight"], p[name + ".2.bias"])


def check(path, kind, key_head, groups, optimiser, temperature, momentum, number, total, tolerance):
    step = Step(path)
    keys = []
    groups, number, total = int(groups), int(number), int(total)

    def loss_of(p, views):
        def encoded(view, members, f, g):
            h = torch.empty(len(view), 128, dtype=view.dtype)
            for group in members:
                h = h.index_copy(0, group, head(encoder(view[group], p, f, "resnet18").mean((2, 3)), p, g, kind))
            return F.normalize(h)

        order = torch.arange(len(views["a"]))
        q = encoded(views["a"], order.chunk(groups), "f", "g")
        with torch.no_grad():
            k = encoded(views["b"], [order[i::groups] for i in range(groups)], "f_key", "g_key")
        keys.append(k)
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ p["queue"].T], 1) / float(temperature)
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))

    share = 0.5 * (1 + math.cos(math.pi * number / total))

    def update(name, parameter, gradient):
        if optimiser == "adam":
            first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
            return adam(parameter, gradient, first, second, number, 1e-3 * share, weight_decay=1e-4)
        return sgd(parameter, gradient, step.state[f"sgd.{name}.velocity"].double(), 0.03 * share, weight_decay=1e-4)

    def after(p, report):
        queue = torch.cat([keys[0], p["queue"][: -len(keys[0])]])
        report.compare("queue", "queue", step.dump["newstate.queue"], queue, TENSOR_TOLERANCE)
        check_average(step, report, "f_key", "f", float(momentum))
        check_average(step, report, "g_key", "g", float(momentum) if key_head == "moving" else 1.0)

    return check_step(step, loss_of, update, f"moco {kind} {key_head}, groups {groups}, {optimiser}", float(tolerance), after)


main(check)
