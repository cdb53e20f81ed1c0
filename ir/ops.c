/* The operation and attribute tables, expanded from ops.def and attrs.def. */
#include "ir/internal.h"

#include <string.h>

/* ATTRS(a, b) becomes the keys of a and b, ended by IR_ATTR_COUNT. */
#define ATTRS_0()                                   IR_ATTR_COUNT
#define ATTRS_1(a)                                  IR_ATTR_##a, IR_ATTR_COUNT
#define ATTRS_2(a, b)                               IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_COUNT
#define ATTRS_3(a, b, c)                            IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_##c, IR_ATTR_COUNT
#define ATTRS_4(a, b, c, d)                         IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_##c, IR_ATTR_##d, IR_ATTR_COUNT
#define ATTRS_PICK(_0, _1, _2, _3, _4, chosen, ...) chosen
#define ATTRS(...)                                  ATTRS_PICK(_0, ##__VA_ARGS__, ATTRS_4, ATTRS_3, ATTRS_2, ATTRS_1, ATTRS_0, _)(__VA_ARGS__)

#define OP(name, operands, class_, shape, derivative, cost, attrs, doc)                                                \
    static const ir_attr_key keys_##name[] = {attrs};
#include "ir/ops.def"

#define OP(name, operands, class_, shape, derivative, cost, attrs, doc)                                                \
    {#name, operands, IR_CLASS_##class_, keys_##name, (int)(sizeof keys_##name / sizeof *keys_##name) - 1, doc},
static const ir_op_info op_table[] = {
#include "ir/ops.def"
};

#define OP(name, operands, class_, shape, derivative, cost, attrs, doc) shape_##shape,
static const shape_rule shape_rules[] = {
#include "ir/ops.def"
};

#define OP(name, operands, class_, shape, derivative, cost, attrs, doc) #shape,
static const char *const shape_rule_names[] = {
#include "ir/ops.def"
};

#define ATTR(name, kind) {#name, kind},
static const struct {
    const char *name;
    ir_attr_kind kind;
} attr_table[] = {
#include "ir/attrs.def"
};

const ir_op_info *ir_op(ir_opcode opcode) {
    return &op_table[opcode];
}

ir_opcode ir_op_find(const char *name) {
    for (int i = 0; i < IR_OP_COUNT; i++)
        if (strcmp(op_table[i].name, name) == 0)
            return (ir_opcode)i;
    return IR_OP_COUNT;
}

const char *ir_attr_name(ir_attr_key key) {
    return attr_table[key].name;
}

ir_attr_kind ir_attr_kind_of(ir_attr_key key) {
    return attr_table[key].kind;
}

shape_rule ir_shape_rule(ir_opcode opcode) {
    return shape_rules[opcode];
}

bool ir_op_is_explicit(ir_opcode opcode) {
    return strncmp(shape_rule_names[opcode], "explicit", strlen("explicit")) == 0;
}

void ir_print_op_table(text_buffer *out) {
    text_append(out, "| operation | operands | attributes | meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < IR_OP_COUNT; i++) {
        const ir_op_info *op = &op_table[i];
        text_append(out, "| `%s` | ", op->name);
        text_append(out, op->operand_count < 0 ? "any | " : "%d | ", op->operand_count);
        for (int a = 0; a < op->attr_count; a++)
            text_append(out, "%s`%s`", a ? ", " : "", ir_attr_name(op->attrs[a]));
        text_append(out, "%s| %s |\n", op->attr_count ? " " : "", op->doc);
    }
}
