/* Where the pixels of a view come from: samplings, which are crops, resizes, flips and moves in one, and blurs.
 *
 * A sampling is separable. Its tables name, for every column and then for every row of the result, the pixels that it
 * is made of and their weights in 22-bit fixed point; between the two passes stand 8 bits, as in the Python Imaging
 * Library, so that the results are the same to the bit. */
#include "passes/lower_views.h"

enum { FILTER_BITS = 22 };

/* Places in the block of a sampling, and in that of a blur. */
enum {
    SAMPLE_TOP, /* the part of the picture before it that it reads */
    SAMPLE_LEFT,
    SAMPLE_ROWS,
    SAMPLE_COLUMNS,
    SAMPLE_PITCH,       /* pixels from row to row there */
    SAMPLE_ACROSS_TAPS, /* pixels of a row that make one */
    SAMPLE_DOWN_TAPS,
    SAMPLE_ACROSS, /* in the samples: [taps][pitch] columns, then [taps][pitch] weights */
    SAMPLE_DOWN,   /* [height][taps] pairs of a row's first pixel and a weight */
    SAMPLE_HEIGHT, /* of the result */
    SAMPLE_WIDTH,
    SAMPLE_OUT_PITCH,
};
enum {
    BLUR_REACH,   /* pixels on each side */
    BLUR_WEIGHTS, /* in the factors */
    BLUR_ROWS,    /* in the samples: the first pixel of rows -reach … height + reach - 1, mirrored */
    BLUR_COLUMNS, /* in the samples: columns -reach … -1, then width … width + reach - 1, mirrored */
    BLUR_PLANE,   /* from channel to channel of the row in work, and where its first column lies */
    BLUR_START,
    BLUR_HEIGHT,
    BLUR_WIDTH,
    BLUR_PITCH,
};

static kir_index index_of(kir_reg reg) {
    return kir_plus(kir_at(0), 1, reg);
}

static kir_index sum_of(kir_reg a, kir_reg b) {
    return kir_plus(index_of(a), 1, b);
}

/* The size of a stage's picture: numbers where they are known, else from its block. */
static void find_size(const kir_builder *b, const view_stage *stage, int height, view_source *from) {
    if (stage->sized) {
        from->height = kir_at(stage->height);
        from->width = kir_at(stage->width);
        from->pitch = kir_at((stage->width + VIEW_PITCH - 1) / VIEW_PITCH * VIEW_PITCH);
        return;
    }
    from->height = index_of(view_number(b, from->block, height));
    from->width = index_of(view_number(b, from->block, height + 1));
    from->pitch = index_of(view_number(b, from->block, height + 2));
}

/* ---- sums of weighted pixels, in fixed point ---- */

static void start_sums(const kir_builder *b, const view_writer *w, kir_reg sums[3]) {
    for (int c = 0; c < 3; c++) {
        sums[c] = kir_register(b, kir_vector_type(KIR_I32, w->lanes));
        kir_assign(b, sums[c], view_whole(b, w, 1 << (FILTER_BITS - 1)));
    }
}

static void add_weighted(const kir_builder *b, const view_writer *w, const kir_reg sums[3], kir_reg packed,
                         kir_reg weight) {
    for (int c = 0; c < 3; c++) {
        kir_reg product = kir_op2(b, KIR_mul, view_unpack(b, packed, c, w->lanes), weight);
        kir_into(b, sums[c], KIR_add, sums[c], product, -1);
    }
}

static void finish_sums(const kir_builder *b, const view_writer *w, kir_reg sums[3]) {
    for (int c = 0; c < 3; c++) {
        kir_reg value = kir_op2(b, KIR_shift_right, sums[c], view_whole(b, w, FILTER_BITS));
        value = kir_op2(b, KIR_max, value, view_whole(b, w, 0));
        sums[c] = kir_op2(b, KIR_min, value, view_whole(b, w, 255));
    }
}

/* ---- across ---- */

/* Packs `lanes` pixels of the source from column `x` of the part on; `start` is the part's first byte in this row. */
static void pack_pixels(const kir_builder *b, kir_reg start, kir_reg x, int lanes) {
    kir_reg channels[3];
    for (int c = 0; c < 3; c++) {
        kir_index place = kir_plus(kir_plus(kir_at(c), 1, start), 3, x);
        kir_reg bytes = lanes > 1 ? kir_load_strided(b, VIEW_SOURCE, place, lanes, lanes, 3)
                                  : kir_load(b, VIEW_SOURCE, place, 1, 1);
        channels[c] = kir_convert(b, bytes, KIR_I32);
    }
    kir_store(b, VIEW_ROW, index_of(x), view_pack(b, channels, lanes), lanes);
}

