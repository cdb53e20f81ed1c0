"""The encoders of the specs, written for PyTorch from their papers: functions of a dictionary of parameters whose names are
torchvision's, so that a dumped step can be recomputed; the benchmarks time the same functions."""

import torch
import torch.nn.functional as F


def relu(x):
    """Of what nothing else needs: in its place, as torchvision's networks do it."""
    return F.relu(x, inplace=True)


def batch_norm(x, p, name):
    """Training mode. Running statistics are checked apart, from the values that this leaves in p['statistics']; without
    that, they move as PyTorch moves them."""
    running = (p.get(name + ".running_mean"), p.get(name + ".running_var"))
    if "statistics" in p:
        running = (None, None)
        axes = [0] + list(range(2, x.dim()))
        mean, count = x.mean(axes), x.numel() / x.shape[1]
        variance = x.var(axes, unbiased=False)
        p["statistics"].setdefault(name, []).append((mean.detach(), variance.detach() * count / (count - 1)))
    return F.batch_norm(x, *running, p.get(name + ".weight"), p.get(name + ".bias"), training=True, eps=1e-5)


def shortcut(x, p, name, stride):
    key = name + ".downsample.0.weight"
    if key not in p:
        return x
    return batch_norm(F.conv2d(x, p[key], stride=stride), p, name + ".downsample.1")


def basic_block(x, p, name, stride):
    h = relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"], stride=stride, padding=1), p, name + ".bn1"))
    h = batch_norm(F.conv2d(h, p[name + ".conv2.weight"], padding=1), p, name + ".bn2")
    return relu(h + shortcut(x, p, name, stride))


def bottleneck(x, p, name, stride):
    h = relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"]), p, name + ".bn1"))
    h = relu(batch_norm(F.conv2d(h, p[name + ".conv2.weight"], stride=stride, padding=1), p, name + ".bn2"))
    h = batch_norm(F.conv2d(h, p[name + ".conv3.weight"]), p, name + ".bn3")
    return relu(h + shortcut(x, p, name, stride))


def resnet(x, p, name, block, blocks, stem):
    """The maps of the four layers."""
    if stem == "cifar":
        h = relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"], padding=1), p, name + ".bn1"))
    else:
        h = relu(batch_norm(F.conv2d(x, p[name + ".conv1.weight"], stride=2, padding=3), p, name + ".bn1"))
        h = F.max_pool2d(h, 3, 2, 1)
    maps = []
    for layer, count in enumerate(blocks):
        for i in range(count):
            h = block(h, p, f"{name}.layer{layer + 1}.{i}", 2 if layer > 0 and i == 0 else 1)
        maps.append(h)
    return maps


ENCODERS = {
    "resnet18": (basic_block, [2, 2, 2, 2]),
    "resnet34": (basic_block, [3, 4, 6, 3]),
    "wide_resnet34": (basic_block, [3, 4, 6, 3]),
    "resnet50": (bottleneck, [3, 4, 6, 3]),
}


def maps_of(x, p, name, kind, stem="cifar"):
    block, blocks = ENCODERS[kind]
    return resnet(x, p, name, block, blocks, stem)


def encoder(x, p, name, kind, stem="cifar"):
    return maps_of(x, p, name, kind, stem)[-1]


def patches(x, size, overlap):
    """As torch.nn.Unfold takes them: [N, rows, columns, C, size, size]."""
    grid = x.unfold(2, size, size - overlap).unfold(3, size, size - overlap)
    return grid.permute(0, 2, 3, 1, 4, 5)


# ---- AMDIM


def res_conv(x, p, name, kernel=1, stride=1):
    h = F.conv2d(relu(F.conv2d(x, p[name + ".conv1.weight"], stride=stride)), p[name + ".conv2.weight"])
    if name + ".conv3.weight" in p:
        return h + F.conv2d(x, p[name + ".conv3.weight"], p[name + ".conv3.bias"], stride=stride)
    skip = F.avg_pool2d(x, kernel, stride)
    return h + F.pad(skip, (0, 0, 0, 0, 0, h.shape[1] - skip.shape[1]))


def res_block(x, p, name, kernel, stride, depth):
    h = res_conv(x, p, name + ".0", kernel, stride)
    for i in range(1, depth):
        h = res_conv(h, p, f"{name}.{i}")
    return h


