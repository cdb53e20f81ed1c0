/* Augmentations of vectors, and the step from an item of a data set to its view. */
#include "runtime/augment.h"

#include <math.h>

/* One number from N(0, 1), by Box and Muller. */
static double draw_normal(rt_random_sequence *random) {
    double radius = (rt_random_u32(random) + 1.0) * 0x1p-32; /* in (0, 1]: its logarithm is finite */
    double angle = rt_random_u32(random) * 0x1p-32;
    return sqrt(-2 * log(radius)) * cos(2 * M_PI * angle);
}

static void apply_step(const rt_augment_op *op, const rt_augment_draw *draw, float *out, int64_t width,
                       int64_t stride) {
    rt_random_sequence random = draw->random;
    for (int64_t i = 0; i < width; i++) {
        float *value = out + i * stride;
        if (op->kind == RT_GAUSSIAN_NOISE)
            *value += (float)(draw->sigma * draw_normal(&random));
        else if (op->kind == RT_RANDOM_SCALE)
            *value *= (float)draw->scale;
        else if (rt_random_range(&random, 0, 1) < op->share)
            *value = 0;
    }
}

void rt_augment_vector(const rt_view *view, const rt_augment_draw *draws, const float *source, float *out,
                       int64_t stride) {
    for (int i = 0; i < view->channels; i++)
        out[i * stride] = source[i];
    for (int i = 0; i < view->op_count; i++)
        if (draws[i].apply)
            apply_step(&view->ops[i], &draws[i], out, view->channels, stride);
}

int rt_augment_item(const rt_view *view, const rt_augment_draw *draws, const rt_dataset *dataset, int64_t index,
                    rt_picture_reader *reader, void *workspace, float *out, const int64_t stride[3], rt_error *error) {
    const rt_dataset *source = rt_dataset_source(dataset, view->source);
    if (source->kind != RT_IMAGES) {
        rt_augment_vector(view, draws, source->vectors[index], out, stride[0]);
        return 0;
    }
    const rt_image *image = &source->images[index];
    rt_part part = rt_augment_part(view, draws, image->height, image->width);
    image = rt_picture_read(reader, source, index, part, error);
    return image ? rt_augment_apply(view, draws, image, workspace, out, stride, error) : -1;
}

void rt_augment_sides(const rt_view *view, const rt_dataset *dataset, int64_t index, int *height, int *width) {
    const rt_dataset *source = rt_dataset_source(dataset, view->source);
    *height = source->kind == RT_IMAGES ? source->images[index].height : 0;
    *width = source->kind == RT_IMAGES ? source->images[index].width : 0;
}
