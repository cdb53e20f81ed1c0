/* Operations on tensors: the language's rule for shapes, reductions, operators. */
#include "frontend/evaluate.h"

#include <math.h>
#include <string.h>

ir_builder fe_builder(const fe_context *context, source_span span) {
    span.component = context->component;
    return (ir_builder){context->function, NULL, span};
}

ir_value *fe_build(fe_context *context, ir_opcode opcode, ir_value *const *operands, int operand_count,
                   const ir_attr *attrs, int attr_count, const ir_type *type, source_span span) {
    ir_type result = type ? *type : (ir_type){0};
    const char *why = NULL;
    if (!context->function) {
        fe_fail(context, span, "tensors exist only in the sections extract, similarity, loss and after");
        return NULL;
    }
    if (!ir_infer(context->memory, opcode, operands, operand_count, attrs, attr_count, &result, &why)) {
        fe_fail(context, span, "%s", why);
        return NULL;
    }
    span.component = context->component;
    return ir_build(context->function, NULL, opcode, operands, operand_count, attrs, attr_count, &result, span);
}

static fe_value wrap(ir_value *value, source_span span) {
    return value ? fe_tensor(value, span) : fe_error(span);
}

/* ---- shapes
 * --------------------------------------------------------------------------------------------------------------- */

/* Repeats axes of size 1: they are reshaped away, then broadcast. */
ir_value *fe_stretch(fe_context *context, ir_value *value, const int64_t *dims, int rank, source_span span) {
    ir_type target = ir_type_make(value->type.dtype, rank, dims);
    if (ir_same_dims(&value->type, &target))
        return value;
    int64_t kept[IR_MAX_RANK], axes[IR_MAX_RANK];
    int kept_count = 0;
    int offset = rank - value->type.rank;
    for (int i = 0; i < value->type.rank; i++)
        if (value->type.dims[i] == dims[offset + i] && value->type.dims[i] != 1) {
            kept[kept_count] = value->type.dims[i];
            axes[kept_count++] = offset + i;
        }
    ir_type narrow = ir_type_make(value->type.dtype, kept_count, kept);
    ir_value *reshaped = ir_same_dims(&narrow, &value->type)
                             ? value
                             : fe_build(context, IR_OP_reshape, &value, 1, NULL, 0, &narrow, span);
    if (!reshaped)
        return NULL;
    ir_attr attr = ir_attr_ints_make(context->memory, IR_ATTR_axes, axes, kept_count);
    return fe_build(context, IR_OP_broadcast, &reshaped, 1, &attr, 1, &target, span);
}

static bool joint_dims(const ir_type *left, const ir_type *right, int64_t *dims) {
    if (left->rank != right->rank)
        return false;
    for (int i = 0; i < left->rank; i++) {
        if (left->dims[i] != right->dims[i] && left->dims[i] != 1 && right->dims[i] != 1)
            return false;
        dims[i] = left->dims[i] == 1 ? right->dims[i] : left->dims[i];
    }
    return true;
}

static void complain_shapes(fe_context *context, const fe_value *left, const fe_value *right, const ir_type *left_type,
                            const ir_type *right_type, source_span span) {
    diag_entry *entry =
        diag_error(context->diags, span, "these tensors have different shapes: %s and %s",
                   ir_shape_text(context->memory, left_type), ir_shape_text(context->memory, right_type));
    diag_add_label(context->diags, entry, left->span, "%s from here", ir_shape_text(context->memory, left_type));
    diag_add_label(context->diags, entry, right->span, "%s from here", ir_shape_text(context->memory, right_type));
    if (left_type->rank != right_type->rank)
        diag_add_note(context->diags, entry,
                      "axes are not repeated silently; sums and means keep theirs with keep = true");
    fe_add_call_places(context, entry);
}

/* A number takes the shape and element type of the other operand. */
static ir_value *number_like(fe_context *context, const fe_value *number, const ir_value *other, source_span span) {
    ir_builder builder = fe_builder(context, span);
    ir_type type = other->type;
    if (type.dtype == IR_I32 && number->number != floor(number->number))
        type.dtype = IR_F32;
    return ir_constant(&builder, &type, number->number);
}

/* i32 and f32 together compute in f32. */
static void match_dtypes(fe_context *context, ir_value **left, ir_value **right, source_span span) {
    ir_builder builder = fe_builder(context, span);
    if ((*left)->type.dtype == IR_I32 && (*right)->type.dtype == IR_F32)
        *left = ir_convert(&builder, *left, IR_F32);
    else if ((*left)->type.dtype == IR_F32 && (*right)->type.dtype == IR_I32)
        *right = ir_convert(&builder, *right, IR_F32);
}

