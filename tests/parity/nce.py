"""Losses that several methods share."""

import torch


def map_nce(source, maps, clip, weight):
    """AMDIM's loss: source [N, D] against maps [N, L, D]; the exponentials stay finite as the scores are clipped or small."""
    raw = torch.einsum("id,jld->ijl", source, maps) / source.shape[1] ** 0.5
    score = clip * torch.tanh(raw / clip) if clip > 0 else raw
    n = len(source)
    same = torch.eye(n, dtype=torch.bool)
    positive = score[same]
    other = torch.logsumexp(score.masked_fill(same[:, :, None], float("-inf")).reshape(n, -1), 1)
    return (torch.logaddexp(positive, other[:, None]) - positive).mean() + weight * (raw**2).mean()
