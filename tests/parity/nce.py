"""Losses that several methods share."""

import torch

from draws import random_index


def map_nce(source, maps, clip, weight):
    """AMDIM's loss: source [N, D] against maps [N, L, D]; the exponentials stay finite as the scores are clipped or small."""
    raw = torch.einsum("id,jld->ijl", source, maps) / source.shape[1] ** 0.5
    score = clip * torch.tanh(raw / clip) if clip > 0 else raw
    n = len(source)
    same = torch.eye(n, dtype=torch.bool)
    positive = score[same]
    other = torch.logsumexp(score.masked_fill(same[:, :, None], float("-inf")).reshape(n, -1), 1)
    return (torch.logaddexp(positive, other[:, None]) - positive).mean() + weight * (raw**2).mean()


def random_location(maps, step, stream):
    return maps[torch.arange(len(maps)), random_index(step, stream, len(maps), maps.shape[1])]


def across_scales(a, b, clip, weight, step, extract="multiscale"):
    """AMDIM's comparisons of two views, (vector, coarse map, fine map) each."""

    def both(xa, yb, xb, ya):
        return (map_nce(xa, yb, clip, weight) + map_nce(xb, ya, clip, weight)) / 2

    (a1, a5, a7), (b1, b5, b7) = a, b
    loss = both(a1, b5, b1, a5)
    if extract == "multiscale":
        loss = loss + both(a1, b7, b1, a7) + both(random_location(a5, step, 0), b5, random_location(b5, step, 1), a5)
    return loss