bool fe_match_shapes(fe_context *context, const fe_value *left, const fe_value *right, ir_value **left_tensor,
                     ir_value **right_tensor, source_span span) {
    bool left_number = left->kind == FE_VALUE_NUMBER, right_number = right->kind == FE_VALUE_NUMBER;
    ir_value *a = left_number ? NULL : fe_to_tensor(context, left, "this operand");
    ir_value *b = right_number ? NULL : fe_to_tensor(context, right, "this operand");
    if ((!a && !left_number) || (!b && !right_number))
        return false;
    if (left_number)
        a = number_like(context, left, b, span);
    if (right_number)
        b = number_like(context, right, a, span);
    int64_t dims[IR_MAX_RANK];
    /* A scalar tensor, like a number, goes with any shape. */
    if (a->type.rank == 0 || b->type.rank == 0) {
        const ir_type *shape = a->type.rank ? &a->type : &b->type;
        memcpy(dims, shape->dims, sizeof dims);
        a = fe_stretch(context, a, dims, shape->rank, span);
        b = fe_stretch(context, b, dims, shape->rank, span);
    } else if (!joint_dims(&a->type, &b->type, dims)) {
        complain_shapes(context, left, right, &a->type, &b->type, span);
        return false;
    } else {
        int rank = a->type.rank;
        a = fe_stretch(context, a, dims, rank, span);
        b = fe_stretch(context, b, dims, rank, span);
    }
    if (!a || !b)
        return false;
    match_dtypes(context, &a, &b, span);
    *left_tensor = a;
    *right_tensor = b;
    return true;
}

/* ---- elementwise
 * ---------------------------------------------------------------------------------------------------------- */

fe_value fe_unary(fe_context *context, ir_opcode opcode, const fe_value *operand, source_span span) {
    ir_value *tensor = fe_to_tensor(context, operand, "this operand");
    if (!tensor)
        return fe_error(span);
    ir_builder builder = fe_builder(context, span);
    /* Functions of whole-number tensors, such as a step count, are computed in f32. */
    if (tensor->type.dtype == IR_I32 && opcode != IR_OP_neg && opcode != IR_OP_abs && opcode != IR_OP_stop_gradient)
        tensor = ir_convert(&builder, tensor, IR_F32);
    return wrap(fe_build(context, opcode, &tensor, 1, NULL, 0, NULL, span), span);
}

fe_value fe_binary(fe_context *context, ir_opcode opcode, const fe_value *left, const fe_value *right,
                   source_span span) {
    ir_value *operands[2];
    if (left->kind == FE_VALUE_ERROR || right->kind == FE_VALUE_ERROR)
        return fe_error(span);
    if (!fe_match_shapes(context, left, right, &operands[0], &operands[1], span))
        return fe_error(span);
    ir_builder builder = fe_builder(context, span);
    if ((opcode == IR_OP_div || opcode == IR_OP_pow) && operands[0]->type.dtype == IR_I32)
        for (int i = 0; i < 2; i++)
            operands[i] = ir_convert(&builder, operands[i], IR_F32);
    return wrap(fe_build(context, opcode, operands, 2, NULL, 0, NULL, span), span);
}

/* A number that these finite operands cannot have as their result is a mistake of the spec. */
fe_value fe_checked_number(fe_context *context, double number, double a, double b, source_span span) {
    if (isnan(number) && !isnan(a) && !isnan(b))
        return fe_fail(context, span, "the result is no number");
    if (isinf(number) && isfinite(a) && isfinite(b))
        return fe_fail(context, span, "the result is infinite");
    return fe_number(number, span);
}

static fe_value operate_numbers(fe_context *context, fe_operator op, double a, double b, source_span span) {
    switch (op) {
    case FE_ADD: return fe_checked_number(context, a + b, a, b, span);
    case FE_SUB: return fe_checked_number(context, a - b, a, b, span);
    case FE_MUL: return fe_checked_number(context, a * b, a, b, span);
    case FE_DIV: return fe_checked_number(context, a / b, a, b, span);
    case FE_REM: return fe_number(a - b * floor(a / b), span);
    case FE_POW: return fe_checked_number(context, pow(a, b), a, b, span);
    case FE_EQ: return fe_truth(a == b, span);
    case FE_NE: return fe_truth(a != b, span);
    case FE_LT: return fe_truth(a < b, span);
    case FE_LE: return fe_truth(a <= b, span);
    case FE_GT: return fe_truth(a > b, span);
    case FE_GE: return fe_truth(a >= b, span);
    default: return fe_fail(context, span, "'%s' works on truth values, not on numbers", fe_operator_text(op));
    }
}

