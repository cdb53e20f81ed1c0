/* Shape rules of contractions and windows. */
#include "ir/internal.h"

static const ir_type *operand(const shape_query *query, int i) {
    return &query->operands[i]->type;
}

static const char *shown(shape_query *query, const ir_type *type) {
    return ir_shape_text(query->memory, type);
}

static bool all_float(shape_query *query) {
    for (int i = 0; i < query->operand_count; i++)
        if (operand(query, i)->dtype != IR_F32)
            return shape_fail(query, "%s works on f32, not on %s", ir_op(query->opcode)->name,
                              ir_dtype_name(operand(query, i)->dtype));
    return true;
}

/* Marks the axes that an attribute names in *used; they must exist and be new. */
static bool mark_axes(shape_query *query, const ir_attr *axes, const ir_type *type, unsigned *used) {
    for (int i = 0; i < axes->count; i++) {
        int64_t axis = axes->as.ints[i];
        if (axis < 0 || axis >= type->rank || (*used & 1u << axis))
            return shape_fail(query, "'%s' must name axes of %s, each once", ir_attr_name(axes->key),
                              shown(query, type));
        *used |= 1u << axis;
    }
    return true;
}

static bool equal_dims(shape_query *query, const ir_attr *left_axes, const ir_attr *right_axes) {
    const ir_type *left = operand(query, 0), *right = operand(query, 1);
    bool equal = left_axes->count == right_axes->count;
    for (int i = 0; equal && i < left_axes->count; i++)
        equal = left->dims[left_axes->as.ints[i]] == right->dims[right_axes->as.ints[i]];
    if (!equal)
        return shape_fail(query, "a product of %s and %s needs equal sizes along the axes that it sums or shares",
                          shown(query, left), shown(query, right));
    return true;
}

static bool append_dim(shape_query *query, ir_type *type, int64_t dim) {
    if (type->rank == IR_MAX_RANK)
        return shape_fail(query, "the result would have more than %d axes", IR_MAX_RANK);
    type->dims[type->rank++] = dim;
    return true;
}

bool shape_dot(shape_query *query) {
    const ir_type *left = operand(query, 0), *right = operand(query, 1);
    const ir_attr *left_batch = shape_attr(query, IR_ATTR_lhs_batch),
                  *right_batch = shape_attr(query, IR_ATTR_rhs_batch);
    const ir_attr *left_sum = shape_attr(query, IR_ATTR_lhs_contract);
    const ir_attr *right_sum = shape_attr(query, IR_ATTR_rhs_contract);
    unsigned left_used = 0, right_used = 0;
    if (!all_float(query) || !mark_axes(query, left_batch, left, &left_used) ||
        !mark_axes(query, left_sum, left, &left_used) || !mark_axes(query, right_batch, right, &right_used) ||
        !mark_axes(query, right_sum, right, &right_used) || !equal_dims(query, left_batch, right_batch) ||
        !equal_dims(query, left_sum, right_sum))
        return false;
    ir_type result = {.dtype = IR_F32};
    for (int i = 0; i < left_batch->count; i++)
        if (!append_dim(query, &result, left->dims[left_batch->as.ints[i]]))
            return false;
    for (int i = 0; i < left->rank; i++)
        if (!(left_used & 1u << i) && !append_dim(query, &result, left->dims[i]))
            return false;
    for (int i = 0; i < right->rank; i++)
        if (!(right_used & 1u << i) && !append_dim(query, &result, right->dims[i]))
            return false;
    *query->type = result;
    return true;
}

/* ---- convolutions
 * ------------------------------------------------------------------------------------------------------- */

static bool counted(shape_query *query, ir_attr_key key, int count, int64_t lowest) {
    const ir_attr *attr = shape_attr(query, key);
    bool good = attr->count == count;
    for (int i = 0; good && i < count; i++)
        good = attr->as.ints[i] >= lowest && attr->as.ints[i] < (INT64_C(1) << 30);
    return good ||
           shape_fail(query, "'%s' needs %d numbers of at least %lld", ir_attr_name(key), count, (long long)lowest);
}

/* Places of a window of `span` elements that moves by `stride` over `size` elements with padding; 0 if it never fits.
 */
static int64_t window_places(int64_t size, int64_t span, int64_t stride, int64_t before, int64_t after) {
    int64_t room = size + before + after - span;
    return room < 0 ? 0 : room / stride + 1;
}

static bool four_axes(shape_query *query, const ir_type *type) {
    return type->rank == 4 ||
           shape_fail(query, "%s works on 4 axes, not on %s", ir_op(query->opcode)->name, shown(query, type));
}

