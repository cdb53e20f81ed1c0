/* A method becomes the functions init, train_step, gradients and embed of a module. */
#include "frontend/method.h"

#include <string.h>

/* ---- parameters
 * ----------------------------------------------------------------------------------------------------------------- */

/* The value of -D NAME=VALUE for `name`, parsed; NULL without one. */
static fe_expr *definition_of(fe_context *context, const char *name) {
    fe_expr *found = NULL;
    size_t length = strlen(name);
    for (int i = 0; i < context->options->definition_count; i++) {
        const char *text = context->options->definitions[i];
        if (strncmp(text, name, length) != 0 || text[length] != '=')
            continue;
        const char *value = text + length + 1;
        int source =
            source_add(context->diags->sources, arena_printf(context->memory, "-D %s", text), value, strlen(value));
        found = fe_parse_expression(context->memory, context->diags, source);
    }
    return found;
}

static bool check_definitions(fe_context *context, const fe_method *method) {
    const char **names = arena_alloc(context->memory, (size_t)(method->parameter_count + 1) * sizeof *names);
    for (int i = 0; i < method->parameter_count; i++)
        names[i] = method->parameters[i].name;
    bool good = true;
    for (int d = 0; d < context->options->definition_count; d++) {
        const char *text = context->options->definitions[d], *equals = strchr(text, '=');
        const char *name = arena_strndup(context->memory, text, equals ? (size_t)(equals - text) : strlen(text));
        bool known = false;
        for (int i = 0; i < method->parameter_count; i++)
            known |= strcmp(names[i], name) == 0;
        source_span nowhere = {0};
        if (!equals)
            fe_fail(context, nowhere, "-D takes NAME=VALUE, not '%s'", text);
        else if (!known)
            fe_fail_suggest(context, nowhere, diag_suggest(name, names, method->parameter_count),
                            "method '%s' has no parameter '%s'", method->name, name);
        good &= known && equals;
    }
    return good;
}

static bool bind_method_parameters(fe_context *context, fe_scope *scope, const fe_method *method) {
    fe_value *arguments = arena_alloc(context->memory, (size_t)(method->parameter_count + 1) * sizeof *arguments);
    if (!check_definitions(context, method))
        return false;
    int errors = context->diags->error_count;
    context->in_parameters = true;
    for (int i = 0; i < method->parameter_count; i++) {
        const fe_parameter *parameter = &method->parameters[i];
        fe_expr *given = definition_of(context, parameter->name);
        arguments[i] = fe_none(parameter->span);
        if (!given)
            continue;
        fe_signature signature = {method->name, {0}, parameter, 1, 0, false, NULL};
        fe_argument argument = {.value = given};
        fe_expr call = {.kind = FE_CALL, .span = given->span, .args = &argument, .arg_count = 1};
        fe_value *bound = fe_bind_arguments(context, context->globals, &signature, &call);
        arguments[i] = bound ? bound[0] : fe_error(given->span);
    }
    fe_bind_parameters(context, scope, method->parameters, method->parameter_count, 0, arguments);
    context->in_parameters = false;
    return context->diags->error_count == errors;
}

static bool read_batch(fe_context *context, fe_scope *scope, const fe_method *method) {
    fe_binding *batch = fe_scope_find_here(scope, "batch");
    if (!batch) {
        fe_fail(context, method->span, "method '%s' needs 'param batch = …', the number of items in a step",
                method->name);
        return false;
    }
    if (!fe_to_size(context, &batch->value, "batch", 1, &context->batch))
        return false;
    if (context->batch > 1 << 20) {
        fe_fail(context, batch->value.span, "batch is at most 1048576");
        return false;
    }
    ir_setting_add(context->module, "batch", arena_printf(context->memory, "%lld", (long long)context->batch),
                   batch->span);
    return true;
}

/* ---- functions
 * ---------------------------------------------------------------------------------------------------------------------
 */

