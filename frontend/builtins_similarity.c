/* Similarities of vectors, and scoring many against many. */
#include "frontend/builtins.h"

#include <assert.h>
#include <string.h>

/* ---- products along the last axis
 * --------------------------------------------------------------------------------------------- */

/* Whether axis `i` is repeated by one operand alone: size 1 there and larger in the other. */
typedef struct {
    int64_t left_free[IR_MAX_RANK], right_free[IR_MAX_RANK], shared[IR_MAX_RANK];
    int left_count, right_count, shared_count;
} axis_split;

static axis_split split_axes(const ir_type *left, const ir_type *right) {
    axis_split split = {0};
    for (int i = 0; i < left->rank - 1; i++) {
        if (left->dims[i] == right->dims[i])
            split.shared[split.shared_count++] = i;
        else if (right->dims[i] == 1)
            split.left_free[split.left_count++] = i;
        else
            split.right_free[split.right_count++] = i;
    }
    return split;
}

/* Drops the axes that the other operand alone has, leaving shared, own, last. */
static ir_value *drop_axes(fe_context *context, ir_value *value, const int64_t *dropped, int count, int64_t *place,
                           source_span span) {
    ir_type type = {.dtype = value->type.dtype};
    for (int i = 0; i < value->type.rank; i++) {
        bool drop = false;
        for (int d = 0; d < count; d++)
            drop |= dropped[d] == i;
        place[i] = drop ? -1 : type.rank;
        if (!drop)
            type.dims[type.rank++] = value->type.dims[i];
    }
    return count ? fe_build(context, IR_OP_reshape, &value, 1, NULL, 0, &type, span) : value;
}

/* The dot's axes come as shared, left free, right free; puts them back in their places. */
static ir_value *restore_order(fe_context *context, ir_value *value, const axis_split *split, int rank,
                               source_span span) {
    int64_t from[IR_MAX_RANK], permutation[IR_MAX_RANK];
    int count = 0;
    for (int i = 0; i < split->shared_count; i++)
        from[count++] = split->shared[i];
    for (int i = 0; i < split->left_count; i++)
        from[count++] = split->left_free[i];
    for (int i = 0; i < split->right_count; i++)
        from[count++] = split->right_free[i];
    assert(count == rank);
    bool in_order = true;
    for (int i = 0; i < rank; i++) {
        permutation[from[i]] = i;
        in_order &= from[i] == i;
    }
    if (in_order)
        return value;
    ir_attr attr = ir_attr_ints_make(context->memory, IR_ATTR_axes, permutation, rank);
    return fe_build(context, IR_OP_transpose, &value, 1, &attr, 1, NULL, span);
}

/* sum(u * v) along the last axis as one contraction: axes that only one operand has become rows and columns. */
static ir_value *contract(fe_context *context, ir_value *left, ir_value *right, source_span span) {
    int rank = left->type.rank - 1;
    axis_split split = split_axes(&left->type, &right->type);
    int64_t left_place[IR_MAX_RANK], right_place[IR_MAX_RANK], left_batch[IR_MAX_RANK], right_batch[IR_MAX_RANK];
    left = drop_axes(context, left, split.right_free, split.right_count, left_place, span);
    right = left ? drop_axes(context, right, split.left_free, split.left_count, right_place, span) : NULL;
    if (!right)
        return NULL;
    for (int i = 0; i < split.shared_count; i++) {
        left_batch[i] = left_place[split.shared[i]];
        right_batch[i] = right_place[split.shared[i]];
    }
    int64_t left_last = left->type.rank - 1, right_last = right->type.rank - 1;
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_lhs_batch, left_batch, split.shared_count),
                       ir_attr_ints_make(context->memory, IR_ATTR_rhs_batch, right_batch, split.shared_count),
                       ir_attr_ints_make(context->memory, IR_ATTR_lhs_contract, &left_last, 1),
                       ir_attr_ints_make(context->memory, IR_ATTR_rhs_contract, &right_last, 1)};
    ir_value *product = fe_build(context, IR_OP_dot, (ir_value *[]){left, right}, 2, attrs, 4, NULL, span);
    return product ? restore_order(context, product, &split, rank, span) : NULL;
}

