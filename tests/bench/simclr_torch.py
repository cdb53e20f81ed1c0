"""Times the training step of specs/simclr.csl in PyTorch: simclr_torch.py [--batch N] [--steps N] [--threads N] [--layout L].

Prints one JSON object a step, the first being a warm-up, as an emitted program's `time` does: forward, backward and optimiser
on one batch that is already there."""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = self.bn2(self.conv2(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)), inplace=True)


class SimCLR(nn.Module):
    """ResNet-18 with CIFAR's stem, and the head 512-512(BN)-128."""

    def __init__(self, width=64):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        blocks = []
        for i in range(4):
            blocks += [BasicBlock(widths[i], widths[i + 1], 1 if i == 0 else 2), BasicBlock(widths[i + 1], widths[i + 1], 1)]
        self.blocks = nn.Sequential(*blocks)
        last = widths[4]
        self.head = nn.Sequential(
            nn.Linear(last, last), nn.BatchNorm1d(last), nn.ReLU(inplace=True), nn.Linear(last, 128, bias=False)
        )

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def nt_xent(za, zb, temperature):
    z = F.normalize(torch.cat([za, zb]), dim=1)
    n = len(za)
    scores = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return F.cross_entropy(scores, torch.arange(2 * n).roll(-n))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--layout", choices=["nchw", "channels_last"], default="nchw")
    chosen = options.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(chosen.threads)
    layout = torch.channels_last if chosen.layout == "channels_last" else torch.contiguous_format
    model = SimCLR(chosen.width).train().to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6)
    # What normalised pictures are: mean 0, deviation 1, the two views alike.
    picture = torch.randn(chosen.batch, 3, 32, 32)
    a, b = ((picture + 0.5 * torch.randn_like(picture)).to(memory_format=layout) for _ in "ab")

    for step in range(chosen.steps + 1):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = nt_xent(model(a), model(b), 0.5)
        loss.backward()
        optimizer.step()
        value = loss.item()
        seconds = time.perf_counter() - begin
        print(json.dumps({"step": step, "warm_up": step == 0, "loss": value, "seconds": seconds}), flush=True)


main()
