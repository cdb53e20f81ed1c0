/* Products of activations: what scales them, what masks them, and how many negatives that leaves an anchor.
 *
 * Masks and the places of positives depend on indices alone, so that single elements of them can be worked out: an
 * element of a masked row is out when it is -inf whatever the data. */
#include "frontend/driver/forward.h"

#include <math.h>
#include <string.h>

enum { MOST_ELEMENTS = 1 << 19 }; /* looked at in one matrix: of larger ones, rows spread over all of them */

/* ---- single elements
 * ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    bool known;
    double number;
} element;

static const element unknown = {false, 0};

static element known(double number) {
    return (element){true, number};
}

static element element_at(const ir_value *value, const int64_t *index);

static void split_index(const ir_type *type, int64_t place, int64_t *index) {
    for (int i = type->rank - 1; i >= 0; i--) {
        index[i] = place % type->dims[i];
        place /= type->dims[i];
    }
}

static int64_t join_index(const ir_type *type, const int64_t *index) {
    int64_t place = 0;
    for (int i = 0; i < type->rank; i++)
        place = place * type->dims[i] + index[i];
    return place;
}

static element moved(const ir_value *value, const int64_t *index) {
    const ir_value *operand = value->operands[0];
    int64_t from[IR_MAX_RANK] = {0};
    if (value->opcode == IR_OP_reshape) {
        split_index(&operand->type, join_index(&value->type, index), from);
        return element_at(operand, from);
    }
    const int64_t *axes = value->opcode == IR_OP_slice ? NULL : ir_ints(value, IR_ATTR_axes);
    for (int i = 0; i < operand->type.rank; i++) {
        if (value->opcode == IR_OP_broadcast)
            from[i] = index[axes[i]];
        else if (value->opcode == IR_OP_slice)
            from[i] = ir_ints(value, IR_ATTR_start)[i] + index[i] * ir_ints(value, IR_ATTR_stride)[i];
    }
    for (int i = 0; value->opcode == IR_OP_transpose && i < value->type.rank; i++)
        from[axes[i]] = index[i];
    return element_at(operand, from);
}

static element joined(const ir_value *value, const int64_t *index) {
    int64_t axis = ir_int(value, IR_ATTR_axis), from[IR_MAX_RANK];
    memcpy(from, index, sizeof from);
    for (int i = 0; i < value->operand_count; i++) {
        int64_t size = value->operands[i]->type.dims[axis];
        if (from[axis] < size)
            return element_at(value->operands[i], from);
        from[axis] -= size;
    }
    return unknown;
}

static element chosen(const ir_value *value, const int64_t *index) {
    element condition = element_at(value->operands[0], index);
    return condition.known ? element_at(value->operands[condition.number != 0 ? 1 : 2], index) : unknown;
}

static element one_operand(ir_opcode opcode, const ir_value *value, element x) {
    if (!x.known)
        return x;
    switch (opcode) {
    case IR_OP_convert: return known(value->type.dtype == IR_I32 ? trunc(x.number) : x.number);
    case IR_OP_stop_gradient: return x;
    case IR_OP_neg: return known(-x.number);
    case IR_OP_abs: return known(fabs(x.number));
    case IR_OP_floor: return known(floor(x.number));
    case IR_OP_not: return known(x.number == 0);
    default: return unknown;
    }
}

static element two_operands(ir_opcode opcode, bool whole, element x, element y) {
    bool out = (x.known && x.number == -INFINITY) || (opcode == IR_OP_add && y.known && y.number == -INFINITY);
    if ((opcode == IR_OP_add || opcode == IR_OP_sub) && out)
        return known(-INFINITY); /* whatever the other one holds */
    if (opcode == IR_OP_and && ((x.known && x.number == 0) || (y.known && y.number == 0)))
        return known(0);
    if (!x.known || !y.known)
        return unknown;
    switch (opcode) {
    case IR_OP_add: return known(x.number + y.number);
    case IR_OP_sub: return known(x.number - y.number);
    case IR_OP_mul: return known(x.number * y.number);
    case IR_OP_div:
        return whole && y.number == 0 ? unknown : known(whole ? trunc(x.number / y.number) : x.number / y.number);
    case IR_OP_rem: return y.number == 0 ? unknown : known(fmod(x.number, y.number));
    case IR_OP_max: return known(fmax(x.number, y.number));
    case IR_OP_min: return known(fmin(x.number, y.number));
    case IR_OP_equal: return known(x.number == y.number);
    case IR_OP_less: return known(x.number < y.number);
    case IR_OP_less_equal: return known(x.number <= y.number);
    case IR_OP_and: return known(x.number != 0 && y.number != 0);
    case IR_OP_or: return known(x.number != 0 || y.number != 0);
    default: return unknown;
    }
}

