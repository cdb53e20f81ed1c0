/* The end of the training step: gradients, learning rate, optimizer, moving averages. */
#include "frontend/method.h"

#include <string.h>

static fe_value library_value(const fe_context *context, const char *name) {
    return fe_scope_find(context->library, name)->value;
}

/* The value of a schedule at this step, as a tensor or number. */
static fe_value run_schedule(fe_context *context, const fe_partial *schedule, source_span span) {
    int count = schedule->closure->decl->parameter_count;
    fe_value *arguments = arena_alloc(context->memory, (size_t)count * sizeof *arguments);
    memcpy(arguments, schedule->arguments, (size_t)count * sizeof *arguments);
    arguments[0] = library_value(context, "step");
    arguments[1] = library_value(context, "total_steps");
    return fe_run_closure(context, schedule->closure, arguments, span);
}

static int find_parameter(const fe_decl *decl, const char *name) {
    for (int i = 0; i < decl->parameter_count; i++)
        if (strcmp(decl->parameters[i].name, name) == 0)
            return i;
    return -1;
}

/* The optimizer's lr times the schedule. */
static fe_value learning_rate(fe_context *context, const fe_training *training) {
    const fe_partial *optimizer = training->optimizer;
    const fe_decl *decl = optimizer->closure->decl;
    int index = find_parameter(decl, "lr");
    if (index < 0)
        return fe_fail(context, decl->span, "an optimizer needs a parameter 'lr'");
    fe_value rate = optimizer->arguments[index];
    if (rate.kind == FE_VALUE_NONE && decl->parameters[index].initial)
        rate = fe_evaluate(context, optimizer->closure->scope, decl->parameters[index].initial);
    bool numeric = rate.kind == FE_VALUE_NUMBER || rate.kind == FE_VALUE_TENSOR || rate.kind == FE_VALUE_ERROR;
    if (!numeric || (rate.kind == FE_VALUE_NUMBER && rate.number < 0))
        return fe_fail(context, rate.span, "the learning rate must be a number from 0 on, not %s",
                       numeric ? arena_printf(context->memory, "%g", rate.number)
                               : fe_value_text(context->memory, &rate));
    if (training->schedule && rate.kind != FE_VALUE_ERROR) {
        fe_value factor = run_schedule(context, training->schedule, training->optimizer_span);
        rate = fe_operate(context, FE_MUL, &rate, &factor, training->optimizer_span);
    }
    ir_value *tensor = rate.kind == FE_VALUE_ERROR ? NULL : fe_to_tensor(context, &rate, "the learning rate");
    if (tensor && tensor->type.rank != 0)
        return fe_fail(context, training->optimizer_span, "the learning rate is one number, not %s",
                       ir_shape_text(context->memory, &tensor->type));
    return tensor ? fe_tensor(tensor, training->optimizer_span) : fe_error(training->optimizer_span);
}

static ir_value *gradient_of(fe_context *context, ir_value *loss, fe_state *parameter) {
    ir_value *operands[] = {loss, parameter->current};
    source_span span = context->module->states[parameter->state].span;
    return fe_build(context, IR_OP_gradient, operands, 2, NULL, 0, &parameter->current->type, span);
}

static void optimize(fe_context *context, const fe_training *training, fe_state *parameter, fe_value rate,
                     ir_value *gradient) {
    const fe_partial *optimizer = training->optimizer;
    const fe_decl *decl = optimizer->closure->decl;
    fe_value *arguments = arena_alloc(context->memory, (size_t)decl->parameter_count * sizeof *arguments);
    memcpy(arguments, optimizer->arguments, (size_t)decl->parameter_count * sizeof *arguments);
    arguments[0] = (fe_value){.kind = FE_VALUE_STATE, .span = training->optimizer_span, .as.state = parameter};
    arguments[1] = fe_tensor(gradient, training->optimizer_span);
    arguments[find_parameter(decl, "lr")] = rate;
    fe_run_closure(context, optimizer->closure, arguments, training->optimizer_span);
}

static bool is_trained(const fe_context *context, const fe_state *state) {
    return context->module->states[state->state].role == IR_ROLE_PARAM && state->epoch == context->epoch &&
           state->current;
}

