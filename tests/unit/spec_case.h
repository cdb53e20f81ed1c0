/* For tests of whole specs: a spec compiled under settings, with made-up inputs and with states at a generic place. */
#ifndef TESTS_SPEC_CASE_H
#define TESTS_SPEC_CASE_H

#include "ir_case.h"

#include "frontend/frontend.h"

enum { SPEC_SETTINGS = 16 };

/* Compiles the spec at `path` under the settings "name=value name=value …", whose values hold no spaces. Fails with the
 * spec's errors. */
static inline ir_case *spec_case_compile(const char *path, const char *settings) {
    ir_case *this = ir_case_new();
    const char *definitions[SPEC_SETTINGS], *folders[] = {SOURCE_DIR "/specs/lib"};
    int count = 0;
    char *rest = arena_strdup(this->memory, settings);
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        assert_true(count < SPEC_SETTINGS);
        definitions[count++] = word;
    }
    fe_options options = {definitions, count, folders, 1, NULL};
    this->module = fe_compile(this->memory, &this->diags, path, &options);
    ir_case_no_errors(this, arena_printf(this->memory, "%s %s", path, settings));
    return this;
}

/* Adds all states as `init` makes them. Parameters are then moved a little at random: those that start at 0 or 1 would
 * hide gradients. */
static inline void spec_case_start(ir_case *this, tensor_list *given) {
    const ir_type scalar = ir_type_scalar(IR_I32);
    tensor_list seed = {.memory = this->memory};
    *tensor_add(&seed, false, "seed", &scalar) = 7;
    ir_case_interpret(this, "init", &seed, given);
    rt_random_sequence random = rt_random_begin(7, 0);
    for (int t = 0; t < given->count; t++)
        if (given->items[t].state && ir_state_find(this->module, given->items[t].name)->role == IR_ROLE_PARAM)
            for (int64_t i = 0, count = ir_type_elements(&given->items[t].type); i < count; i++)
                given->items[t].elements[i] += rt_random_range(&random, -0.1, 0.1);
}

/* One element of an input of training: pictures and vectors between 0 and 1, three classes, places in the data that all
 * differ, the second of a hundred steps. */
static inline double spec_case_input(const char *name, int64_t i, rt_random_sequence *random) {
    return strncmp(name, "view.", 5) == 0         ? rt_random_range(random, 0, 1)
           : strcmp(name, "labels") == 0          ? (double)rt_random_below(random, 3)
           : strcmp(name, "index") == 0           ? (double)(3 * i + 1)
           : strcmp(name, "step") == 0            ? 1
           : strcmp(name, "total_steps") == 0     ? 100
           : strcmp(name, "steps_per_epoch") == 0 ? 10
                                                  : 7; /* the seed */
}

/* Adds the inputs of the function that are not there yet. */
static inline void spec_case_inputs(ir_case *this, const char *function, tensor_list *given) {
    rt_random_sequence random = rt_random_begin(7, 1);
    for (const ir_value *value = ir_function_find(this->module, function)->first; value; value = value->next) {
        const char *name = value->opcode == IR_OP_input ? ir_symbol(value, IR_ATTR_symbol) : NULL;
        if (!name || tensor_find(given, false, name))
            continue;
        double *elements = tensor_add(given, false, name, &value->type);
        for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
            elements[i] = spec_case_input(name, i, &random);
    }
}

#endif
