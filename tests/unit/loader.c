/* Batches: the same whatever the threads, every picture once an epoch, and all from the seed. */
#include "backend/backend.h"
#include "runtime/loader.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 23, SIDE = 8, BATCH = 5, VIEWS = 3, VALUES = 3 * SIDE * SIDE, STEPS_PER_EPOCH = COUNT / BATCH };

/* Two views share their flip; the second and third have crops of their own. */
static const char *const texts[VIEWS][2] = {
    {"horizontal_flip draw=0 p=0.5", "color_jitter draw=1 brightness=0.4 hue=0.2 p=0.8"},
    {"horizontal_flip draw=0 p=0.5", "random_resized_crop draw=2 size=8,8"},
    {"horizontal_flip draw=3 p=0.5", "random_resized_crop draw=4 size=8,8"},
};
static rt_augment_op ops[VIEWS][2];
static rt_view views[VIEWS];
static const int64_t dense[VIEWS][4] = {
    {VALUES, SIDE *SIDE, SIDE, 1}, {VALUES, SIDE *SIDE, SIDE, 1}, {VALUES, SIDE *SIDE, SIDE, 1}};
static rt_dataset *pictures;

static int open_pictures(void **state) {
    (void)state;
    rt_error error;
    char path[64];
    snprintf(path, sizeof path, "shapes:train=%d,test=2,size=%d,seed=4", COUNT, SIDE);
    pictures = rt_dataset_open(path, RT_SPLIT_TRAIN, &error);
    for (int v = 0; v < VIEWS; v++) {
        views[v] = (rt_view){.name = "v",
                             .op_count = 2,
                             .ops = ops[v],
                             .channels = 3,
                             .height = SIDE,
                             .width = SIDE,
                             .code = &interp_view_code};
        for (int i = 0; i < 2; i++)
            if (rt_augment_parse(texts[v][i], &ops[v][i], &error) != 0)
                return -1;
    }
    return pictures ? 0 : -1;
}

static int close_pictures(void **state) {
    (void)state;
    rt_dataset_free(pictures);
    return 0;
}

static rt_loader_options usual(void) {
    return (rt_loader_options){.dataset = pictures,
                               .view_count = VIEWS,
                               .views = views,
                               .strides = dense,
                               .batch = BATCH,
                               .seed = 11,
                               .threads = 2,
                               .shuffle = 1};
}

typedef struct {
    float views[VIEWS][BATCH * VALUES];
    int32_t labels[BATCH];
    int64_t indices[BATCH];
} batch;

/* The batches of `count` steps from options.first_step on; on the heap. */
static batch *load(const rt_loader_options *options, int count) {
    rt_error error = {{0}};
    rt_loader *loader = rt_loader_create(options, &error);
    if (!loader)
        fail_msg("%s", error.text);
    assert_int_equal(rt_loader_steps_per_epoch(loader), STEPS_PER_EPOCH);
    batch *batches = calloc((size_t)count, sizeof *batches);
    assert_non_null(batches);
    for (int step = 0; step < count; step++) {
        const float *const *values;
        const int32_t *labels;
        const int64_t *indices;
        if (rt_loader_next(loader, &values, &labels, &indices, &error) != 0)
            fail_msg("%s", error.text);
        for (int v = 0; v < VIEWS; v++)
            memcpy(batches[step].views[v], values[v], sizeof batches[step].views[v]);
        memcpy(batches[step].labels, labels, sizeof batches[step].labels);
        memcpy(batches[step].indices, indices, sizeof batches[step].indices);
    }
    rt_loader_destroy(loader);
    return batches;
}

/* ---- tests ---- */

static void threads_change_nothing(void **state) {
    (void)state;
    enum { STEPS = 3 * STEPS_PER_EPOCH + 2 };
    rt_loader_options options = usual();
    options.threads = 1;
    batch *one = load(&options, STEPS);
    static const int threads[] = {2, 5, 16};
    for (int i = 0; i < 3; i++) {
        options.threads = threads[i];
        batch *more = load(&options, STEPS);
        assert_memory_equal(one, more, STEPS * sizeof *one);
        free(more);
    }
    free(one);
}

