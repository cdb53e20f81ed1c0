#include "passes/score_space.h"

#include <string.h>

enum { MOST_STAGES = 3, FEWEST_SCORES = 1024, FEW_ROWS = 64, FEW_KEPT = 16 << 20 };

/* ---- products of vectors with vectors ---------------------------------------------------------------------------- */

/* Whether the value is a trained weight or its moving average, however it is turned. */
static bool is_weight(const ir_function *function, const ir_value *value) {
    while (value->opcode == IR_OP_reshape || value->opcode == IR_OP_transpose || value->opcode == IR_OP_stop_gradient)
        value = value->operands[0];
    if (value->opcode != IR_OP_read)
        return value->opcode == IR_OP_constant;
    ir_role role = ir_state_find(function->module, ir_symbol(value, IR_ATTR_symbol))->role;
    return role == IR_ROLE_PARAM || role == IR_ROLE_EMA;
}

static int free_axes(const ir_value *dot, int side) {
    const ir_attr *contract = ir_attr_get(dot, side ? IR_ATTR_rhs_contract : IR_ATTR_lhs_contract);
    return dot->operands[side]->type.rank - contract->count;
}

bool score_is_pairwise(const ir_function *function, const ir_value *value) {
    return value->opcode == IR_OP_dot && value->group == 0 && ir_attr_get(value, IR_ATTR_lhs_batch)->count == 0 &&
           free_axes(value, 0) > 0 && free_axes(value, 1) > 0 && !is_weight(function, value->operands[0]) &&
           !is_weight(function, value->operands[1]);
}

/* ---- the matrix and what is computed from it element by element ----------------------------------------------------
 */

bool score_is_wide(const score_space *space, const ir_value *value) {
    return value->id < space->id_limit && space->row_axes[value->id] >= 0;
}

static int64_t product_of_dims(const ir_type *type, int from, int to) {
    int64_t count = 1;
    for (int i = from; i < to; i++)
        count *= type->dims[i];
    return count;
}

/* The number of leading axes that together are the rows, or -1 if an axis has both rows and columns. */
static int rows_of_reshape(const score_space *space, const ir_type *type) {
    for (int axes = 0; axes <= type->rank; axes++)
        if (product_of_dims(type, 0, axes) == space->rows)
            return axes;
    return -1;
}

static void note_obstacle(score_space *space, source_span span, const char *text) {
    if (space->obstacle)
        return;
    space->obstacle = text;
    space->obstacle_span = span;
}

/* How many axes of the value are rows, if it is computed from the scores element by element; else -1. */
static int wide_row_axes(score_space *space, const ir_value *value) {
    if (value == space->product)
        return free_axes(value, 0);
    int wide = -1;
    for (int i = 0; i < value->operand_count; i++)
        if (space->row_axes[value->operands[i]->id] >= 0)
            wide = space->row_axes[value->operands[i]->id];
    if (wide < 0)
        return -1;
    if (ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE)
        return wide;
    return value->opcode == IR_OP_reshape ? rows_of_reshape(space, &value->type) : -1;
}

/* Another product of the same rows and columns joins if one of its readers also reads these scores. */
static bool find_partner(score_space *space) {
    for (const ir_value *value = space->function->first; value; value = value->next) {
        if (!score_is_wide(space, value) || ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE)
            continue;
        for (int i = 0; i < value->operand_count; i++) {
            ir_value *operand = value->operands[i];
            int axes = space->row_axes[value->id];
            if (score_is_wide(space, operand) || !score_is_pairwise(space->function, operand) ||
                free_axes(operand, 0) != axes)
                continue;
            space->row_axes[operand->id] = axes;
            return true;
        }
    }
    return false;
}

static void spread(score_space *space) {
    for (const ir_value *value = space->function->first; value; value = value->next)
        if (space->row_axes[value->id] < 0)
            space->row_axes[value->id] = wide_row_axes(space, value);
}

/* ---- operands that are not scores -------------------------------------------------------------------------------- */

/* Whether an operand can be computed beside the scores: from rows alone, from columns alone, from indices, or element
 * by element from such. `axes[i]` is the axis of the scores that the operand's axis i is. */
