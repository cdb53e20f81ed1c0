/* Matrices rearranged into panels: the columns of one register tile lie together, row after row, so that a product
 * reads them in order. Read in place, rows a power of two apart crowd a few sets of the caches. */
#include "passes/lower_pairs.h"
#include "passes/transpose.h"

typedef struct {
    const panel_matrix *matrix;
    int source, target, lanes;
    int64_t rows;         /* of a batch */
    int64_t rows_at_once; /* columns far apart: the neighbours of each in as many rows are read while they are near */
    kir_index from, to;   /* of the first row; `to` is the batch's first element */
    kir_index row;
    int64_t part;    /* in pairs: elements between the parts, */
    int64_t second;  /* from a number to the other of its pair in the source, */
    kir_index inner; /* and the number of the pair, */
    kir_reg end;     /* which has another below this; -1: all have */
} panel_copy;

static kir_reg load_numbers(const kir_builder *builder, const panel_copy *copy, kir_index from, int count) {
    int64_t stride = copy->matrix->column_stride;
    return stride == 1 ? kir_load(builder, copy->source, from, copy->lanes, count)
                       : kir_load_strided(builder, copy->source, from, copy->lanes, count, stride);
}

/* The last pair of an odd number has 0 in place of the other. */
static void store_pairs(const kir_builder *builder, const panel_copy *copy, kir_index from, kir_index to,
                        kir_index pair, int count) {
    kir_reg first = load_numbers(builder, copy, from, count);
    kir_type type = kir_vector_type(KIR_F32, copy->lanes);
    kir_builder body = *builder;
    kir_reg second = kir_register(builder, type);
    if (copy->end >= 0) {
        kir_assign(builder, second, kir_number(builder, type, 0));
        kir_if(builder, kir_op2(builder, KIR_less, kir_value(builder, pair), copy->end), &body, NULL);
    }
    from.base += copy->second;
    kir_assign(&body, second, load_numbers(&body, copy, from, count));
    pair_store_parts(builder, copy->matrix->parts, copy->target, to, copy->part, first, second, count);
}

/* A vector of columns of as many rows, which the source has innermost. */
static void copy_square(const kir_builder *builder, const panel_copy *copy, kir_index from, kir_index to, int64_t row) {
    transpose_square source = {copy->source, from, copy->matrix->column_stride}, target = {copy->target, to, row};
    transpose_copy(builder, &target, &source, copy->lanes);
}

/* The part of the row that belongs to one panel. */
static void emit_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    panel_copy *copy = user;
    const panel_matrix *matrix = copy->matrix;
    kir_index to = kir_plus_index(kir_plus_index(copy->to, copy->rows, first), size, copy->row);
    kir_index from = kir_plus_index(copy->from, matrix->column_stride, first);
    for (int64_t column = 0; column < size; column += copy->lanes) {
        int count = (int)(size - column < copy->lanes ? size - column : copy->lanes);
        kir_builder body = *builder;
        kir_index here = from, there = to, pair = copy->inner;
        bool few = copy->rows_at_once > 1;
        bool square = few && count == copy->lanes && matrix->inner_stride == 1 && matrix->parts == 0;
        if (few && !square) {
            kir_reg row = kir_loop(builder, kir_at(0), kir_at(copy->rows_at_once), 1, &body);
            here = kir_plus(here, matrix->inner_stride, row);
            there = kir_plus(there, size, row);
            pair = kir_plus(pair, 1, row);
        }
        if (square)
            copy_square(&body, copy, here, there, size);
        else if (matrix->parts > 0)
            store_pairs(&body, copy, here, there, pair, count);
        else
            kir_store(&body, copy->target, there, load_numbers(&body, copy, here, count), count);
        from.base += copy->lanes * matrix->column_stride;
        to.base += copy->lanes;
    }
}

/* Rows of a matrix's inner axis, pairs counting as one. */
static int64_t inner_rows(const panel_matrix *matrix) {
    return matrix->parts > 0 ? (matrix->inner + 1) / 2 : matrix->inner;
}

/* What the iteration copies: one row, or a few. */
static void find_rows(const kir_builder *builder, panel_copy *copy) {
    const panel_matrix *matrix = copy->matrix;
    int64_t rows = inner_rows(matrix);
    kir_index batch = kir_at(0), outer = kir_at(0);
    copy->row = kir_plus(kir_at(0), copy->rows_at_once, 0);
    if (matrix->batch > 1) {
        batch = copy->row;
        copy->row = lower_take_digit(builder, &batch, copy->rows);
    }
    copy->inner = copy->row;
    if (matrix->outer > 1) {
        outer = copy->row;
        copy->inner = lower_take_digit(builder, &outer, rows);
    }
    copy->second = rows * matrix->inner_stride;
    copy->end = -1;
    if (matrix->parts > 0 && matrix->inner % 2 != 0)
        copy->end = kir_value(builder, kir_at(rows - 1));
    copy->from = kir_plus_index(kir_plus_index(kir_at(0), matrix->batch_stride, batch), matrix->outer_stride, outer);
    copy->from = kir_plus_index(copy->from, matrix->inner_stride, copy->inner);
    copy->to = kir_plus_index(kir_at(0), copy->rows * matrix->columns, batch);
}

int lower_pack_panels(lower_context *context, const panel_matrix *matrix, int buffer, int64_t source_elements,
                      source_span span) {
    arena *memory = context->memory;
    panel_copy copy = {.matrix = matrix, .lanes = context->pass->target.lanes};
    copy.rows = matrix->outer * inner_rows(matrix);
    copy.part = matrix->batch * copy.rows * matrix->columns;
    copy.rows_at_once = matrix->column_stride != 1 && inner_rows(matrix) % copy.lanes == 0 ? copy.lanes : 1;
    kir_element element = matrix->parts > 0 ? KIR_I32 : KIR_F32;
    int64_t elements = matrix->parts > 0 ? matrix->parts * copy.part : copy.part;
    kir_kernel *kernel = kir_kernel_new(memory, "panels", span);
    copy.source = kir_argument_add(memory, kernel, "matrix", KIR_F32, source_elements, true, false);
    copy.target = kir_argument_add(memory, kernel, "panels", element, elements, false, true);
    kir_builder builder = {memory, kernel, &kernel->body, span};
    find_rows(&builder, &copy);
    tile_blocks(&builder, matrix->columns, matrix->panel, emit_panel, &copy);
    int panels = lower_temporary(context, "panels", element, elements, span);
    lower_launch(context, kernel, matrix->batch * copy.rows / copy.rows_at_once, (int[]){buffer, panels}, span);
    return panels;
}
