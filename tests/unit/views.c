/* Compiled views against the reference, which takes step by step: random pipelines on pictures of any size, by every
 * way from the kernel IR to the processor, in both layouts. */
#include "kernel_case.h"
#include "tests/support/view_code.h"

#include <math.h>
#include <stdio.h>

enum { MOST_STEPS = 8, TEXT = 256, CANARY = 64 };

typedef struct {
    char texts[MOST_STEPS][TEXT];
    const char *lines[MOST_STEPS];
    rt_augment_op ops[MOST_STEPS];
    rt_view view;
    bool inexact; /* steps of floating-point numbers, whose rounding is the machine's */
} pipeline;

static int below(rt_random_sequence *random, int bound) {
    return (int)rt_random_below(random, bound);
}

static void add_step(pipeline *made, const char *text) {
    rt_error error;
    int at = made->view.op_count++;
    snprintf(made->texts[at], TEXT, "%s", text);
    made->lines[at] = made->texts[at];
    if (rt_augment_parse(text, &made->ops[at], &error) != 0)
        fail_msg("%s", error.text);
    const rt_augment_op *op = &made->ops[at];
    if (op->size[0]) {
        made->view.height = op->size[0];
        made->view.width = op->size[1];
    }
    made->inexact |= op->kind == RT_GAUSSIAN_BLUR || (op->kind == RT_COLOR_JITTER && op->hue > 0);
}

static void add_random_step(pipeline *made, rt_random_sequence *random) {
    static const char *const interpolations[] = {"bilinear", "bicubic"};
    static const char *const colours[] = {
        "color_jitter brightness=0.8 contrast=0.8 saturation=0.8 hue=0.2 p=0.8",
        "color_jitter brightness=0.4 saturation=1.5",
        "color_jitter contrast=0.9 hue=0.5 p=0.5",
        "color_jitter",
        "grayscale p=0.5",
        "gaussian_blur kernel=3 p=0.5",
        "gaussian_blur kernel=7 sigma=0.5,3",
        "normalize mean=0.5,0.4,0.3 std=0.2,0.3,0.25",
    };
    char text[TEXT];
    int height = 1 + below(random, 50), width = 1 + below(random, 50);
    const char *interpolation = interpolations[below(random, 2)];
    switch (below(random, 8)) {
    case 0: snprintf(text, TEXT, "resize size=%d,%d interpolation=%s", height, width, interpolation); break;
    case 1:
        snprintf(text, TEXT, "random_resized_crop size=%d,%d interpolation=%s", height, width, interpolation);
        break;
    case 2: snprintf(text, TEXT, "center_crop size=%d,%d", height, width); break;
    case 3: snprintf(text, TEXT, "random_crop size=%d,%d pad=%d", height, width, below(random, 5)); break;
    case 4: snprintf(text, TEXT, "random_translate reach=%d p=0.8", below(random, 9)); break;
    case 5: snprintf(text, TEXT, "horizontal_flip p=0.5"); break;
    default: snprintf(text, TEXT, "%s", colours[below(random, (int)(sizeof colours / sizeof *colours))]);
    }
    add_step(made, text);
}

static void make_random(pipeline *made, rt_random_sequence *random) {
    *made = (pipeline){.view = {.name = "v", .channels = 3, .ops = made->ops}};
    int before = below(random, 4), after = below(random, 4);
    char text[TEXT];
    for (int i = 0; i < before; i++)
        add_random_step(made, random);
    snprintf(text, TEXT, "random_resized_crop size=%d,%d", 1 + below(random, 40), 1 + below(random, 40));
    add_step(made, text);
    for (int i = 0; i < after; i++)
        add_random_step(made, random);
}