ir_value *fe_train_parameters(fe_context *context, const fe_training *training, ir_value *loss) {
    fe_value rate = learning_rate(context, training);
    if (rate.kind == FE_VALUE_ERROR)
        return NULL;
    int count = context->state_count; /* the optimizer adds its slots behind */
    ir_value **gradients = arena_alloc(context->memory, (size_t)count * sizeof(ir_value *));
    bool any = false;
    for (int i = 0; i < count; i++)
        if (is_trained(context, context->states[i])) {
            gradients[i] = gradient_of(context, loss, context->states[i]);
            any = true;
        }
    if (!any) {
        fe_fail(context, loss->span, "no parameter takes part in the loss, so there is nothing to train");
        return NULL;
    }
    fe_instance *outer = context->instance;
    const fe_decl *decl = training->optimizer->closure->decl;
    fe_instance slots = {.path = decl->name, .parent = context->root};
    context->instance = &slots;
    int errors = context->diags->error_count;
    /* One parameter's error would come again for each of the others. */
    for (int i = 0; i < count && context->diags->error_count == errors; i++)
        if (gradients[i])
            optimize(context, training, context->states[i], rate, gradients[i]);
    context->instance = outer;
    return context->diags->error_count == errors ? rate.tensor : NULL;
}

/* ---- moving averages
 * ------------------------------------------------------------------------------------------------------------ */

static const fe_instance *twin_of_state(const fe_context *context, const char *name) {
    for (int i = 0; i < context->average_count; i++) {
        size_t length = strlen(context->averages[i]->path);
        if (strncmp(name, context->averages[i]->path, length) == 0 && name[length] == '.')
            return context->averages[i];
    }
    return NULL;
}

static fe_state *find_state(const fe_context *context, const char *name) {
    for (int i = 0; i < context->state_count; i++)
        if (strcmp(context->states[i]->name, name) == 0)
            return context->states[i];
    return NULL;
}

/* a -> b: b - (b - a) (1 + cos(pi step / total)) / 2 (Grill et al. 2020). */
static fe_value momentum_now(fe_context *context, const fe_value *momentum, source_span span) {
    if (momentum->kind == FE_VALUE_NUMBER)
        return *momentum;
    fe_value step = library_value(context, "step"), total = library_value(context, "total_steps"),
             turn = library_value(context, "pi");
    fe_value part = fe_operate(context, FE_DIV, &step, &total, span);
    fe_value angle = fe_operate(context, FE_MUL, &part, &turn, span);
    fe_value wave = fe_unary(context, IR_OP_cos, &angle, span);
    fe_value one = fe_number(1, span), half = fe_number(0.5, span);
    fe_value share = fe_operate(context, FE_ADD, &one, &wave, span);
    share = fe_operate(context, FE_MUL, &share, &half, span);
    fe_value distance = fe_operate(context, FE_SUB, &momentum->items[1], &momentum->items[0], span);
    fe_value left = fe_operate(context, FE_MUL, &distance, &share, span);
    return fe_operate(context, FE_SUB, &momentum->items[1], &left, span);
}

/* twin = momentum * twin + (1 - momentum) * parameter, after the parameter's update. */
bool fe_move_averages(fe_context *context) {
    for (int i = 0; i < context->state_count; i++) {
        fe_state *state = context->states[i];
        const ir_state *info = &context->module->states[state->state];
        if (info->role != IR_ROLE_EMA)
            continue;
        const fe_instance *twin = twin_of_state(context, state->name);
        fe_state *original = find_state(context, state->initial.copied);
        if (!twin || !original) {
            fe_fail(context, info->span, "the moving average '%s' has no original '%s'; apply that instance too",
                    state->name, state->initial.copied);
            return false;
        }
        fe_value momentum = momentum_now(context, &twin->momentum, twin->span);
        fe_value before = fe_tensor(fe_state_read(context, state, twin->span), twin->span);
        fe_value now = fe_tensor(fe_state_read(context, original, twin->span), twin->span);
        fe_value one = fe_number(1, twin->span);
        fe_value kept = fe_operate(context, FE_MUL, &momentum, &before, twin->span);
        fe_value share = fe_operate(context, FE_SUB, &one, &momentum, twin->span);
        fe_value moved = fe_operate(context, FE_MUL, &share, &now, twin->span);
        fe_value after = fe_operate(context, FE_ADD, &kept, &moved, twin->span);
        if (after.kind != FE_VALUE_TENSOR)
            return false;
        fe_state_update(context, state, after.tensor);
    }
    return true;
}
