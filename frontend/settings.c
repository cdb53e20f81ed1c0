/* The train and evaluate sections: what becomes settings of the program. */
#include "frontend/method.h"
#include "ir/kernel.h"

#include <math.h>
#include <string.h>

void fe_add_setting(fe_context *context, const char *key, double number, source_span span) {
    text_buffer text = {0};
    text_append_number(&text, number);
    ir_setting_add(context->module, key, text.data, span);
    text_free(&text);
}

/* ---- train
 * -------------------------------------------------------------------------------------------------------------------
 */

/* precision = bf16, or a parameter whose choices are precisions. */
static bool read_precision(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    const char *word = item->value->kind == FE_NAME ? item->value->text : NULL;
    fe_binding *bound = word ? fe_scope_find(scope, word) : NULL;
    if (!word || bound) {
        fe_value value = fe_evaluate(context, scope, item->value);
        if (value.kind == FE_VALUE_ERROR)
            return false;
        word = value.kind == FE_VALUE_WORD || value.kind == FE_VALUE_STRING ? value.text : "";
    }
    int parts = kir_precision_parts(word);
    if (parts < 0) {
        fe_fail_suggest(context, item->value->span, diag_suggest(word, kir_precisions, KIR_PRECISIONS),
                        "precision is one of f32, f32x3, f32x2 and bf16");
        return false;
    }
    if (ir_setting_find(context->module, "precision")) {
        fe_fail(context, item->span, "'precision' is given twice");
        return false;
    }
    ir_setting_add(context->module, "precision", kir_precisions[parts], item->span);
    return true;
}

static bool read_setting(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    static const char *const names[] = {"epochs", "steps", "precision"};
    if (strcmp(item->names[0], "precision") == 0)
        return read_precision(context, scope, item);
    for (int i = 0; i < 2; i++)
        if (strcmp(item->names[0], names[i]) == 0) {
            fe_value value = fe_evaluate(context, scope, item->value);
            int64_t count;
            if (value.kind == FE_VALUE_TIME) {
                fe_fail(context, value.span, "the length of training is a plain number: %s = %g", value.text,
                        value.number);
                return false;
            }
            if (!fe_to_size(context, &value, names[i], 1, &count))
                return false;
            for (int j = 0; j < 2; j++)
                if (ir_setting_find(context->module, names[j])) {
                    fe_fail(context, item->span,
                            i == j ? "'%s' is given twice" : "'%s' beside '%s': one of them decides", names[i],
                            names[j]);
                    return false;
                }
            fe_add_setting(context, names[i], (double)count, item->span);
            return true;
        }
    fe_fail_suggest(context, item->span, diag_suggest(item->names[0], names, 3),
                    "train takes an optimizer, a schedule, epochs or steps, and a precision, not '%s'", item->names[0]);
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
            good &= read_setting(context, scope, item);
        } else if (item->kind == FE_EVALUATE) {
            context->in_training = true;
            fe_value value = fe_evaluate(context, scope, item->value);
            context->in_training = false;
            good &= read_partial(context, &value, item->span, training);
        } else {
            fe_fail(context, item->span, "train takes an optimizer, a schedule, epochs or steps, and a precision");
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
    if (ir_setting_find(context->module, arena_printf(context->memory, "%s.%s", protocol, parameters[0].name))) {
        fe_fail(context, call->span, "'%s' is given twice", protocol);
        return false;
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
        fe_add_setting(context, key, number, call->span);
    }
    return good;
}

/* validation = 0.1 or 5000: what is set apart from the training items. */
static bool read_validation(fe_context *context, fe_scope *scope, const fe_stmt *item) {
    fe_value value = fe_evaluate(context, scope, item->value);
    double amount;
    if (!fe_to_number(context, &value, "validation", &amount))
        return false;
    if (amount < 0 || (amount >= 1 && amount != floor(amount)) || amount > INT32_MAX) {
        fe_fail(context, value.span, "validation is a fraction below 1 or a number of items");
        return false;
    }
    fe_add_setting(context, "validation", amount, item->span);
    return true;
}

bool fe_read_evaluation(fe_context *context, fe_scope *scope, const fe_method *method) {
    const fe_section *section = &method->sections[FE_EVALUATE_SECTION];
    bool good = true;
    for (int i = 0; i < section->body.count; i++) {
        const fe_stmt *item = section->body.items[i];
        if (item->kind == FE_LOCAL && item->local && strcmp(item->local->name, "features") == 0)
            continue;
        if (item->kind == FE_BIND && item->name_count == 1 && strcmp(item->names[0], "validation") == 0) {
            good &= read_validation(context, scope, item);
            continue;
        }
        const fe_expr *call = item->kind == FE_EVALUATE ? item->value : NULL;
        if (call && call->kind == FE_CALL && call->left->kind == FE_NAME && is_protocol(call->left->text)) {
            good &= read_protocol(context, scope, call);
            continue;
        }
        static const char *const known[] = {"knn", "linear", "mlp", "features", "validation"};
        const char *name = call && call->kind == FE_CALL && call->left->kind == FE_NAME ? call->left->text : NULL;
        fe_fail_suggest(context, item->span, name ? diag_suggest(name, known, 5) : NULL,
                        "evaluate takes knn(…), linear(…), mlp(…), validation = … and features(x) = …");
        good = false;
    }
    return good;
}