/* x^2 and the like by multiplication; other powers of tensors need x > 0. */
static fe_value power(fe_context *context, const fe_value *left, const fe_value *right, source_span span) {
    if (right->kind == FE_VALUE_NUMBER && right->number == 2)
        return fe_binary(context, IR_OP_mul, left, left, span);
    if (right->kind == FE_VALUE_NUMBER && right->number == 3) {
        fe_value square = fe_binary(context, IR_OP_mul, left, left, span);
        return fe_binary(context, IR_OP_mul, &square, left, span);
    }
    return fe_binary(context, IR_OP_pow, left, right, span);
}

static fe_value negated(fe_context *context, ir_opcode opcode, const fe_value *left, const fe_value *right,
                        source_span span) {
    fe_value value = fe_binary(context, opcode, left, right, span);
    return value.kind == FE_VALUE_ERROR ? value : fe_unary(context, IR_OP_not, &value, span);
}

static fe_value time_of(double number, const fe_value *like, source_span span) {
    return (fe_value){.kind = FE_VALUE_TIME, .span = span, .number = number, .text = like->text};
}

/* Twice 5 epochs is a time, and so are sums in one unit; whatever else is a number of steps that the program computes.
 */
static fe_value operate_times(fe_context *context, fe_operator op, const fe_value *left, const fe_value *right,
                              source_span span) {
    const fe_value *time = left->kind == FE_VALUE_TIME ? left : right, *other = time == left ? right : left;
    bool scales = other->kind == FE_VALUE_NUMBER && (op == FE_MUL || (op == FE_DIV && time == left));
    bool adds = other->kind == FE_VALUE_TIME && strcmp(left->text, right->text) == 0 && (op == FE_ADD || op == FE_SUB);
    if (scales || adds) {
        fe_value number = operate_numbers(context, op, left->number, right->number, span);
        if (number.kind != FE_VALUE_ERROR && number.number < 0)
            return fe_fail(context, span, "a number of %s cannot be negative", time->text);
        return number.kind == FE_VALUE_ERROR ? number : time_of(number.number, time, span);
    }
    if (!context->function)
        return fe_fail(context, span,
                       "a time meets something else here; only a running program knows how many steps it is");
    ir_value *a = fe_to_tensor(context, left, "this operand"), *b = fe_to_tensor(context, right, "this operand");
    if (!a || !b)
        return fe_error(span);
    fe_value left_tensor = fe_tensor(a, left->span), right_tensor = fe_tensor(b, right->span);
    return fe_operate(context, op, &left_tensor, &right_tensor, span);
}

/* Strings are equal by their text; records and functions when they are one and the same. */
static bool is_comparable(const fe_value *left, const fe_value *right) {
    return left->kind == right->kind && (left->kind == FE_VALUE_STRING || left->kind == FE_VALUE_RECORD ||
                                         left->kind == FE_VALUE_CLOSURE || left->kind == FE_VALUE_BUILTIN);
}

static bool is_same(const fe_value *left, const fe_value *right) {
    switch (left->kind) {
    case FE_VALUE_STRING: return strcmp(left->text, right->text) == 0;
    case FE_VALUE_RECORD: return left->fields == right->fields;
    case FE_VALUE_CLOSURE: return left->as.closure->decl == right->as.closure->decl;
    default: return left->as.builtin == right->as.builtin;
    }
}

