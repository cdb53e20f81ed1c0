/* Matrices rearranged into panels: the columns of one register tile lie together, row after row, so that a product
 * reads them in order. Read in place, rows a power of two apart crowd a few sets of the caches. */
#include "passes/lower_contraction.h"

typedef struct {
    const panel_matrix *matrix;
    int source, target, lanes;
    int64_t rows_at_once; /* columns far apart: the neighbours of each in as many rows are read while they are near */
    kir_index from, to;   /* of the first row; `to` is the batch's first element */
    kir_index row;
} panel_copy;

/* The part of the row that belongs to one panel. */
static void emit_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    panel_copy *copy = user;
    const panel_matrix *matrix = copy->matrix;
    int64_t rows = matrix->outer * matrix->inner;
    kir_index to = kir_plus_index(kir_plus_index(copy->to, rows, first), size, copy->row);
    kir_index from = kir_plus_index(copy->from, matrix->column_stride, first);
    for (int64_t column = 0; column < size; column += copy->lanes) {
        int count = (int)(size - column < copy->lanes ? size - column : copy->lanes);
        kir_builder body = *builder;
        kir_index here = from, there = to;
        if (copy->rows_at_once > 1) {
            kir_reg row = kir_loop(builder, kir_at(0), kir_at(copy->rows_at_once), 1, &body);
            here = kir_plus(here, matrix->inner_stride, row);
            there = kir_plus(there, size, row);
        }
        kir_reg value = matrix->column_stride == 1
                            ? kir_load(&body, copy->source, here, copy->lanes, count)
                            : kir_load_strided(&body, copy->source, here, copy->lanes, count, matrix->column_stride);
        kir_store(&body, copy->target, there, value, count);
        from.base += copy->lanes * matrix->column_stride;
        to.base += copy->lanes;
    }
}

/* number = *quotient * divisor + *rest; a divisor of 1 needs no division. */
static void divide(const kir_builder *builder, kir_index number, int64_t divisor, kir_index *quotient,
                   kir_index *rest) {
    *quotient = number;
    *rest = kir_at(0);
    if (divisor == 1)
        return;
    kir_reg value = kir_value(builder, number), by = kir_value(builder, kir_at(divisor));
    *quotient = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_div, value, by));
    *rest = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_rem, value, by));
}

int lower_pack_panels(lower_context *context, const panel_matrix *matrix, int buffer, int64_t source_elements,
                      source_span span) {
    arena *memory = context->memory;
    int64_t rows = matrix->outer * matrix->inner, elements = matrix->batch * rows * matrix->columns;
    kir_kernel *kernel = kir_kernel_new(memory, "panels", span);
    panel_copy copy = {.matrix = matrix, .lanes = context->pass->target.lanes};
    copy.source = kir_argument_add(memory, kernel, "matrix", KIR_F32, source_elements, true, false);
    copy.target = kir_argument_add(memory, kernel, "panels", KIR_F32, elements, false, true);
    kir_builder builder = {memory, kernel, &kernel->body, span};
    kir_index batch = kir_at(0), outer, inner;
    copy.rows_at_once = matrix->column_stride != 1 && matrix->inner % copy.lanes == 0 ? copy.lanes : 1;
    copy.row = kir_plus(kir_at(0), copy.rows_at_once, 0);
    if (matrix->batch > 1)
        divide(&builder, copy.row, rows, &batch, &copy.row);
    divide(&builder, copy.row, matrix->inner, &outer, &inner);
    if (matrix->inner == 1)
        inner = kir_at(0);
    copy.from = kir_plus_index(kir_plus_index(kir_at(0), matrix->batch_stride, batch), matrix->outer_stride, outer);
    copy.from = kir_plus_index(copy.from, matrix->inner_stride, inner);
    copy.to = kir_plus_index(kir_at(0), rows * matrix->columns, batch);
    tile_blocks(&builder, matrix->columns, matrix->panel, emit_panel, &copy);
    int panels = lower_temporary(context, "panels", KIR_F32, elements, span);
    lower_launch(context, kernel, matrix->batch * rows / copy.rows_at_once, (int[]){buffer, panels}, span);
    return panels;
}
