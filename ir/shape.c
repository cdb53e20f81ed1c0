/* Shape rules of sources, elementwise operations and shape changes. */
#include "ir/internal.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

bool shape_fail(shape_query *query, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    query->why = arena_strdup(query->memory, text);
    return false;
}

const ir_attr *shape_attr(const shape_query *query, ir_attr_key key) {
    for (int i = 0; i < query->attr_count; i++)
        if (query->attrs[i].key == key)
            return &query->attrs[i];
    return NULL;
}

static const ir_type *operand(const shape_query *query, int i) {
    return &query->operands[i]->type;
}

static const char *shown(shape_query *query, const ir_type *type) {
    return ir_shape_text(query->memory, type);
}

/* Positive dims whose product stays within the limit. */
static bool sane_dims(shape_query *query) {
    int64_t elements = 1;
    for (int i = 0; i < query->type->rank; i++) {
        int64_t dim = query->type->dims[i];
        if (dim < 1)
            return shape_fail(query, "the result would have the shape %s; every axis needs at least one element",
                              shown(query, query->type));
        if (dim > IR_MAX_ELEMENTS / elements)
            return shape_fail(query, "the result would have the shape %s; that is too large",
                              shown(query, query->type));
        elements *= dim;
    }
    return true;
}

/* The attributes that the table requires, each once and of the right kind. */
static bool right_attrs(shape_query *query) {
    const ir_op_info *op = ir_op(query->opcode);
    for (int i = 0; i < op->attr_count; i++) {
        const ir_attr *attr = shape_attr(query, op->attrs[i]);
        if (!attr)
            return shape_fail(query, "%s needs the attribute '%s'", op->name, ir_attr_name(op->attrs[i]));
        if (ir_attr_kind_of(attr->key) == IR_ATTR_INT && attr->count != 1)
            return shape_fail(query, "'%s' takes one number", ir_attr_name(attr->key));
    }
    if (query->attr_count != op->attr_count)
        return shape_fail(query, "%s takes %d attributes, not %d", op->name, op->attr_count, query->attr_count);
    return true;
}

bool ir_infer(arena *memory, ir_opcode opcode, ir_value *const *operands, int operand_count, const ir_attr *attrs,
              int attr_count, ir_type *type, const char **why) {
    shape_query query = {memory, opcode, operands, operand_count, attrs, attr_count, type, NULL};
    const ir_op_info *op = ir_op(opcode);
    bool fits;
    if (op->operand_count >= 0 && operand_count != op->operand_count)
        fits = shape_fail(&query, "%s takes %d operands, not %d", op->name, op->operand_count, operand_count);
    else
        fits = right_attrs(&query) && ir_shape_rule(opcode)(&query) && sane_dims(&query);
    if (!fits && why)
        *why = query.why;
    return fits;
}

/* ---- sources and elementwise
 * ------------------------------------------------------------------------------------------ */

/* Whether an element of that type can be the number. */
static bool is_element(double number, ir_dtype dtype) {
    if (dtype == IR_I32)
        return number >= -2147483648.0 && number <= 2147483647.0 && number == floor(number);
    return dtype == IR_F32 || number == 0 || number == 1;
}

bool shape_explicit(shape_query *query) {
    const ir_attr *axis = shape_attr(query, IR_ATTR_axis);
    if (axis && (axis->as.ints[0] < 0 || axis->as.ints[0] >= query->type->rank))
        return shape_fail(query, "axis %lld does not exist in %s", (long long)axis->as.ints[0],
                          shown(query, query->type));
    if (query->opcode == IR_OP_constant && !is_element(shape_attr(query, IR_ATTR_value)->as.number, query->type->dtype))
        return shape_fail(query, "the number is no %s", ir_dtype_name(query->type->dtype));
    if (query->opcode == IR_OP_iota && query->type->dtype == IR_BOOL)
        return shape_fail(query, "indices are numbers, not bool");
    bool random = query->opcode == IR_OP_random_uniform || query->opcode == IR_OP_random_normal;
    if (random && query->type->dtype != IR_F32)
        return shape_fail(query, "random numbers are f32");
    if (random)
        for (int i = 0; i < 2; i++)
            if (operand(query, i)->rank != 0 || operand(query, i)->dtype != IR_I32)
                return shape_fail(query, "random numbers need i32 scalars for seed and step");
    return true;
}

