/* Reads the textual form of a module. Any text ends in a module or in diagnostics. */
#include "ir/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ID_LIMIT = 1 << 22 };

/* What a number stands for in the function that defined it last. */
typedef struct {
    ir_value *value;
    const ir_function *function;
} id_entry;

typedef struct {
    arena *memory;
    diag_list *diags;
    int source; /* the IR file itself, in the diagnostics' table */
    const char *text, *at, *end, *line_start;
    int line;
    ir_module *module;
    ir_function *function;
    id_entry *by_id;
    int id_capacity;
} ir_parser;

/* ---- words
 * ------------------------------------------------------------------------------------------------------------- */

static void skip_space(ir_parser *parser) {
    for (; parser->at < parser->end; parser->at++) {
        if (*parser->at == ';') {
            while (parser->at < parser->end && *parser->at != '\n')
                parser->at++;
            if (parser->at == parser->end)
                return;
        }
        if (*parser->at == '\n') {
            parser->line++;
            parser->line_start = parser->at + 1;
        } else if (!isspace((unsigned char)*parser->at)) {
            return;
        }
    }
}

static source_span here(ir_parser *parser) {
    skip_space(parser);
    return (source_span){parser->source, parser->line, (int)(parser->at - parser->line_start) + 1, 1, 0};
}

static bool fail(ir_parser *parser, const char *message) {
    diag_error(parser->diags, here(parser), "%s", message);
    return false;
}

static bool take(ir_parser *parser, const char *text) {
    skip_space(parser);
    size_t length = strlen(text);
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, text, length) != 0)
        return false;
    bool word = isalnum((unsigned char)text[length - 1]) || text[length - 1] == '_';
    const char *after = parser->at + length;
    if (word && after < parser->end && (isalnum((unsigned char)*after) || *after == '_'))
        return false;
    parser->at = after;
    return true;
}

static bool expect(ir_parser *parser, const char *text) {
    if (take(parser, text))
        return true;
    diag_error(parser->diags, here(parser), "expected '%s'", text);
    return false;
}

static const char *take_word(ir_parser *parser) {
    skip_space(parser);
    const char *begin = parser->at;
    while (parser->at < parser->end &&
           (isalnum((unsigned char)*parser->at) || *parser->at == '_' || *parser->at == '.'))
        parser->at++;
    if (parser->at == begin) {
        fail(parser, "expected a name");
        return NULL;
    }
    return arena_strndup(parser->memory, begin, (size_t)(parser->at - begin));
}

static const char *take_string(ir_parser *parser) {
    if (!expect(parser, "\""))
        return NULL;
    text_buffer text = {0};
    text_append_bytes(&text, "", 0);
    while (parser->at < parser->end && *parser->at != '"' && *parser->at != '\n') {
        char c = *parser->at++;
        if (c == '\\' && parser->at < parser->end) {
            c = *parser->at++;
            if (c == 'n')
                c = '\n';
        }
        text_append_bytes(&text, &c, 1);
    }
    const char *copy = arena_strndup(parser->memory, text.data, text.length);
    text_free(&text);
    return expect(parser, "\"") ? copy : NULL;
}

static const char *take_symbol(ir_parser *parser) {
    if (!expect(parser, "@"))
        return NULL;
    return parser->at < parser->end && *parser->at == '"' ? take_string(parser) : take_word(parser);
}

static bool take_int(ir_parser *parser, int64_t *value) {
    skip_space(parser);
    char digits[24];
    size_t length = 0;
    const char *at = parser->at;
    while (at < parser->end && length < sizeof digits - 1 &&
           (isdigit((unsigned char)*at) || (length == 0 && *at == '-')))
        digits[length++] = *at++;
    digits[length] = 0;
    if (length == 0 || (length == 1 && digits[0] == '-') || length > 19)
        return fail(parser, "expected a whole number");
    *value = strtoll(digits, NULL, 10);
    parser->at = at;
    return true;
}

static bool take_small_int(ir_parser *parser, int *value) {
    int64_t number;
    if (!take_int(parser, &number))
        return false;
    if (number < 0 || number > INT32_MAX)
        return fail(parser, "number out of range");
    *value = (int)number;
    return true;
}

static bool take_number(ir_parser *parser, double *value) {
    skip_space(parser);
    char text[64];
    size_t length = 0;
    const char *at = parser->at;
    while (at < parser->end && length < sizeof text - 1 && (isalnum((unsigned char)*at) || strchr("+-.", *at)) && *at)
        text[length++] = *at++;
    text[length] = 0;
    char *stop;
    *value = strtod(text, &stop);
    if (stop == text || *stop)
        return fail(parser, "expected a number");
    parser->at = at;
    return true;
}