static ir_value *scalar_input(fe_context *context, const char *name, source_span span) {
    ir_builder builder = fe_builder(context, span);
    ir_type type = ir_type_scalar(IR_I32);
    return ir_input(&builder, name, &type);
}

static void bind_tensor(fe_context *context, const char *name, ir_value *value, source_span span) {
    fe_scope_bind(context->memory, context->library, name, span, fe_tensor(value, span));
}

/* What only a training step knows; inputs that nothing reads are removed as dead code. */
static void bind_training_inputs(fe_context *context, source_span span) {
    static const char *const counts[] = {"step", "total_steps", "steps_per_epoch"};
    ir_builder builder = fe_builder(context, span);
    for (int i = 0; i < 3; i++) {
        ir_value *whole = scalar_input(context, counts[i], span);
        if (i == 0)
            bind_tensor(context, "random_step", whole, span);
        bind_tensor(context, counts[i], ir_convert(&builder, whole, IR_F32), span);
    }
    bind_tensor(context, "random_seed", scalar_input(context, "seed", span), span);
    ir_type per_image = ir_type_make(IR_I32, 1, &context->batch);
    bind_tensor(context, "labels", ir_input(&builder, "labels", &per_image), span);
    bind_tensor(context, "index", ir_input(&builder, "index", &per_image), span);
}