def amdim_encoder(x, p, name, depth):
    """For pictures of 32 pixels: the vector, the coarse and the fine map."""
    h = relu(F.conv2d(x, p[name + ".conv1.weight"]))
    h = res_conv(h, p, name + ".block1")
    h = res_block(h, p, name + ".block2", 4, 2, depth)
    fine = res_block(h, p, name + ".block3", 2, 2, depth)
    coarse = res_block(fine, p, name + ".block4", 3, 1, depth)
    h = res_block(coarse, p, name + ".block5", 3, 1, depth)
    h = batch_norm(res_conv(h, p, name + ".block6", 3), p, name + ".bn")
    return h.flatten(1), coarse, fine


def rkhs(x, p, name):
    h = F.conv2d(relu(F.conv2d(x, p[name + ".conv1.weight"])), p[name + ".conv2.weight"])
    h = h + F.conv2d(x, p[name + ".shortcut.weight"], p[name + ".shortcut.bias"])
    return batch_norm(h, p, name + ".bn")


# ---- CPC


def layer_norm(x, p, name):
    # under autocast maps are bf16, and PyTorch 1.13 wants weights of the same type
    weight, bias = p[name + ".weight"][0].to(x.dtype), p[name + ".bias"][0].to(x.dtype)
    return F.layer_norm(x, x.shape[1:], weight, bias, eps=1e-5)


def layer_bottleneck(x, p, name, stride):
    h = relu(layer_norm(F.conv2d(x, p[name + ".conv1.weight"]), p, name + ".bn1"))
    h = relu(layer_norm(F.conv2d(h, p[name + ".conv2.weight"], stride=stride, padding=1), p, name + ".bn2"))
    h = layer_norm(F.conv2d(h, p[name + ".conv3.weight"]), p, name + ".bn3")
    if name + ".downsample.0.weight" in p:
        x = layer_norm(F.conv2d(x, p[name + ".downsample.0.weight"], stride=stride), p, name + ".downsample.1")
    return relu(h + x)


def layer_resnet(x, p, name, blocks):
    h = relu(layer_norm(F.conv2d(x, p[name + ".conv1.weight"], stride=2, padding=3), p, name + ".bn1"))
    h = F.max_pool2d(h, 3, 2, 1)
    for layer, count in enumerate(blocks):
        for i in range(count):
            h = layer_bottleneck(h, p, f"{name}.layer{layer + 1}.{i}", 2 if layer > 0 and i == 0 else 1)
    return h.mean((2, 3))


def pixel_cnn(x, p, name, blocks, border):
    def conv(h, part, **more):
        return F.conv2d(h, p[part + ".weight"], p[part + ".bias"], **more)

    for i in range(blocks):
        part = f"{name}.{i}"
        h = conv(relu(conv(x, part + ".conv1")), part + ".conv2")
        h = F.pad(h, (0, 0, 1, 0), value=border)
        h = relu(conv(h, part + ".conv3", padding=(0, 1)))
        x = x + conv(h, part + ".conv4")
    return F.relu(x)


# ---- heads


def mlp(h, p, name, norm=True):
    """linear, batch normalisation if `norm`, relu between two layers; linear at the end. Names are torch.nn.Sequential's."""
    places = sorted(int(key.split(".")[-2]) for key in p if key.startswith(name + ".") and key.endswith(".weight") and p[key].dim() == 2)
    for place in places:
        h = F.linear(h, p[f"{name}.{place}.weight"], p.get(f"{name}.{place}.bias"))
        if place != places[-1]:
            h = relu(batch_norm(h, p, f"{name}.{place + 1}") if norm else h)
    return h


def normalised_mlp(h, p, name):
    places = sorted(int(key.split(".")[-2]) for key in p if key.startswith(name + ".") and key.endswith(".weight") and p[key].dim() == 2)
    for place in places:
        h = batch_norm(F.linear(h, p[f"{name}.{place}.weight"]), p, f"{name}.{place + 1}")
        h = h if place == places[-1] else relu(h)
    return h


def pooled(x, p, name, kind="resnet18"):
    return encoder(x, p, name, kind).mean((2, 3))
