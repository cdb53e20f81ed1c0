/* cslc diff: where two methods differ, component by component. What is compared is what the specs evaluate to, not how
 * they say it. */
#include "frontend/driver/diff.h"
#include "runtime/augment.h"

#include <stdlib.h>
#include <string.h>

static void add_item(arena *memory, diff_items *items, const char *key, const char *text) {
    diff_item item = {key, text};
    ARENA_PUSH(memory, items->items, items->count, items->capacity, item);
}

static const char *take_text(arena *memory, text_buffer *text) {
    const char *kept = arena_strdup(memory, text->data ? text->data : "");
    text_free(text);
    return kept;
}

static void add_component(diff_report *report, const char *name, const diff_items sides[2]) {
    diff_component component = {.name = name, .same = true};
    diff_align(report->memory, &sides[0], &sides[1], &component);
    ARENA_PUSH(report->memory, report->components, report->count, report->capacity, component);
}

/* ---- augmentations: the steps as the program will run them
 * ---------------------------------------------------------------- */

static bool is_training_view(const ir_view *view) {
    return strcmp(view->name, "evaluate") != 0;
}

static int draw_of(const char *step) {
    const char *draw = strstr(step, " draw=");
    return draw ? atoi(draw + 6) : -1;
}

/* Whether another view of training uses the same draw of random numbers. */
static bool is_shared(const ir_module *module, const ir_view *view, const char *step) {
    int draw = draw_of(step);
    for (int i = 0; i < module->view_count; i++)
        for (int j = 0; j < module->views[i].count; j++)
            if (&module->views[i] != view && is_training_view(&module->views[i]) &&
                draw_of(module->views[i].augments[j].text) == draw)
                return true;
    return false;
}

/* "p=0.8 scale=0.2,1", with the settings that the spec leaves to their defaults. */
static const char *settings_of(arena *memory, const char *step, bool shared) {
    rt_augment_op op;
    rt_error error;
    char text[1024] = "";
    if (rt_augment_parse(step, &op, &error) == 0)
        rt_augment_settings(&op, text, sizeof text);
    return arena_printf(memory, "%s%s", text, shared ? ", one draw for all views" : "");
}

static diff_items steps_of(arena *memory, const ir_module *module, const ir_view *view) {
    diff_items items = {0};
    for (int i = 0; view && i < view->count; i++) {
        const char *step = view->augments[i].text;
        const char *name = arena_strndup(memory, step, strcspn(step, " "));
        bool random = strstr(step, "normalize") != step && is_shared(module, view, step);
        add_item(memory, &items, name, settings_of(memory, step, random));
    }
    return items;
}

static bool same_items(const diff_items *a, const diff_items *b) {
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i].key, b->items[i].key) == 0 && strcmp(a->items[i].text, b->items[i].text) == 0;
    return same;
}

static const ir_view *training_view(const ir_module *module, int number) {
    for (int i = 0; i < module->view_count; i++)
        if (is_training_view(&module->views[i]) && number-- == 0)
            return &module->views[i];
    return NULL;
}

/* Whether every view of both methods has the steps of its first one. */
static bool alike(arena *memory, const ir_module *module) {
    const ir_view *first = training_view(module, 0), *view;
    diff_items steps = steps_of(memory, module, first);
    for (int i = 1; (view = training_view(module, i)); i++) {
        diff_items others = steps_of(memory, module, view);
        if (!same_items(&steps, &others))
            return false;
    }
    return true;
}

static void add_views(diff_report *report) {
    diff_items sides[2] = {0};
    for (int side = 0; side < 2; side++) {
        text_buffer text = {0};
        const ir_view *view;
        for (int i = 0; (view = training_view(report->sides[side]->module, i)); i++)
            if (view->height > 0)
                text_append(&text, "%s%s %lldx%lldx%lld", i ? ", " : "", view->name, (long long)view->channels,
                            (long long)view->height, (long long)view->width);
            else
                text_append(&text, "%s%s %lld", i ? ", " : "", view->name, (long long)view->channels);
        add_item(report->memory, &sides[side], "views", take_text(report->memory, &text));
    }
    add_component(report, "augment", sides);
}

/* The steps of view `number`; further views only where they differ from the first one. */
static void add_augmentations(diff_report *report) {
    add_views(report);
    diff_component *component = &report->components[report->count - 1];
    const ir_module *modules[2] = {report->sides[0]->module, report->sides[1]->module};
    bool one = alike(report->memory, modules[0]) && alike(report->memory, modules[1]);
    for (int i = 0; training_view(modules[0], i) || training_view(modules[1], i); i++) {
        if (one && i > 0)
            return;
        diff_items sides[2];
        for (int side = 0; side < 2; side++) {
            const ir_view *view = training_view(modules[side], i);
            sides[side] = steps_of(report->memory, modules[side], view);
            for (int s = 0; s < sides[side].count && !one; s++)
                sides[side].items[s].key = arena_printf(report->memory, "%d %s", i + 1, sides[side].items[s].key);
        }
        diff_align(report->memory, &sides[0], &sides[1], component);
    }
}

