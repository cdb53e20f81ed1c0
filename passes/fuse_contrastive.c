/* fuse-contrastive: scores of all pairs that are only reduced, or multiplied by vectors, are never stored.
 *
 * For every stage of a score space (passes/score_space.h) the product and everything computed from it element by
 * element is written anew as matrices [rows, columns], in a fusion group of its own whose results are reductions and
 * products: `lower` makes one tiled kernel of it. What an earlier stage has computed already is computed again.
 *
 * Where the scores are symmetric, the gradient's two products with the same vectors become one with w + transpose(w).
 * Requires squeezed, canonical values, each computed once. */
#include "passes/score_space.h"

#include <string.h>

/* ---- scores as matrices --------------------------------------------------------------------------------------------
 */

/* One stage while it is written. */
typedef struct {
    const score_space *space;
    ir_builder builder;  /* at the function's end; the order is put right afterwards */
    ir_value **matrices; /* by id: the scores as a matrix, members of the group */
    int group;
} stage_writer;

static ir_value *matrix_of(stage_writer *write, ir_value *value);

static ir_type matrix_type(const score_space *space, ir_dtype dtype) {
    return ir_type_make(dtype, 2, (int64_t[]){space->rows, space->columns});
}

static ir_value *member(const stage_writer *write, ir_value *value) {
    value->group = write->group;
    return value;
}

static ir_value *flattened(const ir_builder *builder, ir_value *value, int64_t first, int64_t second) {
    int64_t dims[2] = {first, second};
    int rank = second ? 2 : 1;
    if (value->type.rank == rank && value->type.dims[0] == first && (rank == 1 || value->type.dims[1] == second))
        return value;
    return ir_reshape(builder, value, dims, rank);
}

/* A value whose axes are all rows, or all columns, repeated over the others. */
static ir_value *repeat(const stage_writer *write, ir_value *value, const int64_t *axes, const ir_type *full,
                        int row_axes) {
    const score_space *space = write->space;
    const ir_builder *builder = &write->builder;
    ir_type type = matrix_type(space, value->type.dtype);
    int rank = value->type.rank;
    if (rank == 0)
        return member(write, ir_broadcast(builder, value, type.dims, 2, NULL));
    bool rows = axes[0] < row_axes;
    int from = rows ? 0 : row_axes, to = rows ? row_axes : full->rank;
    int64_t dims[IR_MAX_RANK], inner[IR_MAX_RANK];
    for (int i = from; i < to; i++)
        dims[i - from] = full->dims[i];
    for (int i = 0; i < rank; i++)
        inner[i] = axes[i] - from;
    if (rank < to - from)
        value = ir_broadcast(builder, value, dims, to - from, inner);
    value = flattened(builder, value, rows ? space->rows : space->columns, 0);
    int64_t axis = rows ? 0 : 1;
    return member(write, ir_broadcast(builder, value, type.dims, 2, &axis));
}

static ir_value *index_of(const stage_writer *write, const ir_value *iota, int64_t axis, const ir_type *full,
                          int row_axes) {
    const ir_builder *builder = &write->builder;
    bool row = axis < row_axes;
    ir_type matrix = matrix_type(write->space, iota->type.dtype);
    arena *memory = write->space->memory;
    if ((row ? row_axes : full->rank - row_axes) == 1) {
        ir_attr attr = ir_attr_int_make(memory, IR_ATTR_axis, row ? 0 : 1);
        return member(write, ir_build(builder->function, NULL, IR_OP_iota, NULL, 0, &attr, 1, &matrix, builder->span));
    }
    ir_type along = ir_type_make(iota->type.dtype, 1, &full->dims[axis]);
    ir_attr attr = ir_attr_int_make(memory, IR_ATTR_axis, 0);
    ir_value *indices = ir_build(builder->function, NULL, IR_OP_iota, NULL, 0, &attr, 1, &along, builder->span);
    return repeat(write, indices, &axis, full, row_axes);
}

