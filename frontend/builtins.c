/* Binding and documenting the built-in functions. */
#include "frontend/builtins.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const fe_builtin *const tables[] = {fe_builtins_math,       fe_builtins_shape, fe_builtins_network,
                                           fe_builtins_similarity, fe_builtins_state, fe_builtins_augment};
enum { TABLE_COUNT = sizeof tables / sizeof *tables };

/* A default in a signature: a number, a truth value, or nothing for an argument that may be absent. */
static fe_expr *parse_default(fe_context *context, const char *text) {
    fe_expr *initial = arena_alloc(context->memory, sizeof *initial);
    initial->kind = FE_STRING;
    initial->text = "";
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        initial->kind = FE_BOOL;
        initial->number = text[0] == 't';
    } else if (*text) {
        initial->kind = FE_NUMBER;
        initial->number = strtod(text, NULL);
    }
    return initial;
}

static char *trimmed(fe_context *context, const char *begin, const char *end) {
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return arena_strndup(context->memory, begin, (size_t)(end - begin));
}

/* "x, axes =, keep = false, parts..." */
static void parse_signature(fe_context *context, fe_builtin *builtin) {
    int capacity = 0;
    for (const char *at = builtin->signature; *at;) {
        const char *comma = strchr(at, ',');
        const char *end = comma ? comma : at + strlen(at);
        fe_parameter parameter = {0};
        char *text = trimmed(context, at, end);
        char *equals = strchr(text, '=');
        if (equals) {
            parameter.initial = parse_default(context, trimmed(context, equals + 1, text + strlen(text)));
            text = trimmed(context, text, equals);
        }
        size_t length = strlen(text);
        if (length > 3 && strcmp(text + length - 3, "...") == 0) {
            text[length - 3] = 0;
            builtin->rest = true;
        }
        parameter.name = text;
        ARENA_PUSH(context->memory, builtin->parameters, builtin->parameter_count, capacity, parameter);
        at = comma ? comma + 1 : end;
    }
}

void fe_builtins_bind(fe_context *context) {
    for (int t = 0; t < TABLE_COUNT; t++)
        for (const fe_builtin *row = tables[t]; row->name; row++) {
            fe_builtin *builtin = arena_alloc(context->memory, sizeof *builtin);
            *builtin = *row;
            parse_signature(context, builtin);
            fe_value value = {.kind = FE_VALUE_BUILTIN, .as.builtin = builtin};
            fe_scope_bind(context->memory, context->library, builtin->name, (source_span){0}, value);
        }
    fe_scope_bind(context->memory, context->library, "inf", (source_span){0}, fe_number(INFINITY, (source_span){0}));
    fe_scope_bind(context->memory, context->library, "pi", (source_span){0},
                  fe_number(3.14159265358979323846, (source_span){0}));
}

void fe_print_builtins(text_buffer *out) {
    const char *group = "";
    for (int t = 0; t < TABLE_COUNT; t++)
        for (const fe_builtin *row = tables[t]; row->name; row++) {
            if (strcmp(group, row->group) != 0)
                text_append(out, "%s### %s\n\n| function | meaning |\n|---|---|\n", *group ? "\n" : "", row->group);
            group = row->group;
            text_append(out, "| `%s(%s)` | %s |\n", row->name, row->signature, row->doc);
        }
}

/* ---- arguments that many functions take
 * --------------------------------------------------------------------------------- */

fe_value fe_wrap(ir_value *value, source_span span) {
    return value ? fe_tensor(value, span) : fe_error(span);
}

bool fe_to_axis(fe_context *context, const fe_value *value, int rank, int *axis) {
    int64_t place;
    if (!fe_to_size(context, value, "an axis", -rank, &place))
        return false;
    if (place >= rank) {
        fe_fail(context, value->span, "axis %lld does not exist in a tensor of %d axes", (long long)place, rank);
        return false;
    }
    *axis = (int)(place < 0 ? place + rank : place);
    return true;
}

bool fe_to_axes(fe_context *context, const fe_value *value, const ir_type *type, int first, int64_t *axes, int *count) {
    *count = 0;
    if (value->kind == FE_VALUE_NONE) {
        for (int i = first; i < type->rank; i++)
            axes[(*count)++] = i;
        return true;
    }
    fe_value single = *value;
    const fe_value *items = value->kind == FE_VALUE_NUMBER ? &single : value->items;
    int item_count = value->kind == FE_VALUE_NUMBER ? 1 : value->item_count;
    if (value->kind != FE_VALUE_NUMBER && value->kind != FE_VALUE_LIST && value->kind != FE_VALUE_TUPLE) {
        fe_fail(context, value->span, "axes are a list of whole numbers, not %s",
                fe_value_text(context->memory, value));
        return false;
    }
    for (int i = 0; i < item_count; i++) {
        int axis;
        if (!fe_to_axis(context, &items[i], type->rank, &axis))
            return false;
        for (int j = 0; j < *count; j++)
            if (axes[j] == axis) {
                fe_fail(context, items[i].span, "axis %d is named twice", axis);
                return false;
            }
        axes[(*count)++] = axis;
    }
    return true;
}

bool fe_to_shape(fe_context *context, const fe_value *value, ir_type *type) {
    *type = (ir_type){.dtype = IR_F32};
    return fe_to_sizes(context, value, "a shape", 1, IR_MAX_RANK, 0, type->dims, &type->rank);
}