static void epochs_are_permutations(void **state) {
    (void)state;
    enum { EPOCHS = 5 };
    rt_loader_options options = usual();
    batch *batches = load(&options, EPOCHS * STEPS_PER_EPOCH);
    int left_out[COUNT] = {0}, equal_orders = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        int seen[COUNT] = {0};
        const batch *first = &batches[epoch * STEPS_PER_EPOCH];
        for (int i = 0; i < STEPS_PER_EPOCH * BATCH; i++) {
            int64_t index = first[i / BATCH].indices[i % BATCH];
            assert_in_range(index, 0, COUNT - 1);
            assert_int_equal(seen[index]++, 0);
            assert_int_equal(first[i / BATCH].labels[i % BATCH], pictures->labels[index]);
        }
        for (int i = 0; i < COUNT; i++)
            left_out[i] += !seen[i];
        equal_orders += epoch > 0 && memcmp(first->indices, batches->indices, sizeof first->indices) == 0;
    }
    int ever = 0;
    for (int i = 0; i < COUNT; i++)
        ever += left_out[i] > 0;
    assert_int_equal(equal_orders, 0);
    assert_true(ever > COUNT % BATCH); /* the last partial batch is dropped, of another kind each epoch */
    free(batches);
}

static void without_shuffling_the_order_is_the_set_s(void **state) {
    (void)state;
    rt_loader_options options = usual();
    options.shuffle = 0;
    batch *batches = load(&options, 2 * STEPS_PER_EPOCH);
    for (int i = 0; i < 2 * STEPS_PER_EPOCH * BATCH; i++)
        assert_int_equal(batches[i / BATCH].indices[i % BATCH], i % (STEPS_PER_EPOCH * BATCH));
    free(batches);
}

/* A loader that begins in the middle, of an epoch or the run, gives what one from the start gives. */
static void resumes_at_any_step(void **state) {
    (void)state;
    enum { STEPS = 3 * STEPS_PER_EPOCH };
    rt_loader_options options = usual();
    batch *all = load(&options, STEPS);
    for (int first = 0; first < STEPS; first++) {
        options.first_step = first;
        int count = STEPS - first < 3 ? STEPS - first : 3;
        batch *part = load(&options, count);
        assert_memory_equal(part, all + first, (size_t)count * sizeof *part);
        free(part);
    }
    free(all);
}

static void seeds_and_epochs_change_the_draws(void **state) {
    (void)state;
    rt_loader_options options = usual();
    options.shuffle = 0;
    batch *batches = load(&options, STEPS_PER_EPOCH + 1);
    assert_memory_equal(batches[0].indices, batches[STEPS_PER_EPOCH].indices, sizeof batches->indices);
    assert_memory_not_equal(batches[0].views, batches[STEPS_PER_EPOCH].views, sizeof batches->views);
    options.seed = 12;
    batch *other = load(&options, 1);
    assert_memory_equal(batches[0].indices, other->indices, sizeof batches->indices);
    assert_memory_not_equal(batches[0].views, other->views, sizeof batches->views);
    free(other);
    free(batches);
}

static int is_flipped(const float *values, const rt_image *image) {
    for (int flipped = 0; flipped < 2; flipped++) {
        int same = 1;
        for (int i = 0; i < VALUES && same; i++) {
            int c = i / (SIDE * SIDE), y = i / SIDE % SIDE, x = flipped ? SIDE - 1 - i % SIDE : i % SIDE;
            float difference = values[i] * 255 - (float)image->pixels[(y * SIDE + x) * 3 + c];
            same = difference < 1e-3f && difference > -1e-3f;
        }
        if (same)
            return flipped;
    }
    return -1;
}

/* Views with the same draw number decide alike, others by themselves. */
static void views_share_draws_by_number(void **state) {
    (void)state;
    rt_augment_op flips[VIEWS];
    rt_view flipped[VIEWS];
    rt_error error;
    static const char *const lines[VIEWS] = {"horizontal_flip draw=7 p=0.5", "horizontal_flip draw=7 p=0.5",
                                             "horizontal_flip draw=8 p=0.5"};
    for (int v = 0; v < VIEWS; v++) {
        assert_int_equal(rt_augment_parse(lines[v], &flips[v], &error), 0);
        flipped[v] = views[v];
        flipped[v].ops = &flips[v];
        flipped[v].op_count = 1;
    }
    rt_loader_options options = usual();
    options.views = flipped;
    enum { STEPS = 20 };
    batch *batches = load(&options, STEPS);
    int decided[2] = {0}, unlike = 0;
    for (int i = 0; i < STEPS * BATCH; i++) {
        const rt_image *image = &pictures->images[batches[i / BATCH].indices[i % BATCH]];
        int flips_of[VIEWS];
        for (int v = 0; v < VIEWS; v++)
            flips_of[v] = is_flipped(batches[i / BATCH].views[v] + i % BATCH * VALUES, image);
        assert_true(flips_of[0] >= 0 && flips_of[2] >= 0);
        assert_int_equal(flips_of[0], flips_of[1]);
        decided[flips_of[0]]++;
        unlike += flips_of[0] != flips_of[2];
    }
    assert_in_range(decided[1], 30, 70);
    assert_in_range(unlike, 30, 70);
    free(batches);
}

