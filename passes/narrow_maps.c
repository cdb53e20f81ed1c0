#include "passes/narrow_maps.h"

#include "passes/conv_maps.h"
#include "passes/winograd.h"

static ir_class class_of(const ir_value *value) {
    return ir_op(value->opcode)->class_;
}

/* Statistics have one place; they stay f32. */
static bool has_places(const ir_value *value) {
    return value->type.dtype == IR_F32 && value->type.rank == 4 && value->type.dims[2] * value->type.dims[3] > 1;
}

/* ---- which values are maps of convolutions -------------------------------------------------------------------------
 */

/* Whether operand number `operand` of the user is a map of a convolution that reads narrow ones. */
static bool is_convolved(const lower_context *context, const ir_value *user, int operand) {
    bool weights = operand == 1 && user->opcode != IR_OP_conv2d_weight_grad;
    if (class_of(user) != IR_CLASS_CONTRACTION || user->opcode == IR_OP_dot || weights)
        return false;
    conv_shape shape = lower_conv_shape(user);
    return lower_conv_pairs_pay(context->pass, &shape) || !winograd_pays(&shape, &context->pass->target);
}

static bool is_convolution(const lower_context *context, const ir_value *value) {
    return value->opcode != IR_OP_conv2d_weight_grad && is_convolved(context, value, 0);
}

/* Whether it is made, place by place or window by window, of such a map. */
static bool comes_of_map(const ir_value *value, const bool *maps) {
    bool of_map = false;
    for (int i = 0; i < value->operand_count; i++)
        of_map |= maps[value->operands[i]->id];
    return of_map && (class_of(value) == IR_CLASS_ELEMENTWISE || class_of(value) == IR_CLASS_WINDOW);
}

static void find_maps(const lower_context *context, bool *maps) {
    for (const ir_value *user = context->source->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++)
            maps[user->operands[i]->id] |= is_convolved(context, user, i);
    for (const ir_value *value = context->source->first; value; value = value->next)
        maps[value->id] |= is_convolution(context, value) || comes_of_map(value, maps);
}

/* ---- what can write and read them --------------------------------------------------------------------------------
 */

static bool is_written_narrow(const lower_context *context, const ir_value *value) {
    return class_of(value) == IR_CLASS_ELEMENTWISE || class_of(value) == IR_CLASS_WINDOW ||
           is_convolution(context, value);
}

static bool is_read_narrow(const lower_context *context, const lower_units *units, const ir_value *user, int operand) {
    ir_class class_ = class_of(user);
    if (class_ == IR_CLASS_ELEMENTWISE || class_ == IR_CLASS_SHAPE || class_ == IR_CLASS_REDUCTION)
        return user->group ? !lower_holds_product(&units->items[units->of[user->id]])
                           : class_ == IR_CLASS_ELEMENTWISE || ir_is_fold(user);
    return class_ == IR_CLASS_WINDOW || is_convolved(context, user, operand);
}

void lower_narrow_maps_find(lower_context *context, const lower_units *units) {
    const ir_function *function = context->source;
    size_t count = (size_t)function->next_id + 1;
    bool *narrow = arena_alloc(context->memory, count * sizeof *narrow);
    context->narrow = narrow;
    if (context->pass->product_parts != 1)
        return;
    bool *maps = arena_alloc(context->memory, count * sizeof *maps);
    find_maps(context, maps);
    for (const ir_value *value = function->first; value; value = value->next)
        narrow[value->id] = maps[value->id] && has_places(value) && is_written_narrow(context, value);
    for (const ir_value *user = function->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++)
            narrow[user->operands[i]->id] &= is_read_narrow(context, units, user, i);
}