static void complain_lengths(fe_context *context, const ir_type *a, const ir_type *b, source_span span) {
    diag_entry *entry = a->rank > 0 && a->rank == b->rank
                            ? diag_error(context->diags, span, "these vectors have different lengths: %lld and %lld",
                                         (long long)a->dims[a->rank - 1], (long long)b->dims[b->rank - 1])
                            : diag_error(context->diags, span, "these vectors have different axes: %s and %s",
                                         ir_shape_text(context->memory, a), ir_shape_text(context->memory, b));
    const fe_pairing *pairs = context->pairing; /* its operands are what the spec knows, not the widened a and b */
    if (pairs)
        diag_add_label(context->diags, entry, pairs->span, "for all pairs of %s and %s",
                       ir_shape_text(context->memory, pairs->left), ir_shape_text(context->memory, pairs->right));
    diag_add_note(context->diags, entry, "a dot product needs equal last axes; project one of them, e.g. with linear");
    fe_add_call_places(context, entry);
}

fe_value fe_dot(fe_context *context, const fe_value *left, const fe_value *right, source_span span) {
    ir_value *u = fe_to_tensor(context, left, "a vector"), *v = fe_to_tensor(context, right, "a vector");
    if (!u || !v)
        return fe_error(span);
    const ir_type *a = &u->type, *b = &v->type;
    if (a->rank < 1 || a->rank != b->rank || a->dims[a->rank - 1] != b->dims[b->rank - 1]) {
        complain_lengths(context, a, b, span);
        return fe_error(span);
    }
    axis_split split = split_axes(a, b);
    /* Row by row, without rows against columns, a product and a sum say the same and fuse with what surrounds them. */
    if (split.left_count == 0 && split.right_count == 0) {
        fe_value product = fe_binary(context, IR_OP_mul, left, right, span);
        int64_t last = a->rank - 1;
        return product.kind == FE_VALUE_ERROR ? product : fe_sum(context, &product, &last, 1, false, span);
    }
    for (int i = 0; i < a->rank - 1; i++)
        if (a->dims[i] != b->dims[i] && a->dims[i] != 1 && b->dims[i] != 1)
            return fe_fail(context, span, "vectors of %s and %s cannot be paired", ir_shape_text(context->memory, a),
                           ir_shape_text(context->memory, b));
    return fe_wrap(contract(context, u, v, span), span);
}

static fe_value builtin_dot(fe_context *context, fe_value *arguments, source_span span) {
    return fe_dot(context, &arguments[0], &arguments[1], span);
}

static fe_value squared_norm(fe_context *context, const fe_value *vector, bool keep, source_span span) {
    ir_value *tensor = fe_to_tensor(context, vector, "a vector");
    if (!tensor)
        return fe_error(span);
    if (tensor->type.rank < 1)
        return fe_fail(context, span, "a scalar is no vector");
    fe_value value = fe_tensor(tensor, span);
    fe_value square = fe_binary(context, IR_OP_mul, &value, &value, span);
    int64_t last = tensor->type.rank - 1;
    return fe_sum(context, &square, &last, 1, keep, span);
}

static fe_value builtin_norm(fe_context *context, fe_value *arguments, source_span span) {
    fe_value square = squared_norm(context, &arguments[0], false, span);
    return square.kind == FE_VALUE_ERROR ? square : fe_unary(context, IR_OP_sqrt, &square, span);
}

/* v / max(|v|, 1e-12), as PyTorch's normalize. */
static fe_value unit(fe_context *context, const fe_value *vector, source_span span) {
    fe_value square = squared_norm(context, vector, true, span);
    if (square.kind == FE_VALUE_ERROR)
        return square;
    fe_value smallest = fe_number(1e-24, span);
    fe_value bounded = fe_binary(context, IR_OP_max, &square, &smallest, span);
    fe_value inverse = fe_unary(context, IR_OP_rsqrt, &bounded, span);
    return fe_binary(context, IR_OP_mul, vector, &inverse, span);
}

static fe_value builtin_unit(fe_context *context, fe_value *arguments, source_span span) {
    return unit(context, &arguments[0], span);
}

