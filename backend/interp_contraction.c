/* The interpreter's rules for dot, convolutions and pooling, as plain loops. */
#include "backend/interp.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static void clear(const ir_value *value, double *result) {
    memset(result, 0, sizeof *result * (size_t)ir_type_elements(&value->type));
}

/* ---- dot --------------------------------------------------------------------------------------------------------- */

static bool contains(const ir_attr *axes, int axis) {
    for (int i = 0; i < axes->count; i++)
        if (axes->as.ints[i] == axis)
            return true;
    return false;
}

/* Appends the strides of one operand's free axes, in order, after `position` and returns the next position. */
static int free_strides(const ir_type *type, const ir_attr *batch, const ir_attr *contract, int64_t *strides,
                        int position) {
    int64_t own[IR_MAX_RANK];
    interp_strides(type, own);
    for (int axis = 0; axis < type->rank; axis++)
        if (!contains(batch, axis) && !contains(contract, axis))
            strides[position++] = own[axis];
    return position;
}

/* The strides of the axes that `axes` lists. */
static void listed_strides(const ir_type *type, const ir_attr *axes, int64_t *strides) {
    int64_t own[IR_MAX_RANK];
    interp_strides(type, own);
    for (int i = 0; i < axes->count; i++)
        strides[i] = own[axes->as.ints[i]];
}

void eval_dot(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *left = &value->operands[0]->type, *right = &value->operands[1]->type;
    const ir_attr *left_batch = ir_attr_get(value, IR_ATTR_lhs_batch);
    const ir_attr *right_batch = ir_attr_get(value, IR_ATTR_rhs_batch);
    const ir_attr *left_contract = ir_attr_get(value, IR_ATTR_lhs_contract);
    const ir_attr *right_contract = ir_attr_get(value, IR_ATTR_rhs_contract);
    /* Result index -> offsets of the operands, then contracted index -> further offsets. */
    int64_t left_outer[IR_MAX_RANK] = {0}, right_outer[IR_MAX_RANK] = {0};
    int64_t left_inner[IR_MAX_RANK] = {0}, right_inner[IR_MAX_RANK] = {0}, inner_dims[IR_MAX_RANK];
    listed_strides(left, left_batch, left_outer);
    listed_strides(right, right_batch, right_outer);
    int position = free_strides(left, left_batch, left_contract, left_outer, left_batch->count);
    free_strides(right, right_batch, right_contract, right_outer, position);
    listed_strides(left, left_contract, left_inner);
    listed_strides(right, right_contract, right_inner);
    for (int i = 0; i < left_contract->count; i++)
        inner_dims[i] = left->dims[left_contract->as.ints[i]];

    const double *x = interp_operand(plan, value, 0), *y = interp_operand(plan, value, 1);
    interp_walk outer = interp_walk_begin(value->type.rank, value->type.dims, left_outer, right_outer, NULL);
    interp_walk inner = interp_walk_begin(left_contract->count, inner_dims, left_inner, right_inner, NULL);
    do {
        double total = 0;
        do
            total += x[outer.offset[0] + inner.offset[0]] * y[outer.offset[1] + inner.offset[1]];
        while (interp_walk_next(&inner));
        *result++ = total;
    } while (interp_walk_next(&outer));
}

/* ---- convolutions --------------------------------------------------------------------------------------------------
 */

/* The three tensors of a convolution: image [N,C,H,W], kernel [O,C/groups,KH,KW], output [N,O,H',W']. */
enum { IMAGE, KERNEL, OUTPUT };

/* result[r] += first[a] * second[b] over all products of the convolution, where r, a and b are the indices into the
 * tensors that `result_role`, `first_role` and `second_role` name: the three operations differ in nothing else. */
static void convolve(const ir_value *value, const ir_type *types[3], double *result, int result_role,
                     const double *first, int first_role, const double *second, int second_role) {
    const int64_t *image = types[IMAGE]->dims, *kernel = types[KERNEL]->dims, *output = types[OUTPUT]->dims;
    const int64_t *stride = ir_ints(value, IR_ATTR_stride), *padding = ir_ints(value, IR_ATTR_padding);
    const int64_t *dilation = ir_ints(value, IR_ATTR_dilation);
    int64_t channels = kernel[1], filters = output[1] / ir_int(value, IR_ATTR_groups);
    clear(value, result);
    for (int64_t n = 0; n < output[0]; n++)
        for (int64_t o = 0; o < output[1]; o++)
            for (int64_t c = 0; c < channels; c++)
                for (int64_t ky = 0; ky < kernel[2]; ky++)
                    for (int64_t kx = 0; kx < kernel[3]; kx++)
                        for (int64_t oy = 0; oy < output[2]; oy++) {
                            int64_t y = oy * stride[0] + ky * dilation[0] - padding[0];
                            if (y < 0 || y >= image[2])
                                continue;
                            int64_t channel = o / filters * channels + c, at[3];
                            for (int64_t ox = 0; ox < output[3]; ox++) {
                                int64_t x = ox * stride[1] + kx * dilation[1] - padding[2];
                                if (x < 0 || x >= image[3])
                                    continue;
                                at[IMAGE] = ((n * image[1] + channel) * image[2] + y) * image[3] + x;
                                at[KERNEL] = ((o * channels + c) * kernel[2] + ky) * kernel[3] + kx;
                                at[OUTPUT] = ((n * output[1] + o) * output[2] + oy) * output[3] + ox;
                                result[at[result_role]] += first[at[first_role]] * second[at[second_role]];
                            }
                        }
}

