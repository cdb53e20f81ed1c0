/* cslc explain: a method's components, layers, scores and needs. */
#include "frontend/driver/explain.h"

#include <stdlib.h>
#include <string.h>

bool explain_method(driver_session *work, const char *path, const driver_list *definitions, explanation *result) {
    *result = (explanation){.memory = work->memory, .sources = &work->sources};
    ir_module *module = driver_compile(work, path, definitions, &result->description);
    if (!module)
        return false;
    result->module = module;
    forward_graph graph = forward_graph_of(work->memory, module);
    result->batch = graph.batch;
    for (int i = 0; i < module->view_count; i++)
        result->view_count += strcmp(module->views[i].name, "evaluate") != 0;
    result->layers = forward_layers_of(&graph, &result->description.modules);
    result->scores = forward_scores_of(&graph);
    work->passes.module = module;
    return true;
}

/* ---- the plan
 * ---------------------------------------------------------------------------------------------------------------- */

/* Groups of the function's values. */
static int count_groups(arena *memory, const ir_function *function) {
    int most = 0, count = 0;
    for (const ir_value *value = function->first; value; value = value->next)
        most = value->group > most ? value->group : most;
    bool *seen = arena_alloc(memory, (size_t)most + 1);
    for (const ir_value *value = function->first; value; value = value->next) {
        count += value->group > 0 && !seen[value->group];
        seen[value->group] = true;
    }
    return count;
}

/* The distinct kernels that a training step launches. */
static int count_launched(arena *memory, const kir_program *program) {
    bool *launched = arena_alloc(memory, (size_t)program->kernel_count + 1);
    int count = 0;
    for (int f = 0; f < program->function_count; f++)
        for (int l = 0; strcmp(program->functions[f].name, "train_step") == 0 && l < program->functions[f].launch_count;
             l++)
            launched[program->functions[f].launches[l].kernel] = true;
    for (int i = 0; i < program->kernel_count; i++)
        count += launched[i];
    return count;
}

static explain_plan read_plan(driver_session *work) {
    const kir_program *program = work->passes.program;
    explain_plan plan = {.remarks = work->diags,
                         .precision = kir_precisions[program->product_parts],
                         .state_bytes = program->state_bytes,
                         .kernels = count_launched(work->memory, program)};
    for (int i = 0; i < program->kernel_count; i++) {
        int64_t bytes = kir_scratch_bytes(program->kernels[i]);
        plan.scratch_bytes = bytes > plan.scratch_bytes ? bytes : plan.scratch_bytes;
    }
    for (int i = 0; i < program->function_count; i++) {
        const kir_function *function = &program->functions[i];
        if (strcmp(function->name, "train_step") != 0)
            continue;
        plan.arena_bytes = function->arena_bytes;
        plan.peak_bytes = function->lower_bound;
        plan.unshared_bytes = function->naive_bytes;
        plan.launches = function->launch_count;
        explain_find_holders(work->memory, program, function, &plan);
    }
    const ir_function *step = ir_function_find(work->passes.module, "train_step");
    plan.groups = step ? count_groups(work->memory, step) : 0;
    return plan;
}

/* ---- pieces
 * ------------------------------------------------------------------------------------------------------------------ */

const char *explain_count(arena *memory, double number) {
    char digits[64], grouped[96];
    int length = snprintf(digits, sizeof digits, "%.0f", number), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            grouped[at++] = ',';
        grouped[at++] = digits[i];
    }
    grouped[at] = 0;
    return arena_strdup(memory, grouped);
}

const char *explain_bytes(arena *memory, int64_t bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double amount = (double)bytes;
    int unit = 0;
    for (; amount >= 1000 && unit < 4; unit++)
        amount /= 1000;
    return arena_printf(memory, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
}

const char *explain_place(const explanation *method, source_span span) {
    if (span.line == 0 || span.file < 0 || span.file >= method->sources->count)
        return "-";
    return arena_printf(method->memory, "%s:%d", method->sources->files[span.file].path, span.line);
}

source_span explain_batch_place(const explanation *method) {
    for (int i = 0; i < method->module->setting_count; i++)
        if (strcmp(method->module->settings[i].key, "batch") == 0)
            return method->module->settings[i].span;
    return (source_span){0};
}

const char *explain_item(const explanation *method) {
    for (int i = 0; i < method->module->view_count; i++)
        if (method->module->views[i].height > 0)
            return "image";
    return "item";
}

double explain_multiply_adds(const explanation *method) {
    double sum = method->layers.mixed_multiply_adds;
    for (int i = 0; i < method->module->view_count; i++)
        sum += method->layers.view_multiply_adds[i];
    return sum;
}

bool explain_stream_open(explain_stream *stream) {
    *stream = (explain_stream){0};
    stream->stream = open_memstream(&stream->data, &stream->length);
    return stream->stream != NULL;
}

bool explain_stream_close(explain_stream *stream, text_buffer *out) {
    bool good = fputc('\n', stream->stream) != EOF;
    good &= fclose(stream->stream) == 0;
    if (good)
        text_append_bytes(out, stream->data, stream->length);
    free(stream->data);
    return good;
}

/* ---- the command
 * ------------------------------------------------------------------------------------------------------------- */

static ir_module *explained_module(driver_session *work, void *user) {
    const driver_options *options = work->options;
    return explain_method(work, options->inputs.items[0], &options->definitions, user) ? work->passes.module : NULL;
}

int driver_explain(driver_session *work) {
    const driver_options *options = work->options;
    explanation method;
    pass_options passes = driver_pass_options(options, NULL);
    work->passes.remarks = true;
    bool good = work->memory_limit ? driver_run_limited(work, explained_module, &method)
                                   : explained_module(work, &method) && pass_run_pipeline(&work->passes, &passes);
    if (!good)
        return STATUS_FAILED;
    explain_plan plan = read_plan(work);
    work->diags.count = 0; /* remarks become a part of what is explained */
    text_buffer text = {0};
    int status = STATUS_GOOD;
    if (options->memory_view && !options->json) {
        explain_write_memory(&method, &plan, options->layers, &text);
    } else if (!options->json) {
        explain_write_text(&method, &plan, options->layers, &text);
    } else if (!explain_write_json(&method, &plan, &text)) {
        fprintf(stderr, "cslc: error: out of memory\n");
        status = STATUS_FAILED;
    }
    if (status == STATUS_GOOD)
        status = driver_write(options->output, &text);
    text_free(&text);
    driver_note_memory(work);
    return status;
}