/* [1,2,3] of at most `limit` numbers */
static bool take_ints(ir_parser *parser, int64_t *ints, int limit, int *count) {
    *count = 0;
    if (!expect(parser, "["))
        return false;
    if (take(parser, "]"))
        return true;
    do {
        if (*count == limit)
            return fail(parser, "too many numbers");
        if (!take_int(parser, &ints[(*count)++]))
            return false;
    } while (take(parser, ","));
    return expect(parser, "]");
}

/* ---- types, layouts, places
 * ---------------------------------------------------------------------------------------------- */

static bool take_type(ir_parser *parser, ir_type *type) {
    const char *name = take_word(parser);
    if (!name)
        return false;
    for (int dtype = 0; dtype < IR_DTYPE_COUNT; dtype++)
        if (strcmp(name, ir_dtype_name((ir_dtype)dtype)) == 0) {
            type->dtype = (ir_dtype)dtype;
            return take_ints(parser, type->dims, IR_MAX_RANK, &type->rank);
        }
    return fail(parser, "expected f32, i32 or bool");
}

static bool take_layout(ir_parser *parser, int rank, ir_layout *layout) {
    *layout = ir_layout_identity();
    if (!take(parser, "layout="))
        return true;
    int64_t axes[IR_MAX_RANK];
    int count;
    unsigned seen = 0;
    if (!take_ints(parser, axes, IR_MAX_RANK, &count))
        return false;
    for (int i = 0; i < count && i < rank; i++) {
        if (axes[i] < 0 || axes[i] >= rank)
            return fail(parser, "a layout names the axes of its type");
        seen |= 1u << axes[i];
        layout->axis[i] = (int8_t)axes[i];
    }
    if (count != rank || seen != (1u << rank) - 1)
        return fail(parser, "a layout names each axis of its type once");
    return true;
}

static bool take_component(ir_parser *parser, source_span *span) {
    const char *name = take_word(parser);
    for (int i = 0; name && i < SOURCE_COMPONENT_COUNT; i++)
        if (strcmp(name, source_component_name((source_component)i)) == 0) {
            span->component = i;
            return true;
        }
    return fail(parser, "no component of that name");
}

static bool take_span(ir_parser *parser, source_span *span) {
    *span = (source_span){0};
    if (!take(parser, "at"))
        return true;
    int parts[4];
    for (int i = 0; i < 4; i++)
        if ((i > 0 && !expect(parser, ":")) || !take_small_int(parser, &parts[i]))
            return false;
    if (parts[0] >= parser->module->sources->count)
        return fail(parser, "no source of that number");
    *span = (source_span){parts[0], parts[1], parts[2], parts[3], 0};
    return !take(parser, ":") || take_component(parser, span);
}

/* ---- values
 * -------------------------------------------------------------------------------------------------------------- */

static bool take_attr(ir_parser *parser, ir_attr *attr) {
    const char *name = take_word(parser);
    if (!name)
        return false;
    int key = 0;
    while (key < IR_ATTR_COUNT && strcmp(ir_attr_name((ir_attr_key)key), name) != 0)
        key++;
    if (key == IR_ATTR_COUNT)
        return fail(parser, "no attribute of that name");
    attr->key = (ir_attr_key)key;
    if (!expect(parser, "="))
        return false;
    int64_t ints[IR_MAX_RANK];
    int count = 1;
    switch (ir_attr_kind_of(attr->key)) {
    case IR_ATTR_NUMBER: attr->count = 1; return take_number(parser, &attr->as.number);
    case IR_ATTR_SYMBOL: attr->count = 1; return (attr->as.symbol = take_symbol(parser)) != NULL;
    case IR_ATTR_INT:
        if (!take_int(parser, ints))
            return false;
        break;
    case IR_ATTR_INTS:
        if (!take_ints(parser, ints, IR_MAX_RANK, &count))
            return false;
        break;
    }
    *attr = ir_attr_ints_make(parser->memory, attr->key, ints, count);
    return true;
}

typedef struct {
    int id; /* -1 for effects */
    ir_opcode opcode;
    ir_value **operands;
    int operand_count, operand_capacity;
    ir_attr *attrs;
    int attr_count, attr_capacity;
    ir_type type;
    ir_layout layout;
    int group;
    source_span span;
} value_text;

static ir_value *find_value(const ir_parser *parser, int id) {
    return id < parser->id_capacity && parser->by_id[id].function == parser->function ? parser->by_id[id].value : NULL;
}

static bool take_operand(ir_parser *parser, value_text *value) {
    int id;
    if (!expect(parser, "%") || !take_small_int(parser, &id))
        return false;
    ir_value *operand = find_value(parser, id);
    if (!operand)
        return fail(parser, "this operand is not defined before");
    ARENA_PUSH(parser->memory, value->operands, value->operand_count, value->operand_capacity, operand);
    return true;
}

