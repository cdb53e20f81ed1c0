/* squeeze: elementwise values, repeats and reductions are computed without axes of size 1.
 *
 * They carry no information, but hide that two values are the same. Each such value is computed from squeezed operands
 * and reshaped to what it was; canonicalize joins the reshapes that meet. Only vectors and matrices: maps of features
 * keep their axes, whose order in memory `layout` chooses. */
#include "passes/pass.h"

static bool has_unit_axis(const ir_type *type) {
    for (int i = 0; i < type->rank; i++)
        if (type->dims[i] == 1)
            return true;
    return false;
}

/* Whether the value has axes of size 1 and at most two others. */
static bool is_squeezable(const ir_type *type) {
    int8_t axes[IR_MAX_RANK];
    int larger = ir_long_axes(type, axes);
    return larger <= 2 && larger < type->rank;
}

static ir_type squeezed_type(const ir_type *type) {
    ir_type squeezed = {.dtype = type->dtype};
    for (int i = 0; i < type->rank; i++)
        if (type->dims[i] != 1)
            squeezed.dims[squeezed.rank++] = type->dims[i];
    return squeezed;
}

static ir_value *squeezed(const ir_builder *builder, ir_value *value) {
    if (!has_unit_axis(&value->type))
        return value;
    ir_type type = squeezed_type(&value->type);
    if (value->opcode == IR_OP_reshape) {
        value = value->operands[0];
        if (ir_same_dims(&value->type, &type))
            return value;
    }
    return ir_reshape(builder, value, type.dims, type.rank);
}

/* The number that each axis has among those larger than 1. */
static void number_axes(const ir_type *type, int64_t numbers[IR_MAX_RANK]) {
    for (int i = 0, next = 0; i < type->rank; i++)
        numbers[i] = type->dims[i] == 1 ? -1 : next++;
}

static ir_value *squeeze_elementwise(const ir_builder *builder, const ir_value *value) {
    ir_value *operands[3];
    for (int i = 0; i < value->operand_count; i++)
        operands[i] = squeezed(builder, value->operands[i]);
    ir_type type = squeezed_type(&value->type);
    return ir_build(builder->function, builder->before, value->opcode, operands, value->operand_count, value->attrs,
                    value->attr_count, &type, value->span);
}

static ir_value *squeeze_broadcast(const ir_builder *builder, const ir_value *value) {
    ir_value *operand = value->operands[0];
    int64_t numbers[IR_MAX_RANK], axes[IR_MAX_RANK];
    number_axes(&value->type, numbers);
    int count = 0;
    for (int i = 0; i < operand->type.rank; i++)
        if (operand->type.dims[i] != 1)
            axes[count++] = numbers[ir_ints(value, IR_ATTR_axes)[i]];
    ir_type type = squeezed_type(&value->type);
    ir_value *from = squeezed(builder, operand);
    return ir_same_dims(&from->type, &type) ? from : ir_broadcast(builder, from, type.dims, type.rank, axes);
}

static ir_value *squeeze_reduction(const ir_builder *builder, const ir_value *value) {
    ir_value *operand = value->operands[0];
    const ir_attr *attr = ir_attr_get(value, IR_ATTR_axes);
    int64_t numbers[IR_MAX_RANK], axes[IR_MAX_RANK];
    number_axes(&operand->type, numbers);
    int count = 0;
    for (int i = 0; i < attr->count; i++)
        if (numbers[attr->as.ints[i]] >= 0)
            axes[count++] = numbers[attr->as.ints[i]];
    ir_value *from = squeezed(builder, operand);
    return count ? ir_reduce(builder, value->opcode, from, axes, count) : from;
}

static ir_value *squeeze_value(const ir_builder *builder, const ir_value *value) {
    if (value->opcode == IR_OP_reduce_sum || value->opcode == IR_OP_reduce_max ||
        value->opcode == IR_OP_reduce_logsumexp)
        return is_squeezable(&value->operands[0]->type) ? squeeze_reduction(builder, value) : NULL;
    if (!is_squeezable(&value->type))
        return NULL;
    if (ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE)
        return squeeze_elementwise(builder, value);
    return value->opcode == IR_OP_broadcast ? squeeze_broadcast(builder, value) : NULL;
}

static void squeeze(ir_function *function) {
    for (ir_value *value = function->first; value; value = value->next)
        value->scratch = NULL;
    for (ir_value *value = function->first; value; value = value->next) {
        for (int i = 0; i < value->operand_count; i++)
            if (value->operands[i]->scratch)
                value->operands[i] = value->operands[i]->scratch;
        ir_builder builder = {function, value, value->span};
        ir_value *result = squeeze_value(&builder, value);
        if (result && !ir_same_dims(&result->type, &value->type))
            result = ir_reshape(&builder, result, value->type.dims, value->type.rank);
        value->scratch = result;
    }
    /* What was replaced has no users left. */
    for (ir_value *value = function->last, *previous; value; value = previous) {
        previous = value->previous;
        if (value->scratch)
            ir_remove(function, value);
    }
}

bool pass_squeeze(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        squeeze(context->module->functions[i]);
    return true;
}
