/* common-subexpressions: one value for all that compute the same from the same operands. Effects stay, and
 * fusion groups share nothing. */
#include "passes/pass.h"

#include <string.h>

static uint64_t hash_value(const ir_value *value) {
    uint64_t hash =
        ir_hash_word(ir_hash_word((uint64_t)value->opcode, (uint64_t)value->type.dtype), (uint64_t)value->group);
    for (int i = 0; i < value->type.rank; i++)
        hash = ir_hash_word(hash, (uint64_t)value->type.dims[i]);
    for (int i = 0; i < value->operand_count; i++)
        hash = ir_hash_word(hash, (uint64_t)value->operands[i]->id);
    for (int i = 0; i < value->attr_count; i++)
        hash = ir_hash_attr(hash, &value->attrs[i]);
    return hash;
}

static bool equal_attrs(const ir_attr *a, const ir_attr *b) {
    if (a->key != b->key || a->count != b->count)
        return false;
    switch (ir_attr_kind_of(a->key)) {
    case IR_ATTR_SYMBOL: return strcmp(a->as.symbol, b->as.symbol) == 0;
    case IR_ATTR_NUMBER: /* bit by bit: 0 and -0 differ, a NaN equals itself */
        return memcmp(&a->as.number, &b->as.number, sizeof a->as.number) == 0; // NOLINT
    default: return memcmp(a->as.ints, b->as.ints, (size_t)a->count * sizeof *a->as.ints) == 0;
    }
}

static bool equal_values(const ir_value *a, const ir_value *b) {
    if (a->opcode != b->opcode || a->group != b->group || !ir_type_equal(&a->type, &b->type) ||
        a->operand_count != b->operand_count || a->attr_count != b->attr_count ||
        !ir_layout_equal(&a->layout, &b->layout, a->type.rank))
        return false;
    for (int i = 0; i < a->operand_count; i++)
        if (a->operands[i] != b->operands[i])
            return false;
    for (int i = 0; i < a->attr_count; i++)
        if (!equal_attrs(&a->attrs[i], &b->attrs[i]))
            return false;
    return true;
}

/* Open addressing over a power of two of slots. */
static void merge(arena *memory, ir_function *function) {
    size_t slots = 64;
    while (slots < 2 * (size_t)function->value_count)
        slots *= 2;
    ir_value **table = arena_alloc(memory, slots * sizeof(ir_value *));
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        value->scratch = NULL;
        for (int i = 0; i < value->operand_count; i++)
            if (value->operands[i]->scratch)
                value->operands[i] = value->operands[i]->scratch;
        if (ir_op(value->opcode)->class_ == IR_CLASS_EFFECT)
            continue;
        size_t slot = hash_value(value) & (slots - 1);
        while (table[slot] && !equal_values(table[slot], value))
            slot = (slot + 1) & (slots - 1);
        if (table[slot]) {
            value->scratch = table[slot];
            ir_remove(function, value);
        } else {
            table[slot] = value;
        }
    }
}

bool pass_common_subexpressions(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        merge(context->memory, context->module->functions[i]);
    return true;
}