/* Noise, or a smooth picture with saturated parts. */
static rt_image paint(rt_random_sequence *random, int height, int width) {
    rt_image image = {height, width, NULL};
    int noise = below(random, 2);
    image.pixels = malloc((size_t)(3 * image.height * image.width));
    assert_non_null(image.pixels);
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++)
            for (int c = 0; c < 3; c++) {
                double smooth = 127 + 160 * sin(0.2 * x + c) * cos(0.15 * y - c);
                int value = noise ? below(random, 256) : (int)fmax(0, fmin(255, smooth));
                image.pixels[3 * (y * image.width + x) + c] = (uint8_t)value;
            }
    return image;
}

static void draw_all(const pipeline *made, const rt_image *image, uint64_t stream, rt_augment_draw *draws) {
    rt_size size = {image->height, image->width};
    for (int i = 0; i < made->view.op_count; i++) {
        const rt_augment_op *op = &made->ops[i];
        rt_random_sequence random = rt_random_begin(5, stream * MOST_STEPS + (uint64_t)i);
        draws[i] = rt_augment_draw_parameters(op, size.height, size.width, &random);
        size = rt_size_after(op, size);
    }
}

/* The view by its code, in memory of just the size that it asks for. */
static float *apply(const rt_view *view, const rt_augment_draw *draws, const rt_image *image, const int64_t stride[3]) {
    size_t needed = (size_t)rt_augment_workspace(view, image->height, image->width);
    size_t values = (size_t)(3 * view->height * view->width);
    char *workspace = aligned_alloc(64, (needed + CANARY + 63) / 64 * 64);
    float *out = malloc((values + CANARY) * sizeof *out);
    rt_error error;
    assert_non_null(workspace);
    assert_non_null(out);
    memset(workspace, 0x5a, needed + CANARY); /* nothing may rest on what was there */
    for (size_t i = 0; i < CANARY; i++)
        out[values + i] = -99;
    if (rt_augment_apply(view, draws, image, workspace, out, stride, &error) != 0)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < CANARY; i++) {
        assert_int_equal(workspace[needed + i], 0x5a);
        assert_true(out[values + i] == -99);
    }
    free(workspace);
    return out;
}

typedef struct {
    double largest; /* in steps of 1/255 */
    int64_t differing, count;
} difference;

static difference compare(const pipeline *made, const float *ours, const float *reference) {
    difference found = {.count = 3 * (int64_t)made->view.height * made->view.width};
    double unit = 1 / 255.0;
    for (int i = 0; i < made->view.op_count; i++)
        if (made->ops[i].kind == RT_NORMALIZE)
            unit = 1 / 255.0 / 0.2; /* the smallest deviation of these tests */
    for (int64_t i = 0; i < found.count; i++) {
        double distance = fabs((double)ours[i] - (double)reference[i]) / unit;
        found.largest = distance == distance ? fmax(found.largest, distance) : INFINITY;
        found.differing += !(distance <= 1e-3);
    }
    return found;
}

static void describe(const pipeline *made, const rt_image *image, text_buffer *text) {
    text_append(text, "of %dx%d:", image->height, image->width);
    for (int i = 0; i < made->view.op_count; i++)
        text_append(text, "\n  %s", made->lines[i]);
}

/* Steps of whole numbers agree to the bit. The others may round one or two numbers in a thousand the other way, which
 * later steps may enlarge. */
static void check(const case_way *way, const pipeline *made, const rt_image *image, difference found) {
    bool good = made->inexact ? found.largest < 40 && found.differing <= 1 + found.count / 1000 : found.differing == 0;
    if (good)
        return;
    text_buffer text = {0};
    describe(made, image, &text);
    fail_msg("%s: %lld of %lld numbers differ, by up to %g/255, %s", way->target, (long long)found.differing,
             (long long)found.count, found.largest, text.data);
}

