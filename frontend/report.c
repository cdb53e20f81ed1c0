/* Errors of the evaluator, and conversions of values that can fail. */
#include "frontend/evaluate.h"

#include <math.h>
#include <stdarg.h>

/* Where the spec made the module that is being applied: its settings are given there. */
static void add_instance_place(fe_context *context, diag_entry *entry) {
    const fe_instance *outermost = context->instance;
    while (outermost != context->root && outermost->parent != context->root)
        outermost = outermost->parent;
    if (outermost != context->root && outermost->span.file == context->main_source)
        diag_add_label(context->diags, entry, outermost->span, "with the settings given here");
}

void fe_add_call_places(fe_context *context, diag_entry *entry) {
    /* Only the places that help: the innermost call and, if it is another, the one in the spec itself. */
    if (context->call_depth == 0 || entry->span.file == context->main_source)
        return;
    for (int i = context->call_depth - 1; i >= 0; i--)
        if (context->calls[i].file == context->main_source) {
            diag_add_label(context->diags, entry, context->calls[i], "called from here");
            break;
        }
    add_instance_place(context, entry);
}

static diag_entry *add_error(fe_context *context, source_span span, const char *format, va_list args) {
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    diag_entry *entry = diag_error(context->diags, span, "%s", text);
    fe_add_call_places(context, entry);
    return entry;
}

fe_value fe_fail(fe_context *context, source_span span, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_error(context, span, format, args);
    va_end(args);
    return fe_error(span);
}

fe_value fe_fail_suggest(fe_context *context, source_span span, const char *suggestion, const char *format, ...) {
    va_list args;
    va_start(args, format);
    diag_entry *entry = add_error(context, span, format, args);
    va_end(args);
    if (suggestion)
        diag_add_note(context->diags, entry, "did you mean '%s'?", suggestion);
    return fe_error(span);
}

bool fe_to_number(fe_context *context, const fe_value *value, const char *what, double *number) {
    if (value->kind == FE_VALUE_NUMBER) {
        *number = value->number;
        return true;
    }
    if (value->kind != FE_VALUE_ERROR)
        fe_fail(context, value->span, "%s must be a number, not %s", what, fe_value_text(context->memory, value));
    return false;
}

bool fe_to_size(fe_context *context, const fe_value *value, const char *what, int64_t lowest, int64_t *size) {
    double number;
    if (!fe_to_number(context, value, what, &number))
        return false;
    if (number != floor(number) || fabs(number) > 9007199254740992.0) {
        fe_fail(context, value->span, "%s must be a whole number, not %g", what, number);
        return false;
    }
    if (number < (double)lowest) {
        fe_fail(context, value->span, "%s must be at least %lld, not %.0f", what, (long long)lowest, number);
        return false;
    }
    *size = (int64_t)number;
    return true;
}

bool fe_to_truth(fe_context *context, const fe_value *value, const char *what, bool *truth) {
    if (value->kind == FE_VALUE_TRUTH) {
        *truth = value->number != 0;
        return true;
    }
    if (value->kind == FE_VALUE_TENSOR)
        fe_fail(context, value->span, "%s must be known while compiling, but this is %s", what,
                fe_value_text(context->memory, value));
    else if (value->kind != FE_VALUE_ERROR)
        fe_fail(context, value->span, "%s must be true or false, not %s", what, fe_value_text(context->memory, value));
    return false;
}

bool fe_to_sizes(fe_context *context, const fe_value *value, const char *what, int64_t lowest, int limit, int repeat,
                 int64_t *sizes, int *count) {
    if (value->kind == FE_VALUE_NUMBER && repeat > 0) {
        if (!fe_to_size(context, value, what, lowest, &sizes[0]))
            return false;
        for (int i = 1; i < repeat; i++)
            sizes[i] = sizes[0];
        *count = repeat;
        return true;
    }
    if (value->kind != FE_VALUE_LIST && value->kind != FE_VALUE_TUPLE) {
        if (value->kind != FE_VALUE_ERROR)
            fe_fail(context, value->span, "%s must be a list of whole numbers, not %s", what,
                    fe_value_text(context->memory, value));
        return false;
    }
    if (value->item_count > limit || (repeat > 1 && value->item_count != repeat)) {
        fe_fail(context, value->span, "%s takes %s%d numbers, not %d", what, repeat > 1 ? "" : "at most ",
                repeat > 1 ? repeat : limit, value->item_count);
        return false;
    }
    *count = value->item_count;
    for (int i = 0; i < value->item_count; i++)
        if (!fe_to_size(context, &value->items[i], what, lowest, &sizes[i]))
            return false;
    return true;
}

/* 10 epochs as an f32 scalar: a number of steps that is known when the program runs. */
static ir_value *time_to_tensor(fe_context *context, const fe_value *value) {
    ir_builder builder = fe_builder(context, value->span);
    ir_value *count = ir_scalar(&builder, value->number);
    if (value->text[0] == 's')
        return count;
    const fe_binding *per_epoch = fe_scope_find(context->library, "steps_per_epoch");
    if (!per_epoch || per_epoch->value.kind != FE_VALUE_TENSOR) {
        fe_fail(context, value->span, "epochs are known only while training");
        return NULL;
    }
    return ir_binary(&builder, IR_OP_mul, count, per_epoch->value.tensor);
}

ir_value *fe_to_tensor(fe_context *context, const fe_value *value, const char *what) {
    ir_builder builder = fe_builder(context, value->span);
    if (!context->function && value->kind != FE_VALUE_ERROR) {
        fe_fail(context, value->span, "tensors exist only in the sections extract, similarity, loss and after");
        return NULL;
    }
    switch (value->kind) {
    case FE_VALUE_TENSOR: return value->tensor;
    case FE_VALUE_STATE: return fe_state_read(context, value->as.state, value->span);
    case FE_VALUE_NUMBER: return ir_scalar(&builder, value->number);
    case FE_VALUE_TIME: return time_to_tensor(context, value);
    case FE_VALUE_ERROR: return NULL;
    default:
        fe_fail(context, value->span, "%s must be a tensor, not %s", what, fe_value_text(context->memory, value));
        return NULL;
    }
}
