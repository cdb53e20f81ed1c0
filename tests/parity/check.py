"""Compares a dumped step with PyTorch's: loss, every gradient, every updated parameter and running statistic."""

import sys

import torch

from safetensors import load

LOSS_TOLERANCE, TENSOR_TOLERANCE = 1e-5, 1e-4


class Step:
    def __init__(self, path):
        torch.set_num_threads(2)
        self.dump = load(path)
        self.parameters = self.part("param.")
        self.views = self.part("view.")
        self.state = self.part("state.")

    def part(self, prefix):
        return {name[len(prefix):]: value for name, value in self.dump.items() if name.startswith(prefix)}

    def evaluate(self, loss_of, dtype):
        """Loss and gradients in one precision: the parameters as leaves, and the statistics that the network met."""
        p = {name: value.to(dtype) if value.is_floating_point() else value for name, value in self.state.items()}
        p.update((name, value.to(dtype).clone().requires_grad_()) for name, value in self.parameters.items())
        p["statistics"] = {}
        loss = loss_of(p, {name: value.to(dtype) for name, value in self.views.items()})
        loss.backward()
        return loss.detach(), p


def relative(got, wanted, least=0.0):
    scale = max(wanted.double().norm().item(), least)
    return (got.double() - wanted.double()).norm().item() / (scale if scale > 0 else 1.0)


class Report:
    def __init__(self):
        self.worst, self.failures = {}, 0

    def compare(self, kind, name, got, wanted, tolerance):
        # A loss may be the small difference of terms around 1, such as cosines.
        error = relative(got, wanted, least=1.0 if kind == "loss" else 0.0)
        if error > self.worst.get(kind, (-1.0, ""))[0]:
            self.worst[kind] = (error, name)
        if not error <= tolerance:
            print(f"FAIL {kind} {name}: relative error {error:.3g} > {tolerance:g}")
            self.failures += 1

    def finish(self, title):
        for kind, (error, name) in self.worst.items():
            print(f"{title}: worst {kind}: {error:.3g} ({name})")
        return self.failures == 0


def adam(p, g, first, second, step, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    m, v = beta1 * first + (1 - beta1) * g, beta2 * second + (1 - beta2) * g * g
    t = step + 1
    return p - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)


def adamw(p, g, first, second, step, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01):
    decayed = p - lr * weight_decay * p if p.dim() > 1 and len(p) > 1 else p
    return adam(decayed, g, first, second, step, lr, beta1, beta2, eps)


def is_zero(parameter):
    """Where the exact gradient is zero (a bias ahead of batch normalisation) only rounding is left to compare."""
    return parameter.grad.norm() < 1e-7 * max(1.0, parameter.detach().norm().item())


def sgd(p, g, velocity, lr, momentum=0.9, weight_decay=0.0):
    return p - lr * (momentum * velocity + g + weight_decay * p)


def clipped(p, g, lr, weight_decay, trust=0.02, vectors=False, eps=1e-8):
    """The gradient that layer-wise clipping leaves to SGD or Adam."""
    if (p.dim() < 2 and not vectors) or p.norm() == 0 or g.norm() == 0:
        return g
    return min((trust * p.norm() / (g.norm() + weight_decay * p.norm() + eps) / lr).item(), 1) * (g + weight_decay * p)


def lars(p, g, velocity, lr, momentum=0.9, weight_decay=0.0, trust=0.001, eps=1e-8):
    if p.dim() > 1 and p.norm() > 0 and g.norm() > 0:
        g = (g + weight_decay * p) * trust * p.norm() / (g.norm() + weight_decay * p.norm() + eps)
    return p - lr * (momentum * velocity + g)


def check_average(step, report, twin, original, momentum):
    """A moving-average twin follows the new parameters; it has as many as its original."""
    names = [name for name in step.parameters if name.startswith(original + ".")]
    assert names
    for name in names:
        other = twin + name[len(original):]
        wanted = momentum * step.state[other].double() + (1 - momentum) * step.dump["new." + name].double()
        report.compare("moving average", other, step.dump["newstate." + other], wanted, TENSOR_TOLERANCE)


def check_step(step, loss_of, update, title, tolerance, after=None):
    """`loss_of(p, views)` computes the loss; `update(name, parameter, gradient)` the parameter after the step;
    `after(p, report)` compares other state."""
    report = Report()
    loss, p = step.evaluate(loss_of, torch.float64)
    report.compare("loss", "loss", step.dump["loss"], loss, LOSS_TOLERANCE)
    for name in step.parameters:
        gradient = p[name].grad
        if is_zero(p[name]):
            continue
        report.compare("gradient", name, step.dump["grad." + name], gradient, tolerance)
        # Adam divides by the gradient's own size, so the check starts from the dumped gradient.
        report.compare("new parameter", name, step.dump["new." + name], update(name, p[name].detach(), step.dump["grad." + name].double()),
                       TENSOR_TOLERANCE)
    for name, updates in p["statistics"].items():
        for index, kind in enumerate(("running_mean", "running_var")):
            value = step.state[f"{name}.{kind}"].double()
            for statistics in updates:
                value = 0.9 * value + 0.1 * statistics[index]
            if value.norm() < 1e-6:  # the mean of what is centred already: rounding only
                continue
            report.compare("statistic", f"{name}.{kind}", step.dump[f"newstate.{name}.{kind}"], value, TENSOR_TOLERANCE)
    if after:
        after(p, report)
    good = report.finish(title)
    if not report.worst.get("gradient"):
        print(f"FAIL {title}: nothing was compared")
        good = False
    return good


def main(check):
    sys.exit(0 if check(*sys.argv[1:]) else 1)
