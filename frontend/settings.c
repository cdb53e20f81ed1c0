/* The data, train and evaluate sections: what becomes settings of the program. */
#include "frontend/method.h"

#include <math.h>
#include <string.h>

static void add_number(fe_context *context, const char *key, double number, source_span span) {
    text_buffer text = {0};
    text_append_number(&text, number);
    ir_setting_add(context->module, key, text.data, span);
    text_free(&text);
}

/* ---- data { image[3, 32, 32], count = 50000 }
 * --------------------------------------------------------------------------------------------- */

static bool read_image(fe_context *context, fe_scope *scope, const fe_expr *shape) {
    if (shape->kind != FE_INDEX || shape->left->kind != FE_NAME || strcmp(shape->left->text, "image") != 0 ||
        shape->part_count != 3) {
        fe_fail(context, shape->span, "the data section says image[channels, height, width]");
        return false;
    }
    fe_value *dims = arena_alloc(context->memory, 3 * sizeof *dims);
    for (int i = 0; i < 3; i++) {
        int64_t size;
        if (!shape->parts[i]) {
            fe_fail(context, shape->span, "the size of each axis is a number");
            return false;
        }
        dims[i] = fe_evaluate(context, scope, shape->parts[i]);
        if (!fe_to_size(context, &dims[i], "the size of an image's axis", 1, &size))
            return false;
        if (size > 1 << 14 || (i == 0 && size != 3)) {
            fe_fail(context, dims[i].span,
                    i == 0 ? "images have 3 channels" : "an image's sides are at most 16384 pixels");
            return false;
        }
    }
    fe_scope_bind(context->memory, context->library, "image_shape", shape->span,
                  fe_list(FE_VALUE_LIST, dims, 3, shape->span));
    return true;
}

/* count = N: memories of every training image hold N of them, which the program checks its data against. */
static bool read_count(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    if (strcmp(item->names[0], "count") != 0) {
        fe_fail_suggest(context, item->span, diag_suggest(item->names[0], (const char *const[]){"count"}, 1),
                        "the data section has no setting '%s'", item->names[0]);
        return false;
    }
    fe_value value = fe_evaluate(context, scope, item->value);
    int64_t count;
    if (!fe_to_size(context, &value, "count", 1, &count))
        return false;
    add_number(context, "images", (double)count, item->span);
    return true;
}

bool fe_read_data(fe_context *context, fe_scope *scope, const fe_method *method) {
    const fe_section *section = &method->sections[FE_DATA];
    bool good = section->present, shaped = false;
    if (!section->present)
        fe_fail(context, method->span, "method '%s' needs a section data { image[channels, height, width] }",
                method->name);
    for (int i = 0; good && i < section->body.count; i++) {
        const fe_stmt *item = section->body.items[i];
        if (item->kind == FE_EVALUATE && !shaped)
            good = shaped = read_image(context, scope, item->value);
        else if (item->kind == FE_BIND && item->name_count == 1)
            good = read_count(context, scope, item);
        else
            good = false, fe_fail(context, item->span, "the data section says image[channels, height, width]");
    }
    if (good && !shaped)
        fe_fail(context, section->span, "the data section says image[channels, height, width]");
    return good && shaped;
}

/* ---- train
 * -------------------------------------------------------------------------------------------------------------------
 */

static bool read_length(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    static const char *const names[] = {"epochs", "steps"};
    for (int i = 0; i < 2; i++)
        if (strcmp(item->names[0], names[i]) == 0) {
            fe_value value = fe_evaluate(context, scope, item->value);
            int64_t count;
            if (!fe_to_size(context, &value, names[i], 1, &count))
                return false;
            if (ir_setting_find(context->module, names[i])) {
                fe_fail(context, item->span, "'%s' is given twice", names[i]);
                return false;
            }
            add_number(context, names[i], (double)count, item->span);
            return true;
        }
    fe_fail_suggest(context, item->span, diag_suggest(item->names[0], names, 2),
                    "train takes an optimizer, a schedule, epochs or steps, not '%s'", item->names[0]);
    return false;
}

static bool read_partial(fe_context *context, const fe_value *value, source_span span, fe_training *training) {
    if (value->kind == FE_VALUE_ERROR)
        return false;
    if (value->kind != FE_VALUE_PARTIAL) {
        fe_fail(context, span, "train takes an optimizer such as adam(lr = 1e-3) and a schedule, not %s",
                fe_value_text(context->memory, value));
        return false;
    }
    bool optimizer = value->as.partial->closure->decl->kind == FE_OPTIMIZER;
    const fe_partial **place = optimizer ? &training->optimizer : &training->schedule;
    if (*place) {
        fe_fail(context, span, "a second %s", optimizer ? "optimizer" : "schedule");
        return false;
    }
    *place = value->as.partial;
    if (optimizer)
        training->optimizer_span = span;
    return true;
}

