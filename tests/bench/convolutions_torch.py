"""Times convolutions in PyTorch: convolutions_torch.py LAYERS [--threads N] [--runs N], the worker of `bench.py conv`.

LAYERS is JSON, a list of layers as convolutions.py has them. Prints one JSON object a layer, direction and memory format."""

import argparse
import json
import statistics
import time

import torch

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def directions(layer, memory_format):
    """Functions by direction, each computing that result alone."""
    size, kernel, stride, padding = layer["size"], layer["kernel"], [layer["stride"]] * 2, [layer["padding"]] * 2
    x = torch.randn(layer["images"], layer["channels"], size, size).to(memory_format=memory_format)
    w = torch.randn(layer["filters"], layer["channels"], kernel, kernel).to(memory_format=memory_format)
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
    options.add_argument("layers", type=json.loads)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    for layer in chosen.layers:
        for name, memory_format in FORMATS.items():
            for direction, function in directions(layer, memory_format).items():
                print(json.dumps({"function": f"{layer['name']}.{direction}", "format": name,
                                  "seconds": seconds_of(function, chosen.runs)}), flush=True)


main()