/* ---- encoder
 * ----------------------------------------------------------------------------------------------------------------- */

/* Shapes whose first axis is the batch, or some batches, say so: "[3136, 64]" becomes "[49N, 64]". */
static const char *with_batch(arena *memory, int64_t batch, const char *shapes) {
    text_buffer text = {0};
    for (const char *at = shapes; *at;) {
        char *end = NULL;
        long long size = *at == '[' ? strtoll(at + 1, &end, 10) : 0;
        text_append_bytes(&text, at++, 1);
        if (!end || size < batch || size % batch != 0)
            continue;
        if (size > batch)
            text_append(&text, "%lld", size / (long long)batch);
        text_append(&text, "N");
        at = end;
    }
    return take_text(memory, &text);
}

static bool is_below(const char *name, const char *path) {
    size_t length = strlen(path);
    return strncmp(name, path, length) == 0 && (name[length] == '.' || name[length] == 0);
}

/* "resnet18(width = 64): 11,168,832 parameters, [N, 512, 4, 4]", the output of its last layer. */
static void add_module_item(arena *memory, const explanation *method, const fe_fact *fact, diff_items *items) {
    double parameters = 0;
    const forward_layer *last = NULL;
    bool average = false;
    for (int i = 0; i < method->layers.count; i++) {
        const forward_layer *layer = &method->layers.layers[i];
        if (!is_below(layer->name, fact->name))
            continue;
        parameters += (double)layer->parameters;
        average |= layer->average;
        last = layer->applications > 0 ? layer : last;
    }
    const char *text = fact->text;
    if (last)
        text = arena_printf(memory, "%s: %s%s parameters, %s", text, explain_count(memory, parameters),
                            average ? " averaged" : "",
                            with_batch(memory, method->batch, ir_shape_text(memory, &last->output)));
    add_item(memory, items, fact->name, text);
}

static void add_encoder(diff_report *report) {
    diff_items sides[2] = {0};
    for (int side = 0; side < 2; side++) {
        const explanation *method = report->sides[side];
        for (int i = 0; i < method->description.encoder.count; i++)
            add_module_item(report->memory, method, &method->description.encoder.items[i], &sides[side]);
        add_item(report->memory, &sides[side], "parameters",
                 explain_count(report->memory, (double)method->layers.parameters));
        add_item(report->memory, &sides[side], "multiply-adds",
                 arena_printf(report->memory, "%s an %s",
                              explain_count(report->memory, explain_multiply_adds(method) / (double)method->batch),
                              explain_item(method)));
    }
    add_component(report, "encoder", sides);
}

/* ---- statements
 * ---------------------------------------------------------------------------------------------------------------- */

/* The row's name and its text: "total = 0" is 0 of "total"; "total += x" is x of "total +=", which is no counterpart.
 */
static diff_item split_statement(arena *memory, const fe_fact *fact) {
    size_t length = strlen(fact->name);
    diff_item whole = {fact->name, fact->text};
    if (length == 0 || strncmp(fact->text, fact->name, length) != 0 || fact->text[length] != ' ')
        return whole;
    const char *sign = fact->text + length + 1;
    if (strncmp(sign, "= ", 2) == 0)
        return (diff_item){fact->name, sign + 2};
    if (*sign && strchr("+-*/", *sign) && strncmp(sign + 1, "= ", 2) == 0)
        return (diff_item){arena_printf(memory, "%s %c=", fact->name, *sign), sign + 3};
    return whole;
}

static void add_statements(diff_report *report, const char *name, size_t offset) {
    diff_items sides[2] = {0};
    for (int side = 0; side < 2; side++) {
        const explanation *method = report->sides[side];
        const fe_facts *facts = (const void *)((const char *)&method->description + offset);
        for (int i = 0; i < facts->count; i++) {
            const fe_fact *fact = &facts->items[i];
            diff_item item = split_statement(report->memory, fact);
            if (fact->shape && strcmp(fact->shape, "[]") != 0)
                item.text = arena_printf(report->memory, "%s  %s",
                                         with_batch(report->memory, method->batch, fact->shape), item.text);
            add_item(report->memory, &sides[side], item.key, item.text);
        }
    }
    add_component(report, name, sides);
}

/* ---- scores
 * ------------------------------------------------------------------------------------------------------------------ */

static void add_unless_known(arena *memory, diff_items *items, const char *key, const char *text) {
    for (int i = 0; i < items->count; i++)
        if (strcmp(items->items[i].key, key) == 0 && strcmp(items->items[i].text, text) == 0)
            return;
    add_item(memory, items, key, text);
}

