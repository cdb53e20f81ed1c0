/* The data section: the sources of an item, such as image[3, 32, 32] or text = vector[384], and settings. */
#include "frontend/method.h"

#include <string.h>

enum { MOST_SIDE = 1 << 14, MOST_WIDTH = 1 << 20, MOST_SOURCES = 8 };

static const struct {
    const char *word, *usage;
    int rank;
} kinds[] = {{"image", "image[channels, height, width]", 3}, {"vector", "vector[width]", 1}};
enum { KINDS = sizeof kinds / sizeof *kinds };

const char *fe_data_source_name(const fe_data_source *source) {
    return source->name ? source->name : source->rank == 3 ? "image" : "vector";
}

ir_type fe_data_source_type(const fe_context *context, const fe_data_source *source) {
    int64_t dims[4] = {context->batch};
    memcpy(dims + 1, source->dims, sizeof source->dims);
    return ir_type_make(IR_F32, source->rank + 1, dims);
}

static bool fail_usage(fe_context *context, source_span span) {
    fe_fail(context, span, "the data section says image[channels, height, width] or vector[width]");
    return false;
}

/* The kind that an expression such as image[3, 32, 32] names, or -1. */
static int kind_of(const fe_expr *shape) {
    for (int i = 0; i < KINDS && shape->kind == FE_INDEX && shape->left->kind == FE_NAME; i++)
        if (strcmp(shape->left->text, kinds[i].word) == 0)
            return i;
    return -1;
}

static bool check_size(fe_context *context, int rank, int axis, int64_t size, source_span span) {
    if (rank == 1 && size > MOST_WIDTH)
        fe_fail(context, span, "vectors are at most %d numbers wide", MOST_WIDTH);
    else if (rank == 3 && axis == 0 && size != 3)
        fe_fail(context, span, "images have 3 channels");
    else if (rank == 3 && size > MOST_SIDE)
        fe_fail(context, span, "an image's sides are at most %d pixels", MOST_SIDE);
    else
        return true;
    return false;
}

static bool read_source(fe_context *context, fe_scope *scope, const fe_expr *shape, const char *name,
                        source_span span) {
    int kind = kind_of(shape);
    if (kind < 0)
        return fail_usage(context, shape->span);
    fe_data_source source = {.name = name, .rank = kinds[kind].rank, .span = span};
    if (shape->part_count != source.rank) {
        fe_fail(context, shape->span, "the data section says %s", kinds[kind].usage);
        return false;
    }
    for (int i = 0; i < source.rank; i++) {
        if (!shape->parts[i]) {
            fe_fail(context, shape->span, "the size of each axis is a number");
            return false;
        }
        fe_value size = fe_evaluate(context, scope, shape->parts[i]);
        if (!fe_to_size(context, &size, source.rank == 3 ? "the size of an image's axis" : "the width of a vector", 1,
                        &source.dims[i]) ||
            !check_size(context, source.rank, i, source.dims[i], size.span))
            return false;
    }
    for (int i = 0; i < context->data_count; i++)
        if (!name || !context->data[i].name || strcmp(context->data[i].name, name) == 0) {
            fe_fail(context, span,
                    "data with several sources gives each a name of its own, such as text = vector[384]");
            return false;
        }
    if (context->data_count == MOST_SOURCES) {
        fe_fail(context, span, "data has at most %d sources", MOST_SOURCES);
        return false;
    }
    ARENA_PUSH(context->memory, context->data, context->data_count, context->data_capacity, source);
    return true;
}

/* count = N: memories of every training item hold N of them, which the program checks its data against. */
static bool read_setting(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    static const char *const known[] = {"count"};
    if (strcmp(item->names[0], known[0]) != 0) {
        fe_fail_suggest(context, item->span, diag_suggest(item->names[0], known, 1),
                        "the data section has no setting '%s'", item->names[0]);
        return false;
    }
    fe_value value = fe_evaluate(context, scope, item->value);
    int64_t count;
    if (!fe_to_size(context, &value, "count", 1, &count))
        return false;
    fe_add_setting(context, "images", (double)count, item->span);
    return true;
}

static bool read_item(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    if (item->kind == FE_EVALUATE)
        return read_source(context, scope, item->value, NULL, item->span);
    if (item->kind != FE_BIND || item->name_count != 1)
        return fail_usage(context, item->span);
    if (kind_of(item->value) >= 0)
        return read_source(context, scope, item->value, item->names[0], item->span);
    return read_setting(context, scope, item);
}

bool fe_read_data(fe_context *context, fe_scope *scope, const fe_method *method) {
    const fe_section *section = &method->sections[FE_DATA];
    if (!section->present) {
        fe_fail(context, method->span, "method '%s' needs a section data { image[channels, height, width] }",
                method->name);
        return false;
    }
    for (int i = 0; i < section->body.count; i++)
        if (!read_item(context, scope, section->body.items[i]))
            return false;
    return context->data_count > 0 || fail_usage(context, section->span);
}
