/* From the draws of a view to the tables that its compiled kernel reads: docs/kernel-ir.md lists them. Private to the
 * runtime.
 *
 * Compiler and runtime cut the steps into stages by the same rules. A stage is a sampling or a blur, and the colour
 * steps behind it. The first stage is a sampling. A step that moves pixels joins the sampling before it when no colour
 * step stands between and no more than one of the two resizes; else it begins a sampling of its own. */
#ifndef RT_AUGMENT_TABLES_H
#define RT_AUGMENT_TABLES_H

#include "runtime/augment.h"

enum { RT_VIEW_PITCH = 16 }; /* rows of the pictures between stages begin at multiples of it */

/* Where the next numbers go. */
typedef struct {
    int32_t *numbers, *samples;
    float *factors;
    int32_t number_count, sample_count, factor_count;
    int32_t *work[2]; /* for rt_sampling_write: of the two axes */
} rt_view_tables;

static inline int rt_view_pitch(int width) {
    return (width + RT_VIEW_PITCH - 1) / RT_VIEW_PITCH * RT_VIEW_PITCH;
}

static inline int rt_resizes(const rt_augment_op *op) {
    return op->kind == RT_RESIZE || op->kind == RT_RANDOM_RESIZED_CROP;
}

static inline int rt_samples(const rt_augment_op *op) {
    return rt_resizes(op) || op->kind == RT_CENTER_CROP || op->kind == RT_RANDOM_CROP ||
           op->kind == RT_RANDOM_TRANSLATE || op->kind == RT_HORIZONTAL_FLIP;
}

/* Where a centred part begins. A part that is larger than the picture has the odd pixel of its border behind it. */
int rt_middle_of(int size, int part);

/* Everything for one picture: the blocks of all stages and what they point to. */
void rt_view_tables_fill(rt_view_tables *tables, const rt_view *view, const rt_augment_draw *draws, rt_size size);

/* The memory of a view's tables and pictures, in elements, for sources up to some size. */
typedef struct {
    int64_t numbers, factors, samples;
    int64_t pixels; /* of each of the two pictures between stages */
    int64_t row, rows, work[2];
} rt_view_room;

rt_view_room rt_view_room_for(const rt_view *view, int64_t height, int64_t width);

/* The steps `ops[0 .. count - 1]` as one sampling of a picture of this size, whose rows are `pitch` pixels apart.
 * Appends its block and tables, and returns the size of the result. */
rt_size rt_sampling_write(rt_view_tables *tables, const rt_augment_op *ops, const rt_augment_draw *draws, int count,
                          rt_size size, int pitch);

#endif