bool shape_same(shape_query *query) {
    *query->type = *operand(query, 0);
    for (int i = 1; i < query->operand_count; i++)
        if (!ir_same_dims(operand(query, 0), operand(query, i)))
            return shape_fail(query, "operands have different shapes: %s and %s", shown(query, operand(query, 0)),
                              shown(query, operand(query, i)));
    for (int i = 1; i < query->operand_count; i++)
        if (operand(query, 0)->dtype != operand(query, i)->dtype)
            return shape_fail(query, "operands have different element types: %s and %s",
                              ir_dtype_name(operand(query, 0)->dtype), ir_dtype_name(operand(query, i)->dtype));
    return true;
}

static bool same_of(shape_query *query, bool allowed, const char *wanted) {
    if (!allowed)
        return shape_fail(query, "%s works on %s, not on %s", ir_op(query->opcode)->name, wanted,
                          ir_dtype_name(operand(query, 0)->dtype));
    return shape_same(query);
}

bool shape_float_same(shape_query *query) {
    return same_of(query, operand(query, 0)->dtype == IR_F32, "f32");
}

bool shape_bool_same(shape_query *query) {
    return same_of(query, operand(query, 0)->dtype == IR_BOOL, "bool");
}

bool shape_number_same(shape_query *query) {
    return same_of(query, operand(query, 0)->dtype != IR_BOOL, "numbers");
}

bool shape_explicit_same_dims(shape_query *query) {
    if (!ir_same_dims(query->type, operand(query, 0)))
        return shape_fail(query, "result %s and operand %s differ in shape", shown(query, query->type),
                          shown(query, operand(query, 0)));
    return true;
}

bool shape_compare(shape_query *query) {
    if (!shape_number_same(query))
        return false;
    query->type->dtype = IR_BOOL;
    return true;
}

bool shape_select(shape_query *query) {
    if (operand(query, 0)->dtype != IR_BOOL)
        return shape_fail(query, "select needs a bool condition, not %s", ir_dtype_name(operand(query, 0)->dtype));
    *query->type = *operand(query, 1);
    for (int i = 0; i < 3; i++)
        if (!ir_same_dims(operand(query, 1), operand(query, i)))
            return shape_fail(query, "operands have different shapes: %s and %s", shown(query, operand(query, 1)),
                              shown(query, operand(query, i)));
    if (operand(query, 1)->dtype != operand(query, 2)->dtype)
        return shape_fail(query, "operands have different element types: %s and %s",
                          ir_dtype_name(operand(query, 1)->dtype), ir_dtype_name(operand(query, 2)->dtype));
    return true;
}

/* ---- shape changes
 * ---------------------------------------------------------------------------------------------------- */

static bool same_dtype_as_operand(shape_query *query) {
    if (query->type->dtype != operand(query, 0)->dtype)
        return shape_fail(query, "the result's element type must be the operand's");
    return true;
}

bool shape_explicit_broadcast(shape_query *query) {
    const ir_attr *axes = shape_attr(query, IR_ATTR_axes);
    const ir_type *from = operand(query, 0);
    if (axes->count != from->rank)
        return shape_fail(query, "broadcast names %d axes for an operand %s", axes->count, shown(query, from));
    for (int i = 0; i < axes->count; i++) {
        int64_t axis = axes->as.ints[i];
        if (axis < 0 || axis >= query->type->rank || (i > 0 && axis <= axes->as.ints[i - 1]))
            return shape_fail(query, "broadcast's axes must increase and exist in %s", shown(query, query->type));
        if (query->type->dims[axis] != from->dims[i])
            return shape_fail(query, "cannot repeat %s as %s", shown(query, from), shown(query, query->type));
    }
    return same_dtype_as_operand(query);
}

bool shape_explicit_reshape(shape_query *query) {
    int64_t elements = 1;
    for (int i = 0; i < query->type->rank; i++) {
        int64_t dim = query->type->dims[i];
        if (dim < 1 || dim > IR_MAX_ELEMENTS / elements)
            return shape_fail(query, "cannot reshape %s as %s", shown(query, operand(query, 0)),
                              shown(query, query->type));
        elements *= dim;
    }
    if (elements != ir_type_elements(operand(query, 0)))
        return shape_fail(query, "cannot reshape %s as %s: the numbers of elements differ",
                          shown(query, operand(query, 0)), shown(query, query->type));
    return same_dtype_as_operand(query);
}

