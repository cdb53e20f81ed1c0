/* What a product of activations is multiplied by before anything else happens to it: constants, and single numbers that
 * are trained, such as the exponential of a parameter. */
#include "frontend/driver/forward.h"

#include <math.h>
#include <string.h>

/* ---- factors ----------------------------------------------------------------------------------------------------- */

enum { MOST_VALUES = 64 }; /* that a number may come from; values used twice count twice */

typedef struct {
    const ir_module *module;
    const char *learned; /* the trained state that the number comes from, or NULL */
    int values;          /* looked at so far */
} number_source;

static double start_of(const ir_value *value, number_source *source);

/* What `init` gives the trained number, NaN for other states. */
static double start_of_state(const char *name, number_source *source) {
    const ir_state *state = ir_state_find(source->module, name);
    const ir_function *init = ir_function_find(source->module, "init");
    if (!init || state->role != IR_ROLE_PARAM || ir_type_elements(&state->type) != 1)
        return NAN;
    source->learned = state->name;
    for (const ir_value *value = init->last; value; value = value->previous)
        if (value->opcode == IR_OP_write && strcmp(ir_symbol(value, IR_ATTR_symbol), name) == 0)
            return start_of(value->operands[0], source);
    return NAN;
}

/* The number that every element of the value is at the first step, NaN where that is not one number or not known. */
static double start_of(const ir_value *value, number_source *source) {
    if (++source->values > MOST_VALUES)
        return NAN;
    switch (value->opcode) {
    case IR_OP_constant: return ir_number(value, IR_ATTR_value);
    case IR_OP_read: return start_of_state(ir_symbol(value, IR_ATTR_symbol), source);
    case IR_OP_broadcast:
    case IR_OP_reshape:
    case IR_OP_convert: return start_of(value->operands[0], source);
    case IR_OP_exp: return exp(start_of(value->operands[0], source));
    case IR_OP_neg: return -start_of(value->operands[0], source);
    case IR_OP_mul: return start_of(value->operands[0], source) * start_of(value->operands[1], source);
    case IR_OP_div: return start_of(value->operands[0], source) / start_of(value->operands[1], source);
    default: return NAN;
    }
}

/* value = operand * number, or operand / number; the name of the number's state, where it is trained, in *learned. */
static bool is_scaled(const ir_module *module, const ir_value *value, const ir_value *operand, double *factor,
                      const char **learned) {
    number_source source = {.module = module};
    if (value->opcode == IR_OP_mul)
        *factor = start_of(value->operands[value->operands[0] == operand], &source);
    else if (value->opcode == IR_OP_div && value->operands[0] == operand)
        *factor = 1 / start_of(value->operands[1], &source);
    else
        return false;
    if (isnan(*factor))
        return false;
    if (source.learned)
        *learned = source.learned;
    return true;
}

/* ---- the way of a product ---------------------------------------------------------------------------------------- */

bool forward_moves(const ir_value *value) {
    return value->opcode == IR_OP_reshape || value->opcode == IR_OP_transpose || value->opcode == IR_OP_broadcast ||
           value->opcode == IR_OP_stop_gradient;
}

/* c * tanh(s / c) among the users. */
static double find_clip(const ir_module *module, const ir_value *value) {
    const forward_facts *facts = forward_facts_of(value);
    for (int i = 0; i < facts->user_count; i++) {
        double factor;
        const char *learned;
        const ir_value *user = facts->users[i];
        const forward_facts *next = forward_facts_of(user);
        if (is_scaled(module, user, value, &factor, &learned) && next->user_count == 1 &&
            next->users[0]->opcode == IR_OP_tanh)
            return 1 / factor;
    }
    return 0;
}

void forward_find_scale(const ir_module *module, const ir_value *value, forward_scores *scores) {
    double factor;
    scores->scale = 1;
    for (;;) {
        const forward_facts *facts = forward_facts_of(value);
        scores->clip = find_clip(module, value);
        if (scores->clip > 0 || facts->user_count != 1)
            return;
        if (is_scaled(module, facts->users[0], value, &factor, &scores->learned))
            scores->scale *= factor;
        else if (!forward_moves(facts->users[0]))
            return;
        value = facts->users[0];
    }
}
