/* Shared by the files of ir/ alone: the rows of the operation table. */
#ifndef IR_INTERNAL_H
#define IR_INTERNAL_H

#include "ir/ir.h"

/* Everything that a shape rule sees; a rule fills `type` or sets `why` and returns false. Rules for operations with an
 * explicit type check `type` instead. */
typedef struct {
    arena *memory;
    ir_opcode opcode;
    ir_value *const *operands;
    int operand_count;
    const ir_attr *attrs;
    int attr_count;
    ir_type *type;
    const char *why;
} shape_query;

typedef bool (*shape_rule)(shape_query *query);

shape_rule ir_shape_rule(ir_opcode opcode);
/* Whether the operation's result type must be given. */
bool ir_op_is_explicit(ir_opcode opcode);
/* Sets the message, printf style, and returns false. */
bool shape_fail(shape_query *query, const char *format, ...) __attribute__((format(printf, 2, 3)));
const ir_attr *shape_attr(const shape_query *query, ir_attr_key key);

#define RULE(name) bool shape_##name(shape_query *query);
RULE(explicit)
RULE(same)
RULE(float_same)
RULE(bool_same)
RULE(number_same)
RULE(explicit_same_dims)
RULE(compare)
RULE(select)
RULE(explicit_broadcast)
RULE(explicit_reshape)
RULE(transpose)
RULE(slice)
RULE(pad)
RULE(concat)
RULE(gather)
RULE(explicit_scatter)
RULE(reduce)
RULE(float_reduce)
RULE(argmax)
RULE(dot)
RULE(conv2d)
RULE(explicit_conv2d_input_grad)
RULE(explicit_conv2d_weight_grad)
RULE(pool2d)
RULE(explicit_max_pool2d_grad)
RULE(explicit_avg_pool2d_grad)
RULE(explicit_gradient)
#undef RULE

#endif