/* An operand that is not scores (score_space.c: is_computable). */
static ir_value *beside(stage_writer *write, ir_value *value, const int64_t *axes, const ir_type *full, int row_axes) {
    if (value->opcode == IR_OP_constant) {
        ir_type type = matrix_type(write->space, value->type.dtype);
        return member(write, ir_constant(&write->builder, &type, ir_number(value, IR_ATTR_value)));
    }
    if (value->opcode == IR_OP_iota)
        return index_of(write, value, axes[ir_int(value, IR_ATTR_axis)], full, row_axes);
    bool rows = false, columns = false;
    for (int i = 0; i < value->type.rank; i++) {
        rows |= axes[i] < row_axes;
        columns |= axes[i] >= row_axes;
    }
    if (value->opcode == IR_OP_broadcast) {
        int64_t inner[IR_MAX_RANK] = {0};
        for (int i = 0; i < value->operands[0]->type.rank; i++)
            inner[i] = axes[ir_ints(value, IR_ATTR_axes)[i]];
        return beside(write, value->operands[0], inner, full, row_axes);
    }
    if (!(rows && columns))
        return repeat(write, value, axes, full, row_axes);
    ir_value *operands[3];
    for (int i = 0; i < value->operand_count; i++)
        operands[i] = beside(write, value->operands[i], axes, full, row_axes);
    ir_type type = matrix_type(write->space, value->type.dtype);
    return member(write, ir_build(write->builder.function, NULL, value->opcode, operands, value->operand_count,
                                  value->attrs, value->attr_count, &type, value->span));
}

/* One side of a product as [vectors, length]. */
static ir_value *vectors_of(const stage_writer *write, const ir_value *dot, int side, int64_t count) {
    ir_value *operand = dot->operands[side];
    const ir_attr *contract = ir_attr_get(dot, side ? IR_ATTR_rhs_contract : IR_ATTR_lhs_contract);
    int64_t order[IR_MAX_RANK];
    int placed = 0;
    for (int axis = 0; axis < operand->type.rank; axis++) {
        bool contracted = false;
        for (int i = 0; i < contract->count; i++)
            contracted |= contract->as.ints[i] == axis;
        if (!contracted)
            order[placed++] = axis;
    }
    for (int i = 0; i < contract->count; i++)
        order[placed++] = contract->as.ints[i];
    bool moved = false;
    for (int i = 0; i < placed; i++)
        moved |= order[i] != i;
    if (moved)
        operand = ir_transpose(&write->builder, operand, order);
    return flattened(&write->builder, operand, count, ir_type_elements(&operand->type) / count);
}

static ir_value *build_dot(const stage_writer *write, ir_value *left, ir_value *right, int64_t left_axis,
                           int64_t right_axis) {
    arena *memory = write->space->memory;
    ir_attr attrs[] = {ir_attr_ints_make(memory, IR_ATTR_lhs_batch, NULL, 0),
                       ir_attr_ints_make(memory, IR_ATTR_rhs_batch, NULL, 0),
                       ir_attr_ints_make(memory, IR_ATTR_lhs_contract, &left_axis, 1),
                       ir_attr_ints_make(memory, IR_ATTR_rhs_contract, &right_axis, 1)};
    return member(write, ir_build(write->builder.function, NULL, IR_OP_dot, (ir_value *[]){left, right}, 2, attrs, 4,
                                  NULL, write->builder.span));
}