/* The same pictures, whatever the layout of the batch in memory. */
static void strides_only_move_values(void **state) {
    (void)state;
    static const int64_t interleaved[VIEWS][4] = {
        {VALUES, 1, 3 * SIDE, 3}, {VALUES, SIDE * SIDE, 1, SIDE}, {3, 1, 3 * SIDE * BATCH, 3 * BATCH}};
    rt_loader_options options = usual();
    batch *plain = load(&options, 2);
    options.strides = interleaved;
    batch *moved = load(&options, 2);
    for (int v = 0; v < VIEWS; v++)
        for (int i = 0; i < BATCH * VALUES; i++) {
            const int64_t *to = interleaved[v];
            int n = i / VALUES, c = i / (SIDE * SIDE) % 3, y = i / SIDE % SIDE, x = i % SIDE;
            assert_true(plain[1].views[v][i] == moved[1].views[v][n * to[0] + c * to[1] + y * to[2] + x * to[3]]);
        }
    free(moved);
    free(plain);
}

static void one_batch_is_the_whole_set(void **state) {
    (void)state;
    rt_loader_options options = usual();
    rt_error error;
    options.batch = COUNT;
    rt_loader *loader = rt_loader_create(&options, &error);
    assert_non_null(loader);
    assert_int_equal(rt_loader_steps_per_epoch(loader), 1);
    for (int step = 0; step < 7; step++) {
        const int64_t *indices;
        int seen[COUNT] = {0};
        assert_int_equal(rt_loader_next(loader, NULL, NULL, &indices, &error), 0);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(seen[indices[i]]++, 0);
    }
    rt_loader_destroy(loader);
}

static void wrong_requests_are_refused(void **state) {
    (void)state;
    rt_error error = {{0}};
    rt_loader_options options = usual();
    options.batch = COUNT + 1;
    assert_null(rt_loader_create(&options, &error));
    assert_non_null(strstr(error.text, "fewer items than one batch of 24"));
    options.batch = 0;
    assert_null(rt_loader_create(&options, &error));
    options = usual();
    options.view_count = 17;
    assert_null(rt_loader_create(&options, &error));
    assert_non_null(strstr(error.text, "at most"));
}

/* A view that cannot be made fails on each call, and the loader still ends. */
static void failures_reach_the_caller(void **state) {
    (void)state;
    rt_view wrong[VIEWS];
    memcpy(wrong, views, sizeof wrong);
    wrong[0].height = SIDE - 1;
    for (int threads = 1; threads <= 5; threads += 4) {
        rt_loader_options options = usual();
        rt_error error = {{0}};
        options.views = wrong;
        options.threads = threads;
        rt_loader *loader = rt_loader_create(&options, &error);
        assert_non_null(loader);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(rt_loader_next(loader, NULL, NULL, NULL, &error), -1);
            assert_non_null(strstr(error.text, "expects pictures of 7x8"));
        }
        rt_loader_destroy(loader);
    }
}

static void ends_while_loading(void **state) {
    (void)state;
    rt_error error;
    for (int i = 0; i < 200; i++) {
        rt_loader_options options = usual();
        options.threads = 1 + i % 5;
        rt_loader *loader = rt_loader_create(&options, &error);
        assert_non_null(loader);
        for (int step = 0; step < i % 3; step++)
            assert_int_equal(rt_loader_next(loader, NULL, NULL, NULL, &error), 0);
        rt_loader_destroy(loader);
    }
    rt_loader_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(epochs_are_permutations),
        cmocka_unit_test(without_shuffling_the_order_is_the_set_s),
        cmocka_unit_test(resumes_at_any_step),
        cmocka_unit_test(seeds_and_epochs_change_the_draws),
        cmocka_unit_test(views_share_draws_by_number),
        cmocka_unit_test(strides_only_move_values),
        cmocka_unit_test(one_batch_is_the_whole_set),
        cmocka_unit_test(wrong_requests_are_refused),
        cmocka_unit_test(failures_reach_the_caller),
        cmocka_unit_test(ends_while_loading),
    };
    return cmocka_run_group_tests(tests, open_pictures, close_pictures);
}
