#include "passes/extract_scores.h"

#include "passes/score_space.h"

/* ---- which ones ----------------------------------------------------------------------------------------------------
 */

int extract_scores_find(arena *memory, ir_function *function, ir_value ***products) {
    int count = 0, capacity = 0;
    bool *taken = arena_alloc(memory, (size_t)function->next_id + 1);
    *products = NULL;
    for (ir_value *value = function->first; value; value = value->next) {
        if (taken[value->id] || !score_is_pairwise(function, value))
            continue;
        score_space space = score_space_find(memory, function, value);
        if (!score_space_is_fusable(&space))
            continue;
        for (const ir_value *other = function->first; other; other = other->next)
            taken[other->id] |= score_is_wide(&space, other);
        ARENA_PUSH(memory, *products, count, capacity, value);
    }
    return count;
}

/* ---- copying -------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const score_space *space;
    ir_function *target;
    bool *inside;      /* by id: scores, results, and what lies between two stages */
    ir_value **copies; /* by id */
} extraction;

static score_result *result_of(const score_space *space, const ir_value *value) {
    for (int i = 0; i < space->result_count; i++)
        if (space->results[i].value == value)
            return &space->results[i];
    return NULL;
}

/* Marks what belongs to the stages, and what they need of earlier ones. */
static void find_inside(extraction *work, int stages) {
    const score_space *space = work->space;
    for (ir_value *value = space->function->last; value; value = value->previous) {
        const score_result *result = result_of(space, value);
        bool member = result ? result->stage < stages : score_is_wide(space, value) && space->level[value->id] < stages;
        if (member)
            work->inside[value->id] = true;
        if (!work->inside[value->id])
            continue;
        for (int i = 0; i < value->operand_count; i++)
            if (space->level[value->operands[i]->id] > 0)
                work->inside[value->operands[i]->id] = true;
    }
}

static ir_value *copy_of(extraction *work, const ir_value *value);

/* Whether a value outside is computed again rather than given: indices and constants, and matrices of conditions. */
static bool is_computed_again(const extraction *work, const ir_value *value) {
    if (value->opcode == IR_OP_constant || value->opcode == IR_OP_iota)
        return true;
    ir_class class_ = ir_op(value->opcode)->class_;
    return (class_ == IR_CLASS_ELEMENTWISE || value->opcode == IR_OP_broadcast) && value->type.rank >= 2 &&
           ir_type_elements(&value->type) >= work->space->rows * work->space->columns;
}

static ir_value *copy_of(extraction *work, const ir_value *value) {
    ir_value **known = &work->copies[value->id];
    if (*known)
        return *known;
    arena *memory = work->target->module->memory;
    if (!work->inside[value->id] && !is_computed_again(work, value)) {
        ir_builder builder = {work->target, NULL, value->span};
        return *known = ir_input(&builder, arena_printf(memory, "x%d", value->id), &value->type);
    }
    ir_value **operands = arena_alloc(memory, (size_t)(value->operand_count + 1) * sizeof *operands);
    for (int i = 0; i < value->operand_count; i++)
        operands[i] = copy_of(work, value->operands[i]);
    return *known = ir_build(work->target, NULL, value->opcode, operands, value->operand_count, value->attrs,
                             value->attr_count, &value->type, value->span);
}

static const score_result *twin_of(const score_space *space, const score_result *result, bool first) {
    for (int i = 0; i < space->result_count; i++) {
        const score_result *other = &space->results[i];
        if (first ? score_are_twins(space, result, other) : score_are_twins(space, other, result))
            return other;
    }
    return NULL;
}

/* Results are outputs; of two products that are added up, the sum. */
static void write_outputs(extraction *work, int stages) {
    const score_space *space = work->space;
    for (int i = 0; i < space->result_count; i++) {
        const score_result *result = &space->results[i], *twin = twin_of(space, result, true);
        if (result->stage >= stages || twin_of(space, result, false))
            continue;
        ir_builder builder = {work->target, NULL, result->value->span};
        ir_value *value = copy_of(work, result->value);
        if (twin)
            value = ir_binary(&builder, IR_OP_add, value, copy_of(work, twin->value));
        ir_output(&builder, arena_printf(work->target->module->memory, "y%d", result->value->id), value);
    }
}

static void extract(arena *memory, const score_space *space, ir_module *module, const char *name, int stages) {
    size_t ids = (size_t)space->function->next_id;
    extraction work = {.space = space,
                       .target = ir_function_new(module, name, space->product->span),
                       .inside = arena_alloc(memory, ids),
                       .copies = arena_alloc(memory, ids * sizeof(ir_value *))};
    find_inside(&work, stages);
    write_outputs(&work, stages);
}

ir_module *extract_scores(arena *memory, source_table *sources, ir_function *function, ir_value *product) {
    ir_module *module = ir_module_new(memory, sources, "scores");
    score_space space = score_space_find(memory, function, product);
    extract(memory, &space, module, "forward", 1);
    extract(memory, &space, module, "together", space.stage_count);
    return module;
}