bool shape_transpose(shape_query *query) {
    const ir_attr *axes = shape_attr(query, IR_ATTR_axes);
    const ir_type *from = operand(query, 0);
    *query->type = *from;
    unsigned seen = 0;
    for (int i = 0; i < axes->count && i < from->rank; i++) {
        if (axes->as.ints[i] < 0 || axes->as.ints[i] >= from->rank)
            return shape_fail(query, "transpose names an axis that %s does not have", shown(query, from));
        seen |= 1u << axes->as.ints[i];
        query->type->dims[i] = from->dims[axes->as.ints[i]];
    }
    if (axes->count != from->rank || seen != (1u << from->rank) - 1)
        return shape_fail(query, "transpose must name each axis of %s once", shown(query, from));
    return true;
}

static bool one_each_axis(shape_query *query, const ir_attr *attr) {
    if (attr->count == operand(query, 0)->rank)
        return true;
    return shape_fail(query, "'%s' needs one number for each axis of %s", ir_attr_name(attr->key),
                      shown(query, operand(query, 0)));
}

bool shape_slice(shape_query *query) {
    const ir_type *from = operand(query, 0);
    const ir_attr *start = shape_attr(query, IR_ATTR_start), *limit = shape_attr(query, IR_ATTR_limit);
    const ir_attr *stride = shape_attr(query, IR_ATTR_stride);
    if (!one_each_axis(query, start) || !one_each_axis(query, limit) || !one_each_axis(query, stride))
        return false;
    *query->type = *from;
    for (int i = 0; i < from->rank; i++) {
        int64_t first = start->as.ints[i], end = limit->as.ints[i], step = stride->as.ints[i];
        if (first < 0 || end > from->dims[i] || first >= end || step < 1)
            return shape_fail(query, "cannot take %lld .. %lld by %lld from axis %d of %s", (long long)first,
                              (long long)end, (long long)step, i, shown(query, from));
        query->type->dims[i] = (end - first - 1) / step + 1;
    }
    return true;
}

bool shape_pad(shape_query *query) {
    const ir_type *from = operand(query, 0);
    const ir_attr *low = shape_attr(query, IR_ATTR_low), *high = shape_attr(query, IR_ATTR_high);
    const ir_attr *interior = shape_attr(query, IR_ATTR_interior);
    if (!one_each_axis(query, low) || !one_each_axis(query, high) || !one_each_axis(query, interior))
        return false;
    if (!is_element(shape_attr(query, IR_ATTR_value)->as.number, from->dtype))
        return shape_fail(query, "the number is no %s", ir_dtype_name(from->dtype));
    *query->type = *from;
    for (int i = 0; i < from->rank; i++) {
        int64_t before = low->as.ints[i], after = high->as.ints[i], between = interior->as.ints[i];
        const int64_t limit = IR_MAX_ELEMENTS;
        if (before < 0 || after < 0 || between < 0 || before > limit || after > limit ||
            between > limit / from->dims[i])
            return shape_fail(query, "cannot pad axis %d of %s by %lld, %lld and %lld between", i, shown(query, from),
                              (long long)before, (long long)after, (long long)between);
        query->type->dims[i] = before + after + from->dims[i] + between * (from->dims[i] - 1);
    }
    return true;
}

/* A type as a person reads it beside another: the element type is worth saying where they differ in it. */
static const char *type_beside(const shape_query *query, const ir_type *type, const ir_type *other) {
    return type->dtype == other->dtype ? ir_shape_text(query->memory, type) : ir_type_text(query->memory, type);
}

static bool axis_exists(shape_query *query, int64_t axis, const ir_type *type) {
    if (axis >= 0 && axis < type->rank)
        return true;
    return shape_fail(query, "axis %lld does not exist in %s", (long long)axis, shown(query, type));
}

bool shape_concat(shape_query *query) {
    int64_t axis = shape_attr(query, IR_ATTR_axis)->as.ints[0];
    if (query->operand_count < 1)
        return shape_fail(query, "concat needs an operand");
    const ir_type *first = operand(query, 0);
    if (!axis_exists(query, axis, first))
        return false;
    *query->type = *first;
    for (int i = 1; i < query->operand_count; i++) {
        ir_type other = *operand(query, i);
        int64_t joined = query->type->dims[axis] + (axis < other.rank ? other.dims[axis] : 0);
        if (axis < other.rank)
            other.dims[axis] = first->dims[axis];
        if (!ir_type_equal(first, &other))
            return shape_fail(query, "cannot join %s and %s along axis %lld",
                              type_beside(query, first, operand(query, i)),
                              type_beside(query, operand(query, i), first), (long long)axis);
        query->type->dims[axis] = joined;
    }
    return true;
}