static void unbind_training_inputs(fe_context *context, source_span span) {
    static const char *const names[] = {"step",   "total_steps", "steps_per_epoch", "random_step", "random_seed",
                                        "labels", "index"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        fe_scope_bind(context->memory, context->library, names[i], span, fe_none(span));
}

static void begin_function(fe_context *context, const char *name, bool training, source_span span) {
    context->function = ir_function_new(context->module, name, span);
    context->epoch++;
    context->training = training;
    context->component = SOURCE_TRAIN;
    context->random_streams = 0;
    fe_scope_bind(context->memory, context->library, "training", span, fe_truth(training, span));
    if (training)
        bind_training_inputs(context, span);
    else
        unbind_training_inputs(context, span);
}

static void bind_views(fe_context *context, fe_scope *scope) {
    for (int i = 0; i < context->module->view_count; i++) {
        const ir_view *view = &context->module->views[i];
        if (strcmp(view->name, "evaluate") == 0)
            continue;
        ir_type type = ir_type_make(IR_F32, view->height ? 4 : 2,
                                    (int64_t[]){context->batch, view->channels, view->height, view->width});
        ir_builder builder = fe_builder(context, view->span);
        ir_value *input = ir_input(&builder, arena_printf(context->memory, "view.%s", view->name), &type);
        fe_scope_bind(context->memory, scope, view->name, view->span, fe_tensor(input, view->span));
    }
}

static void run_section(fe_context *context, fe_scope *scope, const fe_method *method, fe_section_kind kind) {
    context->returned = false;
    context->component = fe_component_of(kind);
    fe_run(context, scope, &method->sections[kind].body);
    context->component = SOURCE_TRAIN;
    context->returned = false;
}

/* The loss section's `return`, or its last statement when that is an expression. */
static fe_value run_loss(fe_context *context, fe_scope *scope, const fe_method *method) {
    const fe_section *section = &method->sections[FE_LOSS_SECTION];
    if (!section->present || section->body.count == 0)
        return fe_fail(context, method->span, "method '%s' needs a loss section", method->name);
    fe_block body = section->body;
    const fe_stmt *last = body.items[body.count - 1];
    if (last->kind == FE_EVALUATE)
        body.count--;
    int errors = context->diags->error_count;
    context->returned = false;
    context->component = SOURCE_LOSS;
    fe_run(context, scope, &body);
    fe_value loss = context->returned                                  ? context->result
                    : last->kind == FE_EVALUATE && !context->exhausted ? fe_evaluate(context, scope, last->value)
                                                                       : fe_error(section->span);
    if (!context->returned && last->kind != FE_EVALUATE && context->diags->error_count == errors)
        fe_fail(context, section->span, "the loss section ends without a return");
    context->returned = false;
    if (loss.kind == FE_VALUE_ERROR)
        return loss;
    ir_value *tensor = fe_to_tensor(context, &loss, "the loss");
    context->component = SOURCE_TRAIN;
    if (!tensor)
        return fe_error(section->span);
    if (tensor->type.rank != 0 || tensor->type.dtype != IR_F32)
        return fe_fail(context, loss.span, "the loss must be one number; this is %s (is a mean missing?)",
                       fe_value_text(context->memory, &loss));
    return fe_tensor(tensor, loss.span);
}

/* From the views to the loss; NULL after reporting. `scope` receives what the sections bind. */
static ir_value *run_forward(fe_context *context, fe_scope *scope, const fe_method *method) {
    int errors = context->diags->error_count;
    bind_views(context, scope);
    run_section(context, scope, method, FE_STATE);
    run_section(context, scope, method, FE_EXTRACT);
    run_section(context, scope, method, FE_SIMILARITY);
    fe_value loss = run_loss(context, scope, method);
    return context->diags->error_count == errors && loss.kind == FE_VALUE_TENSOR ? loss.tensor : NULL;
}

static bool make_train_step(fe_context *context, fe_scope *method_scope, const fe_method *method,
                            const fe_training *training) {
    begin_function(context, "train_step", true, method->span);
    fe_scope *scope = fe_scope_new(context->memory, method_scope);
    ir_value *loss = run_forward(context, scope, method);
    ir_value *rate = loss ? fe_train_parameters(context, training, loss) : NULL;
    if (!rate)
        return false;
    run_section(context, scope, method, FE_AFTER);
    if (!fe_move_averages(context))
        return false;
    fe_states_flush(context);
    ir_builder builder = fe_builder(context, loss->span);
    ir_output(&builder, "loss", loss);
    ir_output(&builder, "lr", rate);
    fe_describe(context, scope, method, training);
    return !fe_broken(context);
}

static bool make_gradients(fe_context *context, fe_scope *method_scope, const fe_method *method) {
    begin_function(context, "gradients", true, method->span);
    ir_value *loss = run_forward(context, fe_scope_new(context->memory, method_scope), method);
    if (!loss)
        return false;
    ir_builder builder = fe_builder(context, loss->span);
    ir_output(&builder, "loss", loss);
    for (int i = 0; i < context->state_count; i++) {
        fe_state *state = context->states[i];
        if (context->module->states[state->state].role != IR_ROLE_PARAM || state->epoch != context->epoch)
            continue;
        ir_value *gradient = fe_build(context, IR_OP_gradient, (ir_value *[]){loss, state->current}, 2, NULL, 0,
                                      &state->current->type, context->module->states[state->state].span);
        ir_output(&builder, arena_printf(context->memory, "grad.%s", state->name), gradient);
    }
    return true;
}

/* ---- embed
 * --------------------------------------------------------------------------------------------------------------------------
 */

static const fe_stmt *find_features(const fe_method *method) {
    const fe_block *body = &method->sections[FE_EVALUATE_SECTION].body;
    for (int i = 0; i < body->count; i++)
        if (body->items[i]->kind == FE_LOCAL && strcmp(body->items[i]->local->name, "features") == 0)
            return body->items[i];
    return NULL;
}

/* features(x, …) of the evaluate section, whose parameters are the sources of the data in order, or the first encoder's
 * pooled map or result of the first source. */
static fe_value represent(fe_context *context, fe_scope *scope, const fe_method *method, fe_value *items) {
    const fe_stmt *features = find_features(method);
    if (features) {
        int wanted = features->local->parameter_count;
        if (wanted < 1 || wanted > context->data_count)
            return fe_fail(context, features->span, "features takes %s, the source%s of the data",
                           context->data_count == 1 ? "one parameter"
                                                    : "as many parameters as there are sources, or fewer",
                           context->data_count == 1 ? "" : "s");
        fe_closure *closure = arena_alloc(context->memory, sizeof *closure);
        *closure = (fe_closure){features->local, scope, NULL};
        fe_value callee = {.kind = FE_VALUE_CLOSURE, .span = features->span, .as.closure = closure};
        return fe_call_value(context, &callee, items, wanted, features->span);
    }
    const fe_block *encoder = &method->sections[FE_ENCODER].body;
    for (int i = 0; i < encoder->count; i++) {
        const fe_stmt *stmt = encoder->items[i];
        fe_binding *bound = stmt->kind == FE_BIND ? fe_scope_find(scope, stmt->names[0]) : NULL;
        if (!bound || bound->value.kind != FE_VALUE_INSTANCE)
            continue;
        fe_value result = fe_apply(context, bound->value.as.instance, &items[0], stmt->span);
        const fe_field *pooled = result.kind == FE_VALUE_RECORD ? fe_record_find(&result, "pooled") : NULL;
        return pooled ? *pooled->value : result;
    }
    return fe_fail(context, method->span,
                   "the encoder section holds no module; say features(x) = … in the evaluate section");
}

static bool make_embed(fe_context *context, fe_scope *method_scope, const fe_method *method) {
    begin_function(context, "embed", false, method->span);
    ir_builder builder = fe_builder(context, method->span);
    fe_value *items = arena_alloc(context->memory, (size_t)context->data_count * sizeof *items);
    for (int i = 0; i < context->data_count; i++) {
        ir_type type = fe_data_source_type(context, &context->data[i]);
        items[i] = fe_tensor(ir_input(&builder, fe_data_source_name(&context->data[i]), &type), method->span);
    }
    fe_value result = represent(context, method_scope, method, items);
    ir_value *features = result.kind == FE_VALUE_ERROR ? NULL : fe_to_tensor(context, &result, "the representation");
    if (!features)
        return false;
    if (features->type.rank < 2 || features->type.dims[0] != context->batch) {
        fe_fail(context, result.span, "the representation is one vector an item, [%lld, F], not %s",
                (long long)context->batch, ir_shape_text(context->memory, &features->type));
        return false;
    }
    builder.span = features->span;
    int64_t dims[] = {context->batch, ir_type_elements(&features->type) / context->batch};
    ir_output(&builder, "features", ir_reshape(&builder, features, dims, 2));
    return true;
}

/* ---- init
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static ir_value *random_start(fe_context *context, const fe_initialiser *initial, const ir_type *type, ir_value *seed,
                              ir_value *step, source_span span) {
    ir_opcode opcode = initial->kind == FE_INITIAL_UNIFORM ? IR_OP_random_uniform : IR_OP_random_normal;
    ir_attr attr = ir_attr_int_make(context->memory, IR_ATTR_stream, context->random_streams++);
    fe_value random = fe_tensor(fe_build(context, opcode, (ir_value *[]){seed, step}, 2, &attr, 1, type, span), span);
    fe_value scale = fe_number(initial->kind == FE_INITIAL_UNIFORM ? initial->b - initial->a : initial->b, span);
    fe_value offset = fe_number(initial->a, span);
    fe_value scaled = fe_operate(context, FE_MUL, &random, &scale, span);
    return fe_operate(context, FE_ADD, &scaled, &offset, span).tensor;
}

static ir_value *unit_rows(fe_context *context, ir_value *value, source_span span) {
    fe_value rows = fe_tensor(value, span);
    fe_value unit = fe_scope_find(context->library, "unit")->value;
    return fe_call_value(context, &unit, &rows, 1, span).tensor;
}

/* Ones where the indices along the first two axes are equal. */
static ir_value *with_identity(fe_context *context, ir_value *value, source_span span) {
    ir_builder builder = fe_builder(context, span);
    ir_type whole = value->type;
    whole.dtype = IR_I32;
    ir_value *indices[2];
    for (int axis = 0; axis < 2; axis++) {
        ir_attr attr = ir_attr_int_make(context->memory, IR_ATTR_axis, axis);
        indices[axis] = fe_build(context, IR_OP_iota, NULL, 0, &attr, 1, &whole, span);
    }
    ir_value *equal = fe_build(context, IR_OP_equal, indices, 2, NULL, 0, NULL, span);
    return ir_select(&builder, equal, ir_constant(&builder, &value->type, 1), value);
}

static ir_value *start_of(fe_context *context, const fe_state *state, ir_value *seed, ir_value *step) {
    const ir_state *info = &context->module->states[state->state];
    const fe_initialiser *initial = &state->initial;
    ir_builder builder = fe_builder(context, info->span);
    ir_value *value = initial->kind == FE_INITIAL_CONSTANT
                          ? ir_constant(&builder, &info->type, initial->a)
                          : random_start(context, initial, &info->type, seed, step, info->span);
    if (initial->identity && info->type.rank > 1)
        value = with_identity(context, value, info->span);
    return initial->unit && info->type.rank > 0 ? unit_rows(context, value, info->span) : value;
}

/* Starts of copies are those of their originals, which may come later in the list. */
static bool make_init(fe_context *context, const fe_method *method) {
    begin_function(context, "init", false, method->span);
    ir_builder builder = fe_builder(context, method->span);
    ir_value *seed = scalar_input(context, "seed", method->span);
    ir_type scalar = ir_type_scalar(IR_I32);
    ir_value *step = ir_constant(&builder, &scalar, 0);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < context->state_count; i++) {
            fe_state *state = context->states[i];
            bool copy = state->initial.kind == FE_INITIAL_COPY;
            if (copy != (pass == 1))
                continue;
            ir_value *value = NULL;
            for (int j = 0; copy && j < context->state_count; j++)
                if (strcmp(context->states[j]->name, state->initial.copied) == 0)
                    value = context->states[j]->current;
            if (copy && !value) {
                fe_fail(context, context->module->states[state->state].span, "'%s' copies '%s', which nothing makes",
                        state->name, state->initial.copied);
                return false;
            }
            fe_state_update(context, state, copy ? value : start_of(context, state, seed, step));
        }
    fe_states_flush(context);
    return true;
}