static bool take_operands(ir_parser *parser, value_text *value, bool comma_first) {
    skip_space(parser);
    if (comma_first ? !take(parser, ",") : parser->at < parser->end && *parser->at != '%')
        return true;
    do
        if (!take_operand(parser, value))
            return false;
    while (take(parser, ","));
    return true;
}

static bool take_attrs(ir_parser *parser, value_text *value) {
    if (!take(parser, "{"))
        return true;
    do {
        ir_attr attr;
        if (!take_attr(parser, &attr))
            return false;
        ARENA_PUSH(parser->memory, value->attrs, value->attr_count, value->attr_capacity, attr);
    } while (take(parser, ","));
    return expect(parser, "}");
}

static bool has_symbol(const ir_op_info *op) {
    return op->attr_count > 0 && op->attrs[0] == IR_ATTR_symbol;
}

static bool take_body(ir_parser *parser, value_text *value) {
    const ir_op_info *op = ir_op(value->opcode);
    if (has_symbol(op)) {
        const char *name = take_symbol(parser);
        if (!name)
            return false;
        ir_attr attr = ir_attr_symbol_make(IR_ATTR_symbol, name);
        ARENA_PUSH(parser->memory, value->attrs, value->attr_count, value->attr_capacity, attr);
    }
    if (!take_operands(parser, value, has_symbol(op)) || !take_attrs(parser, value))
        return false;
    if (op->class_ != IR_CLASS_EFFECT && (!expect(parser, ":") || !take_type(parser, &value->type) ||
                                          !take_layout(parser, value->type.rank, &value->layout)))
        return false;
    if (take(parser, "group=") && !take_small_int(parser, &value->group))
        return false;
    return take_span(parser, &value->span);
}

static bool define(ir_parser *parser, ir_value *value, int id) {
    if (id >= ID_LIMIT)
        return fail(parser, "value number out of range");
    if (id >= parser->id_capacity) {
        int capacity = id + 1 > 2 * parser->id_capacity ? id + 1 : 2 * parser->id_capacity;
        parser->by_id = arena_grow(parser->memory, parser->by_id, (size_t)parser->id_capacity, (size_t)capacity,
                                   sizeof *parser->by_id);
        parser->id_capacity = capacity;
    }
    if (find_value(parser, id))
        return fail(parser, "this value number is defined twice");
    parser->by_id[id] = (id_entry){value, parser->function};
    value->id = id;
    if (parser->function->next_id <= id)
        parser->function->next_id = id + 1;
    return true;
}

/* Builds the value with the type that the text gives, after checking it against the shape rule. */
static bool build(ir_parser *parser, value_text *text, source_span place) {
    const ir_op_info *op = ir_op(text->opcode);
    ir_type type = text->type;
    const char *why = NULL;
    if (!ir_infer(parser->memory, text->opcode, text->operands, text->operand_count, text->attrs, text->attr_count,
                  &type, &why)) {
        diag_error(parser->diags, place, "%s: %s", op->name, why);
        return false;
    }
    if (op->class_ != IR_CLASS_EFFECT && !ir_type_equal(&type, &text->type)) {
        diag_error(parser->diags, place, "%s gives %s, not %s", op->name, ir_type_text(parser->memory, &type),
                   ir_type_text(parser->memory, &text->type));
        return false;
    }
    int next_id = parser->function->next_id;
    ir_value *value = ir_build(parser->function, NULL, text->opcode, text->operands, text->operand_count, text->attrs,
                               text->attr_count, &type, text->span);
    value->group = text->group;
    value->layout = op->class_ == IR_CLASS_EFFECT ? text->operands[0]->layout : text->layout;
    if (text->id < 0) {
        /* Effects have no number in the text; they get fresh ones when the function is complete. */
        parser->function->next_id = next_id;
        value->id = -1;
        return true;
    }
    parser->function->next_id = next_id;
    return define(parser, value, text->id);
}

static bool take_value(ir_parser *parser) {
    value_text value = {.id = -1, .layout = ir_layout_identity()};
    source_span place = here(parser);
    if (take(parser, "%") && (!take_small_int(parser, &value.id) || !expect(parser, "=")))
        return false;
    source_span name_place = here(parser);
    const char *name = take_word(parser);
    if (!name)
        return false;
    value.opcode = ir_op_find(name);
    if (value.opcode == IR_OP_COUNT) {
        diag_error(parser->diags, name_place, "no operation '%s'", name);
        return false;
    }
    if ((ir_op(value.opcode)->class_ == IR_CLASS_EFFECT) != (value.id < 0))
        return fail(parser, "effects stand alone, other operations give a value");
    return take_body(parser, &value) && build(parser, &value, place);
}

