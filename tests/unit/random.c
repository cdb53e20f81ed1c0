/* runtime/random.c: the published vectors of Philox4x32-10, distributions, sequences. */
#include "runtime/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>

typedef struct {
    uint32_t counter[4], key[2], expected[4];
} philox_vector;

/* From the known-answer file that Salmon et al. publish beside their code. */
static const philox_vector philox_vectors[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static uint64_t join(uint32_t low, uint32_t high) {
    return (uint64_t)high << 32 | low;
}

static void test_published_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof philox_vectors / sizeof *philox_vectors; i++) {
        const philox_vector *vector = &philox_vectors[i];
        rt_random_block block =
            rt_random_bits(join(vector->key[0], vector->key[1]), join(vector->counter[2], vector->counter[3]),
                           join(vector->counter[0], vector->counter[1]));
        assert_memory_equal(block.word, vector->expected, sizeof block.word);
    }
}

static void test_uniform_moments(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    double sum = 0, squares = 0;
    for (int i = 0; i < COUNT; i++) {
        float value = rt_random_uniform(7, 3, 1, i);
        assert_true(value >= 0.0f && value < 1.0f);
        sum += value;
        squares += (double)value * value;
    }
    assert_true(fabs(sum / COUNT - 0.5) < 0.005);
    assert_true(fabs(squares / COUNT - 1.0 / 3.0) < 0.005);
}

static void test_normal_moments(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    double power[5] = {0};
    int beyond_two = 0;
    for (int i = 0; i < COUNT; i++) {
        double value = rt_random_normal(7, 3, 1, i);
        assert_true(isfinite(value));
        for (int exponent = 1; exponent <= 4; exponent++) {
            power[exponent] += pow(value, exponent) / COUNT;
        }
        beyond_two += fabs(value) > 2.0;
    }
    assert_true(fabs(power[1]) < 0.015);
    assert_true(fabs(power[2] - 1.0) < 0.02);
    assert_true(fabs(power[3]) < 0.05);
    assert_true(fabs(power[4] - 3.0) < 0.15);
    assert_true(fabs((double)beyond_two / COUNT - 0.0455) < 0.004);
}

/* Each of the four coordinates alone must change the number. */
static void test_coordinates_matter(void **state) {
    (void)state;
    float base[2] = {rt_random_uniform(1, 2, 3, 4), rt_random_normal(1, 2, 3, 4)};
    float others[4][2] = {{rt_random_uniform(2, 2, 3, 4), rt_random_normal(2, 2, 3, 4)},
                          {rt_random_uniform(1, 3, 3, 4), rt_random_normal(1, 3, 3, 4)},
                          {rt_random_uniform(1, 2, 4, 4), rt_random_normal(1, 2, 4, 4)},
                          {rt_random_uniform(1, 2, 3, 5), rt_random_normal(1, 2, 3, 5)}};
    for (int i = 0; i < 4; i++) {
        assert_true(others[i][0] != base[0]);
        assert_true(others[i][1] != base[1]);
    }
    assert_true(rt_random_uniform(1, 2, 3, 4) == base[0]);
    assert_true(rt_random_normal(1, 2, 3, 4) == base[1]);
    assert_true(rt_random_uniform(-1, -2, -3, (int64_t)1 << 40) < 1.0f);
}

static void test_sequence_repeats_and_differs(void **state) {
    (void)state;
    rt_random_sequence first = rt_random_begin(5, 9), again = rt_random_begin(5, 9), other = rt_random_begin(5, 10);
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t value = rt_random_u32(&first);
        assert_int_equal(value, rt_random_u32(&again));
        equal += value == rt_random_u32(&other);
    }
    assert_true(equal < 3);
}

static void test_range_and_below(void **state) {
    (void)state;
    rt_random_sequence sequence = rt_random_begin(1, 1);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        double value = rt_random_range(&sequence, -2.0, 3.0);
        assert_true(value >= -2.0 && value < 3.0);
        int64_t below = rt_random_below(&sequence, 7);
        assert_in_range(below, 0, 6);
        seen[below]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(seen[i], 850, 1150);
    }
    assert_true(rt_random_range(&sequence, 4.0, 4.0) == 4.0);
    assert_int_equal(rt_random_below(&sequence, 1), 0);
    for (int i = 0; i < 100; i++) {
        assert_true(rt_random_below(&sequence, INT64_MAX) >= 0);
    }
}

static void test_permutation(void **state) {
    (void)state;
    enum { COUNT = 100 };
    int64_t order[COUNT], first_place[4] = {0};
    for (uint64_t stream = 0; stream < 400; stream++) {
        rt_random_sequence sequence = rt_random_begin(3, stream);
        rt_random_permutation(&sequence, order, COUNT);
        char seen[COUNT] = {0};
        for (int i = 0; i < COUNT; i++) {
            assert_in_range(order[i], 0, COUNT - 1);
            assert_int_equal(seen[order[i]]++, 0);
        }
        first_place[order[0] / 25]++;
    }
    for (int quarter = 0; quarter < 4; quarter++) {
        assert_in_range(first_place[quarter], 65, 140);
    }
    rt_random_sequence sequence = rt_random_begin(3, 1);
    rt_random_permutation(&sequence, order, 0);
    rt_random_permutation(&sequence, order, 1);
    assert_int_equal(order[0], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_uniform_moments),
        cmocka_unit_test(test_normal_moments),
        cmocka_unit_test(test_coordinates_matter),
        cmocka_unit_test(test_sequence_repeats_and_differs),
        cmocka_unit_test(test_range_and_below),
        cmocka_unit_test(test_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
