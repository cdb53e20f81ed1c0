/* Values: making, attributes, order, replacement. */
#include "ir/internal.h"

#include <assert.h>
#include <string.h>

static void insert(ir_function *function, ir_value *value, ir_value *before) {
    value->next = before;
    value->previous = before ? before->previous : function->last;
    if (value->previous)
        value->previous->next = value;
    else
        function->first = value;
    if (before)
        before->previous = value;
    else
        function->last = value;
    function->value_count++;
}

ir_value *ir_build(ir_function *function, ir_value *before, ir_opcode opcode, ir_value *const *operands,
                   int operand_count, const ir_attr *attrs, int attr_count, const ir_type *type, source_span span) {
    arena *memory = function->module->memory;
    ir_value *value = arena_alloc(memory, sizeof *value);
    value->opcode = opcode;
    value->id = function->next_id++;
    value->layout = ir_layout_identity();
    value->span = span;
    value->operand_count = operand_count;
    value->operands = arena_alloc(memory, (size_t)operand_count * sizeof *operands);
    if (operand_count)
        memcpy(value->operands, operands, (size_t)operand_count * sizeof *operands);
    value->attr_count = attr_count;
    value->attrs = arena_alloc(memory, (size_t)attr_count * sizeof *attrs);
    if (attr_count)
        memcpy(value->attrs, attrs, (size_t)attr_count * sizeof *attrs);
    if (type) {
        value->type = *type;
    } else {
        const char *why = NULL;
        bool fits = ir_infer(memory, opcode, operands, operand_count, attrs, attr_count, &value->type, &why);
        assert(fits && "ir_build: the operands do not fit the operation; call ir_infer first");
        (void)fits;
    }
    insert(function, value, before);
    return value;
}

void ir_remove(ir_function *function, ir_value *value) {
    if (value->previous)
        value->previous->next = value->next;
    else
        function->first = value->next;
    if (value->next)
        value->next->previous = value->previous;
    else
        function->last = value->previous;
    value->previous = value->next = NULL;
    function->value_count--;
}

void ir_replace_uses(const ir_value *old, ir_value *replacement) {
    for (ir_value *value = old->next; value; value = value->next)
        for (int i = 0; i < value->operand_count; i++)
            if (value->operands[i] == old)
                value->operands[i] = replacement;
}

bool ir_is_fold(const ir_value *value) {
    return value->opcode == IR_OP_reduce_sum || value->opcode == IR_OP_reduce_max ||
           value->opcode == IR_OP_reduce_variation;
}

void ir_count_uses(ir_function *function) {
    for (ir_value *value = function->first; value; value = value->next)
        value->mark = 0;
    for (ir_value *value = function->first; value; value = value->next)
        for (int i = 0; i < value->operand_count; i++)
            value->operands[i]->mark++;
}

void ir_renumber(ir_function *function) {
    function->next_id = 0;
    for (ir_value *value = function->first; value; value = value->next)
        value->id = function->next_id++;
}

ir_attr ir_attr_ints_make(arena *memory, ir_attr_key key, const int64_t *ints, int count) {
    ir_attr attr = {.key = key, .count = count};
    attr.as.ints = arena_alloc(memory, (size_t)(count ? count : 1) * sizeof *ints);
    for (int i = 0; i < count; i++)
        attr.as.ints[i] = ints[i];
    return attr;
}

ir_attr ir_attr_int_make(arena *memory, ir_attr_key key, int64_t value) {
    return ir_attr_ints_make(memory, key, &value, 1);
}

ir_attr ir_attr_number_make(ir_attr_key key, double number) {
    return (ir_attr){.key = key, .count = 1, .as.number = number};
}

ir_attr ir_attr_symbol_make(ir_attr_key key, const char *symbol) {
    return (ir_attr){.key = key, .count = 1, .as.symbol = symbol};
}

const ir_attr *ir_attr_get(const ir_value *value, ir_attr_key key) {
    for (int i = 0; i < value->attr_count; i++)
        if (value->attrs[i].key == key)
            return &value->attrs[i];
    assert(!"the operation has no such attribute");
    return NULL;
}

const int64_t *ir_ints(const ir_value *value, ir_attr_key key) {
    return ir_attr_get(value, key)->as.ints;
}

int64_t ir_int(const ir_value *value, ir_attr_key key) {
    return ir_attr_get(value, key)->as.ints[0];
}

double ir_number(const ir_value *value, ir_attr_key key) {
    return ir_attr_get(value, key)->as.number;
}

const char *ir_symbol(const ir_value *value, ir_attr_key key) {
    return ir_attr_get(value, key)->as.symbol;
}
