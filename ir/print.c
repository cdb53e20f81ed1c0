/* The textual form of a module, which ir_parse reads back. */
#include "ir/ir.h"

#include <ctype.h>
#include <string.h>

static bool plain_name(const char *name) {
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '_' && *at != '.')
            return false;
    return *name != 0;
}

static void print_string(const char *string, text_buffer *out) {
    text_append(out, "\"");
    for (; *string; string++) {
        if (*string == '"' || *string == '\\')
            text_append(out, "\\%c", *string);
        else if (*string == '\n')
            text_append(out, "\\n");
        else
            text_append(out, "%c", *string);
    }
    text_append(out, "\"");
}

static void print_symbol(const char *name, text_buffer *out) {
    text_append(out, "@");
    if (plain_name(name))
        text_append(out, "%s", name);
    else
        print_string(name, out);
}

static void print_type(const ir_type *type, text_buffer *out) {
    text_append(out, "%s[", ir_dtype_name(type->dtype));
    for (int i = 0; i < type->rank; i++)
        text_append(out, "%s%lld", i ? "," : "", (long long)type->dims[i]);
    text_append(out, "]");
}

static void print_layout(const ir_layout *layout, int rank, text_buffer *out) {
    ir_layout identity = ir_layout_identity();
    if (ir_layout_equal(layout, &identity, rank))
        return;
    text_append(out, " layout=[");
    for (int i = 0; i < rank; i++)
        text_append(out, "%s%d", i ? "," : "", layout->axis[i]);
    text_append(out, "]");
}

static void print_span(source_span span, text_buffer *out) {
    if (span.line <= 0)
        return;
    text_append(out, " at %d:%d:%d:%d", span.file, span.line, span.column, span.length);
    if (span.component)
        text_append(out, ":%s", source_component_name(span.component));
}

static void print_attr(const ir_attr *attr, text_buffer *out) {
    text_append(out, "%s=", ir_attr_name(attr->key));
    switch (ir_attr_kind_of(attr->key)) {
    case IR_ATTR_INT: text_append(out, "%lld", (long long)attr->as.ints[0]); break;
    case IR_ATTR_INTS:
        text_append(out, "[");
        for (int i = 0; i < attr->count; i++)
            text_append(out, "%s%lld", i ? "," : "", (long long)attr->as.ints[i]);
        text_append(out, "]");
        break;
    case IR_ATTR_NUMBER: text_append_number(out, attr->as.number); break;
    case IR_ATTR_SYMBOL: print_symbol(attr->as.symbol, out); break;
    }
}

/* All attributes but the symbol, which stands behind the operation's name, in the table's order. */
static void print_attrs(const ir_value *value, text_buffer *out) {
    const ir_op_info *op = ir_op(value->opcode);
    bool first = true;
    for (int i = 0; i < op->attr_count; i++) {
        if (op->attrs[i] == IR_ATTR_symbol)
            continue;
        text_append(out, first ? " {" : ", ");
        print_attr(ir_attr_get(value, op->attrs[i]), out);
        first = false;
    }
    if (!first)
        text_append(out, "}");
}

static void print_value(const ir_value *value, text_buffer *out) {
    const ir_op_info *op = ir_op(value->opcode);
    bool effect = op->class_ == IR_CLASS_EFFECT;
    text_append(out, "  ");
    if (!effect)
        text_append(out, "%%%d = ", value->id);
    text_append(out, "%s", op->name);
    const char *separator = " ";
    if (op->attr_count > 0 && op->attrs[0] == IR_ATTR_symbol) {
        text_append(out, " ");
        print_symbol(ir_symbol(value, IR_ATTR_symbol), out);
        separator = ", ";
    }
    for (int i = 0; i < value->operand_count; i++) {
        text_append(out, "%s%%%d", separator, value->operands[i]->id);
        separator = ", ";
    }
    print_attrs(value, out);
    if (!effect) {
        text_append(out, " : ");
        print_type(&value->type, out);
        print_layout(&value->layout, value->type.rank, out);
    }
    if (value->group)
        text_append(out, " group=%d", value->group);
    print_span(value->span, out);
    text_append(out, "\n");
}

