/* Products of each row's vector with vectors that are drawn for it: dot(u, gather(bank, index)) with a bank [M, D], an
 * index [N, K] and u [N, D] or [N, K]. The drawn vectors [N, K, D], larger by far than anything else, are read where
 * they lie. */
#include "passes/lower_nest.h"
#include "passes/register_tile.h"

enum { DRAWN_AT_ONCE = 4, VECTORS_AT_ONCE = 8 };

/* Whether the dot sums over the drawn vectors' elements, to [N, K], or else over the vectors, to [N, D]. */
static bool is_scores(const ir_value *dot) {
    return ir_int(dot, IR_ATTR_rhs_contract) == 2;
}

static bool is_drawn(const ir_value *value) {
    return value->opcode == IR_OP_gather && value->group == 0 && ir_int(value, IR_ATTR_axis) == 0 &&
           ir_int(value, IR_ATTR_batch) == 0 && value->operands[0]->type.rank == 2 &&
           value->operands[1]->type.rank == 2 && value->type.dtype == IR_F32;
}

static bool is_dot_of_drawn(const ir_value *dot) {
    if (dot->opcode != IR_OP_dot || dot->group != 0 || !is_drawn(dot->operands[1]) || dot->operands[0]->type.rank != 2)
        return false;
    const ir_attr *left = ir_attr_get(dot, IR_ATTR_lhs_batch), *right = ir_attr_get(dot, IR_ATTR_rhs_batch);
    const ir_attr *mine = ir_attr_get(dot, IR_ATTR_lhs_contract), *other = ir_attr_get(dot, IR_ATTR_rhs_contract);
    return left->count == 1 && left->as.ints[0] == 0 && right->count == 1 && right->as.ints[0] == 0 &&
           mine->count == 1 && mine->as.ints[0] == 1 && other->count == 1;
}

bool lower_is_read_in_place(const lower_context *context, const ir_value *value) {
    if (!is_drawn(value))
        return false;
    int readers = 0;
    for (const ir_value *user = context->source->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++)
            if (user->operands[i] == value) {
                if (i != 1 || !is_dot_of_drawn(user))
                    return false;
                readers++;
            }
    return readers > 0;
}

typedef struct {
    int row, index, bank, result; /* arguments: u or weights, indices, vectors */
    int64_t drawn, length, bank_rows;
    int lanes;
    kir_index first; /* of what is computed at once */
} drawing;

/* Where the vector starts that is drawn at `number`: an index outside of the bank means the nearest row. */
static kir_index drawn_vector(const kir_builder *builder, const drawing *work, kir_index number) {
    kir_index at = kir_plus_index(kir_plus(kir_at(0), work->drawn, 0), 1, number);
    kir_type whole = kir_scalar_type(KIR_I32);
    kir_reg row = kir_load(builder, work->index, at, 1, 1);
    row = kir_op2(builder, KIR_max, row, kir_number(builder, whole, 0));
    row = kir_op2(builder, KIR_min, row, kir_number(builder, whole, (double)(work->bank_rows - 1)));
    return kir_plus(kir_at(0), work->length, kir_convert(builder, row, KIR_I64));
}

typedef struct {
    const drawing *work;
    int64_t count;
    kir_index vectors[DRAWN_AT_ONCE];
    kir_reg sums[DRAWN_AT_ONCE];
} score_block;

static void add_products(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const score_block *block = user;
    const drawing *work = block->work;
    kir_index at = kir_plus_index(kir_plus(kir_at(0), work->length, 0), 1, first);
    kir_reg row = kir_load(builder, work->row, at, work->lanes, (int)count);
    for (int i = 0; i < block->count; i++) {
        kir_index source = kir_plus_index(block->vectors[i], 1, first);
        kir_reg vector = kir_load(builder, work->bank, source, work->lanes, (int)count);
        kir_into(builder, block->sums[i], KIR_fma, row, vector, block->sums[i]);
    }
}

