/* dot: batched matrix products. The left operand is brought into the order [batch, m, k] or [batch, k, m], the right
 * one into panels of columns; a launch's iteration computes a block of rows. */
#include "passes/lower_dot.h"

#include <string.h>

typedef struct {
    const char *name;
    int64_t batch, m, n, k;
    int64_t left_row, left_step; /* strides of m and k in the left operand */
    int left, right, target;     /* arguments */
    int64_t rows, block_columns; /* of a block */
    bool in_panels;              /* the right operand is; else its rows are n long */
    bool left_panels;            /* the left operand is, of a block's rows; then its strides are within a panel */
    const kir_target *cpu;
    kir_index left_base, right_base, target_base; /* of the block of rows */
    kir_index block_first;                        /* column */
    kir_index columns_first, steps_first;
    int64_t columns, steps; /* of the tile; of the summation, at once */
} product;

enum { FEWEST_FOR_PANELS = 48, MOST_STEPS = 512 };

static int append_free(const ir_type *type, const ir_attr *batch, const ir_attr *contract, int8_t *axes, int count) {
    for (int axis = 0; axis < type->rank; axis++) {
        bool used = false;
        for (int i = 0; i < batch->count; i++)
            used |= batch->as.ints[i] == axis;
        for (int i = 0; i < contract->count; i++)
            used |= contract->as.ints[i] == axis;
        if (!used)
            axes[count++] = (int8_t)axis;
    }
    return count;
}

static int append_named(const ir_attr *attr, int8_t *axes, int count) {
    for (int i = 0; i < attr->count && count < IR_MAX_RANK; i++)
        axes[count++] = (int8_t)attr->as.ints[i];
    return count;
}

/* The order batch, free, contracted (or with the last two exchanged). */
static ir_layout operand_order(const ir_value *value, int side, bool contracted_last) {
    const ir_attr *batch = ir_attr_get(value, side ? IR_ATTR_rhs_batch : IR_ATTR_lhs_batch);
    const ir_attr *contract = ir_attr_get(value, side ? IR_ATTR_rhs_contract : IR_ATTR_lhs_contract);
    ir_layout order = ir_layout_identity();
    int count = append_named(batch, order.axis, 0);
    if (!contracted_last)
        count = append_named(contract, order.axis, count);
    count = append_free(&value->operands[side]->type, batch, contract, order.axis, count);
    if (contracted_last)
        append_named(contract, order.axis, count);
    return order;
}

static int64_t product_of(const ir_type *type, const ir_attr *axes) {
    int64_t size = 1;
    for (int i = 0; i < axes->count; i++)
        size *= type->dims[axes->as.ints[i]];
    return size;
}

static int64_t panel_columns(const kir_target *cpu, int64_t n) {
    return (int64_t)tile_vectors_for(cpu, n) * cpu->lanes;
}

static void emit_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    const product *work = user;
    register_tile tile = tile_new(builder, work->cpu, (int)size, work->columns);
    kir_index targets[TILE_MAX_ROWS];
    kir_builder body;
    for (int r = 0; r < size; r++) {
        targets[r] = kir_plus_index(kir_plus_index(work->target_base, 1, work->columns_first), work->n, first);
        targets[r].base += r * work->n;
    }
    if (work->steps == work->k)
        tile_clear(builder, &tile);
    else
        tile_load(builder, &tile, work->target, targets);
    int64_t round = tile_steps(&tile, work->steps);
    kir_reg step = kir_loop(builder, kir_at(0), kir_at(work->steps), round, &body);
    kir_index k = kir_plus(work->steps_first, 1, step);
    tile_operands operands = {.left = work->left,
                              .right = work->right,
                              .left_step = work->left_step,
                              .right_step = work->in_panels ? work->columns : work->n};
    for (int r = 0; r < size; r++) {
        operands.rows[r] = kir_plus_index(kir_plus_index(work->left_base, work->left_step, k), work->left_row, first);
        operands.rows[r].base += r * work->left_row;
    }
    operands.columns = kir_plus_index(work->right_base, work->in_panels ? work->k : 1, work->columns_first);
    operands.columns = kir_plus_index(operands.columns, operands.right_step, k);
    tile_multiply(&body, &tile, &operands, round);
    tile_store(builder, &tile, work->target, targets);
}

static void emit_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    product *work = user;
    work->columns_first = kir_plus_index(work->block_first, 1, first);
    work->columns = size;
    tile_blocks(builder, work->rows, tile_best_rows(work->cpu, work->rows, size), emit_rows, work);
}

static void emit_steps(kir_builder *builder, kir_index first, int64_t size, void *user) {
    product *work = user;
    work->steps_first = first;
    work->steps = size;
    tile_blocks(builder, work->block_columns, panel_columns(work->cpu, work->n), emit_columns, work);
}

