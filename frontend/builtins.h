/* The rows of the built-in functions' table, by file. */
#ifndef FRONTEND_BUILTINS_H
#define FRONTEND_BUILTINS_H

#include "frontend/evaluate.h"

/* Each list ends with a row without name. */
extern const fe_builtin fe_builtins_math[];
extern const fe_builtin fe_builtins_shape[];
extern const fe_builtin fe_builtins_network[];
extern const fe_builtin fe_builtins_similarity[];
extern const fe_builtin fe_builtins_state[];
extern const fe_builtin fe_builtins_augment[];

/* axes = none: all from `first` on. Negative axes count from the end. */
bool fe_to_axes(fe_context *context, const fe_value *value, const ir_type *type, int first, int64_t *axes, int *count);
bool fe_to_axis(fe_context *context, const fe_value *value, int rank, int *axis);
/* A shape given as a list. */
bool fe_to_shape(fe_context *context, const fe_value *value, ir_type *type);
fe_value fe_wrap(ir_value *value, source_span span);

/* Reductions on plain or masked tensors. */
fe_value fe_sum(fe_context *context, const fe_value *value, const int64_t *axes, int count, bool keep,
                source_span span);
/* Sum of products along the last axis: one contraction where the operands allow, never a broadcast product. */
fe_value fe_dot(fe_context *context, const fe_value *left, const fe_value *right, source_span span);

#endif