/* The dims of gather's result for a tensor, indices, axis and batch. */
static bool gathered(shape_query *query, const ir_type *from, const ir_type *indices, ir_type *result) {
    int64_t axis = shape_attr(query, IR_ATTR_axis)->as.ints[0], batch = shape_attr(query, IR_ATTR_batch)->as.ints[0];
    if (!axis_exists(query, axis, from))
        return false;
    if (indices->dtype != IR_I32)
        return shape_fail(query, "indices must be i32, not %s", ir_dtype_name(indices->dtype));
    if (batch < 0 || batch > axis || batch > indices->rank || memcmp(from->dims, indices->dims, (size_t)batch * 8) != 0)
        return shape_fail(query, "%s and indices %s do not share %lld leading axes", shown(query, from),
                          shown(query, indices), (long long)batch);
    if (from->rank + indices->rank - batch - 1 > IR_MAX_RANK)
        return shape_fail(query, "the result would have more than %d axes", IR_MAX_RANK);
    *result = (ir_type){.dtype = from->dtype};
    for (int i = 0; i < axis; i++)
        result->dims[result->rank++] = from->dims[i];
    for (int i = (int)batch; i < indices->rank; i++)
        result->dims[result->rank++] = indices->dims[i];
    for (int i = (int)axis + 1; i < from->rank; i++)
        result->dims[result->rank++] = from->dims[i];
    return true;
}

bool shape_gather(shape_query *query) {
    ir_type result;
    if (!gathered(query, operand(query, 0), operand(query, 1), &result))
        return false;
    *query->type = result;
    return true;
}

bool shape_explicit_scatter(shape_query *query) {
    ir_type updates;
    if (query->type->dtype == IR_BOOL)
        return shape_fail(query, "scatter_add works on numbers, not on bool");
    if (!gathered(query, query->type, operand(query, 1), &updates))
        return false;
    if (!ir_type_equal(&updates, operand(query, 0)))
        return shape_fail(query, "updates %s do not fit %s with indices %s", shown(query, operand(query, 0)),
                          shown(query, query->type), shown(query, operand(query, 1)));
    return true;
}

/* ---- reductions
 * --------------------------------------------------------------------------------------------------------- */

bool shape_reduce(shape_query *query) {
    const ir_attr *axes = shape_attr(query, IR_ATTR_axes);
    const ir_type *from = operand(query, 0);
    if (from->dtype == IR_BOOL)
        return shape_fail(query, "%s works on numbers, not on bool", ir_op(query->opcode)->name);
    unsigned gone = 0;
    for (int i = 0; i < axes->count; i++) {
        if (!axis_exists(query, axes->as.ints[i], from))
            return false;
        if (gone & 1u << axes->as.ints[i])
            return shape_fail(query, "axis %lld is named twice", (long long)axes->as.ints[i]);
        gone |= 1u << axes->as.ints[i];
    }
    ir_type result = {.dtype = from->dtype};
    for (int i = 0; i < from->rank; i++)
        if (!(gone & 1u << i))
            result.dims[result.rank++] = from->dims[i];
    *query->type = result;
    return true;
}

bool shape_float_reduce(shape_query *query) {
    if (operand(query, 0)->dtype != IR_F32)
        return shape_fail(query, "%s works on f32, not on %s", ir_op(query->opcode)->name,
                          ir_dtype_name(operand(query, 0)->dtype));
    return shape_reduce(query);
}

bool shape_argmax(shape_query *query) {
    const ir_attr *axis = shape_attr(query, IR_ATTR_axis);
    const ir_type *from = operand(query, 0);
    if (!axis_exists(query, axis->as.ints[0], from))
        return false;
    if (from->dtype == IR_BOOL)
        return shape_fail(query, "argmax works on numbers, not on bool");
    ir_type result = {.dtype = IR_I32};
    for (int i = 0; i < from->rank; i++)
        if (i != axis->as.ints[0])
            result.dims[result.rank++] = from->dims[i];
    *query->type = result;
    return true;
}

bool shape_explicit_gradient(shape_query *query) {
    const ir_type *loss = operand(query, 0);
    if (loss->rank != 0 || loss->dtype != IR_F32)
        return shape_fail(query, "the gradient is taken of an f32 scalar, not of %s",
                          ir_type_text(query->memory, loss));
    if (!ir_type_equal(query->type, operand(query, 1)) || query->type->dtype != IR_F32)
        return shape_fail(query, "a gradient has the type of its variable, an f32 tensor");
    return true;
}