/* ---- the whole
 * ----------------------------------------------------------------------------------------------------------------------
 */

static bool compile_method(fe_context *context, const fe_method *method) {
    context->method = method;
    fe_scope *scope = fe_scope_new(context->memory, context->globals);
    fe_training training = {0};
    context->module = ir_module_new(context->memory, context->diags->sources, method->name);
    if (!bind_method_parameters(context, scope, method) || !read_batch(context, scope, method) ||
        !fe_read_data(context, scope, method))
        return false;
    /* Independent sections report their errors together. */
    fe_make_views(context, scope, method);
    fe_run(context, scope, &method->sections[FE_ENCODER].body);
    fe_read_training(context, scope, method, &training);
    fe_read_evaluation(context, scope, method);
    if (fe_broken(context))
        return false;
    return make_train_step(context, scope, method, &training) && make_gradients(context, scope, method) &&
           make_embed(context, scope, method) && make_init(context, method);
}

ir_module *fe_compile(arena *memory, diag_list *diags, const char *path, const fe_options *options) {
    fe_context context = {.memory = memory, .diags = diags, .options = options};
    context.memory_before = arena_bytes(memory);
    fe_instance root = {.path = ""};
    context.root = context.instance = &root;
    context.library = fe_scope_new(memory, NULL);
    context.globals = fe_scope_new(memory, context.library);
    context.globals->body = true;
    context.calls = arena_alloc(memory, FE_MAX_CALLS * sizeof *context.calls);
    fe_builtins_bind(&context);
    fe_file *spec = NULL;
    if (!fe_load_all(&context, path, &spec) || !compile_method(&context, spec->method))
        return NULL;
    return diags->error_count == 0 ? context.module : NULL;
}
