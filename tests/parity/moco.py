"""One step of specs/moco.csl recomputed, its queue and its twin: moco.py DUMP HEAD KEY_HEAD TEMPERATURE MOMENTUM STEP TOTAL TOLERANCE"""

import math

import torch
import torch.nn.functional as F

from check import TENSOR_TOLERANCE, Step, check_average, check_step, main, sgd
from networks import encoder


def head(h, p, name, kind):
    if kind == "linear":
        return F.linear(h, p[name + ".weight"], p[name + ".bias"])
    h = F.relu(F.linear(h, p[name + ".0.weight"], p[name + ".0.bias"]))
    return F.linear(h, p[name + ".2.weight"], p[name + ".2.bias"])


def check(path, kind, key_head, temperature, momentum, number, total, tolerance):
    step = Step(path)
    keys = []

    def loss_of(p, views):
        q = F.normalize(head(encoder(views["a"], p, "f", "resnet18").mean((2, 3)), p, "g", kind))
        with torch.no_grad():
            k = F.normalize(head(encoder(views["b"], p, "f_key", "resnet18").mean((2, 3)), p, "g_key", kind))
        keys.append(k)
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ p["queue"].T], 1) / float(temperature)
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))

    lr = 0.03 * 0.5 * (1 + math.cos(math.pi * int(number) / int(total)))

    def update(name, parameter, gradient):
        return sgd(parameter, gradient, step.state[f"sgd.{name}.velocity"].double(), lr, weight_decay=1e-4)

    def after(p, report):
        queue = torch.cat([keys[0], p["queue"][: -len(keys[0])]])
        report.compare("queue", "queue", step.dump["newstate.queue"], queue, TENSOR_TOLERANCE)
        check_average(step, report, "f_key", "f", float(momentum))
        check_average(step, report, "g_key", "g", float(momentum) if key_head == "moving" else 1.0)

    return check_step(step, loss_of, update, f"moco {kind} {key_head}", float(tolerance), after)


main(check)
