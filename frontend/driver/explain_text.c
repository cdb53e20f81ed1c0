/* An explanation on one screen. */
#include "frontend/driver/explain.h"

#include <string.h>

enum { MOST_ROWS = 16, MOST_LINES = 11 }; /* of the table of layers; of a component's text */

static const fe_section_kind components[] = {FE_AUGMENT, FE_ENCODER, FE_EXTRACT, FE_SIMILARITY, FE_LOSS_SECTION};
enum { COMPONENT_COUNT = sizeof components / sizeof *components };

/* ---- components: the spec's own lines
 * ---------------------------------------------------------------------------------------- */

static size_t leading_spaces(const char *line, size_t length) {
    size_t spaces = 0;
    while (spaces < length && line[spaces] == ' ')
        spaces++;
    return spaces;
}

static void write_line(const char *lead, const char *line, size_t length, size_t indent, text_buffer *out) {
    size_t spaces = leading_spaces(line, length);
    size_t skipped = spaces < indent ? spaces : indent;
    text_append(out, "%s", lead);
    text_append_bytes(out, line + skipped, length - skipped);
    text_append(out, "\n");
}

/* `similarity { s(u, v) = … }`: what is between the braces. */
static void write_single_line(const char *lead, const char *line, size_t length, text_buffer *out) {
    const char *open = memchr(line, '{', length);
    size_t start = open ? (size_t)(open - line) + 1 : 0;
    while (start < length && line[start] == ' ')
        start++;
    while (length > start && (line[length - 1] == ' ' || line[length - 1] == '}'))
        length--;
    write_line(lead, line + start, length - start, 0, out);
}

static void write_component(const explanation *method, fe_section_kind kind, text_buffer *out) {
    const fe_section *section = &method->description.method->sections[kind];
    const char *name = fe_section_name(kind);
    if (!section->present) {
        text_append(out, "%-12s%-9s-\n", name, "-");
        return;
    }
    int first = section->span.line, last = section->last_line, source = method->description.source;
    const char *range =
        first == last ? arena_printf(method->memory, "%d", first) : arena_printf(method->memory, "%d-%d", first, last);
    const char *lead = arena_printf(method->memory, "%-12s%-9s", name, range);
    size_t length, indent = 0;
    if (first == last) {
        const char *line = source_line(method->sources, source, first, &length);
        write_single_line(lead, line, length, out);
        return;
    }
    for (int at = first + 1, shown = 0; at < last; at++, shown++) {
        const char *line = source_line(method->sources, source, at, &length);
        if (shown == 0)
            indent = leading_spaces(line, length);
        if (shown == MOST_LINES && last - at > 1) {
            text_append(out, "%21s… (%d more)\n", "", last - at);
            return;
        }
        write_line(shown ? arena_printf(method->memory, "%21s", "") : lead, line, length, indent, out);
    }
}

/* ---- layers
 * -------------------------------------------------------------------------------------------------------------------
 */

/* One row of the table: a layer, or the layers below one path. */
typedef struct {
    const char *name, *made_of, *output, *parameters, *products, *times;
} layer_row;

typedef struct {
    layer_row *rows;
    int count, capacity;
} layer_table;

/* The first `depth` parts of a path. */
static const char *cut_path(arena *memory, const char *path, int depth) {
    const char *at = path;
    for (; depth > 0; depth--) {
        const char *dot = strchr(at, '.');
        if (!dot)
            return path;
        at = dot + 1;
    }
    return arena_strndup(memory, path, (size_t)(at - path - 1));
}

static int count_rows(const explanation *method, int depth) {
    int count = 0;
    const char *last = "";
    for (int i = 0; i < method->layers.count; i++) {
        const char *name = cut_path(method->memory, method->layers.layers[i].name, depth);
        count += strcmp(name, last) != 0;
        last = name;
    }
    return count;
}

static const char *kind_of(const forward_layer *layer) {
    return layer->module ? layer->module : layer->operation;
}

/* "4 conv, 4 batch_norm" */
static const char *kinds_of(const explanation *method, int first, int last) {
    const forward_layer *layers = method->layers.layers;
    text_buffer text = {0};
    for (int i = first; i < last; i++) {
        int before = 0, count = 0;
        for (int j = first; j < last; j++)
            if (strcmp(kind_of(&layers[j]), kind_of(&layers[i])) == 0) {
                before += j < i;
                count++;
            }
        if (before == 0)
            text_append(&text, "%s%d %s", text.length ? ", " : "", count, kind_of(&layers[i]));
    }
    const char *kept = arena_strdup(method->memory, text.data);
    text_free(&text);
    return kept;
}

static const char *single_kind(const explanation *method, const forward_layer *layer) {
    return layer->module && layer->contracts ? arena_printf(method->memory, "%s: %s", layer->module, layer->operation)
                                             : kind_of(layer);
}

