/* Shared by the files of the `lower-views` pass: how the augmentations of a view become one kernel.
 *
 * The kernel makes one picture of a view. What is random about it is drawn beforehand and comes in tables, which
 * docs/kernel-ir.md describes (the runtime fills them in augment_tables.c). The steps are cut into stages: a stage
 * takes pixels from somewhere (a sampling of the picture before it, or a blur) and changes their colours. Between
 * stages a picture has its pixels in 32 bits each, red lowest, and rows whose pitch is a multiple of VIEW_PITCH. */
#ifndef PASSES_LOWER_VIEWS_H
#define PASSES_LOWER_VIEWS_H

#include "passes/pass.h"

enum { VIEW_PITCH = 16 };

/* The kernel's arguments in order. */
enum {
    VIEW_SOURCE,  /* u8: rows of red, green, blue */
    VIEW_NUMBERS, /* i32 */
    VIEW_FACTORS, /* f32 */
    VIEW_SAMPLES, /* i32: tables of places and weights */
    VIEW_FIRST,   /* i32: two pictures */
    VIEW_SECOND,
    VIEW_ROW,  /* i32: one row of the source */
    VIEW_ROWS, /* f32: one row a channel, with room for the borders of a blur */
    VIEW_OUT   /* f32 */
};

/* Which colour steps stand in a stage. */
enum { VIEW_BRIGHTNESS = 1, VIEW_SATURATION = 2, VIEW_HUE = 4 };

typedef struct {
    bool blur;             /* else a sampling */
    bool resizes;          /* a sampling that takes no second resize */
    bool coloured;         /* has colour steps, whatever they come to */
    bool sized;            /* height and width are known */
    int64_t height, width; /* of the stage's picture */
    int contrasts;         /* of the stage, each of which cuts its colour steps in two */
    int steps;             /* a set of VIEW_BRIGHTNESS … */
} view_stage;

typedef struct {
    const ir_view *view;
    view_stage *stages;
    int stage_count, stage_capacity;
    double scale[3], offset[3]; /* of the last store, from 0 .. 255 */
    int64_t strides[3];         /* of the result: channel, row, column */
} view_plan;

/* Reads the view's steps; its strides stay those of a dense picture. */
view_plan *view_plan_make(arena *memory, const ir_view *view);

typedef struct {
    const view_plan *plan;
    int lanes;
    int current, other; /* VIEW_FIRST and VIEW_SECOND, or the other way round */
} view_writer;

/* Red, green and blue of neighbouring pixels: f32 vectors of whole numbers in 0 .. 255. */
typedef struct {
    kir_reg channel[3];
} view_pixels;

/* One of the stage's blocks of numbers: 0 is that of the sampling or blur, 1 that of its colour steps. */
kir_reg view_block(const kir_builder *b, int stage, int which);
/* An i64 from such a block. */
kir_reg view_number(const kir_builder *b, kir_reg block, int64_t place);
/* The number `n` in every lane. */
kir_reg view_whole(const kir_builder *b, const view_writer *w, double n);
kir_reg view_real(const kir_builder *b, const view_writer *w, double n);
/* A channel of packed pixels as i32, and back. */
kir_reg view_unpack(const kir_builder *b, kir_reg packed, int channel, int lanes);
kir_reg view_pack(const kir_builder *b, const kir_reg channel[3], int lanes);

/* ---- view_sample.c: where pixels come from. `prepare` emits what precedes the rows; `begin_row` what a row needs;
 * `pixels` gives those at columns x … of row y. */
typedef struct {
    kir_index height, width, pitch; /* of the stage's picture */
    kir_reg block;                  /* of its sampling or blur */
    kir_reg taps, table, row;       /* of one row: where its samples begin */
} view_source;

void view_sample_prepare(const kir_builder *b, view_writer *w, int stage, view_source *from);
void view_sample_begin_row(const kir_builder *b, const view_writer *w, view_source *from, kir_reg y);
view_pixels view_sample_pixels(const kir_builder *b, const view_writer *w, const view_source *from, kir_reg x);
void view_blur_prepare(const kir_builder *b, view_writer *w, int stage, view_source *from);
void view_blur_begin_row(const kir_builder *b, const view_writer *w, view_source *from, kir_reg y);
view_pixels view_blur_pixels(const kir_builder *b, const view_writer *w, const view_source *from, kir_reg x);

/* ---- view_color.c: what changes them, in place. */
kir_reg view_luma(const kir_builder *b, const view_writer *w, const view_pixels *pixels);
/* The contrast before segment `segment` of the colour steps, towards the mean. */
void view_contrast(const kir_builder *b, const view_writer *w, int stage, int segment, kir_reg mean,
                   view_pixels *pixels);
/* The steps of a segment, as the tables list them. */
void view_steps(const kir_builder *b, const view_writer *w, int stage, int segment, view_pixels *pixels);

#endif
