"""Times convolutions in PyTorch: convolutions_torch.py [--threads N] [--runs N], the worker of `bench.py conv`.

Reads layers as convolutions.py has them, a JSON object a line, and answers each with one: seconds by memory format and
direction. A layer whose `bf16` holds has tensors of bf16."""

import argparse
import json
import statistics
import sys
import time

import torch

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def directions(layer, memory_format):
    """Functions by direction, each computing that result alone."""
    size, kernel, stride, padding = layer["size"], layer["kernel"], [layer["stride"]] * 2, [layer["padding"]] * 2
    element = torch.bfloat16 if layer["bf16"] else torch.float32
    x = torch.randn(layer["images"], layer["channels"], size, size).to(element, memory_format=memory_format)
    w = torch.randn(layer["filters"], layer["channels"], kernel, kernel).to(element, memory_format=memory_format)
    gradient = torch.randn_like(torch.nn.functional.conv2d(x, w, None, stride, padding))

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(gradient, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, list(wanted))

    return {
        "forward": lambda: torch.nn.functional.conv2d(x, w, None, stride, padding),
        "input_grad": lambda: backward(True, False, False),
        "weight_grad": lambda: backward(False, True, False),
    }


def seconds_of(function, runs):
    function()
    taken = []
    for _ in range(runs):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    for line in sys.stdin:
        layer = json.loads(line)
        print(json.dumps({name: {direction: seconds_of(function, chosen.runs)
                                 for direction, function in directions(layer, memory_format).items()}
                          for name, memory_format in FORMATS.items()}), flush=True)


main()