/* The layers [first, last) as one row. */
static layer_row make_row(const explanation *method, int first, int last, const char *name) {
    arena *memory = method->memory;
    const forward_layer *layers = method->layers.layers, *final = &layers[last - 1];
    double parameters = 0, products = 0;
    for (int i = first; i < last; i++) {
        parameters += (double)layers[i].parameters;
        products += layers[i].multiply_adds / (double)method->batch;
    }
    layer_row row = {.name = name, .output = "-", .products = ""};
    row.made_of = last - first == 1 ? single_kind(method, final) : kinds_of(method, first, last);
    if (final->applications > 0)
        row.output = ir_shape_text(memory, &final->output);
    row.parameters = parameters == 0  ? "as above"
                     : final->average ? arena_printf(memory, "(%s)", explain_count(memory, parameters))
                                      : explain_count(memory, parameters);
    if (products > 0)
        row.products = explain_count(memory, products);
    row.times = final->applications == 1 ? "" : arena_printf(memory, "x%d", final->applications);
    return row;
}

static layer_table make_rows(const explanation *method, bool all) {
    layer_table table = {0};
    int depth = 64, count = method->layers.count;
    while (!all && depth > 1 && count_rows(method, depth) > MOST_ROWS)
        depth--;
    for (int first = 0, last; first < count; first = last) {
        const char *name = cut_path(method->memory, method->layers.layers[first].name, depth);
        for (last = first + 1; last < count; last++)
            if (all || strcmp(cut_path(method->memory, method->layers.layers[last].name, depth), name) != 0)
                break;
        layer_row row = make_row(method, first, last, name);
        ARENA_PUSH(method->memory, table.rows, table.count, table.capacity, row);
    }
    return table;
}

static int wider(int width, const char *text) {
    int length = (int)strlen(text);
    return length > width ? length : width;
}

static void write_layers(const explanation *method, bool all, text_buffer *out) {
    layer_table table = make_rows(method, all);
    layer_row head = {"layer", "made of", "output", "parameters", "multiply-adds", ""};
    int name = 0, made_of = 0, output = 0, parameters = 0, products = 0;
    for (int i = -1; i < table.count; i++) {
        const layer_row *row = i < 0 ? &head : &table.rows[i];
        name = wider(name, row->name);
        made_of = wider(made_of, row->made_of);
        output = wider(output, row->output);
        parameters = wider(parameters, row->parameters);
        products = wider(products, row->products);
    }
    for (int i = -1; i < table.count; i++) {
        const layer_row *row = i < 0 ? &head : &table.rows[i];
        text_append(out, "%-*s  %-*s  %-*s  %*s  %*s%s%s", name, row->name, made_of, row->made_of, output, row->output,
                    parameters, row->parameters, products, row->products, *row->times ? " " : "", row->times);
        while (out->data[out->length - 1] == ' ')
            out->data[--out->length] = 0;
        text_append(out, "\n");
    }
}

/* ---- totals
 * ------------------------------------------------------------------------------------------------------------------ */

static void write_batch(const explanation *method, text_buffer *out) {
    int last_file = -1;
    text_append(out, "%-14s%s %ss (%s)\n%-14s", "batch", explain_count(method->memory, (double)method->batch),
                explain_item(method), explain_place(method, explain_batch_place(method)), "views");
    for (int i = 0, shown = 0; i < method->module->view_count; i++) {
        const ir_view *view = &method->module->views[i];
        if (strcmp(view->name, "evaluate") == 0)
            continue;
        text_append(out, "%s%s ", shown++ ? ", " : "", view->name);
        if (view->height > 0)
            text_append(out, "%lldx%lld ", (long long)view->height, (long long)view->width);
        else
            text_append(out, "%lld ", (long long)view->channels);
        if (view->span.file == last_file)
            text_append(out, "(:%d)", view->span.line);
        else
            text_append(out, "(%s)", explain_place(method, view->span));
        last_file = view->span.file;
    }
    text_append(out, "\n");
}

