/* Typed shorthands for making values. */
#include "ir/ir.h"

static ir_value *make(const ir_builder *builder, ir_opcode opcode, ir_value *const *operands, int operand_count,
                      const ir_attr *attrs, int attr_count, const ir_type *type) {
    return ir_build(builder->function, builder->before, opcode, operands, operand_count, attrs, attr_count, type,
                    builder->span);
}

static arena *memory_of(const ir_builder *builder) {
    return builder->function->module->memory;
}

ir_value *ir_constant(const ir_builder *builder, const ir_type *type, double value) {
    ir_attr attr = ir_attr_number_make(IR_ATTR_value, value);
    return make(builder, IR_OP_constant, NULL, 0, &attr, 1, type);
}

ir_value *ir_scalar(const ir_builder *builder, double value) {
    ir_type type = ir_type_scalar(IR_F32);
    return ir_constant(builder, &type, value);
}

ir_value *ir_unary(const ir_builder *builder, ir_opcode opcode, ir_value *operand) {
    return make(builder, opcode, &operand, 1, NULL, 0, NULL);
}

ir_value *ir_binary(const ir_builder *builder, ir_opcode opcode, ir_value *left, ir_value *right) {
    return make(builder, opcode, (ir_value *[]){left, right}, 2, NULL, 0, NULL);
}

ir_value *ir_select(const ir_builder *builder, ir_value *condition, ir_value *yes, ir_value *no) {
    return make(builder, IR_OP_select, (ir_value *[]){condition, yes, no}, 3, NULL, 0, NULL);
}

ir_value *ir_convert(const ir_builder *builder, ir_value *operand, ir_dtype dtype) {
    if (operand->type.dtype == dtype)
        return operand;
    ir_type type = operand->type;
    type.dtype = dtype;
    return make(builder, IR_OP_convert, &operand, 1, NULL, 0, &type);
}

ir_value *ir_broadcast(const ir_builder *builder, ir_value *operand, const int64_t *dims, int rank,
                       const int64_t *axes) {
    ir_type type = ir_type_make(operand->type.dtype, rank, dims);
    ir_attr attr = ir_attr_ints_make(memory_of(builder), IR_ATTR_axes, axes, operand->type.rank);
    return make(builder, IR_OP_broadcast, &operand, 1, &attr, 1, &type);
}

ir_value *ir_spread(const ir_builder *builder, ir_value *operand, const int64_t *dims, int rank) {
    int64_t axes[IR_MAX_RANK];
    for (int i = 0; i < operand->type.rank; i++)
        axes[i] = rank - operand->type.rank + i;
    return rank == operand->type.rank ? operand : ir_broadcast(builder, operand, dims, rank, axes);
}

ir_value *ir_reshape(const ir_builder *builder, ir_value *operand, const int64_t *dims, int rank) {
    ir_type type = ir_type_make(operand->type.dtype, rank, dims);
    return ir_same_dims(&type, &operand->type) ? operand : make(builder, IR_OP_reshape, &operand, 1, NULL, 0, &type);
}

ir_value *ir_transpose(const ir_builder *builder, ir_value *operand, const int64_t *permutation) {
    ir_attr attr = ir_attr_ints_make(memory_of(builder), IR_ATTR_axes, permutation, operand->type.rank);
    return make(builder, IR_OP_transpose, &operand, 1, &attr, 1, NULL);
}

ir_value *ir_slice(const ir_builder *builder, ir_value *operand, const int64_t *start, const int64_t *limit,
                   const int64_t *stride) {
    arena *memory = memory_of(builder);
    int rank = operand->type.rank;
    ir_attr attrs[] = {ir_attr_ints_make(memory, IR_ATTR_start, start, rank),
                       ir_attr_ints_make(memory, IR_ATTR_limit, limit, rank),
                       ir_attr_ints_make(memory, IR_ATTR_stride, stride, rank)};
    return make(builder, IR_OP_slice, &operand, 1, attrs, 3, NULL);
}

ir_value *ir_reduce(const ir_builder *builder, ir_opcode opcode, ir_value *operand, const int64_t *axes, int count) {
    ir_attr attr = ir_attr_ints_make(memory_of(builder), IR_ATTR_axes, axes, count);
    return make(builder, opcode, &operand, 1, &attr, 1, NULL);
}

static ir_value *make_named(const ir_builder *builder, ir_opcode opcode, const char *name, ir_value *operand,
                            const ir_type *type) {
    ir_attr attr = ir_attr_symbol_make(IR_ATTR_symbol, arena_strdup(memory_of(builder), name));
    return make(builder, opcode, &operand, operand ? 1 : 0, &attr, 1, type);
}

ir_value *ir_read(const ir_builder *builder, const char *state) {
    return make_named(builder, IR_OP_read, state, NULL, &ir_state_find(builder->function->module, state)->type);
}

ir_value *ir_write(const ir_builder *builder, const char *state, ir_value *value) {
    return make_named(builder, IR_OP_write, state, value, &value->type);
}

ir_value *ir_input(const ir_builder *builder, const char *name, const ir_type *type) {
    return make_named(builder, IR_OP_input, name, NULL, type);
}

ir_value *ir_output(const ir_builder *builder, const char *name, ir_value *value) {
    return make_named(builder, IR_OP_output, name, value, &value->type);
}