/* Row `start` of the source's part into the row in work. The last vector ends where the part does. */
static void pack_row(const kir_builder *b, const view_writer *w, kir_reg start, kir_reg columns) {
    kir_builder wide, narrow, body;
    kir_reg fits = kir_op2(b, KIR_less_equal, kir_value(b, kir_at(w->lanes)), columns);
    kir_if(b, fits, &wide, &narrow);
    kir_reg x = kir_loop(&wide, kir_at(0), index_of(columns), w->lanes, &body);
    kir_reg last = kir_value(&body, kir_plus(kir_at(-w->lanes), 1, columns));
    pack_pixels(&body, start, kir_op2(&body, KIR_min, x, last), w->lanes);
    x = kir_loop(&narrow, kir_at(0), index_of(columns), 1, &body);
    pack_pixels(&body, start, x, 1);
}

/* One vector of a row of the narrowed picture: columns x … from `row` on in argument `from`. */
static void sample_vector(const kir_builder *b, const view_writer *w, const view_source *to, int from, kir_reg row,
                          kir_reg x, kir_reg narrow_row) {
    kir_reg sums[3], taps = view_number(b, to->block, SAMPLE_ACROSS_TAPS), pitch = kir_value(b, to->pitch);
    kir_reg table = view_number(b, to->block, SAMPLE_ACROSS), all = kir_op2(b, KIR_mul, taps, pitch);
    kir_builder body;
    start_sums(b, w, sums);
    kir_reg tap = kir_loop(b, kir_at(0), index_of(taps), 1, &body);
    kir_index place = kir_plus(sum_of(table, x), 1, kir_op2(&body, KIR_mul, tap, pitch));
    kir_reg columns = kir_load(&body, VIEW_SAMPLES, place, w->lanes, w->lanes);
    kir_reg weights = kir_load(&body, VIEW_SAMPLES, kir_plus(place, 1, all), w->lanes, w->lanes);
    add_weighted(&body, w, sums, kir_load_indexed(&body, from, index_of(row), columns, w->lanes), weights);
    finish_sums(b, w, sums);
    kir_store(b, w->other, sum_of(narrow_row, x), view_pack(b, sums, w->lanes), w->lanes);
}

void view_sample_prepare(const kir_builder *b, view_writer *w, int stage, view_source *from) {
    from->block = view_block(b, stage, 0);
    find_size(b, &w->plan->stages[stage], SAMPLE_HEIGHT, from);
    kir_reg top = view_number(b, from->block, SAMPLE_TOP), left = view_number(b, from->block, SAMPLE_LEFT);
    kir_reg pitch = view_number(b, from->block, SAMPLE_PITCH);
    kir_reg columns = stage == 0 ? view_number(b, from->block, SAMPLE_COLUMNS) : -1;
    kir_builder rows, body;
    kir_reg y = kir_loop(b, kir_at(0), index_of(view_number(b, from->block, SAMPLE_ROWS)), 1, &rows);
    kir_reg place = kir_op2(&rows, KIR_mul, kir_value(&rows, sum_of(top, y)), pitch);
    kir_reg row = kir_value(&rows, sum_of(place, left));
    if (stage == 0) {
        pack_row(&rows, w, kir_value(&rows, kir_plus(kir_at(0), 3, row)), columns);
        row = kir_value(&rows, kir_at(0));
    }
    kir_reg narrow_row = kir_op2(&rows, KIR_mul, y, kir_value(&rows, from->pitch));
    kir_reg x = kir_loop(&rows, kir_at(0), from->width, w->lanes, &body);
    sample_vector(&body, w, from, stage == 0 ? VIEW_ROW : w->current, row, x, narrow_row);
    from->taps = view_number(b, from->block, SAMPLE_DOWN_TAPS);
    from->table = view_number(b, from->block, SAMPLE_DOWN);
}

/* ---- down ---- */

void view_sample_begin_row(const kir_builder *b, const view_writer *w, view_source *from, kir_reg y) {
    (void)w;
    kir_reg first = kir_op2(b, KIR_mul, y, from->taps);
    from->row = kir_value(b, kir_plus(index_of(from->table), 2, first));
}

view_pixels view_sample_pixels(const kir_builder *b, const view_writer *w, const view_source *from, kir_reg x) {
    view_pixels pixels;
    kir_reg sums[3];
    kir_builder body;
    start_sums(b, w, sums);
    kir_reg tap = kir_loop(b, kir_at(0), index_of(from->taps), 1, &body);
    kir_index place = kir_plus(index_of(from->row), 2, tap);
    kir_reg row = kir_convert(&body, kir_load(&body, VIEW_SAMPLES, place, 1, 1), KIR_I64);
    kir_reg weight = kir_load(&body, VIEW_SAMPLES, kir_plus_index(kir_at(1), 1, place), 1, 1);
    kir_reg packed = kir_load(&body, w->other, sum_of(row, x), w->lanes, w->lanes);
    add_weighted(&body, w, sums, packed, kir_splat(&body, weight, w->lanes));
    finish_sums(b, w, sums);
    for (int c = 0; c < 3; c++)
        pixels.channel[c] = kir_convert(b, sums[c], KIR_F32);
    return pixels;
}

/* ---- blurs: down into the row in work, then across ---- */