static ir_value *write_matrix(stage_writer *write, ir_value *value) {
    static const int64_t identity[IR_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const score_space *space = write->space;
    if (value->opcode == IR_OP_dot) {
        ir_value *rows = vectors_of(write, value, 0, space->rows);
        ir_value *columns = value->operands[0] == value->operands[1] && space->rows == space->columns
                                ? rows
                                : vectors_of(write, value, 1, space->columns);
        return build_dot(write, rows, columns, 1, 1);
    }
    if (value->opcode == IR_OP_reshape)
        return matrix_of(write, value->operands[0]);
    ir_value *operands[3];
    for (int i = 0; i < value->operand_count; i++) {
        ir_value *operand = value->operands[i];
        operands[i] = score_is_wide(space, operand)
                          ? matrix_of(write, operand)
                          : beside(write, operand, identity, &value->type, space->row_axes[value->id]);
    }
    ir_type type = matrix_type(space, value->type.dtype);
    return member(write, ir_build(write->builder.function, NULL, value->opcode, operands, value->operand_count,
                                  value->attrs, value->attr_count, &type, value->span));
}

static ir_value *matrix_of(stage_writer *write, ir_value *value) {
    ir_value **known = &write->matrices[value->id];
    if (!*known) {
        source_span outer = write->builder.span;
        write->builder.span = value->span;
        *known = write_matrix(write, value);
        write->builder.span = outer;
    }
    return *known;
}

/* ---- results ------------------------------------------------------------------------------------------------------
 */

/* A reduction to nothing goes by rows first: the kernel knows rows and columns. */
static ir_value *write_reduction(stage_writer *write, const score_result *result, ir_value *matrix) {
    int64_t axis = result->kept == SCORE_COLUMNS ? 0 : 1;
    ir_value *reduced = member(write, ir_reduce(&write->builder, result->value->opcode, matrix, &axis, 1));
    if (result->kept == SCORE_NOTHING)
        reduced = ir_reduce(&write->builder, result->value->opcode, reduced, (int64_t[]){0}, 1);
    return reduced;
}

/* The vectors that scores are multiplied by, as [rows or columns, length]. */
static ir_value *multiplied_vectors(const stage_writer *write, const score_result *result) {
    const ir_attr *contract = ir_attr_get(result->value, IR_ATTR_rhs_contract);
    ir_value *other = result->other;
    int64_t count = result->kept == SCORE_ROWS ? write->space->columns : write->space->rows, order[IR_MAX_RANK];
    int placed = 0;
    bool moved = false;
    for (int i = 0; i < contract->count; i++)
        order[placed++] = contract->as.ints[i];
    for (int axis = 0; axis < other->type.rank; axis++) {
        bool contracted = false;
        for (int i = 0; i < contract->count; i++)
            contracted |= contract->as.ints[i] == axis;
        if (!contracted)
            order[placed++] = axis;
    }
    for (int i = 0; i < placed; i++)
        moved |= order[i] != i;
    if (moved)
        other = ir_transpose(&write->builder, other, order);
    return flattened(&write->builder, other, count, ir_type_elements(&other->type) / count);
}

static void write_result(stage_writer *write, const score_result *result, ir_value *matrix) {
    ir_value *value = result->value;
    write->builder.span = value->span;
    ir_value *fresh;
    if (result->other)
        fresh = build_dot(write, matrix, multiplied_vectors(write, result), result->kept == SCORE_ROWS, 0);
    else
        fresh = write_reduction(write, result, matrix);
    if (!ir_same_dims(&fresh->type, &value->type))
        fresh = ir_reshape(&write->builder, fresh, value->type.dims, value->type.rank);
    ir_replace_uses(value, fresh);
}

/* ---- symmetric scores ----------------------------------------------------------------------------------------------
 */

static bool is_symmetric(const score_space *space) {
    for (const ir_value *value = space->function->first; value; value = value->next)
        if (score_is_wide(space, value) && value->opcode == IR_OP_dot) {
            const ir_attr *left = ir_attr_get(value, IR_ATTR_lhs_contract),
                          *right = ir_attr_get(value, IR_ATTR_rhs_contract);
            if (value->operands[0] != value->operands[1] || left->count != right->count ||
                memcmp(left->as.ints, right->as.ints, (size_t)left->count * sizeof *left->as.ints) != 0)
                return false;
        }
    return true;
}

/* x + y without y. */
static void leave_out(ir_function *function, ir_value *summand) {
    ir_value *sum = score_only_user(function, summand);
    ir_replace_uses(sum, sum->operands[sum->operands[0] == summand]);
    ir_remove(function, sum);
}

/* Leaves out the second of each two twins. */
static void join_twins(score_space *space) {
    for (int i = 0; i < space->result_count; i++)
        for (int j = 0; j < space->result_count; j++) {
            score_result *first = &space->results[i], *second = &space->results[j];
            if (!score_are_twins(space, first, second))
                continue;
            first->both_ways = true;
            leave_out(space->function, second->value);
            second->value = NULL;
        }
}

/* sum over j of (w_ij + w_ji) v_j, in place of two products. */
static ir_value *write_both_ways(stage_writer *write, ir_value *matrix) {
    ir_value *turned = member(write, ir_transpose(&write->builder, matrix, (int64_t[]){1, 0}));
    return member(write, ir_binary(&write->builder, IR_OP_add, matrix, turned));
}

/* ---- groups --------------------------------------------------------------------------------------------------------
 */

static void write_stage(const score_space *space, int stage) {
    ir_function *function = space->function;
    stage_writer write = {.space = space,
                          .builder = {function, NULL, space->product->span},
                          .matrices = arena_alloc(space->memory, (size_t)space->id_limit * sizeof(ir_value *)),
                          .group = ir_last_group(function) + 1};
    for (int i = 0; i < space->result_count; i++) {
        const score_result *result = &space->results[i];
        if (result->stage != stage || !result->value)
            continue;
        write.builder.span = result->value->span;
        ir_value *matrix = matrix_of(&write, result->scores);
        write_result(&write, result, result->both_ways ? write_both_ways(&write, matrix) : matrix);
    }
}

static void sweep_unused(ir_function *function) {
    ir_count_uses(function);
    for (ir_value *value = function->last, *previous; value; value = previous) {
        previous = value->previous;
        if (value->mark > 0 || ir_op(value->opcode)->class_ == IR_CLASS_EFFECT)
            continue;
        for (int i = 0; i < value->operand_count; i++)
            value->operands[i]->mark--;
        ir_remove(function, value);
    }
}

/* ---- the pass ------------------------------------------------------------------------------------------------------
 */

/* A new remark on the product, or NULL if nobody asked or another function, which shares the loss, said the same. */
static diag_entry *remark(pass_context *context, const score_space *space, const char *message) {
    const diag_list *diags = context->diags;
    source_span span = space->product->span;
    if (!context->remarks)
        return NULL;
    for (int i = 0; i < diags->count; i++)
        if (strcmp(diags->entries[i].message, message) == 0 && memcmp(&diags->entries[i].span, &span, sizeof span) == 0)
            return NULL;
    return diag_add(context->diags, DIAG_REMARK, span, "%s", message);
}

static void remark_obstacle(pass_context *context, const score_space *space) {
    diag_entry *entry =
        remark(context, space,
               arena_printf(context->memory, "scores of %lld x %lld are stored: %.4g MB", (long long)space->rows,
                            (long long)space->columns, 4e-6 * (double)space->rows * (double)space->columns));
    if (entry)
        diag_add_label(context->diags, entry, space->obstacle_span, "%s", space->obstacle);
}

static void remark_few(pass_context *context, const score_space *space) {
    remark(context, space,
           arena_printf(context->memory, "scores of %lld x %lld are stored: so few are not worth a kernel",
                        (long long)space->rows, (long long)space->columns));
}

/* What becomes of fused scores: multiplications and additions of products, as stored and as fused. */
typedef struct {
    bool halved, kept;
    double stored, fused;
} score_account;

static score_account account_of(const pass_context *context, const score_space *space, bool symmetric) {
    double each = 2 * (double)space->rows * (double)space->columns, lengths = 0, results = 0, joined = 0;
    int products = 0;
    for (const ir_value *value = space->function->first; value; value = value->next)
        if (score_is_wide(space, value) && value->opcode == IR_OP_dot) {
            lengths += ir_cost(value) / each;
            products++;
        }
    for (int i = 0; i < space->result_count; i++) {
        const score_result *result = &space->results[i];
        double length = result->other ? (double)ir_type_elements(&result->other->type) /
                                            (double)(result->kept == SCORE_ROWS ? space->columns : space->rows)
                                      : 0;
        results += length;
        joined += result->value ? length : 0;
    }
    score_account account = {.halved = symmetric && score_are_halved(space->rows),
                             .stored = each * (lengths + results)};
    score_sizes sizes = {.rows = space->rows,
                         .columns = space->columns,
                         .length = (int64_t)(lengths + 0.5),
                         .parts = context->product_parts,
                         .halved = account.halved,
                         .limited = context->memory_limit > 0};
    account.kept = products == 1 && space->stage_count > 1 && score_are_kept(&sizes);
    int passes = account.kept ? 1 : space->stage_count;
    account.fused = each * (lengths * passes * (account.halved ? 0.5 : 1) + joined);
    return account;
}

static void remark_fused(pass_context *context, const score_space *space, const score_account *account) {
    double megabytes = 4e-6 * (double)space->rows * (double)space->columns;
    const char *fate = account->kept ? "are kept as products: %.4g MB, %d pass%s over them"
                                     : "are never stored: %.4g MB less, %d pass%s over them";
    const char *message =
        arena_printf(context->memory, fate, megabytes, space->stage_count, space->stage_count == 1 ? "" : "es");
    diag_entry *entry = remark(context, space,
                               arena_printf(context->memory, "scores of %lld x %lld %s", (long long)space->rows,
                                            (long long)space->columns, message));
    if (!entry)
        return;
    if (account->halved)
        diag_add_note(context->diags, entry, "they are symmetric: half of them are computed");
    diag_add_note(context->diags, entry, "%.4g GFLOP of products in place of %.4g", 1e-9 * account->fused,
                  1e-9 * account->stored);
    for (int i = 0; i < space->result_count; i++)
        if (space->results[i].value)
            diag_add_label(
                context->diags, entry, space->results[i].value->span, "pass %d: %s", space->results[i].stage + 1,
                space->results[i].other ? "product with vectors" : ir_op(space->results[i].value->opcode)->name);
}

/* Fuses what starts at the product if that is possible and worth it. */
static bool fuse(pass_context *context, ir_function *function, ir_value *product) {
    score_space space = score_space_find(context->memory, function, product);
    if (!score_space_is_reduced(&space))
        return false;
    if (!score_space_is_fusable(&space)) {
        if (!space.obstacle)
            remark_few(context, &space);
        else if (score_space_is_worth(&space))
            remark_obstacle(context, &space);
        return false;
    }
    bool symmetric = is_symmetric(&space);
    if (symmetric)
        join_twins(&space);
    score_account account = account_of(context, &space, symmetric);
    for (int stage = 0; stage < space.stage_count; stage++)
        write_stage(&space, stage);
    sweep_unused(function);
    ir_sort_groups(function);
    remark_fused(context, &space, &account);
    return true;
}

/* Scores of each row with vectors of its own, which stay as they are. */
static void remark_drawn(pass_context *context, const ir_function *function) {
    for (const ir_value *value = function->first; value; value = value->next) {
        const ir_value *vectors = value->opcode == IR_OP_dot ? value->operands[1] : NULL;
        if (!vectors || vectors->opcode != IR_OP_gather || value->type.rank != 2 ||
            ir_attr_get(value, IR_ATTR_rhs_batch)->count == 0 ||
            ir_int(value, IR_ATTR_rhs_contract) != vectors->type.rank - 1)
            continue;
        diag_entry *entry = diag_add(context->diags, DIAG_REMARK, value->span,
                                     "scores of %lld x %lld are stored: %.4g MB", (long long)value->type.dims[0],
                                     (long long)value->type.dims[1], 1e-6 * (double)ir_type_bytes(&value->type));
        diag_add_label(context->diags, entry, vectors->span, "each row draws vectors of its own");
    }
}

static void fuse_function(pass_context *context, ir_function *function) {
    bool *seen = arena_alloc(context->memory, (size_t)function->next_id);
    int seen_limit = function->next_id, remarks = context->diags->count;
    for (ir_value *value = function->first; value;) {
        bool fresh = value->id < seen_limit && !seen[value->id] && score_is_pairwise(function, value);
        if (value->id < seen_limit)
            seen[value->id] = true;
        /* Fusing rewrites and sorts the function: start again. */
        value = fresh && fuse(context, function, value) ? function->first : value->next;
    }
    if (!context->remarks || strcmp(function->name, "train_step") != 0)
        return;
    remark_drawn(context, function);
    if (context->diags->count == remarks)
        diag_add(context->diags, DIAG_REMARK, function->span,
                 "no scores of pairs are reduced: there is nothing to fuse");
}

bool pass_fuse_contrastive(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        fuse_function(context, context->module->functions[i]);
    return true;
}