static fe_value builtin_cosine(fe_context *context, fe_value *arguments, source_span span) {
    fe_value u = unit(context, &arguments[0], span), v = unit(context, &arguments[1], span);
    return u.kind == FE_VALUE_ERROR || v.kind == FE_VALUE_ERROR ? fe_error(span) : fe_dot(context, &u, &v, span);
}

/* ---- many against many
 * ----------------------------------------------------------------------------------------------------------- */

/* Puts axes of size 1: `before` at the front and `after` ahead of the last axis. */
static fe_value widen(fe_context *context, ir_value *value, int before, int after, source_span span) {
    ir_type type = {.dtype = value->type.dtype};
    for (int i = 0; i < before; i++)
        type.dims[type.rank++] = 1;
    for (int i = 0; i < value->type.rank - 1; i++)
        type.dims[type.rank++] = value->type.dims[i];
    for (int i = 0; i < after; i++)
        type.dims[type.rank++] = 1;
    type.dims[type.rank++] = value->type.dims[value->type.rank - 1];
    return fe_wrap(fe_build(context, IR_OP_reshape, &value, 1, NULL, 0, &type, span), span);
}

/* pairwise(s, U, V): U [A.., D], V [B.., D] -> [A.., B..]: s sees U as [A.., 1.., D] and V as [1.., B.., D]. */
static fe_value builtin_pairwise(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *u = fe_to_tensor(context, &arguments[1], "U"), *v = fe_to_tensor(context, &arguments[2], "V");
    if (!u || !v)
        return fe_error(span);
    if (u->type.rank < 2 || v->type.rank < 2)
        return fe_fail(context, span, "pairwise compares rows of vectors, not %s and %s",
                       ir_shape_text(context->memory, &u->type), ir_shape_text(context->memory, &v->type));
    int rank = u->type.rank + v->type.rank - 2;
    if (rank + 1 > IR_MAX_RANK)
        return fe_fail(context, span, "pairwise of %s and %s would have more than %d axes",
                       ir_shape_text(context->memory, &u->type), ir_shape_text(context->memory, &v->type),
                       IR_MAX_RANK - 1);
    fe_value pair[] = {widen(context, u, 0, v->type.rank - 1, span), widen(context, v, u->type.rank - 1, 0, span)};
    pair[0].span = arguments[1].span;
    pair[1].span = arguments[2].span;
    const fe_pairing *outer = context->pairing, here = {&u->type, &v->type, span};
    context->pairing = &here;
    fe_value scores = fe_call_value(context, &arguments[0], pair, 2, span);
    context->pairing = outer;
    if (scores.kind == FE_VALUE_TENSOR && scores.tensor->type.rank != rank)
        return fe_fail(context, span, "the similarity gives %s for each pair of vectors, not one number",
                       ir_shape_text(context->memory, &scores.tensor->type));
    return scores;
}

static fe_value builtin_rowwise(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *u = fe_to_tensor(context, &arguments[1], "u"), *v = fe_to_tensor(context, &arguments[2], "v");
    if (!u || !v)
        return fe_error(span);
    if (!ir_same_dims(&u->type, &v->type))
        return fe_fail(context, span, "rowwise compares tensors of one shape, not %s and %s",
                       ir_shape_text(context->memory, &u->type), ir_shape_text(context->memory, &v->type));
    return fe_call_value(context, &arguments[0], &arguments[1], 2, span);
}

#define SIMILARITY "Similarity"
const fe_builtin fe_builtins_similarity[] = {
    {"dot", "u, v", builtin_dot, "dot product along the last axis", SIMILARITY, NULL, 0, false},
    {"norm", "v", builtin_norm, "length along the last axis", SIMILARITY, NULL, 0, false},
    {"unit", "v", builtin_unit, "v / max(norm(v), 1e-12)", SIMILARITY, NULL, 0, false},
    {"cosine", "u, v", builtin_cosine, "dot(unit(u), unit(v))", SIMILARITY, NULL, 0, false},
    {"pairwise", "s, U, V", builtin_pairwise, "s(u, v) for every row u of U [A…, D] and v of V [B…, D]: [A…, B…]",
     SIMILARITY, NULL, 0, false},
    {"rowwise", "s, u, v", builtin_rowwise, "s(u, v) row by row", SIMILARITY, NULL, 0, false},
    {0},
};
