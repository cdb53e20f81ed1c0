"""One step of specs/cpc.csl recomputed: cpc.py DUMP ENCODER WEIGHTS BORDER BLOCKS STEP TOLERANCE"""

import torch
import torch.nn.functional as F

from check import Step, adam, check_step, main
from networks import encoder, layer_resnet, patches, pixel_cnn

BLOCKS = {"cpc_resnet50": [3, 4, 6, 3], "cpc_resnet101": [3, 4, 23, 3]}


def loss_function(kind, weights, border, blocks):
    def loss_of(p, views):
        grid = patches(views["a"], 8, 4)
        n, rows, columns = grid.shape[:3]
        flat = grid.reshape(n * rows * columns, *grid.shape[3:])
        z = layer_resnet(flat, p, "f", BLOCKS[kind]) if kind in BLOCKS else encoder(flat, p, "f", kind).mean((2, 3))
        z = z.reshape(n, rows, columns, -1)
        seen = pixel_cnn(z.permute(0, 3, 1, 2), p, "context_network", int(blocks), float(border)).permute(0, 2, 3, 1)
        prediction = F.linear(seen, p["predict.weight"], p["predict.bias"])
        targets = F.linear(z, p["target.weight"], p["target.bias"]).reshape(n * rows * columns, -1)
        places = torch.arange(n * rows * columns).reshape(n, rows, columns)
        total = 0.0
        for below in range(1 if weights == "described" else 2, rows):
            logits = 0.1 * prediction[:, : rows - below].reshape(-1, targets.shape[1]) @ targets.T
            factor = 1 if weights == "described" else below - 1
            total = total + factor * F.cross_entropy(logits, places[:, below:].reshape(-1))
        return total

    return loss_of


def check(path, kind, weights, border, blocks, number, tolerance):
    step = Step(path)

    def update(name, parameter, gradient):
        first, second = (step.state[f"adam.{name}.{slot}"].double() for slot in ("first", "second"))
        return adam(parameter, gradient, first, second, int(number), 4e-5, beta1=0.8, eps=1e-7, weight_decay=1e-5)

    return check_step(step, loss_function(kind, weights, border, blocks), update, f"cpc {kind} {weights} border {border}", float(tolerance))


if __name__ == "__main__":
    main(check)
