"""Times a method's training step in PyTorch: step_torch.py METHOD STATES [--steps N] [--threads N] [--layout L] [--bf16]
[ARGUMENT …].

METHOD's network and loss are those of tests/parity, `loss_function(ARGUMENT …)`. STATES is a JSON file of the parameters and
running statistics ({"states": {name: [role, dims]}, "views": {name: dims}}). Prints one JSON object a step, the first being a
warm-up, as an emitted program's `time` does: forward, backward and Adam on one batch that is already there. With --bf16
under autocast."""

import argparse
import importlib
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "parity"))
sys.dont_write_bytecode = True


def first_value(name, role, dims, layout):
    """He's initialisation; gains and variances are 1, biases and means 0."""
    if role == "param" and len(dims) > 1 and not 1 == dims[0] != dims[1]:
        value = torch.randn(dims) * (2 / torch.Size(dims[1:]).numel()) ** 0.5
    else:
        value = (torch.ones if name.endswith(("weight", "running_var")) else torch.zeros)(dims)
    value = value.to(memory_format=layout) if len(dims) == 4 else value
    return value.requires_grad_() if role == "param" else value


def first_views(shapes, layout):
    """What normalised pictures are: mean 0, deviation 1, the views of one picture alike."""
    picture = torch.randn(next(iter(shapes.values())))
    return {name: (picture + 0.5 * torch.randn(dims)).to(memory_format=layout) for name, dims in shapes.items()}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("method")
    options.add_argument("states")
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--layout", choices=["nchw", "channels_last"], default="nchw")
    options.add_argument("--bf16", action="store_true")
    options.add_argument("arguments", nargs="*")
    chosen = options.parse_intermixed_args()

    torch.manual_seed(0)
    torch.set_num_threads(chosen.threads)
    layout = torch.channels_last if chosen.layout == "channels_last" else torch.contiguous_format
    with open(chosen.states, encoding="utf-8") as file:
        program = json.load(file)
    p = {name: first_value(name, role, dims, layout) for name, (role, dims) in program["states"].items()}
    views = first_views(program["views"], layout)
    loss_of = importlib.import_module(chosen.method).loss_function(*chosen.arguments)
    optimizer = torch.optim.Adam([value for value in p.values() if value.requires_grad], lr=1e-4, weight_decay=1e-6)

    for step in range(chosen.steps + 1):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=chosen.bf16):
            loss = loss_of(p, views)
        loss.backward()
        optimizer.step()
        value = loss.item()
        seconds = time.perf_counter() - begin
        print(json.dumps({"step": step, "warm_up": step == 0, "loss": value, "seconds": seconds}), flush=True)


main()