/* Long sums go on where the last part of them ended: a block's part of both operands stays in the second cache. */
static void emit_sums(kir_builder *builder, product *work) {
    int64_t lanes = work->cpu->lanes;
    if (work->k > MOST_STEPS) {
        kir_builder body;
        kir_reg row = kir_loop(builder, kir_at(0), kir_at(work->rows), 1, &body);
        kir_index first = kir_plus(kir_plus_index(work->target_base, 1, work->block_first), work->n, row);
        lower_clear_elements(&body, work->target, first, work->block_columns, (int)lanes);
    }
    tile_blocks(builder, work->k, work->k > MOST_STEPS ? MOST_STEPS : work->k, emit_steps, work);
}

/* One launch for all blocks of `rows` rows from row `first` on. */
static void launch_rows(lower_context *context, product work, const int *buffers, int64_t first, int64_t blocks,
                        source_span span) {
    kir_kernel *kernel = kir_kernel_new(context->memory, work.name, span);
    work.left = kir_argument_add(context->memory, kernel, "left", KIR_F32, work.batch * work.m * work.k, true, false);
    work.right = kir_argument_add(context->memory, kernel, "right", KIR_F32, work.batch * work.k * work.n, true, false);
    work.target = kir_argument_add(context->memory, kernel, "result", KIR_F32, work.batch * work.m * work.n,
                                   work.k > MOST_STEPS, true);
    kernel->flops = 2.0 * (double)work.rows * (double)work.block_columns * (double)work.k;
    kir_builder builder = {context->memory, kernel, &kernel->body, span};
    int64_t column_blocks = work.n / work.block_columns;
    kir_index rest = kir_plus(kir_at(0), 1, 0);
    work.block_first = kir_plus_index(kir_at(0), work.block_columns, lower_take_digit(&builder, &rest, column_blocks));
    kir_index block = rest, batch = kir_at(0);
    if (work.batch > 1) {
        block = lower_take_digit(&builder, &rest, blocks);
        batch = rest;
    }
    kir_index row = kir_plus_index(kir_at(first), work.rows, block);
    work.left_base = kir_plus_index(kir_plus_index(kir_at(0), work.m * work.k, batch),
                                    work.left_panels ? work.k : work.left_row, row);
    if (work.left_panels)
        work.left_step = work.rows;
    work.right_base = kir_plus_index(kir_at(0), work.k * work.n, batch);
    work.target_base = kir_plus_index(kir_plus_index(kir_at(0), work.m * work.n, batch), work.n, row);
    emit_sums(&builder, &work);
    lower_launch(context, kernel, work.batch * blocks * column_blocks, buffers, span);
}

/* A few blocks for each thread, as the library arranges the right operand anew for each. */
static void launch_library(lower_context *context, const dot_sizes *sizes, bool left_transposed, bool right_transposed,
                           const int *buffers, const ir_value *value) {
    enum { BLOCKS = 4, FEWEST_ROWS = 64 };
    kir_library_product *library = arena_alloc(context->memory, sizeof *library);
    *library = (kir_library_product){.rows = sizes->m,
                                     .columns = sizes->n,
                                     .inner = sizes->k,
                                     .left_transposed = left_transposed,
                                     .right_transposed = right_transposed};
    library->block = (sizes->m + BLOCKS - 1) / BLOCKS < FEWEST_ROWS ? FEWEST_ROWS : (sizes->m + BLOCKS - 1) / BLOCKS;
    const char *name = arena_printf(context->memory, "library_product_%lldx%lldx%lld", (long long)sizes->m,
                                    (long long)sizes->n, (long long)sizes->k);
    kir_kernel *kernel = kir_kernel_new(context->memory, name, value->span);
    kir_argument_add(context->memory, kernel, "left", KIR_F32, sizes->m * sizes->k, true, false);
    kir_argument_add(context->memory, kernel, "right", KIR_F32, sizes->k * sizes->n, true, false);
    kir_argument_add(context->memory, kernel, "result", KIR_F32, sizes->m * sizes->n, false, true);
    kernel->library = library;
    kernel->flops = 2.0 * (double)library->block * (double)sizes->n * (double)sizes->k;
    lower_launch(context, kernel, (sizes->m + library->block - 1) / library->block, buffers, value->span);
}

/* The strides of a run of axes as one: false if they are not evenly spaced. */
static bool merged_stride(const ir_type *type, const int64_t *strides, const int8_t *axes, int count, int64_t *stride) {
    *stride = 0;
    for (int i = count - 1; i >= 0; i--) {
        if (type->dims[axes[i]] == 1)
            continue;
        int64_t size = 1;
        for (int j = i + 1; j < count; j++)
            size *= type->dims[axes[j]];
        if (*stride && strides[axes[i]] != *stride * size)
            return false;
        if (!*stride)
            *stride = strides[axes[i]];
    }
    return true;
}