fe_value fe_operate(fe_context *context, fe_operator op, const fe_value *left, const fe_value *right,
                    source_span span) {
    if (left->kind == FE_VALUE_ERROR || right->kind == FE_VALUE_ERROR)
        return fe_error(span);
    if ((op == FE_DIV || op == FE_REM) && right->kind == FE_VALUE_NUMBER && right->number == 0)
        return fe_fail(context, span, "division by zero");
    if (left->kind == FE_VALUE_NUMBER && right->kind == FE_VALUE_NUMBER)
        return operate_numbers(context, op, left->number, right->number, span);
    if (left->kind == FE_VALUE_TRUTH && right->kind == FE_VALUE_TRUTH && (op == FE_EQ || op == FE_NE))
        return fe_truth((left->number == right->number) == (op == FE_EQ), span);
    if (is_comparable(left, right) && (op == FE_EQ || op == FE_NE))
        return fe_truth(is_same(left, right) == (op == FE_EQ), span);
    if (left->kind == FE_VALUE_TIME || right->kind == FE_VALUE_TIME)
        return operate_times(context, op, left, right, span);
    switch (op) {
    case FE_ADD: return fe_binary(context, IR_OP_add, left, right, span);
    case FE_SUB: return fe_binary(context, IR_OP_sub, left, right, span);
    case FE_MUL: return fe_binary(context, IR_OP_mul, left, right, span);
    case FE_DIV: return fe_binary(context, IR_OP_div, left, right, span);
    case FE_REM: return fe_binary(context, IR_OP_rem, left, right, span);
    case FE_POW: return power(context, left, right, span);
    case FE_EQ: return fe_binary(context, IR_OP_equal, left, right, span);
    case FE_NE: return negated(context, IR_OP_equal, left, right, span);
    case FE_LT: return fe_binary(context, IR_OP_less, left, right, span);
    case FE_LE: return fe_binary(context, IR_OP_less_equal, left, right, span);
    case FE_GT: return fe_binary(context, IR_OP_less, right, left, span);
    case FE_GE: return fe_binary(context, IR_OP_less_equal, right, left, span);
    case FE_AND: return fe_binary(context, IR_OP_and, left, right, span);
    case FE_OR: return fe_binary(context, IR_OP_or, left, right, span);
    default: return fe_error(span);
    }
}

/* ---- reductions
 * ------------------------------------------------------------------------------------------------------------ */

fe_value fe_reduce(fe_context *context, ir_opcode opcode, ir_value *value, const int64_t *axes, int count, bool keep,
                   source_span span) {
    ir_attr attr = ir_attr_ints_make(context->memory, IR_ATTR_axes, axes, count);
    ir_type before = value->type;
    ir_value *reduced = fe_build(context, opcode, &value, 1, &attr, 1, NULL, span);
    if (!reduced || !keep)
        return wrap(reduced, span);
    for (int i = 0; i < count; i++)
        before.dims[axes[i]] = 1;
    return wrap(fe_build(context, IR_OP_reshape, &reduced, 1, NULL, 0, &before, span), span);
}

ir_value *fe_iota(fe_context *context, const int64_t *dims, int rank, int axis, source_span span) {
    ir_type type = ir_type_make(IR_I32, rank, dims);
    ir_attr attr = ir_attr_int_make(context->memory, IR_ATTR_axis, axis);
    return fe_build(context, IR_OP_iota, NULL, 0, &attr, 1, &type, span);
}

/* ---- x where condition
 * ------------------------------------------------------------------------------------------------------ */

fe_value fe_where(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    static const char *const index_names[] = {"i", "j", "k", "l"};
    fe_value value = fe_evaluate(context, scope, expr->left);
    if (value.kind == FE_VALUE_ERROR)
        return value;
    ir_value *tensor = fe_to_tensor(context, &value, "what 'where' masks");
    if (!tensor)
        return fe_error(expr->span);
    fe_scope *inner = fe_scope_new(context->memory, scope);
    const ir_type *type = &tensor->type;
    for (int axis = 0; axis < type->rank && axis < 4; axis++) {
        ir_value *index = fe_iota(context, type->dims, type->rank, axis, expr->span);
        if (!index)
            return fe_error(expr->span);
        fe_scope_bind(context->memory, inner, index_names[axis], expr->span, fe_tensor(index, expr->span));
    }
    fe_value condition = fe_evaluate(context, inner, expr->right);
    ir_value *mask = condition.kind == FE_VALUE_ERROR ? NULL : fe_to_tensor(context, &condition, "a mask");
    if (!mask)
        return fe_error(expr->span);
    if (mask->type.dtype != IR_BOOL)
        return fe_fail(context, expr->right->span, "a mask is a condition, not numbers");
    int64_t dims[IR_MAX_RANK];
    if (!joint_dims(&mask->type, type, dims) || memcmp(dims, type->dims, (size_t)type->rank * sizeof *dims) != 0)
        return fe_fail(context, expr->right->span, "a mask of shape %s does not fit %s",
                       ir_shape_text(context->memory, &mask->type), ir_shape_text(context->memory, type));
    mask = fe_stretch(context, mask, type->dims, type->rank, expr->span);
    fe_describe_mask(context, inner, expr, type);
    return (fe_value){
        .kind = mask ? FE_VALUE_MASKED : FE_VALUE_ERROR, .span = expr->span, .tensor = tensor, .mask = mask};
}
