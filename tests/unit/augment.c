/* Augmentations at the edges: what torchvision cannot be asked, and what no picture may break. */
#include "backend/backend.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 8, CANARY = 64 };

typedef struct {
    rt_augment_op ops[MOST_STEPS];
    rt_view view;
} pipeline;

/* The pipeline of up to MOST_STEPS texts, NULL behind the last. */
static void make(pipeline *made, int height, int width, const char *const *texts) {
    *made =
        (pipeline){.view = {.name = "v", .channels = 3, .height = height, .width = width, .code = &interp_view_code}};
    made->view.ops = made->ops;
    for (; *texts; texts++) {
        rt_error error;
        if (rt_augment_parse(*texts, &made->ops[made->view.op_count++], &error) != 0)
            fail_msg("%s", error.text);
    }
}
#define MAKE(made, height, width, ...) make(made, height, width, (const char *const[]){__VA_ARGS__, NULL})

static rt_image paint(int height, int width) {
    rt_image image = {width, height, malloc((size_t)(3 * height * width))};
    for (int i = 0; i < 3 * height * width; i++)
        image.pixels[i] = (uint8_t)(i * 37 + i / 7 * 11);
    return image;
}

/* Applies the view with the given draws in memory of just the size that it asks for; dense floats [3, H, W]. */
static float *apply(const pipeline *made, const rt_augment_draw *draws, const rt_image *image, rt_error *error) {
    const rt_view *view = &made->view;
    size_t needed = (size_t)rt_augment_workspace(view, image->height, image->width);
    char *workspace = aligned_alloc(64, (needed + CANARY + 63) / 64 * 64);
    float *out = calloc((size_t)(3 * view->height * view->width), sizeof *out);
    assert_non_null(workspace);
    assert_non_null(out);
    memset(workspace + needed, 0x5a, CANARY);
    const int64_t stride[3] = {view->height * view->width, view->width, 1};
    int status = rt_augment_apply(view, draws, image, workspace, out, stride, error);
    for (int i = 0; i < CANARY; i++)
        assert_int_equal(workspace[needed + (size_t)i], 0x5a);
    free(workspace);
    if (status == 0)
        return out;
    free(out);
    return NULL;
}

/* Draws as the loader does, each step seeing the size that those before it leave. */
static void draw_all(const pipeline *made, uint64_t stream, const rt_image *image, rt_augment_draw *draws) {
    int height = image->height, width = image->width;
    for (int i = 0; i < made->view.op_count; i++) {
        const rt_augment_op *op = &made->ops[i];
        rt_random_sequence random = rt_random_begin(3, stream * MOST_STEPS + (uint64_t)i);
        draws[i] = rt_augment_draw_parameters(op, height, width, &random);
        height = op->size[0] ? op->size[0] : height;
        width = op->size[0] ? op->size[1] : width;
    }
}

static float *apply_drawn(const pipeline *made, uint64_t stream, const rt_image *image) {
    rt_augment_draw draws[MOST_STEPS];
    rt_error error = {{0}};
    draw_all(made, stream, image, draws);
    float *out = apply(made, draws, image, &error);
    if (!out)
        fail_msg("%s", error.text);
    return out;
}

static void equals_picture(const float *out, const rt_image *image) {
    int64_t plane = (int64_t)image->height * image->width;
    for (int64_t i = 0; i < 3 * plane; i++)
        if (fabsf(out[i % 3 * plane + i / 3] * 255 - (float)image->pixels[i]) > 1e-3f)
            fail_msg("element %lld is %g, not %d", (long long)i, (double)out[i % 3 * plane + i / 3] * 255,
                     image->pixels[i]);
}

/* ---- tests ---- */

static void nothing_is_done_with_probability_0(void **state) {
    (void)state;
    pipeline made;
    rt_image image = paint(9, 13);
    MAKE(&made, 9, 13, "horizontal_flip p=0", "grayscale p=0", "gaussian_blur kernel=5 p=0",
         "random_translate reach=3 p=0", "color_jitter brightness=1 contrast=1 saturation=1 hue=0.5 p=0");
    for (uint64_t stream = 0; stream < 50; stream++) {
        float *out = apply_drawn(&made, stream, &image);
        equals_picture(out, &image);
        free(out);
    }
    free(image.pixels);
}

