/* The probes learn what they can and nothing more, alike at any number of threads. */
#include "runtime/probe.h"
#include "runtime/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cblas.h>
#include <cmocka.h>
#include <stdlib.h>

enum { WIDTH = 10, CLASSES = 4 };

typedef int32_t labeller(const float *row, rt_random_sequence *random);

static int32_t by_largest(const float *row, rt_random_sequence *random) {
    (void)random;
    int32_t best = 0;
    for (int32_t j = 1; j < CLASSES; j++)
        best = row[j] > row[best] ? j : best;
    return best;
}

/* Four quadrants of two features, two opposite ones alike: no linear rule tells them apart. */
static int32_t by_sign_product(const float *row, rt_random_sequence *random) {
    (void)random;
    return row[0] * row[1] > 0;
}

static int32_t by_chance(const float *row, rt_random_sequence *random) {
    (void)row;
    return (int32_t)rt_random_below(random, CLASSES);
}

static rt_features make_features(int64_t count, labeller *label, uint64_t stream) {
    rt_random_sequence random = rt_random_begin(3, stream);
    int32_t *labels = malloc((size_t)count * sizeof *labels);
    rt_features features = {.count = count, .width = WIDTH, .labels = labels};
    features.values = malloc((size_t)(count * WIDTH) * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        float *row = features.values + i * WIDTH;
        for (int64_t j = 0; j < WIDTH; j++)
            row[j] = (float)(5 + 3 * rt_random_range(&random, -1, 1));
        for (int64_t j = 0; j < WIDTH; j++)
            row[j] -= 5;
        labels[i] = label(row, &random);
        for (int64_t j = 0; j < WIDTH; j++)
            row[j] = row[j] * 40 + 100; /* far from standard: that is rt_features_standardise's work */
    }
    return features;
}

static double accuracy(labeller *label, int64_t hidden, int threads) {
    rt_features train = make_features(1500, label, 1), test = make_features(500, label, 2);
    rt_probe_options options = {.hidden = hidden,
                                .dropout = 0.2,
                                .epochs = 60,
                                .batch = 64,
                                .rate = hidden ? 0.05 : 0.1,
                                .weight_decay = 1e-6,
                                .seed = 5};
    rt_error error = {{0}};
    openblas_set_num_threads(1);
    rt_pool *pool = rt_pool_create(threads);
    assert_int_equal(rt_features_standardise(&train, &test, &error), 0);
    double result = rt_probe_accuracy(pool, &train, &test, CLASSES, &options, &error);
    rt_pool_destroy(pool);
    free((int32_t *)train.labels);
    free((int32_t *)test.labels);
    rt_features_free(&train);
    rt_features_free(&test);
    return result;
}

static void linear_learns_separable_classes(void **state) {
    (void)state;
    assert_true(accuracy(by_largest, 0, 1) > 0.95);
}

static void hidden_layer_learns_what_linear_cannot(void **state) {
    (void)state;
    assert_true(accuracy(by_sign_product, 0, 1) < 0.65);
    assert_true(accuracy(by_sign_product, 64, 1) > 0.92);
}

static void chance_stays_chance(void **state) {
    (void)state;
    double result = accuracy(by_chance, 0, 1);
    assert_true(result > 0.15 && result < 0.35);
}

static void threads_change_nothing(void **state) {
    (void)state;
    double alone = accuracy(by_largest, 32, 1), together = accuracy(by_largest, 32, 3);
    assert_memory_equal(&alone, &together, sizeof alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_learns_separable_classes),
        cmocka_unit_test(hidden_layer_learns_what_linear_cannot),
        cmocka_unit_test(chance_stays_chance),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