/* On four pictures, of this side or, where it is 0, of sides up to 70. */
static void check_pipeline(const case_way *way, pipeline *made, rt_random_sequence *random, int side) {
    rt_view *view = &made->view;
    bool channels_last = below(random, 2);
    text_buffer message = {0};
    view_code code = view_code_make(made->lines, view->op_count, view->height, view->width, channels_last, way->target,
                                    way->compile, &message);
    if (!code.view)
        fail_msg("%s", message.data);
    int64_t plane = (int64_t)view->height * view->width;
    const int64_t dense[] = {plane, view->width, 1}, last[] = {1, 3 * view->width, 3};
    for (uint64_t stream = 0; stream < 4; stream++) {
        int height = side ? side : 1 + below(random, 70), width = side ? side : 1 + below(random, 70);
        rt_image image = paint(random, height, width);
        rt_augment_draw draws[MOST_STEPS];
        draw_all(made, &image, stream, draws);
        view->code = code.view;
        float *ours = apply(view, draws, &image, channels_last ? last : dense);
        view->code = &interp_view_code;
        float *reference = apply(view, draws, &image, channels_last ? last : dense);
        check(way, made, &image, compare(made, ours, reference));
        free(ours);
        free(reference);
        free(image.pixels);
    }
    view_code_free(&code);
}

static void one_pipeline(const case_way *way, uint64_t seed) {
    rt_random_sequence random = rt_random_begin(seed, 0);
    pipeline made;
    make_random(&made, &random);
    check_pipeline(way, &made, &random, 0);
}

/* Every place of the crop reads as many pixels as the resize, of which there are fewer places. */
static void crops_larger_than_what_they_crop(void **state) {
    (void)state;
    static const char *const steps[][3] = {
        {"resize size=16,16", "random_crop size=32,32 pad=8", "color_jitter contrast=0.5"},
        {"resize size=32,32", "center_crop size=224,224", "color_jitter contrast=0.5"},
    };
    for (int i = 0; i < 2; i++) {
        rt_random_sequence random = rt_random_begin(9, (uint64_t)i);
        pipeline made = {.view = {.name = "v", .channels = 3, .ops = made.ops}};
        for (int step = 0; step < 3; step++)
            add_step(&made, steps[i][step]);
        check_pipeline(&case_ways[0], &made, &random, 500);
    }
}

/* cc takes its time, so it gets fewer. */
static void random_pipelines(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof case_ways / sizeof *case_ways; i++) {
        const case_way *way = &case_ways[i];
        uint64_t count = way->compile == cgen_compile ? 2 : 16;
        for (uint64_t seed = 0; case_runs_here(way) && seed < count; seed++)
            one_pipeline(way, seed);
    }
}

/* Every colour through the hue's arithmetic: where it rounds must not differ by more than a step. */
static void every_colour_turns(void **state) {
    (void)state;
    enum { SIDE = 4096 };
    static const char *const steps[] = {"color_jitter hue=0.5"};
    pipeline made = {.view = {.name = "v", .channels = 3, .height = SIDE, .width = SIDE, .ops = made.ops}};
    add_step(&made, steps[0]);
    text_buffer message = {0};
    view_code code = view_code_make(steps, 1, SIDE, SIDE, false,
                                    backend_target_host().lanes >= 16  ? "avx512"
                                    : backend_target_host().lanes >= 8 ? "avx2"
                                                                       : "portable",
                                    llvm_compile, &message);
    if (!code.view)
        fail_msg("%s", message.data);
    rt_image image = {SIDE, SIDE, malloc(3 * SIDE * SIDE)};
    assert_non_null(image.pixels);
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < 3; c++)
            image.pixels[3 * i + c] = (uint8_t)(i >> 8 * c);
    const int64_t dense[] = {SIDE * SIDE, SIDE, 1};
    rt_augment_draw draw = {.apply = 1, .order = {3, 0, 1, 2}, .hue = 0.13};
    made.view.code = code.view;
    float *ours = apply(&made.view, &draw, &image, dense);
    made.view.code = &interp_view_code;
    float *reference = apply(&made.view, &draw, &image, dense);
    difference found = compare(&made, ours, reference);
    assert_true(found.largest < 1.01);
    assert_true(found.differing < 1000); /* of fifty millions */
    free(ours);
    free(reference);
    free(image.pixels);
    view_code_free(&code);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_pipelines),
        cmocka_unit_test(crops_larger_than_what_they_crop),
        cmocka_unit_test(every_colour_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