static element element_at(const ir_value *value, const int64_t *index) {
    switch (value->opcode) {
    case IR_OP_constant: return known(ir_number(value, IR_ATTR_value));
    case IR_OP_iota: return known((double)index[ir_int(value, IR_ATTR_axis)]);
    case IR_OP_broadcast:
    case IR_OP_reshape:
    case IR_OP_slice:
    case IR_OP_transpose: return moved(value, index);
    case IR_OP_concat: return joined(value, index);
    case IR_OP_select: return chosen(value, index);
    default: break;
    }
    if (ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE)
        return unknown;
    element x = element_at(value->operands[0], index);
    if (value->operand_count == 1)
        return one_operand(value->opcode, value, x);
    bool whole = value->type.dtype == IR_I32;
    return value->operand_count == 2 ? two_operands(value->opcode, whole, x, element_at(value->operands[1], index))
                                     : unknown;
}

/* ---- what follows a product
 * ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const ir_value *scores; /* what the exponentials are taken of */
    const ir_value *sum;    /* reduce_logsumexp of them, or reduce_sum of exp(scores): the axes of the rows */
    const ir_value *picked; /* a gather of one score a row, or NULL */
    bool by_data;           /* a mask on the way depends on data */
} row_softmax;

/* Walks from the product through elementwise operations and moves; `seen` guards against walking twice. */
static void walk(const ir_value *value, row_softmax *found, const ir_value **seen, int *seen_count, int most) {
    for (int i = 0; i < *seen_count; i++)
        if (seen[i] == value)
            return;
    if (*seen_count == most)
        return;
    seen[(*seen_count)++] = value;
    const forward_facts *facts = forward_facts_of(value);
    for (int i = 0; i < facts->user_count; i++) {
        const ir_value *user = facts->users[i];
        ir_class kind = ir_op(user->opcode)->class_;
        if (!found->sum && user->opcode == IR_OP_reduce_logsumexp) {
            found->scores = value;
            found->sum = user;
        }
        if (!found->sum && value->opcode == IR_OP_exp && user->opcode == IR_OP_reduce_sum) {
            found->scores = value->operands[0];
            found->sum = user;
        }
        if (user->opcode == IR_OP_gather && user->operands[0] == value && ir_int(user, IR_ATTR_batch) == 1 &&
            ir_int(user, IR_ATTR_axis) == 1 && !found->picked)
            found->picked = user;
        if (user->opcode == IR_OP_select)
            found->by_data |= (forward_facts_of(user->operands[0])->kinds & (FROM_VIEWS | FROM_OTHER)) != 0;
        if ((kind == IR_CLASS_ELEMENTWISE && value->opcode != IR_OP_exp) || forward_moves(user))
            walk(user, found, seen, seen_count, most);
    }
}

/* ---- counting
 * ------------------------------------------------------------------------------------------------------------- */

/* The rows of a softmax: the axes that its sum keeps, and those that it adds up. */
typedef struct {
    ir_type rows, columns;
    int row_axes[IR_MAX_RANK], column_axes[IR_MAX_RANK];
} row_split;

static row_split split_axes(const ir_value *sum) {
    const ir_attr *axes = ir_attr_get(sum, IR_ATTR_axes);
    const ir_type *type = &sum->operands[0]->type;
    row_split split = {0};
    for (int i = 0; i < type->rank; i++) {
        bool reduced = false;
        for (int a = 0; a < axes->count; a++)
            reduced |= axes->as.ints[a] == i;
        ir_type *part = reduced ? &split.columns : &split.rows;
        (reduced ? split.column_axes : split.row_axes)[part->rank] = i;
        part->dims[part->rank++] = type->dims[i];
    }
    return split;
}