/* Where the right operand lies: as it is if its axes can be walked so, else arranged anew. */
static panel_matrix right_matrix(lower_context *context, const dot_sizes *sizes, const ir_value *value, int *buffer) {
    const ir_value *right = value->operands[1];
    const ir_attr *batch = ir_attr_get(value, IR_ATTR_rhs_batch), *contract = ir_attr_get(value, IR_ATTR_rhs_contract);
    ir_layout order = operand_order(value, 1, false), layout = right->layout;
    int64_t strides[IR_MAX_RANK];
    panel_matrix matrix = {.batch = sizes->batch, .outer = 1, .inner = sizes->k, .columns = sizes->n};
    int used = batch->count + contract->count;
    for (int attempt = 0; attempt < 2; attempt++, layout = order) {
        ir_strides(&right->type, &layout, strides);
        if (merged_stride(&right->type, strides, order.axis, batch->count, &matrix.batch_stride) &&
            merged_stride(&right->type, strides, order.axis + batch->count, contract->count, &matrix.inner_stride) &&
            merged_stride(&right->type, strides, order.axis + used, right->type.rank - used, &matrix.column_stride))
            break;
    }
    *buffer = lower_buffer_in_layout(context, right, layout);
    return matrix;
}

panel_matrix lower_rows_matrix(const dot_sizes *sizes) {
    return (panel_matrix){.batch = sizes->batch,
                          .outer = 1,
                          .inner = sizes->k,
                          .columns = sizes->n,
                          .batch_stride = sizes->k * sizes->n,
                          .inner_stride = sizes->n,
                          .column_stride = 1};
}

static bool is_in_rows(const panel_matrix *matrix) {
    return matrix->column_stride == 1 && matrix->inner_stride == matrix->columns &&
           (matrix->batch == 1 || matrix->batch_stride == matrix->inner * matrix->columns);
}

static bool is_worth_panels(const kir_target *cpu, int64_t m, int64_t n) {
    return m >= FEWEST_FOR_PANELS && panel_columns(cpu, n) < n;
}

/* The right operand as panels, from wherever it lies. Few rows do not repay that: they read it where it is. */
static int right_operand(lower_context *context, product *work, const dot_operands *operands, source_span span) {
    panel_matrix matrix = operands->right_matrix;
    work->in_panels = is_worth_panels(work->cpu, work->m, work->n) || !is_in_rows(&matrix);
    if (!work->in_panels)
        return operands->right;
    matrix.panel = panel_columns(work->cpu, work->n);
    return lower_pack_panels(context, &matrix, operands->right, work->batch * work->k * work->n, span);
}

/* The left operand where it lies, or, with its rows innermost, as panels of a block's rows. */
static int left_operand(lower_context *context, product *work, const dot_operands *operands, source_span span) {
    bool turned = operands->left_turned;
    work->left_row = turned ? 1 : work->k;
    work->left_step = turned ? work->m : 1;
    work->left_panels = turned && work->n >= FEWEST_FOR_PANELS && work->k >= FEWEST_FOR_PANELS;
    if (!work->left_panels)
        return operands->left;
    panel_matrix matrix = {.batch = work->batch,
                           .outer = 1,
                           .inner = work->k,
                           .columns = work->m,
                           .batch_stride = work->m * work->k,
                           .inner_stride = work->m,
                           .column_stride = 1,
                           .panel = work->rows};
    return lower_pack_panels(context, &matrix, operands->left, work->batch * work->m * work->k, span);
}

static int64_t blocks_of(const dot_sizes *sizes, int64_t rows, int64_t columns) {
    return sizes->batch * (sizes->m / rows) * (sizes->n / columns);
}

/* Columns of a block, whole panels, so that blocks of that many rows are enough; at least one panel. */
static int64_t cut_columns(const dot_sizes *sizes, int64_t panel, int64_t rows) {
    int64_t panels = sizes->n / panel, columns = sizes->n;
    for (int64_t parts = 2; panels * panel == sizes->n && parts <= panels; parts++)
        if (blocks_of(sizes, rows, columns) < ENOUGH_BLOCKS && panels % parts == 0)
            columns = panels / parts * panel;
    return columns;
}