static const char *negatives_text(arena *memory, const forward_scores *scores) {
    if (scores->depends_on_data)
        return arena_printf(memory, "%s candidates, positives by the data",
                            explain_count(memory, (double)scores->candidates));
    const char *most = explain_count(memory, (double)scores->most);
    return scores->least == scores->most
               ? most
               : arena_printf(memory, "%s to %s", explain_count(memory, (double)scores->least), most);
}

static void add_scores(diff_report *report) {
    diff_items matrices[2] = {0}, negatives[2] = {0};
    arena *memory = report->memory;
    for (int side = 0; side < 2; side++) {
        const forward_scores_list *list = &report->sides[side]->scores;
        for (int i = 0; i < list->count; i++) {
            const forward_scores *scores = &list->items[i];
            const char *times = scores->times > 1 ? arena_printf(memory, "%d x ", scores->times) : "";
            add_item(memory, &matrices[side], "matrix",
                     arena_printf(memory, "%s%s", times, ir_shape_text(memory, &scores->type)));
            if (scores->softmax)
                add_unless_known(memory, &negatives[side], "negatives", negatives_text(memory, scores));
        }
    }
    add_component(report, "scores", matrices);
    diff_align(memory, &negatives[0], &negatives[1], &report->components[report->count - 1]);
}

static void add_mask(diff_report *report) {
    diff_items sides[2] = {0};
    for (int side = 0; side < 2; side++) {
        const fe_facts *masks = &report->sides[side]->description.masks;
        for (int i = 0; i < masks->count; i++)
            add_unless_known(report->memory, &sides[side], "where", masks->items[i].text);
    }
    add_component(report, "mask", sides);
}

static void add_temperature(diff_report *report) {
    diff_items sides[2] = {0};
    arena *memory = report->memory;
    for (int side = 0; side < 2; side++) {
        const forward_scores_list *list = &report->sides[side]->scores;
        for (int i = 0; i < list->count; i++) {
            if (!list->items[i].softmax)
                continue;
            add_unless_known(
                memory, &sides[side], "temperature",
                arena_printf(memory, "%.6g%s", 1 / list->items[i].scale, list->items[i].learned ? ", learned" : ""));
            if (list->items[i].clip > 0)
                add_unless_known(memory, &sides[side], "clip", arena_printf(memory, "%.6g", list->items[i].clip));
        }
    }
    add_component(report, "temperature", sides);
}

/* ---- the whole
 * ---------------------------------------------------------------------------------------------------------------- */

static void add_training(diff_report *report) {
    diff_items sides[2] = {0};
    for (int side = 0; side < 2; side++) {
        const fe_facts *facts = &report->sides[side]->description.train;
        for (int i = 0; i < facts->count; i++)
            add_item(report->memory, &sides[side], facts->items[i].name, facts->items[i].text);
    }
    add_component(report, "train", sides);
}

diff_report diff_methods(arena *memory, const explanation *left, const explanation *right) {
    diff_report report = {.memory = memory, .sides = {left, right}};
    add_augmentations(&report);
    add_encoder(&report);
    add_statements(&report, "extract", offsetof(fe_description, extract));
    add_statements(&report, "similarity", offsetof(fe_description, similarity));
    add_temperature(&report);
    add_scores(&report);
    add_mask(&report);
    add_statements(&report, "loss", offsetof(fe_description, loss));
    add_training(&report);
    return report;
}

/* The definitions for both, then those for one. */
static driver_list joined(arena *memory, const driver_list *both, const driver_list *one) {
    driver_list list = {0};
    for (int i = 0; i < both->count; i++)
        ARENA_PUSH(memory, list.items, list.count, list.capacity, both->items[i]);
    for (int i = 0; i < one->count; i++)
        ARENA_PUSH(memory, list.items, list.count, list.capacity, one->items[i]);
    return list;
}

int driver_diff(driver_session *work) {
    const driver_options *options = work->options;
    const char *left = options->inputs.items[0], *right = options->inputs.items[options->inputs.count - 1];
    driver_list left_definitions = joined(work->memory, &options->definitions, &options->left);
    driver_list right_definitions = joined(work->memory, &options->definitions, &options->right);
    explanation sides[2];
    /* Both, so that the errors of both are seen at once. */
    bool good = explain_method(work, left, &left_definitions, &sides[0]);
    good &= explain_method(work, right, &right_definitions, &sides[1]);
    if (!good)
        return STATUS_FAILED;
    diff_report report = diff_methods(work->memory, &sides[0], &sides[1]);
    text_buffer text = {0};
    int status = STATUS_GOOD;
    if (!options->json) {
        diff_write_text(&report, &text);
    } else if (!diff_write_json(&report, &text)) {
        fprintf(stderr, "cslc: error: out of memory\n");
        status = STATUS_FAILED;
    }
    if (status == STATUS_GOOD)
        status = driver_write(options->output, &text);
    text_free(&text);
    return status;
}