void eval_conv2d(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *types[3] = {&value->operands[0]->type, &value->operands[1]->type, &value->type};
    convolve(value, types, result, OUTPUT, interp_operand(plan, value, 0), IMAGE, interp_operand(plan, value, 1),
             KERNEL);
}

void eval_conv2d_input_grad(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *types[3] = {&value->type, &value->operands[1]->type, &value->operands[0]->type};
    convolve(value, types, result, IMAGE, interp_operand(plan, value, 0), OUTPUT, interp_operand(plan, value, 1),
             KERNEL);
}

void eval_conv2d_weight_grad(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *types[3] = {&value->operands[0]->type, &value->type, &value->operands[1]->type};
    convolve(value, types, result, KERNEL, interp_operand(plan, value, 0), IMAGE, interp_operand(plan, value, 1),
             OUTPUT);
}

/* ---- pooling -------------------------------------------------------------------------------------------------------
 */

/* One window of one image plane: rows [top, bottom) and columns [left, right), without the padding. */
typedef struct {
    int64_t top, bottom, left, right;
} window;

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static window window_at(const ir_value *value, const ir_type *image, int64_t row, int64_t column) {
    const int64_t *kernel = ir_ints(value, IR_ATTR_kernel), *stride = ir_ints(value, IR_ATTR_stride);
    const int64_t *padding = ir_ints(value, IR_ATTR_padding);
    int64_t top = row * stride[0] - padding[0], left = column * stride[1] - padding[2];
    return (window){larger(top, 0), smaller(top + kernel[0], image->dims[2]), larger(left, 0),
                    smaller(left + kernel[1], image->dims[3])};
}

static double window_area(const ir_value *value) {
    const int64_t *kernel = ir_ints(value, IR_ATTR_kernel);
    return (double)(kernel[0] * kernel[1]);
}

/* Index within the plane of the window's first maximum, or -1 when the window lies in the padding. */
static int64_t first_maximum(const double *plane, int64_t width, const window *seen) {
    int64_t best = -1;
    for (int64_t y = seen->top; y < seen->bottom; y++)
        for (int64_t x = seen->left; x < seen->right; x++)
            if (best < 0 || interp_is_larger(plane[y * width + x], plane[best]))
                best = y * width + x;
    return best;
}

/* What one pooling operation does with one window: `image` and `pooled` are the plane and the window's element. */
typedef void (*pool_rule)(const ir_value *value, const window *seen, int64_t width, const double *image,
                          const double *pooled, double *result);

/* Runs the rule over all windows of all planes. With `pooled` elements the result is an image, else it is pooled;
 * `image` is NULL when the rule does not look at it. */
static void pool(const ir_value *value, const ir_type *image_type, const ir_type *pooled_type, const double *image,
                 const double *pooled, double *result, pool_rule rule) {
    int64_t planes = pooled_type->dims[0] * pooled_type->dims[1], width = image_type->dims[3];
    int64_t image_size = image_type->dims[2] * width, pooled_size = pooled_type->dims[2] * pooled_type->dims[3];
    bool to_image = pooled != NULL;
    clear(value, result);
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t i = 0; i < pooled_size; i++) {
            window seen = window_at(value, image_type, i / pooled_type->dims[3], i % pooled_type->dims[3]);
            rule(value, &seen, width, image ? image + plane * image_size : NULL,
                 pooled ? pooled + plane * pooled_size + i : NULL,
                 to_image ? result + plane * image_size : result + plane * pooled_size + i);
        }
}

static void max_rule(const ir_value *value, const window *seen, int64_t width, const double *image,
                     const double *pooled, double *result) {
    (void)value, (void)pooled;
    int64_t best = first_maximum(image, width, seen);
    *result = best < 0 ? -INFINITY : image[best];
}

static void max_grad_rule(const ir_value *value, const window *seen, int64_t width, const double *image,
                          const double *pooled, double *result) {
    (void)value;
    assert(pooled);
    int64_t best = first_maximum(image, width, seen);
    if (best >= 0)
        result[best] += *pooled;
}

static void average_rule(const ir_value *value, const window *seen, int64_t width, const double *image,
                         const double *pooled, double *result) {
    (void)pooled;
    for (int64_t y = seen->top; y < seen->bottom; y++)
        for (int64_t x = seen->left; x < seen->right; x++)
            *result += image[y * width + x] / window_area(value);
}

static void average_grad_rule(const ir_value *value, const window *seen, int64_t width, const double *image,
                              const double *pooled, double *result) {
    (void)image;
    assert(pooled);
    for (int64_t y = seen->top; y < seen->bottom; y++)
        for (int64_t x = seen->left; x < seen->right; x++)
            result[y * width + x] += *pooled / window_area(value);
}

void eval_max_pool2d(const interp_plan *plan, const ir_value *value, double *result) {
    pool(value, &value->operands[0]->type, &value->type, interp_operand(plan, value, 0), NULL, result, max_rule);
}

void eval_max_pool2d_grad(const interp_plan *plan, const ir_value *value, double *result) {
    pool(value, &value->type, &value->operands[1]->type, interp_operand(plan, value, 0), interp_operand(plan, value, 1),
         result, max_grad_rule);
}

void eval_avg_pool2d(const interp_plan *plan, const ir_value *value, double *result) {
    pool(value, &value->operands[0]->type, &value->type, interp_operand(plan, value, 0), NULL, result, average_rule);
}

void eval_avg_pool2d_grad(const interp_plan *plan, const ir_value *value, double *result) {
    pool(value, &value->type, &value->operands[0]->type, NULL, interp_operand(plan, value, 0), result,
         average_grad_rule);
}
