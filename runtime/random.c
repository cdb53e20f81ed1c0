/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). */
#include "runtime/random.h"

#include <math.h>

enum { PHILOX_ROUNDS = 10 };

static const uint32_t philox_multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t philox_key_step[2] = {0x9E3779B9u, 0xBB67AE85u};

/* The upper half of the stream word keeps the three kinds of users of one seed apart: sequences have 0 there as long
 * as their stream fits 32 bits or carries a tag of its own. */
static const uint64_t uniform_domain = UINT64_C(0x756E6966) << 32;
static const uint64_t normal_domain = UINT64_C(0x6E6F726D) << 32;

rt_random_block rt_random_bits(uint64_t seed, uint64_t stream, uint64_t counter) {
    rt_random_block block = {
        {(uint32_t)counter, (uint32_t)(counter >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)}};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t first = (uint64_t)philox_multiplier[0] * block.word[0];
        uint64_t second = (uint64_t)philox_multiplier[1] * block.word[2];
        block = (rt_random_block){{(uint32_t)(second >> 32) ^ block.word[1] ^ key[0], (uint32_t)second,
                                   (uint32_t)(first >> 32) ^ block.word[3] ^ key[1], (uint32_t)first}};
        key[0] += philox_key_step[0];
        key[1] += philox_key_step[1];
    }
    return block;
}

/* Seed and stream fill the key, step and domain one half of the counter, so no two of them can collide. */
static rt_random_block element_block(uint64_t domain, int32_t seed, int32_t step, int32_t stream, uint64_t counter) {
    uint64_t key = (uint64_t)(uint32_t)stream << 32 | (uint32_t)seed;
    return rt_random_bits(key, domain | (uint32_t)step, counter);
}

float rt_random_uniform(int32_t seed, int32_t step, int32_t stream, int64_t index) {
    rt_random_block block = element_block(uniform_domain, seed, step, stream, (uint64_t)index / 4);
    return (float)(block.word[index & 3] >> 8) * 0x1p-24f;
}

float rt_random_normal(int32_t seed, int32_t step, int32_t stream, int64_t index) {
    rt_random_block block = element_block(normal_domain, seed, step, stream, (uint64_t)index / 2);
    const uint32_t *pair = block.word + 2 * (index & 1);
    double radius_uniform = (pair[0] + 1.0) * 0x1p-32; /* in (0, 1]: its logarithm is finite */
    double angle_uniform = pair[1] * 0x1p-32;
    return (float)(sqrt(-2.0 * log(radius_uniform)) * cos(2.0 * M_PI * angle_uniform));
}

rt_random_sequence rt_random_begin(uint64_t seed, uint64_t stream) {
    return (rt_random_sequence){.seed = seed, .stream = stream, .used = 4};
}

uint32_t rt_random_u32(rt_random_sequence *sequence) {
    if (sequence->used == 4) {
        sequence->block = rt_random_bits(sequence->seed, sequence->stream, sequence->counter++);
        sequence->used = 0;
    }
    return sequence->block.word[sequence->used++];
}

double rt_random_range(rt_random_sequence *sequence, double low, double high) {
    return low + (high - low) * (rt_random_u32(sequence) * 0x1p-32);
}

int64_t rt_random_below(rt_random_sequence *sequence, int64_t bound) {
    uint64_t range = (uint64_t)bound;
    uint64_t incomplete = -range % range; /* 2^64 mod bound: so many values would come once too often */
    uint64_t value;
    do {
        uint64_t high = rt_random_u32(sequence);
        value = high << 32 | rt_random_u32(sequence);
    } while (value < incomplete);
    return (int64_t)(value % range);
}

void rt_random_permutation(rt_random_sequence *sequence, int64_t *order, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (int64_t last = count - 1; last > 0; last--) {
        int64_t chosen = rt_random_below(sequence, last + 1);
        int64_t kept = order[last];
        order[last] = order[chosen];
        order[chosen] = kept;
    }
}