void ir_print_function(const ir_function *function, text_buffer *out) {
    text_append(out, "func ");
    print_symbol(function->name, out);
    print_span(function->span, out);
    text_append(out, " {\n");
    for (const ir_value *value = function->first; value; value = value->next)
        print_value(value, out);
    text_append(out, "}\n");
}

static void print_view(const ir_view *view, text_buffer *out) {
    text_append(out, "view ");
    print_symbol(view->name, out);
    text_append(out, " : [%lld", (long long)view->channels);
    if (view->height > 0)
        text_append(out, ",%lld,%lld", (long long)view->height, (long long)view->width);
    text_append(out, "]");
    if (view->source) {
        text_append(out, " of ");
        print_symbol(view->source, out);
    }
    print_span(view->span, out);
    text_append(out, " {\n");
    for (int i = 0; i < view->count; i++) {
        text_append(out, "  augment ");
        print_string(view->augments[i].text, out);
        print_span(view->augments[i].span, out);
        text_append(out, "\n");
    }
    text_append(out, "}\n");
}

static void print_state(const ir_state *state, text_buffer *out) {
    text_append(out, "state ");
    print_symbol(state->name, out);
    text_append(out, " : ");
    print_type(&state->type, out);
    print_layout(&state->layout, state->type.rank, out);
    text_append(out, " role=%s", ir_role_name(state->role));
    print_span(state->span, out);
    text_append(out, "\n");
}

void ir_print(const ir_module *module, text_buffer *out) {
    text_append(out, "module ");
    print_symbol(module->name, out);
    text_append(out, "\n");
    for (int i = 0; module->sources && i < module->sources->count; i++) {
        text_append(out, "source %d ", i);
        print_string(module->sources->files[i].path, out);
        text_append(out, "\n");
    }
    for (int i = 0; i < module->setting_count; i++) {
        text_append(out, "setting %s = ", module->settings[i].key);
        print_string(module->settings[i].value, out);
        print_span(module->settings[i].span, out);
        text_append(out, "\n");
    }
    for (int i = 0; i < module->state_count; i++)
        print_state(&module->states[i], out);
    for (int i = 0; i < module->view_count; i++)
        print_view(&module->views[i], out);
    for (int i = 0; i < module->function_count; i++)
        ir_print_function(module->functions[i], out);
}

/* ---- Graphviz
 * ----------------------------------------------------------------------------------------------------------- */

static const char *class_colour(ir_class class_) {
    switch (class_) {
    case IR_CLASS_CONTRACTION: return "lightsalmon";
    case IR_CLASS_REDUCTION:
    case IR_CLASS_WINDOW: return "lightblue";
    case IR_CLASS_EFFECT: return "palegreen";
    case IR_CLASS_SOURCE: return "lightyellow";
    default: return "white";
    }
}

static void print_dot_value(const ir_value *value, int function, text_buffer *out) {
    const ir_op_info *op = ir_op(value->opcode);
    text_append(out, "    f%d_%d [label=\"%s", function, value->id, op->name);
    if (op->attr_count > 0 && op->attrs[0] == IR_ATTR_symbol)
        text_append(out, "\\n%s", ir_symbol(value, IR_ATTR_symbol));
    text_append(out, "\\n");
    print_type(&value->type, out);
    text_append(out, "\", fillcolor=%s];\n", class_colour(op->class_));
    for (int i = 0; i < value->operand_count; i++)
        text_append(out, "    f%d_%d -> f%d_%d;\n", function, value->operands[i]->id, function, value->id);
}

void ir_print_dot(const ir_module *module, text_buffer *out) {
    text_append(out, "digraph \"%s\" {\n  node [shape=box, style=filled, fontname=\"sans-serif\"];\n", module->name);
    for (int i = 0; i < module->function_count; i++) {
        text_append(out, "  subgraph cluster_%d {\n    label=\"%s\";\n", i, module->functions[i]->name);
        for (const ir_value *value = module->functions[i]->first; value; value = value->next)
            print_dot_value(value, i, out);
        text_append(out, "  }\n");
    }
    text_append(out, "}\n");
}
