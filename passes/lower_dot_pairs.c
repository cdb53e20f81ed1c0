/* dot by products in pairs of bf16 parts: the left operand's pairs lie in its rows, the right one's in panels. */
#include "passes/lower_dot.h"
#include "passes/lower_pairs.h"

enum { NEAR_BYTES = 1 << 20 }; /* of a block's left operand, which all panels meet: it stays in the second cache */

typedef struct {
    dot_sizes sizes;
    pair_panel panel;
    kir_index batch, row, column; /* of the block */
    int64_t rows, columns;
    kir_index columns_first;
} pair_dot;

bool lower_dot_pairs_pay(const pass_context *pass, const dot_sizes *sizes) {
    pair_work work = {.multiply_adds = (double)(sizes->batch * sizes->m) * (double)(sizes->n * sizes->k),
                      .other_share = 1,
                      .rows = sizes->m,
                      .columns = sizes->n,
                      .summed = sizes->k,
                      .numbers = sizes->batch * sizes->k * (sizes->m + sizes->n)};
    return lower_pairs_pay(pass, &work);
}

static void emit_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    const pair_dot *work = user;
    const dot_sizes *sizes = &work->sizes;
    pair_panel panel = work->panel;
    int64_t half = (sizes->k + 1) / 2;
    kir_index row = kir_plus_index(work->row, 1, first);
    panel.rows = size;
    panel.left_at = kir_plus_index(kir_plus_index(kir_at(0), sizes->m * half, work->batch), half, row);
    panel.right_at = kir_plus_index(kir_plus_index(kir_at(0), sizes->n * half, work->batch), half, work->columns_first);
    panel.target_at = kir_plus_index(kir_plus_index(kir_at(0), sizes->m * sizes->n, work->batch), sizes->n, row);
    panel.target_at = kir_plus_index(panel.target_at, 1, work->columns_first);
    pair_panel_emit(builder, &panel);
}

static void emit_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_dot *work = user;
    work->columns_first = kir_plus_index(work->column, 1, first);
    work->panel.columns = work->panel.right_pair = size;
    tile_blocks(builder, work->rows, pair_panel_rows(work->panel.cpu, work->sizes.m, size), emit_rows, work);
}

/* `blocks` blocks of work->rows rows of each matrix, from row `first` on. */
static void launch(lower_context *context, pair_dot *work, const int buffers[3], int64_t first, int64_t blocks,
                   const ir_value *value) {
    arena *memory = context->memory;
    const dot_sizes *sizes = &work->sizes;
    pair_panel *panel = &work->panel;
    const char *name =
        arena_printf(memory, "dot_pairs_%lldx%lldx%lld", (long long)sizes->m, (long long)sizes->n, (long long)sizes->k);
    kir_kernel *kernel = kir_kernel_new(memory, name, value->span);
    panel->left = kir_argument_add(memory, kernel, "left", KIR_I32, panel->parts * panel->left_part, true, false);
    panel->right = kir_argument_add(memory, kernel, "right", KIR_I32, panel->parts * panel->right_part, true, false);
    panel->target = kir_argument_add(memory, kernel, "result", KIR_F32, ir_type_elements(&value->type), false, true);
    kernel->flops = 2.0 * (double)work->rows * (double)work->columns * (double)sizes->k;
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    int64_t column_blocks = sizes->n / work->columns;
    kir_index rest = kir_plus(kir_at(0), 1, 0);
    work->column = kir_plus_index(kir_at(0), work->columns, lower_take_digit(&builder, &rest, column_blocks));
    kir_index block = rest;
    work->batch = kir_at(0);
    if (sizes->batch > 1) {
        block = lower_take_digit(&builder, &rest, blocks);
        work->batch = rest;
    }
    work->row = kir_plus_index(kir_at(first), work->rows, block);
    tile_blocks(&builder, work->columns, pair_panel_columns(panel->cpu, sizes->n), emit_columns, work);
    lower_launch(context, kernel, sizes->batch * blocks * column_blocks, buffers, value->span);
}

/* Rows of pairs of the left operand: [batch, m, k], or [batch, k, m] if it is turned. */
static pair_maps left_pairs(const dot_sizes *sizes, int parts, bool turned) {
    static const int64_t one[2] = {1, 1};
    return turned ? pair_maps_of_images(parts, sizes->batch, sizes->k, one, sizes->m, true)
                  : pair_maps_of_channels(parts, sizes->batch * sizes->m, 1, one, sizes->k);
}

bool lower_dot_pairs(lower_context *context, const ir_value *value, const dot_sizes *sizes,
                     const dot_operands *operands) {
    const kir_target *cpu = &context->pass->target;
    int parts = context->pass->product_parts;
    pair_maps left = left_pairs(sizes, parts, operands->left_turned);
    panel_matrix right = operands->right_matrix;
    right.panel = pair_panel_columns(cpu, sizes->n);
    right.parts = parts;
    int64_t half = (sizes->k + 1) / 2, rows = pair_panel_rows(cpu, sizes->m, sizes->n), tiles = TILES_OF_BLOCK;
    while (tiles > 1 && 4 * parts * half * rows * tiles > NEAR_BYTES)
        tiles--;
    dot_blocks block = lower_dot_blocks(sizes, rows, tiles, right.panel);
    pair_dot work = {.sizes = *sizes, .rows = block.rows, .columns = block.columns};
    work.panel = (pair_panel){.cpu = cpu,
                              .parts = parts,
                              .pairs = kir_at(half),
                              .tile = pair_tile_for(sizes->m, sizes->n, half),
                              .left_row = half,
                              .left_pair = 1,
                              .left_part = left.part,
                              .right_part = sizes->batch * half * sizes->n,
                              .target_row = sizes->n,
                              .fresh = true};
    ir_layout identity = ir_layout_identity();
    int buffers[] = {
        lower_pack_pair_lines(context, &left, operands->left, ir_type_elements(&value->operands[0]->type), value->span),
        lower_pack_panels(context, &right, operands->right, ir_type_elements(&value->operands[1]->type), value->span),
        lower_result_buffer_in_layout(context, value, identity)};
    int64_t blocks = sizes->m / work.rows, rest = sizes->m - blocks * work.rows;
    launch(context, &work, buffers, 0, blocks, value);
    work.rows = rest;
    if (rest > 0)
        launch(context, &work, buffers, sizes->m - rest, 1, value);
    lower_finish_result(context, value, identity, buffers[2]);
    return true;
}