static element score_at(const ir_value *scores, const row_split *split, int64_t row, int64_t column) {
    int64_t of_row[IR_MAX_RANK], of_column[IR_MAX_RANK], index[IR_MAX_RANK];
    split_index(&split->rows, row, of_row);
    split_index(&split->columns, column, of_column);
    for (int i = 0; i < split->rows.rank; i++)
        index[split->row_axes[i]] = of_row[i];
    for (int i = 0; i < split->columns.rank; i++)
        index[split->column_axes[i]] = of_column[i];
    return element_at(scores, index);
}

static bool is_out(element score) {
    return score.known && score.number == -INFINITY;
}

/* How many candidates a row has, and how many of them are its positive. */
static void count_row(const row_softmax *found, const row_split *split, int64_t row, int64_t columns,
                      forward_scores *scores) {
    int64_t candidates = 0, positives = 0;
    for (int64_t column = 0; column < columns; column++)
        candidates += !is_out(score_at(found->scores, split, row, column));
    if (found->picked) {
        const ir_value *places = found->picked->operands[1]; /* one a row, or not understood */
        int64_t index[IR_MAX_RANK];
        split_index(&places->type, row, index);
        element place = ir_type_elements(&places->type) == scores->anchors ? element_at(places, index) : unknown;
        scores->depends_on_data |= !place.known;
        int64_t inner = columns / split->columns.dims[0]; /* it picks along the first axis of the columns */
        for (int64_t i = 0; place.known && place.number >= 0 && i < inner; i++)
            positives += !is_out(score_at(found->scores, split, row, (int64_t)place.number * inner + i));
    }
    int64_t negatives = candidates - positives;
    bool first = scores->candidates == 0;
    scores->candidates = candidates > scores->candidates ? candidates : scores->candidates;
    scores->least = first || negatives < scores->least ? negatives : scores->least;
    scores->most = first || negatives > scores->most ? negatives : scores->most;
}

static void count_negatives(const row_softmax *found, forward_scores *scores) {
    row_split split = split_axes(found->sum);
    int64_t rows = ir_type_elements(&split.rows), columns = ir_type_elements(&split.columns);
    if (split.rows.rank == 0 || columns < 2) /* over everything at once: no row, no anchor */
        return;
    scores->softmax = true;
    scores->power_of = found->scores;
    scores->anchors = rows;
    scores->depends_on_data = found->by_data;
    int64_t most = MOST_ELEMENTS / columns > 2 ? MOST_ELEMENTS / columns : 2, looked = rows < most ? rows : most;
    for (int64_t i = 0; i < looked; i++)
        count_row(found, &split, looked > 1 ? i * (rows - 1) / (looked - 1) : 0, columns, scores);
}

static bool is_activation(const ir_value *value) {
    return (forward_facts_of(value)->kinds & (FROM_VIEWS | FROM_MEMORY)) != 0;
}

static bool is_alike(const forward_scores *a, const forward_scores *b) {
    return ir_type_equal(&a->type, &b->type) && a->scale == b->scale && a->learned == b->learned &&
           a->clip == b->clip && a->softmax == b->softmax && a->candidates == b->candidates && a->least == b->least &&
           a->most == b->most && memcmp(&a->span, &b->span, sizeof a->span) == 0;
}

static void add_scores(const forward_graph *graph, forward_scores_list *list, const forward_scores *scores) {
    for (int i = 0; i < list->count; i++)
        if (is_alike(&list->items[i], scores)) {
            list->items[i].times++;
            return;
        }
    ARENA_PUSH(graph->memory, list->items, list->count, list->capacity, *scores);
}

forward_scores_list forward_scores_of(const forward_graph *graph) {
    forward_scores_list list = {0};
    const ir_value **seen = arena_alloc(graph->memory, (size_t)(graph->count + 1) * sizeof *seen);
    for (int i = 0; i < graph->count; i++) {
        const ir_value *value = graph->values[i];
        if (value->opcode != IR_OP_dot || !is_activation(value->operands[0]) || !is_activation(value->operands[1]))
            continue;
        forward_scores scores = {.type = value->type, .times = 1, .span = value->span};
        scores.bytes = ir_type_bytes(&value->type);
        forward_find_scale(graph->module, value, &scores);
        row_softmax found = {0};
        int seen_count = 0;
        walk(value, &found, seen, &seen_count, graph->count);
        if (found.sum)
            count_negatives(&found, &scores);
        add_scores(graph, &list, &scores);
    }
    return list;
}
