/* Modules: functions, states and settings. */
#include "ir/ir.h"

#include <assert.h>
#include <string.h>

static const char *const role_names[] = {"param", "statistic", "ema", "slot", "queue", "counter"};

const char *ir_role_name(ir_role role) {
    return role_names[role];
}

ir_module *ir_module_new(arena *memory, source_table *sources, const char *name) {
    ir_module *module = arena_alloc(memory, sizeof *module);
    module->memory = memory;
    module->sources = sources;
    module->name = arena_strdup(memory, name);
    return module;
}

ir_function *ir_function_new(ir_module *module, const char *name, source_span span) {
    ir_function *function = arena_alloc(module->memory, sizeof *function);
    function->module = module;
    function->name = arena_strdup(module->memory, name);
    function->span = span;
    ARENA_PUSH(module->memory, module->functions, module->function_count, module->function_capacity, function);
    return function;
}

ir_function *ir_function_find(const ir_module *module, const char *name) {
    for (int i = 0; i < module->function_count; i++)
        if (strcmp(module->functions[i]->name, name) == 0)
            return module->functions[i];
    return NULL;
}

int ir_state_add(ir_module *module, const char *name, ir_role role, ir_type type, source_span span) {
    assert(!ir_state_find(module, name));
    ir_state state = {arena_strdup(module->memory, name), role, type, ir_layout_identity(), span};
    ARENA_PUSH(module->memory, module->states, module->state_count, module->state_capacity, state);
    return module->state_count - 1;
}

ir_state *ir_state_find(const ir_module *module, const char *name) {
    for (int i = 0; i < module->state_count; i++)
        if (strcmp(module->states[i].name, name) == 0)
            return &module->states[i];
    return NULL;
}

void ir_setting_add(ir_module *module, const char *key, const char *value, source_span span) {
    ir_setting setting = {arena_strdup(module->memory, key), arena_strdup(module->memory, value), span};
    ARENA_PUSH(module->memory, module->settings, module->setting_count, module->setting_capacity, setting);
}

const char *ir_setting_find(const ir_module *module, const char *key) {
    for (int i = 0; i < module->setting_count; i++)
        if (strcmp(module->settings[i].key, key) == 0)
            return module->settings[i].value;
    return NULL;
}
