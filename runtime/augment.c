/* Drawing the parameters of a view's augmentations, and making a picture with them. */
#include "runtime/augment.h"

#include "runtime/augment_tables.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- drawing
 * ------------------------------------------------------------------------------------------------------------------------
 */

/* Ten tries for a part of the wanted area and ratio, then the largest centred one within the ratio's bounds. */
static void draw_crop(const rt_augment_op *op, int height, int width, rt_random_sequence *random,
                      rt_augment_draw *draw) {
    for (int attempt = 0; attempt < 10; attempt++) {
        double area = (double)height * width * rt_random_range(random, op->scale[0], op->scale[1]);
        double ratio = exp(rt_random_range(random, log(op->ratio[0]), log(op->ratio[1])));
        int part_width = (int)lrint(sqrt(area * ratio)), part_height = (int)lrint(sqrt(area / ratio));
        if (part_width < 1 || part_width > width || part_height < 1 || part_height > height)
            continue;
        draw->height = part_height;
        draw->width = part_width;
        draw->top = (int)rt_random_below(random, height - part_height + 1);
        draw->left = (int)rt_random_below(random, width - part_width + 1);
        return;
    }
    double ratio = (double)width / height;
    draw->width = ratio > op->ratio[1] ? (int)fmax(1, rint(height * op->ratio[1])) : width;
    draw->height = ratio < op->ratio[0] ? (int)fmax(1, rint(width / op->ratio[0])) : height;
    draw->top = (height - draw->height) / 2;
    draw->left = (width - draw->width) / 2;
}

static double draw_factor(rt_random_sequence *random, double strength) {
    return rt_random_range(random, strength < 1 ? 1 - strength : 0, 1 + strength);
}

static void draw_jitter(const rt_augment_op *op, rt_random_sequence *random, rt_augment_draw *draw) {
    int64_t order[4];
    rt_random_permutation(random, order, 4);
    for (int i = 0; i < 4; i++)
        draw->order[i] = (int)order[i];
    draw->brightness = draw_factor(random, op->brightness);
    draw->contrast = draw_factor(random, op->contrast);
    draw->saturation = draw_factor(random, op->saturation);
    draw->hue = rt_random_range(random, -op->hue, op->hue);
}

/* Where a part of a padded picture begins, counted from the picture itself. */
static int draw_place(rt_random_sequence *random, int size, int part, int pad) {
    int free = size + 2 * pad - part;
    return (int)rt_random_below(random, free < 0 ? 1 : free + 1) - pad;
}

rt_augment_draw rt_augment_draw_parameters(const rt_augment_op *op, int height, int width, rt_random_sequence *random) {
    rt_augment_draw draw = {.apply = rt_random_range(random, 0, 1) < op->p};
    switch (op->kind) {
    case RT_RANDOM_RESIZED_CROP: draw_crop(op, height, width, random, &draw); break;
    case RT_RANDOM_CROP:
        draw.top = draw_place(random, height, op->size[0], op->reach);
        draw.left = draw_place(random, width, op->size[1], op->reach);
        break;
    case RT_RANDOM_TRANSLATE:
        draw.dx = (int)rt_random_below(random, 2 * op->reach + 1) - op->reach;
        draw.dy = (int)rt_random_below(random, 2 * op->reach + 1) - op->reach;
        break;
    case RT_HORIZONTAL_FLIP: draw.flip = draw.apply; break;
    case RT_COLOR_JITTER: draw_jitter(op, random, &draw); break;
    case RT_GAUSSIAN_BLUR:
    case RT_GAUSSIAN_NOISE: draw.sigma = rt_random_range(random, op->sigma[0], op->sigma[1]); break;
    case RT_RANDOM_SCALE: draw.scale = rt_random_range(random, op->range[0], op->range[1]); break;
    default: break;
    }
    draw.random = *random;
    return draw;
}

/* ---- making a picture
 * ------------------------------------------------------------------------------------------------------------------------
 */