void view_blur_prepare(const kir_builder *b, view_writer *w, int stage, view_source *from) {
    int kept = w->current;
    w->current = w->other;
    w->other = kept; /* the picture before it */
    from->block = view_block(b, stage, 0);
    find_size(b, &w->plan->stages[stage], BLUR_HEIGHT, from);
    from->taps = kir_value(b, kir_plus(kir_at(1), 2, view_number(b, from->block, BLUR_REACH)));
    from->table = view_number(b, from->block, BLUR_WEIGHTS);
}

static void start_reals(const kir_builder *b, const view_writer *w, kir_reg sums[3]) {
    for (int c = 0; c < 3; c++) {
        sums[c] = kir_register(b, kir_vector_type(KIR_F32, w->lanes));
        kir_assign(b, sums[c], view_real(b, w, 0));
    }
}

static kir_reg weight_of(const kir_builder *b, const view_writer *w, const view_source *from, kir_reg tap) {
    return kir_splat(b, kir_load(b, VIEW_FACTORS, sum_of(from->table, tap), 1, 1), w->lanes);
}

/* Column x of channel c in the row in work. */
static kir_index place_in_row(const kir_builder *b, const view_source *from, int c, kir_reg x) {
    kir_index place = kir_at(0);
    if (c > 0)
        place = kir_plus(place, c, view_number(b, from->block, BLUR_PLANE));
    return kir_plus(kir_plus(place, 1, view_number(b, from->block, BLUR_START)), 1, x);
}

static void blur_down(const kir_builder *b, const view_writer *w, const view_source *from, kir_reg y, kir_reg x) {
    kir_reg sums[3];
    kir_builder body;
    start_reals(b, w, sums);
    kir_reg tap = kir_loop(b, kir_at(0), index_of(from->taps), 1, &body);
    kir_index place = kir_plus(sum_of(y, tap), 1, view_number(&body, from->block, BLUR_ROWS));
    kir_reg row = kir_convert(&body, kir_load(&body, VIEW_SAMPLES, place, 1, 1), KIR_I64);
    kir_reg packed = kir_load(&body, w->other, sum_of(row, x), w->lanes, w->lanes);
    kir_reg weight = weight_of(&body, w, from, tap);
    for (int c = 0; c < 3; c++) {
        kir_reg value = kir_convert(&body, view_unpack(&body, packed, c, w->lanes), KIR_F32);
        kir_into(&body, sums[c], KIR_add, sums[c], kir_op2(&body, KIR_mul, weight, value), -1);
    }
    for (int c = 0; c < 3; c++)
        kir_store(b, VIEW_ROWS, place_in_row(b, from, c, x), sums[c], w->lanes);
}

/* Column `column` of the row in work takes the mirrored one that the table names at `place`. */
static void mirror_column(const kir_builder *b, const view_source *from, kir_index place, kir_index column) {
    kir_reg mirrored = kir_convert(b, kir_load(b, VIEW_SAMPLES, place, 1, 1), KIR_I64);
    kir_reg to = kir_value(b, column);
    for (int c = 0; c < 3; c++)
        kir_store(b, VIEW_ROWS, place_in_row(b, from, c, to),
                  kir_load(b, VIEW_ROWS, place_in_row(b, from, c, mirrored), 1, 1), 1);
}

void view_blur_begin_row(const kir_builder *b, const view_writer *w, view_source *from, kir_reg y) {
    kir_builder body;
    kir_reg x = kir_loop(b, kir_at(0), from->width, w->lanes, &body);
    blur_down(&body, w, from, y, x);
    kir_reg reach = view_number(b, from->block, BLUR_REACH), columns = view_number(b, from->block, BLUR_COLUMNS);
    kir_reg i = kir_loop(b, kir_at(0), index_of(reach), 1, &body);
    mirror_column(&body, from, sum_of(columns, i), kir_plus(index_of(i), -1, reach));
    mirror_column(&body, from, kir_plus(sum_of(columns, i), 1, reach), kir_plus(from->width, 1, i));
}

view_pixels view_blur_pixels(const kir_builder *b, const view_writer *w, const view_source *from, kir_reg x) {
    view_pixels pixels;
    kir_reg sums[3], reach = view_number(b, from->block, BLUR_REACH);
    kir_builder body;
    start_reals(b, w, sums);
    kir_reg tap = kir_loop(b, kir_at(0), index_of(from->taps), 1, &body);
    kir_reg first = kir_value(&body, kir_plus(sum_of(x, tap), -1, reach)), weight = weight_of(&body, w, from, tap);
    for (int c = 0; c < 3; c++) {
        kir_reg value = kir_load(&body, VIEW_ROWS, place_in_row(&body, from, c, first), w->lanes, w->lanes);
        kir_into(&body, sums[c], KIR_add, sums[c], kir_op2(&body, KIR_mul, weight, value), -1);
    }
    for (int c = 0; c < 3; c++)
        pixels.channel[c] = kir_op1(b, KIR_floor, kir_op2(b, KIR_add, sums[c], view_real(b, w, 0.5)));
    return pixels;
}
