/* An explanation as JSON: the same data, every layer. */
#include "frontend/driver/explain.h"
#include "runtime/json.h"

#include <string.h>

static void write_type(rt_json_writer *json, const char *key, const ir_type *type) {
    rt_json_open(json, key, '[');
    for (int i = 0; i < type->rank; i++)
        rt_json_integer(json, NULL, type->dims[i]);
    rt_json_close(json, ']');
}

/* The section's lines as they stand. */
static void write_text(rt_json_writer *json, const explanation *method, const fe_section *section) {
    text_buffer text = {0};
    for (int line = section->span.line; line <= section->last_line; line++) {
        size_t length;
        const char *start = source_line(method->sources, method->description.source, line, &length);
        text_append_bytes(&text, start, length);
        text_append(&text, line < section->last_line ? "\n" : "");
    }
    rt_json_text(json, "text", text.data ? text.data : "");
    text_free(&text);
}

static void write_components(rt_json_writer *json, const explanation *method) {
    static const fe_section_kind kinds[] = {FE_AUGMENT, FE_ENCODER, FE_EXTRACT, FE_SIMILARITY, FE_LOSS_SECTION};
    rt_json_open(json, "components", '[');
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const fe_section *section = &method->description.method->sections[kinds[i]];
        if (!section->present)
            continue;
        rt_json_open(json, NULL, '{');
        rt_json_text(json, "name", fe_section_name(kinds[i]));
        rt_json_integer(json, "first_line", section->span.line);
        rt_json_integer(json, "last_line", section->last_line);
        write_text(json, method, section);
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

static void write_layers(rt_json_writer *json, const explanation *method) {
    rt_json_open(json, "layers", '[');
    for (int i = 0; i < method->layers.count; i++) {
        const forward_layer *layer = &method->layers.layers[i];
        rt_json_open(json, NULL, '{');
        rt_json_text(json, "name", layer->name);
        if (layer->module)
            rt_json_text(json, "module", layer->module);
        rt_json_text(json, "operation", layer->operation);
        if (layer->applications > 0)
            write_type(json, "output", &layer->output);
        rt_json_integer(json, "parameters", layer->parameters);
        rt_json_boolean(json, "average", layer->average);
        rt_json_integer(json, "multiply_adds", (int64_t)layer->multiply_adds);
        rt_json_integer(json, "applications", layer->applications);
        rt_json_text(json, "place", explain_place(method, layer->span));
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

static void write_views(rt_json_writer *json, const explanation *method) {
    rt_json_open(json, "views", '[');
    for (int i = 0; i < method->module->view_count; i++) {
        const ir_view *view = &method->module->views[i];
        if (strcmp(view->name, "evaluate") == 0)
            continue;
        rt_json_open(json, NULL, '{');
        rt_json_text(json, "name", view->name);
        ir_type type =
            ir_type_make(IR_F32, view->height > 0 ? 3 : 1, (int64_t[]){view->channels, view->height, view->width});
        write_type(json, "shape", &type);
        rt_json_integer(json, "multiply_adds", (int64_t)method->layers.view_multiply_adds[i]);
        rt_json_text(json, "place", explain_place(method, view->span));
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

static void write_scores(rt_json_writer *json, const explanation *method) {
    rt_json_open(json, "scores", '[');
    for (int i = 0; i < method->scores.count; i++) {
        const forward_scores *scores = &method->scores.items[i];
        rt_json_open(json, NULL, '{');
        write_type(json, "shape", &scores->type);
        rt_json_integer(json, "bytes", scores->bytes);
        rt_json_integer(json, "times", scores->times);
        rt_json_real(json, "temperature", 1 / scores->scale);
        if (scores->learned)
            rt_json_text(json, "learned", scores->learned);
        if (scores->clip > 0)
            rt_json_real(json, "clip", scores->clip);
        if (scores->softmax) {
            rt_json_integer(json, "anchors", scores->anchors);
            rt_json_integer(json, "candidates", scores->candidates);
        }
        if (scores->softmax && !scores->depends_on_data) {
            rt_json_integer(json, "least_negatives", scores->least);
            rt_json_integer(json, "most_negatives", scores->most);
        }
        rt_json_text(json, "place", explain_place(method, scores->span));
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

static void write_plan(const explanation *method, rt_json_writer *json, const explain_plan *plan) {
    rt_json_open(json, "memory", '{');
    rt_json_integer(json, "arena_bytes", plan->arena_bytes);
    rt_json_integer(json, "peak_bytes", plan->peak_bytes);
    rt_json_integer(json, "unshared_bytes", plan->unshared_bytes);
    rt_json_integer(json, "state_bytes", plan->state_bytes);
    rt_json_integer(json, "scratch_bytes", plan->scratch_bytes);
    rt_json_open(json, "held_at_peak", '[');
    for (int i = 0; i < plan->holder_count; i++) {
        rt_json_open(json, NULL, '{');
        rt_json_integer(json, "bytes", plan->holders[i].bytes);
        rt_json_integer(json, "buffers", plan->holders[i].buffers);
        rt_json_text(json, "each", plan->holders[i].shape);
        rt_json_text(json, "spec_line", explain_place(method, plan->holders[i].span));
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
    rt_json_close(json, '}');
    rt_json_integer(json, "kernels", plan->kernels);
    rt_json_integer(json, "launches", plan->launches);
    rt_json_integer(json, "fused_groups", plan->groups);
    rt_json_text(json, "precision", plan->precision);
}

static void write_remarks(rt_json_writer *json, const explanation *method, const diag_list *remarks) {
    rt_json_open(json, "fusion", '[');
    for (int i = 0; i < remarks->count; i++) {
        const diag_entry *remark = &remarks->entries[i];
        rt_json_open(json, NULL, '{');
        rt_json_text(json, "what", remark->message);
        rt_json_text(json, "place", explain_place(method, remark->span));
        rt_json_open(json, "notes", '[');
        for (int n = 0; n < remark->note_count; n++)
            rt_json_text(json, NULL, remark->notes[n]);
        rt_json_close(json, ']');
        rt_json_open(json, "parts", '[');
        for (int l = 0; l < remark->label_count; l++) {
            rt_json_open(json, NULL, '{');
            rt_json_text(json, "what", remark->labels[l].text);
            rt_json_text(json, "place", explain_place(method, remark->labels[l].span));
            rt_json_close(json, '}');
        }
        rt_json_close(json, ']');
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

bool explain_write_json(const explanation *method, const explain_plan *plan, text_buffer *out) {
    explain_stream stream;
    if (!explain_stream_open(&stream))
        return false;
    rt_json_writer writer = rt_json_to(stream.stream), *json = &writer;
    rt_json_open(json, NULL, '{');
    rt_json_text(json, "method", method->module->name);
    rt_json_text(json, "spec", method->sources->files[method->description.source].path);
    rt_json_integer(json, "batch", method->batch);
    rt_json_text(json, "batch_place", explain_place(method, explain_batch_place(method)));
    write_components(json, method);
    write_layers(json, method);
    write_views(json, method);
    write_scores(json, method);
    rt_json_integer(json, "parameters", method->layers.parameters);
    rt_json_integer(json, "average_parameters", method->layers.average_parameters);
    rt_json_integer(json, "multiply_adds", (int64_t)explain_multiply_adds(method));
    rt_json_integer(json, "scores_multiply_adds", (int64_t)method->layers.scores_multiply_adds);
    write_plan(method, json, plan);
    write_remarks(json, method, &plan->remarks);
    rt_json_close(json, '}');
    return explain_stream_close(&stream, out);
}