static bool is_computable(const score_space *space, const ir_value *value, const int64_t *axes, int row_axes,
                          int depth) {
    bool rows = false, columns = false;
    for (int i = 0; i < value->type.rank; i++) {
        rows |= axes[i] < row_axes;
        columns |= axes[i] >= row_axes;
    }
    if (!(rows && columns) || value->opcode == IR_OP_constant || value->opcode == IR_OP_iota)
        return true;
    if (depth > 64 || score_is_wide(space, value))
        return false;
    if (value->opcode == IR_OP_broadcast) {
        int64_t inner[IR_MAX_RANK];
        for (int i = 0; i < value->operands[0]->type.rank; i++)
            inner[i] = axes[ir_ints(value, IR_ATTR_axes)[i]];
        return is_computable(space, value->operands[0], inner, row_axes, depth + 1);
    }
    if (ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE)
        return false;
    for (int i = 0; i < value->operand_count; i++)
        if (!is_computable(space, value->operands[i], axes, row_axes, depth + 1))
            return false;
    return true;
}

static void check_operands(score_space *space, const ir_value *value) {
    static const int64_t identity[IR_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    if (ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE)
        return;
    for (int i = 0; i < value->operand_count; i++) {
        const ir_value *operand = value->operands[i];
        if (!score_is_wide(space, operand) && !is_computable(space, operand, identity, space->row_axes[value->id], 0))
            note_obstacle(space, operand->span,
                          arena_printf(space->memory, "they meet '%s' of %s, which is stored",
                                       ir_op(operand->opcode)->name, ir_shape_text(space->memory, &operand->type)));
    }
}

/* ---- readers -------------------------------------------------------------------------------------------------------
 */

static bool are_axes(const ir_attr *attr, int from, int to) {
    unsigned wanted = 0, found = 0;
    for (int i = from; i < to; i++)
        wanted |= 1u << i;
    for (int i = 0; i < attr->count; i++)
        found |= 1u << attr->as.ints[i];
    return wanted == found;
}

static bool is_reduction(const ir_value *value) {
    return value->opcode == IR_OP_reduce_sum || value->opcode == IR_OP_reduce_max ||
           value->opcode == IR_OP_reduce_logsumexp;
}

static bool classify_reduction(const score_space *space, const ir_value *value, score_kept *kept) {
    const ir_value *scores = value->operands[0];
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    int rows = space->row_axes[scores->id], rank = scores->type.rank;
    if (scores->type.dtype != IR_F32)
        return false;
    *kept = are_axes(axes, 0, rank) ? SCORE_NOTHING : are_axes(axes, rows, rank) ? SCORE_ROWS : SCORE_COLUMNS;
    return *kept != SCORE_COLUMNS || are_axes(axes, 0, rows);
}

static bool increasing(const ir_attr *axes) {
    for (int i = 1; i < axes->count; i++)
        if (axes->as.ints[i] <= axes->as.ints[i - 1])
            return false;
    return true;
}

/* scores x vectors, summed over all rows or all columns. */
static bool classify_product(const score_space *space, const ir_value *value, score_kept *kept) {
    const ir_value *scores = value->operands[0];
    const ir_attr *mine = ir_attr_get(value, IR_ATTR_lhs_contract), *other = ir_attr_get(value, IR_ATTR_rhs_contract);
    if (ir_attr_get(value, IR_ATTR_lhs_batch)->count > 0 || !score_is_wide(space, scores) ||
        score_is_wide(space, value->operands[1]) || !increasing(mine) || !increasing(other))
        return false;
    int rows = space->row_axes[scores->id], rank = scores->type.rank;
    *kept = are_axes(mine, rows, rank) ? SCORE_ROWS : SCORE_COLUMNS;
    return *kept == SCORE_ROWS || are_axes(mine, 0, rows);
}

static void add_reader(score_space *space, ir_value *user, ir_value *scores) {
    score_result result = {.value = user, .scores = scores, .kept = SCORE_ROWS};
    bool fits = false;
    if (is_reduction(user)) {
        fits = classify_reduction(space, user, &result.kept);
    } else if (user->opcode == IR_OP_dot) {
        fits = classify_product(space, user, &result.kept);
        result.other = user->operands[1];
    }
    if (!fits)
        note_obstacle(space, user->span,
                      arena_printf(space->memory, "'%s' reads them here", ir_op(user->opcode)->name));
    else
        ARENA_PUSH(space->memory, space->results, space->result_count, space->result_capacity, result);
}

static void find_readers(score_space *space) {
    for (ir_value *user = space->function->first; user; user = user->next) {
        if (score_is_wide(space, user)) {
            check_operands(space, user);
            continue;
        }
        for (int i = 0; i < user->operand_count; i++)
            if (score_is_wide(space, user->operands[i])) {
                add_reader(space, user, user->operands[i]);
                break;
            }
    }
}

/* ---- stages --------------------------------------------------------------------------------------------------------
 */

/* The stage from which on a value is known: one more than the last result of these scores that it needs. A group of
 * other scores is one kernel, which waits for all that any member needs. */
static void find_levels(score_space *space) {
    ir_function *function = space->function;
    int groups = 0;
    for (const ir_value *value = function->first; value; value = value->next)
        groups = value->group > groups ? value->group : groups;
    int *group_level = arena_alloc(space->memory, (size_t)(groups + 1) * sizeof(int));
    bool changed = true;
    while (changed) {
        changed = false;
        for (const ir_value *value = function->first; value; value = value->next) {
            int level = value->group ? group_level[value->group] : 0;
            for (int i = 0; i < value->operand_count; i++) {
                int needed = space->level[value->operands[i]->id];
                level = needed > level ? needed : level;
            }
            if (value->group && level > group_level[value->group]) {
                group_level[value->group] = level;
                changed = true;
            }
            space->level[value->id] = level;
            for (int r = 0; r < space->result_count; r++)
                if (space->results[r].value == value) {
                    space->results[r].stage = level;
                    space->level[value->id] = level + 1;
                    space->stage_count = level + 1 > space->stage_count ? level + 1 : space->stage_count;
                }
        }
    }
}

score_space score_space_find(arena *memory, ir_function *function, ir_value *product) {
    score_space space = {.function = function, .memory = memory, .product = product, .id_limit = function->next_id};
    int rows = free_axes(product, 0);
    space.rows = product_of_dims(&product->type, 0, rows);
    space.columns = product_of_dims(&product->type, rows, product->type.rank);
    space.row_axes = arena_alloc(memory, (size_t)function->next_id * sizeof(int));
    space.level = arena_alloc(memory, (size_t)function->next_id * sizeof(int));
    for (int i = 0; i < function->next_id; i++)
        space.row_axes[i] = -1;
    do
        spread(&space);
    while (find_partner(&space));
    find_readers(&space);
    find_levels(&space);
    if (space.stage_count > MOST_STAGES)
        note_obstacle(&space, product->span,
                      arena_printf(memory, "%d passes over them depend on each other", space.stage_count));
    return space;
}

bool score_space_is_reduced(const score_space *space) {
    bool reduced = false;
    for (int i = 0; i < space->result_count; i++)
        reduced |= !space->results[i].other;
    return reduced;
}

bool score_space_is_worth(const score_space *space) {
    return space->rows * space->columns >= FEWEST_SCORES;
}

bool score_are_halved(int64_t rows) {
    return rows > FEW_ROWS;
}

bool score_are_kept(const score_sizes *scores) {
    int64_t count = scores->rows * scores->columns;
    return count <= (scores->rows + scores->columns) * scores->length ||
           (scores->parts == 0 && !scores->halved && !scores->limited && count <= FEW_KEPT);
}

bool score_space_is_fusable(const score_space *space) {
    return score_space_is_reduced(space) && score_space_is_worth(space) && !space->obstacle;
}

/* ---- twins ---------------------------------------------------------------------------------------------------------
 */

ir_value *score_only_user(const ir_function *function, const ir_value *value) {
    ir_value *user = NULL;
    for (ir_value *other = function->first; other; other = other->next)
        for (int i = 0; i < other->operand_count; i++)
            if (other->operands[i] == value) {
                if (user)
                    return NULL;
                user = other;
            }
    return user;
}

/* The last of the additions that the value goes through, or NULL if it is not just added up. */
static const ir_value *sum_of(const ir_function *function, const ir_value *value) {
    const ir_value *sum = NULL, *user = score_only_user(function, value);
    while (user && user->opcode == IR_OP_add) {
        sum = user;
        user = score_only_user(function, user);
    }
    return sum;
}

bool score_are_twins(const score_space *space, const score_result *a, const score_result *b) {
    if (!a->value || !b->value || !a->other || a->other != b->other || a->scores != b->scores || a->stage != b->stage ||
        a->kept != SCORE_ROWS || b->kept != SCORE_COLUMNS)
        return false;
    const ir_value *sum = sum_of(space->function, a->value);
    return sum && sum == sum_of(space->function, b->value);
}