enum { NUMBERS, FACTORS, SAMPLES, FIRST, SECOND, ROW, ROWS, WORK_DOWN, WORK_ACROSS, REGION_COUNT };

/* The bytes of each region of the workspace, in order. */
static void region_bytes(const rt_view *view, int height, int width, int64_t bytes[REGION_COUNT]) {
    rt_view_room room = rt_view_room_for(view, height, width);
    const int64_t elements[] = {room.numbers, room.factors, room.samples, room.pixels, room.pixels,
                                room.row,     room.rows,    room.work[0], room.work[1]};
    for (int i = 0; i < REGION_COUNT; i++)
        bytes[i] = (elements[i] * 4 + 63) / 64 * 64;
}

int64_t rt_augment_workspace(const rt_view *view, int max_height, int max_width) {
    int64_t bytes[REGION_COUNT], sum = 64;
    if (view->height == 0)
        return sum;
    region_bytes(view, max_height, max_width, bytes);
    for (int i = 0; i < REGION_COUNT; i++)
        sum += bytes[i];
    return sum;
}

static void run_kernel(const rt_view *view, const rt_augment_draw *draws, const rt_image *source, void *workspace,
                       float *out) {
    int64_t bytes[REGION_COUNT];
    char *regions[REGION_COUNT], *next = workspace;
    region_bytes(view, source->height, source->width, bytes);
    for (int i = 0; i < REGION_COUNT; i++) {
        regions[i] = next;
        next += bytes[i];
    }
    rt_view_tables tables = {.numbers = (int32_t *)(void *)regions[NUMBERS],
                             .samples = (int32_t *)(void *)regions[SAMPLES],
                             .factors = (float *)(void *)regions[FACTORS],
                             .work = {(int32_t *)(void *)regions[WORK_DOWN], (int32_t *)(void *)regions[WORK_ACROSS]}};
    rt_view_tables_fill(&tables, view, draws, (rt_size){source->height, source->width});
    assert(4 * (int64_t)tables.sample_count <= bytes[SAMPLES] && 4 * (int64_t)tables.factor_count <= bytes[FACTORS] &&
           4 * (int64_t)tables.number_count <= bytes[NUMBERS]);
    void *const args[] = {source->pixels,   regions[NUMBERS], regions[FACTORS],
                          regions[SAMPLES], regions[FIRST],   regions[SECOND],
                          regions[ROW],     regions[ROWS],    out};
    view->code->kernel(args, NULL, 0, 1);
}

rt_part rt_augment_part(const rt_view *view, const rt_augment_draw *draws, int height, int width) {
    for (int i = 0; i < view->op_count; i++) {
        if (view->ops[i].kind == RT_RANDOM_RESIZED_CROP)
            return (rt_part){draws[i].top, draws[i].left, draws[i].height, draws[i].width};
        if (view->ops[i].kind != RT_NORMALIZE)
            break;
    }
    return (rt_part){0, 0, height, width};
}

rt_size rt_size_after(const rt_augment_op *op, rt_size size) {
    return op->size[0] ? (rt_size){op->size[0], op->size[1]} : size;
}

int rt_augment_apply(const rt_view *view, const rt_augment_draw *draws, const rt_image *source, void *workspace,
                     float *out, const int64_t stride[3], rt_error *error) {
    rt_size size = {source->height, source->width};
    for (int i = 0; i < view->op_count; i++)
        size = rt_size_after(&view->ops[i], size);
    if (size.height != view->height || size.width != view->width)
        return rt_fail(error,
                       "view '%s' expects pictures of %dx%d, but its augmentations give %dx%d; add a resize or crop",
                       view->name, view->height, view->width, size.height, size.width);
    if (view->code && view->code->apply)
        return view->code->apply(view, draws, source, out, stride, error);
    if (!view->code || !view->code->kernel || memcmp(view->code->strides, stride, 3 * sizeof *stride) != 0)
        return rt_fail(error, "internal error: no code for the view '%s' in this layout", view->name);
    run_kernel(view, draws, source, workspace, out);
    return 0;
}
