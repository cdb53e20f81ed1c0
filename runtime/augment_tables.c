/* The stages of a view and their tables. */
#include "runtime/augment_tables.h"

#include "runtime/resample.h"

#include <math.h>
#include <string.h>

/* ---- stages: the same rules as the compiler's (passes/view_plan.c) ---- */

/* The steps behind `first` that belong to its sampling. */
static int sampling_end(const rt_view *view, int first) {
    int at = first, resizes = 0;
    for (; at < view->op_count; at++) {
        const rt_augment_op *op = &view->ops[at];
        if (op->kind == RT_NORMALIZE)
            continue;
        if (!rt_samples(op) || (resizes && rt_resizes(op)))
            break;
        resizes |= rt_resizes(op);
    }
    return at;
}

static int is_colour(const rt_augment_op *op) {
    return op->kind == RT_COLOR_JITTER || op->kind == RT_GRAYSCALE;
}

static int colour_end(const rt_view *view, int first) {
    int at = first;
    while (at < view->op_count && (is_colour(&view->ops[at]) || view->ops[at].kind == RT_NORMALIZE))
        at++;
    return at;
}

/* ---- colour steps ---- */

enum { STEP_BRIGHTNESS, STEP_SATURATION, STEP_HUE, MOST_COLOURS = RT_MOST_AUGMENTATIONS };

typedef struct {
    int kinds[4 * MOST_COLOURS];
    float factors[4 * MOST_COLOURS], contrasts[MOST_COLOURS];
    int ends[MOST_COLOURS]; /* of the segments that the contrasts cut */
    int count, contrast_count;
} colour_list;

static void add_colour(colour_list *list, int kind, double factor) {
    list->kinds[list->count] = kind;
    list->factors[list->count++] = (float)factor;
}

static void add_contrast(colour_list *list, double factor) {
    list->ends[list->contrast_count] = list->count;
    list->contrasts[list->contrast_count++] = (float)factor;
}

static void add_jitter(colour_list *list, const rt_augment_op *op, const rt_augment_draw *draw) {
    if (!draw->apply && op->contrast > 0)
        add_contrast(list, 1); /* which changes nothing */
    for (int i = 0; draw->apply && i < 4; i++) {
        if (draw->order[i] == 0 && op->brightness > 0)
            add_colour(list, STEP_BRIGHTNESS, draw->brightness);
        else if (draw->order[i] == 1 && op->contrast > 0)
            add_contrast(list, draw->contrast);
        else if (draw->order[i] == 2 && op->saturation > 0)
            add_colour(list, STEP_SATURATION, draw->saturation);
        else if (draw->order[i] == 3 && op->hue > 0)
            add_colour(list, STEP_HUE, (uint8_t)(int)(draw->hue * 255));
    }
}

/* The kernel multiplies by two numbers of 12 bits each instead of the factor: those products are exact. */
static void append_factor(rt_view_tables *tables, float factor) {
    uint32_t bits;
    float high;
    memcpy(&bits, &factor, sizeof bits);
    bits &= 0xfffff000;
    memcpy(&high, &bits, sizeof high);
    tables->factors[tables->factor_count++] = high;
    tables->factors[tables->factor_count++] = factor - high;
}

static void write_colours(rt_view_tables *tables, const colour_list *list) {
    int32_t *block = tables->numbers + tables->number_count;
    *block++ = tables->factor_count;
    for (int i = 0; i < list->contrast_count; i++)
        *block++ = list->ends[i];
    *block++ = list->count;
    for (int i = 0; i < list->count; i++)
        *block++ = list->kinds[i];
    tables->number_count = (int32_t)(block - tables->numbers);
    for (int i = 0; i < list->contrast_count; i++)
        append_factor(tables, list->contrasts[i]);
    for (int i = 0; i < list->count; i++)
        append_factor(tables, list->factors[i]);
}

static void colours_write(rt_view_tables *tables, const rt_view *view, const rt_augment_draw *draws, int first,
                          int end) {
    colour_list list = {.count = 0};
    for (int i = first; i < end; i++) {
        if (view->ops[i].kind == RT_COLOR_JITTER)
            add_jitter(&list, &view->ops[i], &draws[i]);
        else if (view->ops[i].kind == RT_GRAYSCALE && draws[i].apply)
            add_colour(&list, STEP_SATURATION, 0);
    }
    write_colours(tables, &list);
}

/* ---- blurs ---- */

static int rows_start(int reach) {
    return (reach + RT_VIEW_PITCH - 1) / RT_VIEW_PITCH * RT_VIEW_PITCH;
}

static int rows_plane(int width, int reach) {
    return rt_view_pitch(width) + 2 * rows_start(reach);
}

