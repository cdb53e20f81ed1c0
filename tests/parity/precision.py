"""How far a step's loss and gradients are from those of f32: precision.py F32 OTHER LOSS GRADIENT"""

import sys

import torch

import safetensors

exact, other = (safetensors.load(path) for path in sys.argv[1:3])
loss, gradient = map(float, sys.argv[3:5])


def flat(tensors):
    return torch.cat([tensors[name].flatten().double() for name in sorted(tensors) if name.startswith("grad.")])


wanted = flat(exact)
difference = float((flat(other) - wanted).norm() / wanted.norm())
change = abs(float(other["loss"]) / float(exact["loss"]) - 1)
print(f"loss {change:.1e}, gradients {difference:.1e}")
if not (change <= loss and 0 < difference <= gradient):
    sys.exit(f"FAIL: not another one within {loss}, {gradient}")
