/* Drawing the parameters of a view's augmentations, and applying them to one picture. */
#include "runtime/augment.h"

#include "runtime/augment_steps.h"

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

/* ---- applying
 * ------------------------------------------------------------------------------------------------------------------------
 */

/* Bytes of a picture between two steps, and of what one step needs besides. */
typedef struct {
    int64_t picture, work;
} room;

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Follows the picture's size from step to step. */
static room room_for(const rt_view *view, int64_t height, int64_t width) {
    room needed = {3 * height * width, 64};
    for (int i = 0; i < view->op_count; i++) {
        const rt_augment_op *op = &view->ops[i];
        int64_t to_height = op->size[0], to_width = op->size[1];
        if (op->kind == RT_GAUSSIAN_BLUR)
            needed.work = larger(needed.work, 3 * height * width * (int64_t)sizeof(float));
        if (to_height == 0)
            continue;
        needed.work = larger(needed.work, rt_resize_workspace(height, width, to_height, to_width));
        needed.picture = larger(needed.picture, 3 * to_height * to_width);
        height = op->p < 1 ? larger(height, to_height) : to_height;
        width = op->p < 1 ? larger(width, to_width) : to_width;
    }
    needed.picture = (needed.picture + 63) / 64 * 64;
    return needed;
}

int64_t rt_augment_workspace(const rt_view *view, int max_height, int max_width) {
    if (view->height == 0)
        return 64;
    room needed = room_for(view, max_height, max_width);
    return 2 * needed.picture + needed.work;
}

typedef struct {
    rt_image current, other;
    void *work;
} canvas;

static void swap(canvas *area) {
    rt_image kept = area->current;
    area->current = area->other;
    area->other = kept;
}

static void resize_to(canvas *area, const rt_augment_op *op, int top, int left, int height, int width) {
    area->other.height = op->size[0];
    area->other.width = op->size[1];
    rt_resize(&area->current, top, left, height, width, &area->other, op->interpolation, area->work);
    swap(area);
}

static void crop_to(canvas *area, const rt_augment_op *op, int top, int left) {
    area->other.height = op->size[0];
    area->other.width = op->size[1];
    rt_crop(&area->current, top, left, &area->other);
    swap(area);
}

/* Where a centred part begins. A part that is larger than the picture has the odd pixel of its border behind it. */
static int middle_of(int size, int part) {
    return part <= size ? (int)lrint((size - part) / 2.0) : -((part - size) / 2);
}

static void jitter(rt_image *image, const rt_augment_op *op, const rt_augment_draw *draw) {
    for (int i = 0; i < 4; i++) {
        if (draw->order[i] == 0 && op->brightness > 0)
            rt_brightness(image, draw->brightness);
        else if (draw->order[i] == 1 && op->contrast > 0)
            rt_contrast(image, draw->contrast);
        else if (draw->order[i] == 2 && op->saturation > 0)
            rt_saturation(image, draw->saturation);
        else if (draw->order[i] == 3 && op->hue > 0)
            rt_hue(image, draw->hue);
    }
}

static void apply_step(canvas *area, const rt_augment_op *op, const rt_augment_draw *draw) {
    rt_image *image = &area->current;
    switch (op->kind) {
    case RT_RESIZE: resize_to(area, op, 0, 0, image->height, image->width); break;
    case RT_CENTER_CROP:
        crop_to(area, op, middle_of(image->height, op->size[0]), middle_of(image->width, op->size[1]));
        break;
    case RT_RANDOM_RESIZED_CROP: resize_to(area, op, draw->top, draw->left, draw->height, draw->width); break;
    case RT_RANDOM_CROP: crop_to(area, op, draw->top, draw->left); break;
    case RT_RANDOM_TRANSLATE:
        area->other.height = image->height;
        area->other.width = image->width;
        rt_translate_reflect(image, draw->dx, draw->dy, &area->other);
        swap(area);
        break;
    case RT_HORIZONTAL_FLIP: rt_flip(image); break;
    case RT_COLOR_JITTER: jitter(image, op, draw); break;
    case RT_GRAYSCALE: rt_grayscale(image); break;
    case RT_GAUSSIAN_BLUR: rt_gaussian_blur(image, op->kernel, draw->sigma, area->work); break;
    default: break;
    }
}

static void write_floats(const rt_image *image, const rt_augment_op *normalize, float *out, const int64_t stride[3]) {
    for (int c = 0; c < 3; c++) {
        double mean = normalize ? normalize->mean[c] : 0, deviation = normalize ? normalize->std[c] : 1;
        float scale = (float)(1 / (255 * deviation)), offset = (float)(-mean / deviation);
        for (int y = 0; y < image->height; y++)
            for (int x = 0; x < image->width; x++)
                out[c * stride[0] + y * stride[1] + x * stride[2]] =
                    (float)image->pixels[((int64_t)y * image->width + x) * 3 + c] * scale + offset;
    }
}

int rt_augment_apply(const rt_view *view, const rt_augment_draw *draws, const rt_image *source, void *workspace,
                     float *out, const int64_t stride[3], rt_error *error) {
    int64_t picture = room_for(view, source->height, source->width).picture;
    canvas area = {.current = {source->width, source->height, workspace},
                   .other = {0, 0, (uint8_t *)workspace + picture}};
    area.work = (uint8_t *)workspace + 2 * picture;
    memcpy(area.current.pixels, source->pixels, (size_t)(3 * source->width) * (size_t)source->height);
    const rt_augment_op *normalize = NULL;
    for (int i = 0; i < view->op_count; i++) {
        if (view->ops[i].kind == RT_NORMALIZE)
            normalize = &view->ops[i];
        else if (draws[i].apply)
            apply_step(&area, &view->ops[i], &draws[i]);
    }
    if (area.current.height != view->height || area.current.width != view->width)
        return rt_fail(error,
                       "view '%s' expects pictures of %dx%d, but its augmentations give %dx%d; add a resize or crop",
                       view->name, view->height, view->width, area.current.height, area.current.width);
    write_floats(&area.current, normalize, out, stride);
    return 0;
}