/* ---- the module
 * ------------------------------------------------------------------------------------------------------------ */

static bool take_function(ir_parser *parser) {
    source_span span;
    const char *name = take_symbol(parser);
    if (!name || !take_span(parser, &span) || !expect(parser, "{"))
        return false;
    if (ir_function_find(parser->module, name))
        return fail(parser, "a second function of that name");
    parser->function = ir_function_new(parser->module, name, span);
    while (!take(parser, "}"))
        if (!take_value(parser))
            return false;
    for (ir_value *value = parser->function->first; value; value = value->next)
        if (value->id < 0)
            value->id = parser->function->next_id++;
    return true;
}

static bool take_state(ir_parser *parser) {
    const char *name = take_symbol(parser);
    ir_type type;
    ir_layout layout;
    source_span span;
    if (!name || !expect(parser, ":") || !take_type(parser, &type) || !take_layout(parser, type.rank, &layout) ||
        !expect(parser, "role="))
        return false;
    const char *role_text = take_word(parser);
    int role = 0;
    while (role_text && role < IR_ROLE_COUNT && strcmp(ir_role_name((ir_role)role), role_text) != 0)
        role++;
    if (!role_text || role == IR_ROLE_COUNT)
        return fail(parser, "no such role");
    if (!take_span(parser, &span))
        return false;
    if (ir_state_find(parser->module, name))
        return fail(parser, "a second state of that name");
    int index = ir_state_add(parser->module, name, (ir_role)role, type, span);
    parser->module->states[index].layout = layout;
    return true;
}

static bool take_view(ir_parser *parser) {
    ir_view view = {.name = take_symbol(parser)};
    int64_t dims[3];
    int count;
    if (!view.name || !expect(parser, ":") || !take_ints(parser, dims, 3, &count))
        return false;
    if (count != 3 && count != 1)
        return fail(parser, "a view has channels, height and width, or the width of vectors");
    view.channels = dims[0];
    view.height = count == 3 ? dims[1] : 0;
    view.width = count == 3 ? dims[2] : 0;
    if (take(parser, "of") && !(view.source = take_symbol(parser)))
        return false;
    if (!take_span(parser, &view.span) || !expect(parser, "{"))
        return false;
    while (!take(parser, "}")) {
        ir_augment augment = {0};
        if (!expect(parser, "augment") || !(augment.text = take_string(parser)) || !take_span(parser, &augment.span))
            return false;
        ARENA_PUSH(parser->memory, view.augments, view.count, view.capacity, augment);
    }
    ir_module *module = parser->module;
    ARENA_PUSH(parser->memory, module->views, module->view_count, module->view_capacity, view);
    return true;
}

static bool take_setting(ir_parser *parser) {
    source_span span;
    const char *key = take_word(parser);
    const char *value = key && expect(parser, "=") ? take_string(parser) : NULL;
    if (!value || !take_span(parser, &span))
        return false;
    ir_setting_add(parser->module, key, value, span);
    return true;
}

static bool take_source(ir_parser *parser) {
    int number;
    if (!take_small_int(parser, &number))
        return false;
    const char *path = take_string(parser);
    if (!path)
        return false;
    if (number != parser->module->sources->count || source_add(parser->module->sources, path, NULL, 0) != number)
        return fail(parser, "sources are numbered 0, 1, 2, … and differ");
    return true;
}

static bool take_item(ir_parser *parser) {
    if (take(parser, "source"))
        return take_source(parser);
    if (take(parser, "setting"))
        return take_setting(parser);
    if (take(parser, "state"))
        return take_state(parser);
    if (take(parser, "view"))
        return take_view(parser);
    if (take(parser, "func"))
        return take_function(parser);
    return fail(parser, "expected source, setting, state, view or func");
}

ir_module *ir_parse(arena *memory, diag_list *diags, const char *path, const char *text, size_t length) {
    int errors = diags->error_count;
    ir_parser parser = {.memory = memory,
                        .diags = diags,
                        .text = text,
                        .at = text,
                        .end = text + length,
                        .line_start = text,
                        .line = 1};
    parser.source = source_add(diags->sources, path, text, length);
    const char *name = expect(&parser, "module") ? take_symbol(&parser) : NULL;
    if (!name)
        return NULL;
    /* The module's own sources are a table apart: the text numbers them from 0. */
    source_table *sources = arena_alloc(memory, sizeof *sources);
    sources->memory = memory;
    parser.module = ir_module_new(memory, sources, name);
    for (skip_space(&parser); parser.at < parser.end; skip_space(&parser))
        if (!take_item(&parser))
            return NULL;
    return diags->error_count == errors ? parser.module : NULL;
}