/* Checks x [N,C,H,W] against w [O,C/groups,KH,KW] and gives the result's type. */
static bool convolved(shape_query *query, const ir_type *x, const ir_type *w, ir_type *result) {
    if (!all_float(query) || !four_axes(query, x) || !four_axes(query, w) || !counted(query, IR_ATTR_stride, 2, 1) ||
        !counted(query, IR_ATTR_padding, 4, 0) || !counted(query, IR_ATTR_dilation, 2, 1) ||
        !counted(query, IR_ATTR_groups, 1, 1))
        return false;
    const int64_t *stride = shape_attr(query, IR_ATTR_stride)->as.ints;
    const int64_t *padding = shape_attr(query, IR_ATTR_padding)->as.ints;
    const int64_t *dilation = shape_attr(query, IR_ATTR_dilation)->as.ints;
    int64_t groups = shape_attr(query, IR_ATTR_groups)->as.ints[0];
    if (x->dims[1] % groups || w->dims[0] % groups || w->dims[1] != x->dims[1] / groups)
        return shape_fail(query,
                          "a convolution of %s with weights %s in %lld groups does not fit: the weights' second axis "
                          "must be the channels of a group",
                          shown(query, x), shown(query, w), (long long)groups);
    *result = ir_type_make(IR_F32, 4, (int64_t[]){x->dims[0], w->dims[0], 0, 0});
    for (int i = 0; i < 2; i++) {
        if (w->dims[2 + i] - 1 > IR_MAX_ELEMENTS / dilation[i])
            return shape_fail(query, "the dilated kernel of weights %s is too large", shown(query, w));
        int64_t span = dilation[i] * (w->dims[2 + i] - 1) + 1;
        result->dims[2 + i] = window_places(x->dims[2 + i], span, stride[i], padding[2 * i], padding[2 * i + 1]);
        if (result->dims[2 + i] < 1)
            return shape_fail(query, "the kernel of weights %s is larger than the padded map %s", shown(query, w),
                              shown(query, x));
    }
    return true;
}

bool shape_conv2d(shape_query *query) {
    ir_type result;
    if (!convolved(query, operand(query, 0), operand(query, 1), &result))
        return false;
    *query->type = result;
    return true;
}

static bool fits_convolution(shape_query *query, const ir_type *x, const ir_type *w, const ir_type *y) {
    ir_type result;
    if (query->type->dtype != IR_F32)
        return shape_fail(query, "gradients are f32");
    if (!convolved(query, x, w, &result))
        return false;
    if (!ir_type_equal(&result, y))
        return shape_fail(query, "%s with weights %s gives %s, not %s", shown(query, x), shown(query, w),
                          shown(query, &result), shown(query, y));
    return true;
}

bool shape_explicit_conv2d_input_grad(shape_query *query) {
    return fits_convolution(query, query->type, operand(query, 1), operand(query, 0));
}

bool shape_explicit_conv2d_weight_grad(shape_query *query) {
    return fits_convolution(query, operand(query, 0), query->type, operand(query, 1));
}

/* ---- pools
 * ------------------------------------------------------------------------------------------------------------- */

static bool pooled(shape_query *query, const ir_type *x, ir_type *result) {
    if (!all_float(query) || !four_axes(query, x) || !counted(query, IR_ATTR_kernel, 2, 1) ||
        !counted(query, IR_ATTR_stride, 2, 1) || !counted(query, IR_ATTR_padding, 4, 0))
        return false;
    const int64_t *kernel = shape_attr(query, IR_ATTR_kernel)->as.ints;
    const int64_t *stride = shape_attr(query, IR_ATTR_stride)->as.ints;
    const int64_t *padding = shape_attr(query, IR_ATTR_padding)->as.ints;
    *result = *x;
    for (int i = 0; i < 2; i++) {
        if (padding[2 * i] >= kernel[i] || padding[2 * i + 1] >= kernel[i])
            return shape_fail(query, "padding must be smaller than the window");
        result->dims[2 + i] = window_places(x->dims[2 + i], kernel[i], stride[i], padding[2 * i], padding[2 * i + 1]);
        if (result->dims[2 + i] < 1)
            return shape_fail(query, "a window of %lld x %lld is larger than the padded map %s", (long long)kernel[0],
                              (long long)kernel[1], shown(query, x));
    }
    return true;
}

bool shape_pool2d(shape_query *query) {
    ir_type result;
    if (!pooled(query, operand(query, 0), &result))
        return false;
    *query->type = result;
    return true;
}

static bool fits_pool(shape_query *query, const ir_type *x, const ir_type *y) {
    ir_type result;
    if (!pooled(query, x, &result))
        return false;
    if (!ir_type_equal(&result, y) || query->type->dtype != IR_F32)
        return shape_fail(query, "pooling %s gives %s, not %s", shown(query, x), shown(query, &result),
                          shown(query, y));
    return true;
}

bool shape_explicit_max_pool2d_grad(shape_query *query) {
    if (!ir_type_equal(query->type, operand(query, 0)))
        return shape_fail(query, "the gradient has the shape of the map %s", shown(query, operand(query, 0)));
    return fits_pool(query, operand(query, 0), operand(query, 1));
}

bool shape_explicit_avg_pool2d_grad(shape_query *query) {
    return fits_pool(query, query->type, operand(query, 0));
}
