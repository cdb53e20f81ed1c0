/* Steps that move pixels, as one table for the columns and one for the rows. */
#include "runtime/augment_tables.h"

#include "runtime/resample.h"

#include <math.h>
#include <string.h>

/* One axis: out of `size` places, each of which shows places of the source by way of up to three tables in a row:
 * `after` picks among the filters of `bank`, whose inputs are picked by `before`. A place that shows nothing is -1. */
typedef struct {
    int size;        /* so far */
    int begin, part; /* of the source: what is read */
    int *before, *after;
    rt_filter_bank bank;
    int has_before, has_after, has_bank;
    int *free; /* working memory */
} axis;

/* A step that shows place from(i) of an axis at i. */
typedef struct {
    enum { FLIP, TRANSLATE, CROP } kind;
    int by; /* pixels, for the latter two */
} move;

static int moved_place(move how, int place, int size) {
    switch (how.kind) {
    case FLIP: return size - 1 - place;
    case TRANSLATE: return rt_mirrored(place + how.by, size);
    default: place += how.by; return place >= 0 && place < size ? place : -1;
    }
}

static int *take(axis *a, int count) {
    int *taken = a->free;
    a->free += count;
    return taken;
}

static void apply_move(axis *a, move how, int out_size) {
    int *old = a->has_bank ? a->after : a->before, known = a->has_bank ? a->has_after : a->has_before;
    int *picked = take(a, out_size);
    for (int i = 0; i < out_size; i++) {
        int place = moved_place(how, i, a->size);
        picked[i] = known && place >= 0 ? old[place] : place;
    }
    if (a->has_bank) {
        a->after = picked;
        a->has_after = 1;
    } else {
        a->before = picked;
        a->has_before = 1;
    }
    a->size = out_size;
}

/* The places first … first + part - 1 become `out_size`. */
static void apply_resize(axis *a, int first, int part, int out_size, rt_interpolation interpolation) {
    if (a->has_before) {
        a->before += first;
    } else {
        a->begin = first;
        a->part = part;
    }
    a->size = out_size;
    if (part == out_size)
        return; /* all weights but one would be 0 */
    a->has_bank = 1;
    a->bank.ranges = (rt_tap_range *)take(a, 3 * out_size);
    a->bank.weights = take(a, out_size * (int)rt_filter_taps(part, out_size, interpolation));
    rt_filter_make(&a->bank, part, out_size, interpolation);
}

/* ---- steps on both axes ---- */

int rt_middle_of(int size, int part) {
    return part <= size ? (int)lrint((size - part) / 2.0) : -((part - size) / 2);
}

static void apply_step(axis *down, axis *across, const rt_augment_op *op, const rt_augment_draw *draw) {
    switch (op->kind) {
    case RT_RESIZE:
        apply_resize(down, 0, down->size, op->size[0], op->interpolation);
        apply_resize(across, 0, across->size, op->size[1], op->interpolation);
        break;
    case RT_RANDOM_RESIZED_CROP:
        apply_resize(down, draw->top, draw->height, op->size[0], op->interpolation);
        apply_resize(across, draw->left, draw->width, op->size[1], op->interpolation);
        break;
    case RT_CENTER_CROP:
        apply_move(down, (move){CROP, rt_middle_of(down->size, op->size[0])}, op->size[0]);
        apply_move(across, (move){CROP, rt_middle_of(across->size, op->size[1])}, op->size[1]);
        break;
    case RT_RANDOM_CROP:
        apply_move(down, (move){CROP, draw->top}, op->size[0]);
        apply_move(across, (move){CROP, draw->left}, op->size[1]);
        break;
    case RT_RANDOM_TRANSLATE:
        apply_move(down, (move){TRANSLATE, draw->dy}, down->size);
        apply_move(across, (move){TRANSLATE, draw->dx}, across->size);
        break;
    default: apply_move(across, (move){FLIP, 0}, across->size);
    }
}

/* ---- tables ---- */

static int tap_count(const axis *a) {
    return a->has_bank ? a->bank.taps : 1;
}

/* Tap `tap` of place `i`: a place of the source's part and its weight. */
static void find_tap(const axis *a, int i, int tap, int32_t *place, int32_t *weight) {
    int found = a->has_after ? a->after[i] : i;
    *place = *weight = 0;
    if (found < 0)
        return;
    int32_t share = 1 << RT_FILTER_BITS;
    if (a->has_bank) {
        rt_tap_range range = a->bank.ranges[found];
        if (tap >= range.count)
            return;
        found = range.first + tap;
        share = a->bank.weights[range.offset + tap];
    }
    found = a->has_before ? a->before[found] : found;
    if (found < 0)
        return;
    *place = found;
    *weight = share;
}

/* [taps][pitch] columns, then [taps][pitch] weights. */
static void write_across(const axis *a, int32_t *samples, int pitch) {
    int taps = tap_count(a);
    memset(samples, 0, (size_t)(2 * taps * pitch) * sizeof *samples);
    for (int tap = 0; tap < taps; tap++)
        for (int x = 0; x < a->size; x++)
            find_tap(a, x, tap, &samples[tap * pitch + x], &samples[(taps + tap) * pitch + x]);
}

/* [height][taps] pairs of a row's first pixel and its weight. */
static void write_down(const axis *a, int32_t *samples, int pitch) {
    int taps = tap_count(a);
    for (int y = 0; y < a->size; y++)
        for (int tap = 0; tap < taps; tap++, samples += 2) {
            find_tap(a, y, tap, &samples[0], &samples[1]);
            samples[0] *= pitch;
        }
}

rt_size rt_sampling_write(rt_view_tables *tables, const rt_augment_op *ops, const rt_augment_draw *draws, int count,
                          rt_size size, int pitch) {
    axis down = {.size = size.height, .part = size.height, .free = tables->work[0]};
    axis across = {.size = size.width, .part = size.width, .free = tables->work[1]};
    for (int i = 0; i < count; i++)
        if (draws[i].apply && rt_samples(&ops[i]))
            apply_step(&down, &across, &ops[i], &draws[i]);
    int out_pitch = rt_view_pitch(across.size);
    int32_t *samples = tables->samples + tables->sample_count;
    int32_t across_at = tables->sample_count, down_at = across_at + 2 * tap_count(&across) * out_pitch;
    write_across(&across, samples, out_pitch);
    write_down(&down, tables->samples + down_at, out_pitch);
    tables->sample_count = down_at + 2 * tap_count(&down) * down.size;
    const int32_t block[] = {down.begin,       across.begin, down.part, across.part, pitch,       tap_count(&across),
                             tap_count(&down), across_at,    down_at,   down.size,   across.size, out_pitch};
    memcpy(tables->numbers + tables->number_count, block, sizeof block);
    tables->number_count += sizeof block / sizeof *block;
    return (rt_size){down.size, across.size};
}
