"""The encoders of the specs, written for PyTorch from their papers: functions of a dictionary of parameters whose names are
torchvision's, so that a dumped step can be recomputed."""

import torch
import torch.nn.functional as F


def batch_norm(x, p, name):
    """Training mode; running statistics are checked apart, from the values that this returns in p['statistics']."""
    axes = [0] + list(range(2, x.dim()))
    mean, count = x.mean(axes), x.numel() / x.shape[1]
    variance = x.var(axes, unbiased=False)
    p["statistics"].setdefault(name, []).append((mean.detach(), variance.detach() * count / (count - 1)))
    return F.batch_norm(x, None, None, p[name + ".weight"], p[name + ".bias"], training=True, eps=1e-5)


def shortcut(x, p, name, stride):
    key = name + ".downsample.0.weight"
    if key not in p:
        return x
    return batch_norm(F.conv2d(x, p[key], stride=stride), p, name + ".downsample.1")


def basic_block(x, p, name, stride):
    h = F.relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"], stride=stride, padding=1), p, name + ".bn1"))
    h = batch_norm(F.conv2d(h, p[name + ".conv2.weight"], padding=1), p, name + ".bn2")
    return F.relu(h + shortcut(x, p, name, stride))


def bottleneck(x, p, name, stride):
    h = F.relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"]), p, name + ".bn1"))
    h = F.relu(batch_norm(F.conv2d(h, p[name + ".conv2.weight"], stride=stride, padding=1), p, name + ".bn2"))
    h = batch_norm(F.conv2d(h, p[name + ".conv3.weight"]), p, name + ".bn3")
    return F.relu(h + shortcut(x, p, name, stride))


def resnet(x, p, name, block, blocks, stem):
    if stem == "cifar":
        h = F.relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"], padding=1), p, name + ".bn1"))
    else:
        h = F.relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"], stride=2, padding=3), p, name + ".bn1"))
        h = F.max_pool2d(h, 3, 2, 1)
    for layer, count in enumerate(blocks):
        for i in range(count):
            h = block(h, p, f"{name}.layer{layer + 1}.{i}", 2 if layer > 0 and i == 0 else 1)
    return h


ENCODERS = {
    "resnet18": (basic_block, [2, 2, 2, 2]),
    "resnet34": (basic_block, [3, 4, 6, 3]),
    "wide_resnet34": (basic_block, [3, 4, 6, 3]),
    "resnet50": (bottleneck, [3, 4, 6, 3]),
}


def encoder(x, p, name, kind, stem="cifar"):
    block, blocks = ENCODERS[kind]
    return resnet(x, p, name, block, blocks, stem)