static void append_weights(rt_view_tables *tables, int reach, double sigma) {
    float *weights = tables->factors + tables->factor_count, total = 0;
    int taps = 2 * reach + 1;
    for (int i = 0; i < taps; i++) {
        double x = (i - reach) / sigma;
        weights[i] = reach ? (float)exp(-0.5 * x * x) : 1;
        total += weights[i];
    }
    for (int i = 0; i < taps; i++)
        weights[i] /= total;
    tables->factor_count += taps;
}

/* A blur that is not applied reaches nowhere. */
static void blur_write(rt_view_tables *tables, const rt_augment_op *op, const rt_augment_draw *draw, rt_size size) {
    int reach = draw->apply ? op->kernel / 2 : 0, pitch = rt_view_pitch(size.width);
    int32_t rows = tables->sample_count, columns = rows + size.height + 2 * reach, *samples = tables->samples;
    for (int y = -reach; y < size.height + reach; y++)
        samples[rows + reach + y] = rt_mirrored(y, size.height) * pitch;
    for (int i = 0; i < reach; i++) {
        samples[columns + i] = rt_mirrored(i - reach, size.width);
        samples[columns + reach + i] = rt_mirrored(size.width + i, size.width);
    }
    const int32_t block[] = {
        reach,       tables->factor_count, rows, columns, rows_plane(size.width, reach), rows_start(reach),
        size.height, size.width,           pitch};
    memcpy(tables->numbers + tables->number_count, block, sizeof block);
    tables->number_count += sizeof block / sizeof *block;
    tables->sample_count = columns + 2 * reach;
    append_weights(tables, reach, draw->sigma);
}

/* ---- all stages ---- */

static int stage_count(const rt_view *view) {
    int count = 1;
    for (int at = colour_end(view, sampling_end(view, 0)); at < view->op_count; count++)
        at = colour_end(view, view->ops[at].kind == RT_GAUSSIAN_BLUR ? at + 1 : sampling_end(view, at));
    return count;
}

void rt_view_tables_fill(rt_view_tables *tables, const rt_view *view, const rt_augment_draw *draws, rt_size size) {
    int at = 0, stages = stage_count(view), pitch = size.width;
    tables->number_count = 2 * stages;
    tables->sample_count = tables->factor_count = 0;
    for (int stage = 0; stage < stages; stage++) {
        tables->numbers[2 * stage] = tables->number_count;
        if (stage > 0 && view->ops[at].kind == RT_GAUSSIAN_BLUR) {
            blur_write(tables, &view->ops[at], &draws[at], size);
            at++;
        } else {
            int end = sampling_end(view, at);
            size = rt_sampling_write(tables, view->ops + at, draws + at, end - at, size, pitch);
            at = end;
        }
        pitch = rt_view_pitch(size.width);
        tables->numbers[2 * stage + 1] = tables->number_count;
        int end = colour_end(view, at);
        colours_write(tables, view, draws, at, end);
        at = end;
    }
}

/* ---- room ---- */

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Raises the room by what one step may need on a picture of up to this size, and follows the size, its largest and the
 * taps of the last resize: moves behind it pick among its filters, also where they make the picture larger. */
static void add_room(rt_view_room *room, const rt_augment_op *op, int64_t size[2], int64_t most[2], int64_t taps[2]) {
    rt_size after = rt_size_after(op, (rt_size){(int)size[0], (int)size[1]});
    int64_t out[2] = {after.height, after.width};
    int reach = op->kind == RT_GAUSSIAN_BLUR ? op->kernel / 2 : 0;
    room->numbers += 32;
    room->factors += 16 + 2 * reach + 1;
    room->rows = larger(room->rows, 3 * rows_plane((int)out[1], reach) + RT_VIEW_PITCH);
    for (int side = 0; side < 2; side++) {
        if (rt_resizes(op))
            taps[side] = rt_filter_taps(size[side], out[side], op->interpolation);
        room->samples += 2 * taps[side] * rt_view_pitch((int)out[side]) + out[side] + 4 * reach;
        room->work[side] += (3 + taps[side]) * out[side];
        size[side] = out[side];
        most[side] = larger(most[side], out[side]);
    }
}

rt_view_room rt_view_room_for(const rt_view *view, int64_t height, int64_t width) {
    int64_t size[2] = {height, width}, most[2] = {height, width}, taps[2] = {1, 1};
    rt_view_room room = {.row = width + RT_VIEW_PITCH};
    const rt_augment_op nothing = {.kind = RT_NORMALIZE};
    add_room(&room, &nothing, size, most, taps);
    for (int i = 0; i < view->op_count; i++)
        add_room(&room, &view->ops[i], size, most, taps);
    room.pixels = most[0] * rt_view_pitch((int)most[1]);
    return room;
}