static void write_scores(const explanation *method, text_buffer *out) {
    arena *memory = method->memory;
    if (method->scores.count == 0)
        text_append(out, "%-14snone: no product of activations with activations\n", "scores");
    for (int i = 0; i < method->scores.count; i++) {
        const forward_scores *scores = &method->scores.items[i];
        text_append(out, "%-14s%s%s, %s (%s)", i ? "" : "scores",
                    scores->times > 1 ? arena_printf(memory, "%d x ", scores->times) : "",
                    ir_shape_text(memory, &scores->type), explain_bytes(memory, scores->bytes),
                    explain_place(method, scores->span));
        if ((scores->scale != 1 || scores->learned) && scores->softmax)
            text_append(out, ", temperature %.4g", 1 / scores->scale);
        else if (scores->scale != 1 || scores->learned)
            text_append(out, ", times %.4g", scores->scale);
        if (scores->learned)
            text_append(out, " at first (learned: %s)", scores->learned);
        if (scores->clip > 0)
            text_append(out, ", clipped at %.4g", scores->clip);
        if (!scores->softmax)
            text_append(out, ", no softmax");
        else if (scores->depends_on_data)
            text_append(out, ", %s candidates an anchor, positives by the data",
                        explain_count(memory, (double)scores->candidates));
        else if (scores->least == scores->most)
            text_append(out, ", %s negatives an anchor", explain_count(memory, (double)scores->most));
        else
            text_append(out, ", %s to %s negatives an anchor", explain_count(memory, (double)scores->least),
                        explain_count(memory, (double)scores->most));
        text_append(out, "\n");
    }
}

/* "555,745,280 of each view, " or one piece for each. */
static void write_views(const explanation *method, text_buffer *out) {
    const double *products = method->layers.view_multiply_adds;
    bool equal = method->view_count > 1;
    for (int i = 1; i < method->view_count; i++)
        equal &= products[i] == products[0];
    if (equal)
        text_append(out, "%s of each view, ", explain_count(method->memory, products[0] / (double)method->batch));
    for (int i = 0; i < method->module->view_count && !equal; i++)
        if (products[i] > 0)
            text_append(out, "%s of view %s, ", explain_count(method->memory, products[i] / (double)method->batch),
                        method->module->views[i].name);
}

static void write_work(const explanation *method, text_buffer *out) {
    const forward_layers *layers = &method->layers;
    arena *memory = method->memory;
    double batch = (double)method->batch;
    text_append(out, "%-14s%s", "parameters", explain_count(memory, (double)layers->parameters));
    if (layers->average_parameters > 0)
        text_append(out, ", and (%s) that follow them as moving averages",
                    explain_count(memory, (double)layers->average_parameters));
    text_append(out, "\n%-14s", "multiply-adds");
    write_views(method, out);
    if (layers->mixed_multiply_adds > 0)
        text_append(out, "%s of several, ", explain_count(memory, layers->mixed_multiply_adds / batch));
    text_append(out, "%s an %s", explain_count(memory, explain_multiply_adds(method) / batch), explain_item(method));
    if (layers->scores_multiply_adds > 0)
        text_append(out, "; %s for the scores", explain_count(memory, layers->scores_multiply_adds / batch));
    text_append(out, "\n");
}

static void write_plan(const explanation *method, const explain_plan *plan, text_buffer *out) {
    arena *memory = method->memory;
    text_append(out, "%-14sa step: %s arena, %s alive at most, %s without sharing\n", "memory",
                explain_bytes(memory, plan->arena_bytes), explain_bytes(memory, plan->peak_bytes),
                explain_bytes(memory, plan->unshared_bytes));
    text_append(out, "%-14salways: %s state; %s scratch a thread\n", "", explain_bytes(memory, plan->state_bytes),
                explain_bytes(memory, plan->scratch_bytes));
    text_append(out, "%-14s%s, launched %s times a step; %s fused groups; products in %s\n", "kernels",
                explain_count(memory, plan->kernels), explain_count(memory, plan->launches),
                explain_count(memory, plan->groups), plan->precision);
}

/* What became of the first scores; of those that stay, why, said once. --json tells of all. */
static void write_remarks(const explanation *method, const diag_list *remarks, text_buffer *out) {
    enum { SHOWN = 2 };
    const char *reason = "";
    for (int i = 0; i < remarks->count && i < SHOWN; i++) {
        const diag_entry *remark = &remarks->entries[i];
        text_append(out, "%-14s%s (%s)\n", i ? "" : "fusion", remark->message, explain_place(method, remark->span));
        if (remark->label_count == 1 && strcmp(remark->labels[0].text, reason) != 0) {
            reason = remark->labels[0].text;
            text_append(out, "%-14s  %s (%s)\n", "", reason, explain_place(method, remark->labels[0].span));
        }
    }
    if (remarks->count > SHOWN)
        text_append(out, "%-14sand %d more, of which --json tells\n", "", remarks->count - SHOWN);
}

void explain_write_text(const explanation *method, const explain_plan *plan, bool all_layers, text_buffer *out) {
    text_append(out, "%-12s%-9smethod %s, %s\n", "component", "lines", method->module->name,
                method->sources->files[method->description.source].path);
    for (int i = 0; i < COMPONENT_COUNT; i++)
        write_component(method, components[i], out);
    text_append(out, "\n");
    write_layers(method, all_layers, out);
    text_append(out, "\n");
    write_batch(method, out);
    write_scores(method, out);
    write_work(method, out);
    write_plan(method, plan, out);
    write_remarks(method, &plan->remarks, out);
}
