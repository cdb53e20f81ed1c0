/* The manifest: what the runtime needs to know of a program, as text. */
#include "backend/backend.h"

#include <string.h>

static void append_tensor(const char *kind, const char *name, const char *role, const ir_type *type,
                          const ir_layout *layout, int64_t offset, text_buffer *out) {
    int64_t strides[IR_MAX_RANK];
    ir_strides(type, layout, strides);
    text_append(out, "%s %s%s%s %s %lld %d", kind, name, role ? " " : "", role ? role : "", ir_dtype_name(type->dtype),
                (long long)offset, type->rank);
    for (int i = 0; i < type->rank; i++)
        text_append(out, " %lld", (long long)type->dims[i]);
    for (int i = 0; i < type->rank; i++)
        text_append(out, " %lld", (long long)strides[i]);
    text_append(out, "\n");
}

static void append_states(const kir_program *program, text_buffer *out) {
    for (int i = 0; i < program->module->state_count; i++) {
        const ir_state *state = &program->module->states[i];
        append_tensor("state", state->name, ir_role_name(state->role), &state->type, &state->layout,
                      program->state_offsets[i], out);
    }
}

static void append_ports(const kir_program *program, const char *kind, const kir_port *ports, int count,
                         text_buffer *out) {
    for (int i = 0; i < count; i++)
        append_tensor(kind, ports[i].name, NULL, &ports[i].type, &ports[i].layout,
                      program->buffers[ports[i].buffer].offset, out);
}

/* "specs/lib/nn.csl:12", or - where the place is unknown. */
static void append_place(const ir_module *module, source_span span, text_buffer *out) {
    const source_table *sources = module->sources;
    if (sources && span.line > 0 && span.file >= 0 && span.file < sources->count)
        text_append(out, "%s:%d", sources->files[span.file].path, span.line);
    else
        text_append(out, "-");
}

static void append_launches(const kir_program *program, const kir_function *function, text_buffer *out) {
    for (int i = 0; i < function->launch_count; i++) {
        const kir_launch *launch = &function->launches[i];
        kir_cost cost = kir_launch_cost(program, launch);
        text_append(out, "launch %s %.0f %lld %lld %s ", program->kernels[launch->kernel]->name, cost.flops,
                    (long long)cost.bytes_read, (long long)cost.bytes_written,
                    source_component_name((source_component)launch->span.component));
        append_place(program->module, launch->span, out);
        text_append(out, "\n");
    }
}

static void append_functions(const kir_program *program, text_buffer *out) {
    for (int i = 0; i < program->function_count; i++) {
        const kir_function *function = &program->functions[i];
        text_append(out, "function %s %lld\n", function->name, (long long)function->arena_bytes);
        append_ports(program, "input", function->inputs, function->input_count, out);
        append_ports(program, "output", function->outputs, function->output_count, out);
        append_launches(program, function, out);
    }
}

static void append_views(const ir_module *module, text_buffer *out) {
    for (int i = 0; i < module->view_count; i++) {
        const ir_view *view = &module->views[i];
        text_append(out, "view %s %lld", view->name, (long long)view->channels);
        if (view->height > 0)
            text_append(out, " %lld %lld", (long long)view->height, (long long)view->width);
        text_append(out, view->source ? " of %s\n" : "\n", view->source);
        for (int a = 0; a < view->count; a++)
            text_append(out, "augment %s\n", view->augments[a].text);
    }
}

/* FNV-1a over the names, roles and shapes of states, which is what a checkpoint must agree with. */
static uint64_t fingerprint(const ir_module *module) {
    text_buffer text = {0};
    text_append(&text, "%s", module->name);
    for (int i = 0; i < module->state_count; i++)
        text_append(&text, "\n%s %s %s", module->states[i].name, ir_role_name(module->states[i].role),
                    ir_type_text(module->memory, &module->states[i].type));
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text.length; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 0x100000001b3u;
    text_free(&text);
    return hash;
}

const char *backend_manifest(arena *memory, const kir_program *program, const char *processor) {
    const ir_module *module = program->module;
    text_buffer out = {0};
    int64_t arena_bytes = 0, scratch_bytes = 0;
    for (int i = 0; i < program->function_count; i++)
        arena_bytes = program->functions[i].arena_bytes > arena_bytes ? program->functions[i].arena_bytes : arena_bytes;
    for (int i = 0; i < program->kernel_count; i++) {
        int64_t bytes = kir_scratch_bytes(program->kernels[i]);
        scratch_bytes = bytes > scratch_bytes ? bytes : scratch_bytes;
    }
    const char *spec = module->sources && module->sources->count ? module->sources->files[0].path : "-";
    text_append(&out, "cslc-program 1\nmethod %s\nspec %s\nfingerprint %016llx\nprecision %s\n", module->name, spec,
                (unsigned long long)fingerprint(module), kir_precisions[program->product_parts]);
    text_append(&out, "processor %s\n", processor);
    text_append(&out, "bytes state %lld arena %lld scratch %lld\n", (long long)program->state_bytes,
                (long long)arena_bytes, (long long)scratch_bytes);
    append_states(program, &out);
    append_functions(program, &out);
    append_views(module, &out);
    for (int i = 0; i < module->setting_count; i++)
        if (strcmp(module->settings[i].key, "precision") != 0) /* the options may have chosen another one */
            text_append(&out, "setting %s %s\n", module->settings[i].key, module->settings[i].value);
    const char *text = arena_strdup(memory, out.data);
    text_free(&out);
    return text;
}