dot_blocks lower_dot_blocks(const dot_sizes *sizes, int64_t rows, int64_t tiles, int64_t panel) {
    dot_blocks blocks = {sizes->m, cut_columns(sizes, panel, sizes->m)};
    if (sizes->m < rows * tiles && blocks_of(sizes, blocks.rows, blocks.columns) >= ENOUGH_BLOCKS)
        return blocks;
    blocks.columns = sizes->m < rows * tiles ? sizes->n : cut_columns(sizes, panel, rows * tiles);
    while (tiles > 1 && blocks_of(sizes, rows * tiles, blocks.columns) < ENOUGH_BLOCKS)
        tiles--;
    blocks.rows = rows * tiles;
    return blocks;
}

static void choose_blocks(product *work, const dot_sizes *sizes) {
    int64_t panel = panel_columns(work->cpu, work->n);
    int64_t rows = tile_rows_for(work->cpu, tile_vectors_for(work->cpu, work->n));
    dot_blocks blocks = lower_dot_blocks(sizes, rows, TILES_OF_BLOCK, panel);
    work->rows = tile_even_size(work->m, blocks.rows);
    work->block_columns = blocks.columns;
}

void lower_product(lower_context *context, const char *name, const dot_sizes *sizes, const dot_operands *operands,
                   int result, source_span span) {
    product work = {.name = name, .batch = sizes->batch, .m = sizes->m, .n = sizes->n, .k = sizes->k};
    work.cpu = &context->pass->target;
    choose_blocks(&work, sizes);
    int buffers[] = {left_operand(context, &work, operands, span), right_operand(context, &work, operands, span),
                     result};
    int64_t blocks = work.m / work.rows, rest = work.m - blocks * work.rows;
    launch_rows(context, work, buffers, 0, blocks, span);
    work.rows = rest;
    if (rest > 0)
        launch_rows(context, work, buffers, work.m - rest, 1, span);
}

static bool lower_by_library(lower_context *context, const dot_sizes *sizes, bool transposed, const ir_value *value) {
    const ir_value *left = value->operands[0], *right = value->operands[1];
    ir_layout by_column = operand_order(value, 1, true), identity = ir_layout_identity();
    bool right_transposed = lower_same_memory(&right->type, &right->layout, &by_column);
    int buffers[] = {lower_buffer_in_layout(context, left, operand_order(value, 0, !transposed)),
                     lower_buffer_in_layout(context, right, operand_order(value, 1, right_transposed)),
                     lower_result_buffer_in_layout(context, value, identity)};
    launch_library(context, sizes, transposed, right_transposed, buffers, value);
    lower_finish_result(context, value, identity, buffers[2]);
    return true;
}

static dot_sizes sizes_of(const ir_value *value) {
    const ir_type *left = &value->operands[0]->type, *right = &value->operands[1]->type;
    int64_t batch = product_of(left, ir_attr_get(value, IR_ATTR_lhs_batch));
    int64_t k = product_of(left, ir_attr_get(value, IR_ATTR_lhs_contract));
    return (dot_sizes){
        .batch = batch, .k = k, .m = ir_type_elements(left) / (batch * k), .n = ir_type_elements(right) / (batch * k)};
}

bool lower_dot(lower_context *context, const ir_value *value) {
    const ir_value *left = value->operands[0], *right = value->operands[1];
    dot_sizes sizes = sizes_of(value);
    ir_layout by_row = operand_order(value, 0, true), by_step = operand_order(value, 0, false);
    bool transposed = !lower_same_memory(&left->type, &left->layout, &by_row) &&
                      lower_same_memory(&left->type, &left->layout, &by_step);
    if (context->pass->library_products && sizes.batch == 1)
        return lower_by_library(context, &sizes, transposed, value);
    dot_operands operands = {.left = lower_buffer_in_layout(context, left, operand_order(value, 0, !transposed)),
                             .left_turned = transposed};
    bool pairs = lower_dot_pairs_pay(context->pass, &sizes);
    ir_layout in_rows = operand_order(value, 1, false);
    /* What has to be arranged anew may as well come into panels. */
    if (pairs || is_worth_panels(&context->pass->target, sizes.m, sizes.n) ||
        !lower_same_memory(&right->type, &right->layout, &in_rows)) {
        operands.right_matrix = right_matrix(context, &sizes, value, &operands.right);
    } else {
        operands.right = lower_buffer_in_layout(context, right, in_rows);
        operands.right_matrix = lower_rows_matrix(&sizes);
    }
    if (pairs)
        return lower_dot_pairs(context, value, &sizes, &operands);
    ir_layout identity = ir_layout_identity();
    int result = lower_result_buffer_in_layout(context, value, identity);
    const char *name =
        arena_printf(context->memory, "dot_%lldx%lldx%lld", (long long)sizes.m, (long long)sizes.n, (long long)sizes.k);
    lower_product(context, name, &sizes, &operands, result, value->span);
    lower_finish_result(context, value, identity, result);
    return true;
}