bool fe_read_training(fe_context *context, fe_scope *scope, const fe_method *method, fe_training *training) {
    const fe_section *section = &method->sections[FE_TRAIN];
    if (!section->present) {
        fe_fail(context, method->span, "method '%s' needs a train section", method->name);
        return false;
    }
    bool good = true;
    for (int i = 0; i < section->body.count; i++) {
        const fe_stmt *item = section->body.items[i];
        if (item->kind == FE_BIND && item->name_count == 1) {
            good &= read_length(context, scope, item);
        } else if (item->kind == FE_EVALUATE) {
            context->in_training = true;
            fe_value value = fe_evaluate(context, scope, item->value);
            context->in_training = false;
            good &= read_partial(context, &value, item->span, training);
        } else {
            fe_fail(context, item->span, "train takes an optimizer, a schedule, epochs or steps");
            good = false;
        }
    }
    if (good && !training->optimizer) {
        fe_fail(context, section->span, "the train section needs an optimizer, such as adam(lr = 1e-3)");
        return false;
    }
    return good;
}

/* ---- evaluate
 * ------------------------------------------------------------------------------------------------------------------ */

/* The protocols that the runtime knows, and the settings of each with their defaults. */
typedef struct {
    const char *protocol, *key;
    double initial;
} protocol_setting;

static const protocol_setting protocol_settings[] = {
    {"knn", "k", 200},
    {"knn", "t", 0.1},
    {"linear", "epochs", 100},
    {"linear", "lr", 0.1},
    {"linear", "weight_decay", 1e-6},
    {"linear", "batch", 256},
    {"mlp", "epochs", 100},
    {"mlp", "lr", 0.1},
    {"mlp", "weight_decay", 1e-6},
    {"mlp", "batch", 256},
    {"mlp", "hidden", 1024},
    {"mlp", "dropout", 0.2},
};
enum { PROTOCOL_SETTINGS = sizeof protocol_settings / sizeof *protocol_settings };

static bool is_protocol(const char *name) {
    for (int i = 0; i < PROTOCOL_SETTINGS; i++)
        if (strcmp(protocol_settings[i].protocol, name) == 0)
            return true;
    return false;
}

static bool read_protocol(fe_context *context, fe_scope *scope, const fe_expr *call) {
    const char *protocol = call->left->text;
    fe_parameter parameters[PROTOCOL_SETTINGS];
    fe_expr initials[PROTOCOL_SETTINGS];
    int count = 0;
    for (int i = 0; i < PROTOCOL_SETTINGS; i++)
        if (strcmp(protocol_settings[i].protocol, protocol) == 0) {
            initials[count] = (fe_expr){.kind = FE_NUMBER, .number = protocol_settings[i].initial, .span = call->span};
            parameters[count] = (fe_parameter){.name = protocol_settings[i].key, .initial = &initials[count]};
            count++;
        }
    fe_signature signature = {protocol, {0}, parameters, count, 0, false, NULL};
    fe_value *arguments = fe_bind_arguments(context, scope, &signature, call);
    bool good = arguments != NULL;
    for (int i = 0; good && i < count; i++) {
        double number = initials[i].number;
        const char *key = arena_printf(context->memory, "%s.%s", protocol, parameters[i].name);
        if (arguments[i].kind != FE_VALUE_NONE && !fe_to_number(context, &arguments[i], key, &number))
            return false;
        if (number < 0 || (number == 0 && strcmp(parameters[i].name, "weight_decay") != 0 &&
                           strcmp(parameters[i].name, "dropout") != 0)) {
            fe_fail(context, arguments[i].span, "'%s' must be positive", key);
            return false;
        }
        add_number(context, key, number, call->span);
    }
    return good;
}

bool fe_read_evaluation(fe_context *context, fe_scope *scope, const fe_method *method) {
    const fe_section *section = &method->sections[FE_EVALUATE_SECTION];
    bool good = true;
    for (int i = 0; i < section->body.count; i++) {
        const fe_stmt *item = section->body.items[i];
        if (item->kind == FE_LOCAL && item->local && strcmp(item->local->name, "features") == 0)
            continue;
        const fe_expr *call = item->kind == FE_EVALUATE ? item->value : NULL;
        if (call && call->kind == FE_CALL && call->left->kind == FE_NAME && is_protocol(call->left->text)) {
            good &= read_protocol(context, scope, call);
            continue;
        }
        static const char *const known[] = {"knn", "linear", "mlp", "features"};
        const char *name = call && call->kind == FE_CALL && call->left->kind == FE_NAME ? call->left->text : NULL;
        fe_fail_suggest(context, item->span, name ? diag_suggest(name, known, 4) : NULL,
                        "evaluate takes knn(…), linear(…), mlp(…) and features(x) = …");
        good = false;
    }
    return good;
}
