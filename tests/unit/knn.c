/* kNN by blocks against the definition, written naively. */
#include "runtime/knn.h"
#include "runtime/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cblas.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static rt_features make_features(int64_t count, int64_t width, int class_count, double signal, uint64_t stream) {
    rt_random_sequence random = rt_random_begin(7, stream);
    int32_t *labels = malloc((size_t)count * sizeof *labels);
    rt_features features = {.count = count, .width = width, .labels = labels};
    features.values = malloc((size_t)(count * width) * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        labels[i] = (int32_t)rt_random_below(&random, class_count);
        for (int64_t j = 0; j < width; j++)
            features.values[i * width + j] =
                (float)(rt_random_range(&random, -1, 1) + (j % class_count == labels[i] ? signal : 0));
    }
    rt_features_normalise(&features);
    return features;
}

static void free_features(rt_features *features) {
    free((int32_t *)features->labels);
    rt_features_free(features);
}

/* All similarities, the k-th best as the threshold, votes. */
static double naive_accuracy(const rt_features *train, const rt_features *test, int class_count, int64_t k, double t) {
    double *similarity = malloc((size_t)train->count * sizeof *similarity);
    int64_t hits = 0;
    for (int64_t i = 0; i < test->count; i++) {
        for (int64_t row = 0; row < train->count; row++) {
            similarity[row] = 0;
            for (int64_t j = 0; j < train->width; j++)
                similarity[row] +=
                    (double)test->values[i * train->width + j] * (double)train->values[row * train->width + j];
        }
        double votes[16] = {0};
        for (int64_t round = 0; round < k && round < train->count; round++) {
            int64_t nearest = 0;
            for (int64_t row = 1; row < train->count; row++)
                nearest = similarity[row] > similarity[nearest] ? row : nearest;
            votes[train->labels[nearest]] += exp(similarity[nearest] / t);
            similarity[nearest] = -INFINITY;
        }
        int best = 0;
        for (int category = 1; category < class_count; category++)
            best = votes[category] > votes[best] ? category : best;
        hits += best == test->labels[i];
    }
    free(similarity);
    return (double)hits / (double)test->count;
}

static void agrees_with_the_definition(void **state) {
    (void)state;
    static const struct {
        int64_t train, test, width, k;
        double t;
    } cases[] = {{1200, 150, 24, 20, 0.1}, {513, 65, 8, 200, 0.07}, {30, 10, 5, 200, 0.5}, {700, 64, 16, 1, 0.1}};
    openblas_set_num_threads(1);
    rt_error error = {{0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_features train = make_features(cases[i].train, cases[i].width, 5, 0.8, 1);
        rt_features test = make_features(cases[i].test, cases[i].width, 5, 0.8, 2);
        double expected = naive_accuracy(&train, &test, 5, cases[i].k, cases[i].t);
        assert_true(expected > 0.25);
        for (int threads = 1; threads <= 3; threads++) {
            rt_pool *pool = rt_pool_create(threads);
            double found = rt_knn_accuracy(pool, &train, &test, 5, cases[i].k, cases[i].t, &error);
            assert_true(fabs(found - expected) < 1e-9);
            rt_pool_destroy(pool);
        }
        free_features(&train);
        free_features(&test);
    }
}

static void small_temperature_stays_finite(void **state) {
    (void)state;
    rt_error error = {{0}};
    rt_pool *pool = rt_pool_create(1);
    rt_features train = make_features(300, 12, 3, 4, 1), test = make_features(50, 12, 3, 4, 2);
    assert_true(rt_knn_accuracy(pool, &train, &test, 3, 10, 1e-4, &error) > 0.95);
    rt_pool_destroy(pool);
    free_features(&train);
    free_features(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(small_temperature_stays_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
