/* Views step by step, each step a pass over the whole picture: what the compiled ones are tested against, and what
 * programs in the interpreter use. */
#include "backend/interp_view.h"

#include "backend/backend.h"
#include "runtime/augment_tables.h"

#include <stdlib.h>
#include <string.h>

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
        needed.work = larger(needed.work, interp_resize_workspace(height, width, to_height, to_width));
        needed.picture = larger(needed.picture, 3 * to_height * to_width);
        height = op->p < 1 ? larger(height, to_height) : to_height;
        width = op->p < 1 ? larger(width, to_width) : to_width;
    }
    needed.picture = (needed.picture + 63) / 64 * 64;
    return needed;
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
    interp_resize(&area->current, top, left, height, width, &area->other, op->interpolation, area->work);
    swap(area);
}

static void crop_to(canvas *area, const rt_augment_op *op, int top, int left) {
    area->other.height = op->size[0];
    area->other.width = op->size[1];
    interp_crop(&area->current, top, left, &area->other);
    swap(area);
}

static void jitter(rt_image *image, const rt_augment_op *op, const rt_augment_draw *draw) {
    for (int i = 0; i < 4; i++) {
        if (draw->order[i] == 0 && op->brightness > 0)
            interp_brightness(image, draw->brightness);
        else if (draw->order[i] == 1 && op->contrast > 0)
            interp_contrast(image, draw->contrast);
        else if (draw->order[i] == 2 && op->saturation > 0)
            interp_saturation(image, draw->saturation);
        else if (draw->order[i] == 3 && op->hue > 0)
            interp_hue(image, draw->hue);
    }
}

static void apply_step(canvas *area, const rt_augment_op *op, const rt_augment_draw *draw) {
    rt_image *image = &area->current;
    switch (op->kind) {
    case RT_RESIZE: resize_to(area, op, 0, 0, image->height, image->width); break;
    case RT_CENTER_CROP:
        crop_to(area, op, rt_middle_of(image->height, op->size[0]), rt_middle_of(image->width, op->size[1]));
        break;
    case RT_RANDOM_RESIZED_CROP: resize_to(area, op, draw->top, draw->left, draw->height, draw->width); break;
    case RT_RANDOM_CROP: crop_to(area, op, draw->top, draw->left); break;
    case RT_RANDOM_TRANSLATE:
        area->other.height = image->height;
        area->other.width = image->width;
        interp_translate_reflect(image, draw->dx, draw->dy, &area->other);
        swap(area);
        break;
    case RT_HORIZONTAL_FLIP: interp_flip(image); break;
    case RT_COLOR_JITTER: jitter(image, op, draw); break;
    case RT_GRAYSCALE: interp_grayscale(image); break;
    case RT_GAUSSIAN_BLUR: interp_gaussian_blur(image, op->kernel, draw->sigma, area->work); break;
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

static int apply_view(const rt_view *view, const rt_augment_draw *draws, const rt_image *source, float *out,
                      const int64_t stride[3], rt_error *error) {
    room needed = room_for(view, source->height, source->width);
    uint8_t *memory = malloc((size_t)(2 * needed.picture + needed.work));
    if (!memory)
        return rt_fail(error, "out of memory for augmenting pictures");
    canvas area = {.current = {source->width, source->height, memory}, .other = {0, 0, memory + needed.picture}};
    area.work = memory + 2 * needed.picture;
    memcpy(area.current.pixels, source->pixels, (size_t)(3 * source->width) * (size_t)source->height);
    const rt_augment_op *normalize = NULL;
    for (int i = 0; i < view->op_count; i++) {
        if (view->ops[i].kind == RT_NORMALIZE)
            normalize = &view->ops[i];
        else if (draws[i].apply)
            apply_step(&area, &view->ops[i], &draws[i]);
    }
    write_floats(&area.current, normalize, out, stride);
    free(memory);
    return 0;
}

const rt_view_code interp_view_code = {.apply = apply_view};