static void probability_1_always_acts(void **state) {
    (void)state;
    pipeline made;
    rt_image image = paint(9, 13);
    MAKE(&made, 9, 13, "horizontal_flip p=1", "grayscale p=1", "horizontal_flip p=1");
    for (uint64_t stream = 0; stream < 50; stream++) {
        rt_augment_draw draws[MOST_STEPS];
        draw_all(&made, stream, &image, draws);
        for (int i = 0; i < 3; i++)
            assert_int_equal(draws[i].apply, 1);
        float *out = apply_drawn(&made, stream, &image);
        for (int i = 0; i < 9 * 13; i++)
            assert_true(out[i] == out[i + 9 * 13] && out[i] == out[i + 2 * 9 * 13]);
        free(out);
    }
    free(image.pixels);
}

static void factors_of_1_change_nothing(void **state) {
    (void)state;
    pipeline made;
    rt_error error;
    rt_image image = paint(6, 5);
    MAKE(&made, 6, 5, "color_jitter brightness=1 contrast=1 saturation=1 hue=0", "horizontal_flip", "horizontal_flip",
         "random_translate reach=0", "resize size=6,5");
    rt_augment_draw draws[MOST_STEPS];
    draw_all(&made, 0, &image, draws);
    draws[0].brightness = draws[0].contrast = draws[0].saturation = 1;
    float *out = apply(&made, draws, &image, &error);
    assert_non_null(out);
    equals_picture(out, &image);
    free(out);
    free(image.pixels);
}

/* Steps without a strength are left out, whatever their factors. */
static void jitter_without_strength_is_left_out(void **state) {
    (void)state;
    pipeline made;
    rt_error error;
    rt_image image = paint(6, 5);
    MAKE(&made, 6, 5, "color_jitter");
    rt_augment_draw draw = {.apply = 1, .order = {3, 2, 1, 0}, .hue = 0.3};
    float *out = apply(&made, &draw, &image, &error);
    assert_non_null(out);
    equals_picture(out, &image);
    free(out);
    free(image.pixels);
}

static void one_pixel_pictures(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 7}, {7, 1}, {2, 2}, {1, 300}, {300, 1}};
    pipeline made;
    MAKE(&made, 8, 6, "random_resized_crop size=8,6 interpolation=bicubic scale=0.01,1", "random_translate reach=40",
         "horizontal_flip", "color_jitter brightness=1 contrast=1 saturation=1 hue=0.5", "gaussian_blur kernel=23");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rt_image image = paint(sizes[i][0], sizes[i][1]);
        for (uint64_t stream = 0; stream < 20; stream++)
            free(apply_drawn(&made, stream, &image));
        free(image.pixels);
    }
    rt_image image = paint(5, 4);
    MAKE(&made, 3, 2, "random_resized_crop size=3,2");
    rt_error error;
    for (int top = 0; top < 5; top++) { /* one pixel fills the whole result */
        rt_augment_draw draw = {.apply = 1, .top = top, .left = 3, .height = 1, .width = 1};
        float *out = apply(&made, &draw, &image, &error);
        assert_non_null(out);
        for (int j = 0; j < 18; j++)
            assert_true(fabsf(out[j] * 255 - (float)image.pixels[(top * 4 + 3) * 3 + j / 6]) < 1e-3f);
        free(out);
    }
    free(image.pixels);
}

static void crops_lie_inside(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 1000}, {1000, 1}, {3, 4}, {32, 32}, {500, 20}};
    static const char *const texts[] = {
        "random_resized_crop size=4,4", "random_resized_crop size=4,4 ratio=0.001,0.002",
        "random_resized_crop size=4,4 ratio=500,1000", "random_resized_crop size=4,4 scale=0.000001,0.000002",
        "random_resized_crop size=4,4 scale=1,1"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            for (uint64_t stream = 0; stream < 200; stream++) {
                rt_augment_op op;
                rt_error error;
                assert_int_equal(rt_augment_parse(texts[k], &op, &error), 0);
                rt_random_sequence random = rt_random_begin(1, stream);
                rt_augment_draw draw = rt_augment_draw_parameters(&op, sizes[i][0], sizes[i][1], &random);
                assert_in_range(draw.height, 1, sizes[i][0]);
                assert_in_range(draw.width, 1, sizes[i][1]);
                assert_in_range(draw.top, 0, sizes[i][0] - draw.height);
                assert_in_range(draw.left, 0, sizes[i][1] - draw.width);
            }
}

/* Every step from large to small and back: the memory asked for is enough (the canary), whatever the order. */
static void workspace_suffices(void **state) {
    (void)state;
    static const char *const texts[][MOST_STEPS] = {
        {"gaussian_blur kernel=3", "resize size=3,200", "resize size=200,3 interpolation=bicubic",
         "center_crop size=16,16"},
        {"resize size=90,2", "gaussian_blur kernel=9", "resize size=16,16"},
        {"center_crop size=70,80", "random_crop size=16,16 pad=4"},
        {"resize size=1,1", "resize size=16,16 interpolation=bicubic"},
        {"random_resized_crop size=61,47 interpolation=bicubic", "gaussian_blur kernel=23", "center_crop size=16,16"},
    };
    static const int sizes[][2] = {{1, 1}, {5, 120}, {120, 5}, {40, 40}, {2, 700}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            pipeline made;
            make(&made, 16, 16, texts[i]);
            rt_image image = paint(sizes[k][0], sizes[k][1]);
            free(apply_drawn(&made, k, &image));
            free(image.pixels);
        }
}