static void emit_scores(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const drawing *work = user;
    score_block block = {.work = work, .count = count};
    kir_type vector = kir_vector_type(KIR_F32, work->lanes);
    for (int i = 0; i < count; i++) {
        kir_index number = first;
        number.base += i;
        block.vectors[i] = drawn_vector(builder, work, number);
        block.sums[i] = kir_register(builder, vector);
        kir_assign(builder, block.sums[i], kir_number(builder, vector, 0));
    }
    tile_blocks(builder, work->length, work->lanes, add_products, &block);
    for (int i = 0; i < count; i++) {
        kir_index at = kir_plus_index(kir_plus(kir_at(i), work->drawn, 0), 1, first);
        kir_store(builder, work->result, at, kir_op1(builder, KIR_sum_lanes, block.sums[i]), 1);
    }
}

/* sum over the drawn vectors of weight * vector: some of their elements */
static void emit_sums(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const drawing *work = user;
    kir_type type = kir_vector_type(KIR_F32, work->lanes);
    kir_reg sums[VECTORS_AT_ONCE];
    int vectors = (int)((count + work->lanes - 1) / work->lanes);
    for (int v = 0; v < vectors; v++) {
        sums[v] = kir_register(builder, type);
        kir_assign(builder, sums[v], kir_number(builder, type, 0));
    }
    kir_builder body;
    kir_index number = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(work->drawn), 1, &body));
    kir_index source = kir_plus_index(drawn_vector(&body, work, number), 1, first);
    kir_index at = kir_plus_index(kir_plus(kir_at(0), work->drawn, 0), 1, number);
    kir_reg weight = kir_splat(&body, kir_load(&body, work->row, at, 1, 1), work->lanes);
    kir_index target = kir_plus_index(kir_plus(kir_at(0), work->length, 0), 1, first);
    for (int v = 0; v < vectors; v++) {
        int present = (int)(count - v * work->lanes < work->lanes ? count - v * work->lanes : work->lanes);
        kir_reg vector = kir_load(&body, work->bank, source, work->lanes, present);
        kir_into(&body, sums[v], KIR_fma, weight, vector, sums[v]);
        source.base += work->lanes;
    }
    for (int v = 0; v < vectors; v++) {
        int present = (int)(count - v * work->lanes < work->lanes ? count - v * work->lanes : work->lanes);
        kir_store(builder, work->result, target, sums[v], present);
        target.base += work->lanes;
    }
}

bool lower_dot_in_place(lower_context *context, const ir_value *value) {
    if (!is_dot_of_drawn(value) || !lower_is_read_in_place(context, value->operands[1]))
        return false;
    const ir_value *drawn = value->operands[1], *bank = drawn->operands[0];
    ir_layout identity = ir_layout_identity();
    int row = lower_buffer_in_layout(context, value->operands[0], identity);
    int index = lower_buffer_in_layout(context, drawn->operands[1], identity);
    int vectors = lower_buffer_in_layout(context, bank, identity);
    int result = lower_result_buffer_in_layout(context, value, identity);
    lower_kernel kernel = lower_kernel_begin(context, is_scores(value) ? "drawn_scores" : "drawn_sums", value);
    drawing work = {.drawn = drawn->type.dims[1], .length = drawn->type.dims[2], .bank_rows = bank->type.dims[0]};
    work.lanes = context->pass->target.lanes;
    work.row = lower_argument(&kernel, row, false);
    work.index = lower_argument(&kernel, index, false);
    work.bank = lower_argument(&kernel, vectors, false);
    work.result = lower_argument(&kernel, result, true);
    kernel.kernel->flops = 2.0 * (double)work.drawn * (double)work.length;
    if (is_scores(value))
        tile_blocks(&kernel.builder, work.drawn, DRAWN_AT_ONCE, emit_scores, &work);
    else
        tile_blocks(&kernel.builder, work.length, (int64_t)VECTORS_AT_ONCE * work.lanes, emit_sums, &work);
    lower_kernel_launch(&kernel, drawn->type.dims[0]);
    lower_finish_result(context, value, identity, result);
    return true;
}
