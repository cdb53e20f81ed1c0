#include "frontend/value.h"

#include <string.h>

fe_scope *fe_scope_new(arena *memory, fe_scope *parent) {
    fe_scope *scope = arena_alloc(memory, sizeof *scope);
    scope->parent = parent;
    return scope;
}

fe_binding *fe_scope_find_here(const fe_scope *scope, const char *name) {
    for (int i = scope->count - 1; i >= 0; i--)
        if (strcmp(scope->bindings[i].name, name) == 0)
            return &scope->bindings[i];
    return NULL;
}

fe_binding *fe_scope_find(const fe_scope *scope, const char *name) {
    for (; scope; scope = scope->parent) {
        fe_binding *found = fe_scope_find_here(scope, name);
        if (found)
            return found;
    }
    return NULL;
}

void fe_scope_bind(arena *memory, fe_scope *scope, const char *name, source_span span, fe_value value) {
    fe_binding *found = fe_scope_find_here(scope, name);
    fe_binding binding = {name, span, value};
    if (found)
        *found = binding;
    else
        ARENA_PUSH(memory, scope->bindings, scope->count, scope->capacity, binding);
}

const char *fe_scope_suggest(arena *memory, const fe_scope *scope, const char *name, bool in_training) {
    const char **names = NULL;
    int count = 0, capacity = 0;
    for (; scope; scope = scope->parent)
        for (int i = 0; i < scope->count; i++) {
            const char *bound = scope->bindings[i].name, *space = strchr(bound, ' ');
            if (!space || in_training) /* optimizers and schedules are bound as "train NAME" */
                ARENA_PUSH(memory, names, count, capacity, space ? space + 1 : bound);
        }
    return diag_suggest(name, names, count);
}

static const char *const kind_texts[] = {[FE_VALUE_ERROR] = "an error",
                                         [FE_VALUE_NONE] = "nothing",
                                         [FE_VALUE_NUMBER] = "a number",
                                         [FE_VALUE_TRUTH] = "a truth value",
                                         [FE_VALUE_STRING] = "a string",
                                         [FE_VALUE_WORD] = "a word",
                                         [FE_VALUE_LIST] = "a list",
                                         [FE_VALUE_TUPLE] = "a tuple",
                                         [FE_VALUE_RANGE] = "a range",
                                         [FE_VALUE_TIME] = "a time",
                                         [FE_VALUE_CHANGE] = "a change",
                                         [FE_VALUE_RECORD] = "a record",
                                         [FE_VALUE_TENSOR] = "a tensor",
                                         [FE_VALUE_MASKED] = "a masked tensor",
                                         [FE_VALUE_CLOSURE] = "a function",
                                         [FE_VALUE_PARTIAL] = "an optimizer or schedule",
                                         [FE_VALUE_BUILTIN] = "a built-in function",
                                         [FE_VALUE_INSTANCE] = "a module instance",
                                         [FE_VALUE_STATE] = "a state",
                                         [FE_VALUE_INITIALISER] = "an initialiser",
                                         [FE_VALUE_AUGMENTS] = "an augmentation"};

const char *fe_value_text(arena *memory, const fe_value *value) {
    if (value->kind == FE_VALUE_TENSOR || value->kind == FE_VALUE_MASKED)
        return arena_printf(memory, "%s %s", kind_texts[value->kind], ir_shape_text(memory, &value->tensor->type));
    if (value->kind == FE_VALUE_NUMBER)
        return arena_printf(memory, "the number %g", value->number);
    if (value->kind == FE_VALUE_WORD)
        return arena_printf(memory, "the word '%s'", value->text);
    return kind_texts[value->kind];
}

fe_value fe_number(double number, source_span span) {
    return (fe_value){.kind = FE_VALUE_NUMBER, .span = span, .number = number};
}

fe_value fe_truth(bool truth, source_span span) {
    return (fe_value){.kind = FE_VALUE_TRUTH, .span = span, .number = truth};
}

fe_value fe_tensor(ir_value *tensor, source_span span) {
    return (fe_value){.kind = FE_VALUE_TENSOR, .span = span, .tensor = tensor};
}

fe_value fe_none(source_span span) {
    return (fe_value){.kind = FE_VALUE_NONE, .span = span};
}

fe_value fe_error(source_span span) {
    return (fe_value){.kind = FE_VALUE_ERROR, .span = span};
}

fe_value fe_list(fe_value_kind kind, fe_value *items, int count, source_span span) {
    return (fe_value){.kind = kind, .span = span, .items = items, .item_count = count};
}

const fe_field *fe_record_find(const fe_value *record, const char *name) {
    for (int i = 0; i < record->item_count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}