static void wrong_size_is_an_error(void **state) {
    (void)state;
    pipeline made;
    rt_error error = {{0}};
    rt_image image = paint(9, 13);
    MAKE(&made, 8, 8, "horizontal_flip p=1");
    rt_augment_draw draw = {.apply = 1};
    assert_null(apply(&made, &draw, &image, &error));
    assert_non_null(strstr(error.text, "view 'v' expects pictures of 8x8"));
    assert_non_null(strstr(error.text, "9x13"));
    free(image.pixels);
}

static void strides_and_normalization(void **state) {
    (void)state;
    pipeline made;
    rt_error error;
    rt_image image = paint(4, 3);
    MAKE(&made, 4, 3, "normalize mean=0.5,0.25,0 std=0.5,2,1");
    static const double mean[] = {0.5, 0.25, 0}, deviation[] = {0.5, 2, 1};
    float out[4 * 3 * 3 * 2];
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        out[i] = -99;
    char workspace[4096] __attribute__((aligned(64)));
    rt_augment_draw draw = {.apply = 1};
    const int64_t stride[3] = {2, 18, 6}; /* every second float of [H, W, C] */
    assert_true(rt_augment_workspace(&made.view, 4, 3) <= (int64_t)sizeof workspace);
    assert_int_equal(rt_augment_apply(&made.view, &draw, &image, workspace, out, stride, &error), 0);
    for (int i = 0; i < 36; i++) {
        double wanted = (image.pixels[i] / 255.0 - mean[i % 3]) / deviation[i % 3];
        assert_true(fabs((double)out[2 * i] - wanted) < 1e-6);
        assert_true(out[2 * i + 1] == -99);
    }
    free(image.pixels);
}

static void bad_texts_are_explained(void **state) {
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "no augmentation"},
        {"sharpen p=1", "no augmentation 'sharpen'"},
        {"horizontal_flip p", "key=value"},
        {"horizontal_flip p=", "takes 1 number"},
        {"horizontal_flip p=1.5", "must lie in 0 .. 1"},
        {"horizontal_flip p=nan", "must lie in"},
        {"horizontal_flip p=0.5 p=0.5", "twice"},
        {"horizontal_flip size=3,3", "no setting 'size'"},
        {"resize", "'size' is missing"},
        {"resize size=3", "takes 2 numbers"},
        {"resize size=3,4,5", "takes 2 numbers"},
        {"resize size=0,4", "must lie in"},
        {"resize size=2.5,4", "whole number"},
        {"resize size=1e9,4", "must lie in"},
        {"resize size=4,4 interpolation=nearest", "bilinear or bicubic"},
        {"random_resized_crop size=4,4 scale=0.5,0.2", "from the smaller"},
        {"random_resized_crop size=4,4 scale=0,1", "must lie in"},
        {"gaussian_blur kernel=4", "odd"},
        {"gaussian_blur kernel=513", "must lie in"},
        {"gaussian_blur kernel=3 sigma=0,1", "must lie in"},
        {"color_jitter hue=0.6", "must lie in"},
        {"normalize mean=0,0,0", "'std' is missing"},
        {"normalize mean=0,0,0 std=1,0,1", "must lie in"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_augment_op op;
        rt_error error = {{0}};
        assert_int_equal(rt_augment_parse(cases[i].text, &op, &error), -1);
        if (!strstr(error.text, cases[i].reason))
            fail_msg("'%s' gave: %s", cases[i].text, error.text);
    }
    char longest[3000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    rt_augment_op op;
    rt_error error;
    assert_int_equal(rt_augment_parse(longest, &op, &error), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_done_with_probability_0),
        cmocka_unit_test(probability_1_always_acts),
        cmocka_unit_test(factors_of_1_change_nothing),
        cmocka_unit_test(jitter_without_strength_is_left_out),
        cmocka_unit_test(one_pixel_pictures),
        cmocka_unit_test(crops_lie_inside),
        cmocka_unit_test(workspace_suffices),
        cmocka_unit_test(wrong_size_is_an_error),
        cmocka_unit_test(strides_and_normalization),
        cmocka_unit_test(bad_texts_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
