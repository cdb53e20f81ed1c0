/* For tests of contractions: modules of convolutions in all directions, and of products of matrices. */
#ifndef TESTS_CONTRACTION_CASE_H
#define TESTS_CONTRACTION_CASE_H

#include "tests/unit/ir_case.h"

#include <stdio.h>

typedef struct {
    int64_t n, channels, filters, size[2], kernel[2], stride[2], padding[4], dilation[2], groups;
} shape;

/* The same padding on all sides. */
#define SAME(p)                                                                                                        \
    { p, p, p, p }
static const char *const directions[] = {"conv2d", "conv2d_input_grad", "conv2d_weight_grad"};

static inline int64_t out_size(const shape *at, int axis) {
    int64_t reach = at->dilation[axis] * (at->kernel[axis] - 1) + 1;
    return (at->size[axis] + at->padding[2 * axis] + at->padding[2 * axis + 1] - reach) / at->stride[axis] + 1;
}

static inline void append_function(text_buffer *text, const shape *at, int direction) {
    char types[3][80];
    snprintf(types[0], sizeof types[0], "f32[%d,%d,%d,%d]", (int)at->n, (int)at->channels, (int)at->size[0],
             (int)at->size[1]);
    snprintf(types[1], sizeof types[1], "f32[%d,%d,%d,%d]", (int)at->filters, (int)(at->channels / at->groups),
             (int)at->kernel[0], (int)at->kernel[1]);
    snprintf(types[2], sizeof types[2], "f32[%d,%d,%d,%d]", (int)at->n, (int)at->filters, (int)out_size(at, 0),
             (int)out_size(at, 1));
    static const int operands[3][3] = {{0, 1, 2}, {2, 1, 0}, {0, 2, 1}};
    const int *which = operands[direction];
    text_append(text, "func @%s {\n  %%0 = input @a%d : %s\n  %%1 = input @a%d : %s\n", directions[direction], which[0],
                types[which[0]], which[1], types[which[1]]);
    text_append(text, "  %%2 = %s %%0, %%1 {stride=[%d,%d], padding=[%d,%d,%d,%d], dilation=[%d,%d], groups=%d} : %s\n",
                directions[direction], (int)at->stride[0], (int)at->stride[1], (int)at->padding[0], (int)at->padding[1],
                (int)at->padding[2], (int)at->padding[3], (int)at->dilation[0], (int)at->dilation[1], (int)at->groups,
                types[which[2]]);
    text_append(text, "  output @r, %%2\n}\n");
}

static inline void append_shape(text_buffer *text, const shape *at) {
    text_append(text, "module @convolutions\n");
    for (int direction = 0; direction < 3; direction++)
        append_function(text, at, direction);
}

/* Numbers from -1 to 1 for the inputs of all functions, with the precision that memory has. */
static inline void give_inputs(const ir_case *this, uint64_t seed, tensor_list *given) {
    rt_random_sequence random = rt_random_begin(seed, 3);
    for (int f = 0; f < this->module->function_count; f++)
        for (const ir_value *value = this->module->functions[f]->first; value; value = value->next)
            if (value->opcode == IR_OP_input && !tensor_find(given, false, ir_symbol(value, IR_ATTR_symbol))) {
                double *elements = tensor_add(given, false, ir_symbol(value, IR_ATTR_symbol), &value->type);
                for (int64_t i = 0; i < ir_type_elements(&value->type); i++)
                    elements[i] = (double)(float)rt_random_range(&random, -1, 1);
            }
}

/* Sizes of [batch, m, k] times [batch, k, n]; whether the operands lie the other way round. */
typedef struct {
    int batch, m, n, k;
    bool left_turned, right_turned;
} product_case;

static inline void append_product(text_buffer *text, const product_case *of) {
    int batch = of->batch, m = of->m, n = of->n, k = of->k;
    bool left = of->left_turned, right = of->right_turned;
    text_append(text, "module @products\nfunc @dot {\n");
    text_append(text, "  %%0 = input @a : f32[%d,%d,%d]\n", batch, left ? k : m, left ? m : k);
    text_append(text, "  %%1 = input @b : f32[%d,%d,%d]\n", batch, right ? n : k, right ? k : n);
    text_append(text,
                "  %%2 = dot %%0, %%1 {lhs_batch=[0], rhs_batch=[0], lhs_contract=[%d], rhs_contract=[%d]} : "
                "f32[%d,%d,%d]\n  output @r, %%2\n}\n",
                left ? 1 : 2, right ? 2 : 1, batch, m, n);
}

#endif
