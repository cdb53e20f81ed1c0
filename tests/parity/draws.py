"""The random numbers of compiled programs, written again from their definition: Philox4x32-10 (Salmon et al., SC 2011), the
key from seed and stream, the counter from the element's index and the step."""

import torch

MULTIPLIERS, KEY_STEPS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
UNIFORM_DOMAIN = 0x756E6966


def philox(key, counter):
    key, words = list(key), list(counter)
    for _ in range(10):
        first, second = MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]
        words = [(second >> 32) ^ words[1] ^ key[0], second & 0xFFFFFFFF, (first >> 32) ^ words[3] ^ key[1], first & 0xFFFFFFFF]
        key = [(part + step) & 0xFFFFFFFF for part, step in zip(key, KEY_STEPS)]
    return words


def uniform(step, stream, index, seed=0):
    words = philox((seed, stream), (index // 4, 0, step, UNIFORM_DOMAIN))
    return (words[index & 3] >> 8) / 2**24


def random_index(step, stream, count, below, seed=0):
    return torch.tensor([min(int(uniform(step, stream, i, seed) * below), below - 1) for i in range(count)])
