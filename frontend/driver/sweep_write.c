/* What a sweep found: a table for people, one for programs, and a plot. */
#include "frontend/driver/plot.h"
#include "frontend/driver/sweep.h"

#include "runtime/archive.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *const protocol_titles[] = {[SWEEP_KNN] = "kNN", [SWEEP_LINEAR] = "linear", [SWEEP_MLP] = "MLP"};
static const char *const protocol_names[] = {[SWEEP_KNN] = "knn", [SWEEP_LINEAR] = "linear", [SWEEP_MLP] = "mlp"};

static const char *state_name(sweep_state state) {
    static const char *const names[] = {
        [SWEEP_WAITING] = "waiting", [SWEEP_DONE] = "done", [SWEEP_FAILED] = "failed", [SWEEP_STOPPED] = "stopped"};
    return names[state];
}

const char *sweep_summary(arena *memory, const sweep_cell *cell) {
    if (cell->state == SWEEP_FAILED)
        return arena_printf(memory, "failed: %s", cell->message);
    if (cell->state != SWEEP_DONE)
        return state_name(cell->state);
    const sweep_results *results = &cell->results;
    const char *text = isnan(results->loss) ? "no steps" : arena_printf(memory, "loss %.4f", results->loss);
    for (int i = 0; i < SWEEP_PROTOCOL_COUNT; i++)
        if (!isnan(results->accuracy[i]))
            text = arena_printf(memory, "%s  %s %.2f %%", text, protocol_titles[i], 100 * results->accuracy[i]);
    return arena_printf(memory, "%s  %.1f s", text, results->seconds);
}

/* Whether any cell was measured that way. */
static bool is_measured(const sweep_plan *plan, sweep_protocol protocol) {
    for (int i = 0; i < plan->cell_count; i++)
        if (plan->cells[i].state == SWEEP_DONE && plan->cells[i].results.how[protocol])
            return true;
    return false;
}

/* kNN and linear always have a column, the others where there is something in it. */
static bool has_column(const sweep_plan *plan, sweep_protocol protocol) {
    return protocol != SWEEP_MLP || is_measured(plan, protocol);
}

/* ---- Markdown ------------------------------------------------------------------------------------------------------
 */

/* A cell's text between bars, on one line. */
static void append_markdown(text_buffer *out, const char *text) {
    text_append(out, " ");
    for (; *text; text++)
        text_append(out, *text == '|' ? "\\|" : *text == '\n' ? " " : "%c", *text);
    text_append(out, " |");
}

static void append_heads(const sweep_plan *plan, text_buffer *out) {
    text_append(out, "| cell |");
    for (int a = 0; a < plan->axis_count; a++)
        append_markdown(out, plan->axes[a].name);
    text_append(out, " loss |");
    for (int i = 0; i < SWEEP_PROTOCOL_COUNT; i++)
        if (has_column(plan, (sweep_protocol)i))
            text_append(out, " %s |", protocol_titles[i]);
    text_append(out, " seconds | status |\n|---|");
    for (int a = 0; a < plan->axis_count; a++)
        text_append(out, "---|");
    text_append(out, "---:|");
    for (int i = 0; i < SWEEP_PROTOCOL_COUNT; i++)
        text_append(out, has_column(plan, (sweep_protocol)i) ? "---:|" : "");
    text_append(out, "---:|---|\n");
}

static void append_number(text_buffer *out, bool known, const char *format, double value) {
    if (!known || isnan(value))
        text_append(out, " – |");
    else
        text_append(out, format, value);
}

static void append_row(const sweep_plan *plan, const sweep_cell *cell, text_buffer *out) {
    bool done = cell->state == SWEEP_DONE;
    text_append(out, "|");
    append_markdown(out, cell->name);
    for (int a = 0; a < plan->axis_count; a++)
        append_markdown(out, cell->values[a]);
    append_number(out, done, " %.4f |", cell->results.loss);
    for (int i = 0; i < SWEEP_PROTOCOL_COUNT; i++)
        if (has_column(plan, (sweep_protocol)i))
            append_number(out, done, " %.2f %% |", 100 * cell->results.accuracy[i]);
    append_number(out, done, " %.1f |", cell->results.seconds);
    append_markdown(out, cell->state == SWEEP_FAILED
                             ? arena_printf(plan->memory, "failed: %s (%s/log.txt)", cell->message, cell->name)
                             : state_name(cell->state));
    text_append(out, "\n");
}

/* How accuracies were measured, once for each way that occurs. */
static void append_ways(const sweep_plan *plan, text_buffer *out) {
    for (int p = 0; p < SWEEP_PROTOCOL_COUNT; p++)
        for (int i = 0; i < plan->cell_count; i++) {
            const sweep_cell *cell = &plan->cells[i];
            bool known = cell->state != SWEEP_DONE || !cell->results.how[p];
            for (int j = 0; j < i && !known; j++)
                known = plan->cells[j].state == SWEEP_DONE && plan->cells[j].results.how[p] &&
                        strcmp(plan->cells[j].results.how[p], cell->results.how[p]) == 0;
            if (!known)
                text_append(out, "- %s: accuracy on the test split; %s\n", protocol_titles[p], cell->results.how[p]);
        }
}

static void write_markdown(const sweep_plan *plan, text_buffer *out) {
    const driver_options *options = plan->work->options;
    text_append(out, "# Sweep of");
    for (int i = 0; i < options->inputs.count; i++)
        text_append(out, "%s %s", i ? "," : "", options->inputs.items[i]);
    text_append(out, "\n\nEvery cell:");
    for (int i = 0; i < options->definitions.count; i++)
        text_append(out, " `-D %s`", options->definitions.items[i]);
    sweep_choices choices = sweep_compiler_choices(plan);
    for (int i = 0; i < choices.count; i++)
        if (choices.items[i].flag)
            text_append(out, " `%s`", choices.items[i].flag);
    text_append(out, " `");
    for (int i = 0; i < options->program_argument_count; i++)
        text_append(out, "%s%s", i ? " " : "", options->program_arguments[i]);
    text_append(out, "`\n\n");
    append_heads(plan, out);
    for (int i = 0; i < plan->cell_count; i++)
        append_row(plan, &plan->cells[i], out);
    text_append(out, "\n- loss: mean of the last epoch's steps; seconds: of the training steps\n");
    append_ways(plan, out);
}

/* ---- CSV -----------------------------------------------------------------------------------------------------------
 */

static void append_field(text_buffer *out, const char *text, bool last) {
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    text_append(out, quoted ? "\"" : "");
    for (; *text; text++)
        text_append(out, *text == '"' ? "\"\"" : "%c", *text);
    text_append(out, "%s%s", quoted ? "\"" : "", last ? "\n" : ",");
}

static void append_real(text_buffer *out, bool known, double value) {
    if (known && !isnan(value))
        text_append(out, "%.9g", value);
    text_append(out, ",");
}

static void write_csv(const sweep_plan *plan, text_buffer *out) {
    append_field(out, "cell", false);
    for (int a = 0; a < plan->axis_count; a++)
        append_field(out, plan->axes[a].name, false);
    text_append(out, "loss,");
    for (int p = 0; p < SWEEP_PROTOCOL_COUNT; p++)
        text_append(out, has_column(plan, (sweep_protocol)p) ? "%s," : "", protocol_names[p]);
    text_append(out, "seconds,status,message\n");
    for (int i = 0; i < plan->cell_count; i++) {
        const sweep_cell *cell = &plan->cells[i];
        bool done = cell->state == SWEEP_DONE;
        append_field(out, cell->name, false);
        for (int a = 0; a < plan->axis_count; a++)
            append_field(out, cell->values[a], false);
        append_real(out, done, cell->results.loss);
        for (int p = 0; p < SWEEP_PROTOCOL_COUNT; p++)
            if (has_column(plan, (sweep_protocol)p))
                append_real(out, done, cell->results.accuracy[p]);
        append_real(out, done, cell->results.seconds);
        append_field(out, state_name(cell->state), false);
        append_field(out, cell->message ? cell->message : "", true);
    }
}

/* ---- the plot ------------------------------------------------------------------------------------------------------
 */

/* The last axis' values are the series, all combinations of the others the groups; one axis alone has one series. */
typedef struct {
    const sweep_plan *plan;
    int groups, series;
    const char **group_names;
} plot_layout;

static plot_layout layout_of(const sweep_plan *plan) {
    int last = plan->axis_count > 1 ? plan->axes[plan->axis_count - 1].values.count : 1;
    plot_layout layout = {.plan = plan, .groups = plan->cell_count / last, .series = last};
    layout.group_names = arena_alloc(plan->memory, (size_t)layout.groups * sizeof *layout.group_names);
    int named = plan->axis_count > 1 ? plan->axis_count - 1 : 1;
    for (int g = 0; g < layout.groups; g++) {
        const char *name = plan->cells[g * last].values[0];
        for (int a = 1; a < named; a++)
            name = arena_printf(plan->memory, "%s, %s", name, plan->cells[g * last].values[a]);
        layout.group_names[g] = name;
    }
    return layout;
}

/* Number `measure` of a cell: an accuracy in percent, or the loss. */
static double measure_of(const sweep_cell *cell, int measure) {
    if (cell->state != SWEEP_DONE)
        return NAN;
    return measure < SWEEP_PROTOCOL_COUNT ? 100 * cell->results.accuracy[measure] : cell->results.loss;
}

static plot_panel panel_of(const plot_layout *layout, int measure) {
    const sweep_plan *plan = layout->plan;
    arena *memory = plan->memory;
    const sweep_axis *last = &plan->axes[plan->axis_count - 1];
    plot_series *series = arena_alloc(memory, (size_t)layout->series * sizeof *series);
    for (int s = 0; s < layout->series; s++) {
        double *values = arena_alloc(memory, (size_t)layout->groups * sizeof *values);
        for (int g = 0; g < layout->groups; g++)
            values[g] = measure_of(&plan->cells[g * layout->series + s], measure);
        const char *name = layout->series > 1 ? arena_printf(memory, "%s = %s", last->name, last->values.items[s]) : "";
        series[s] = (plot_series){.name = name, .y = values, .count = layout->groups};
    }
    bool accuracy = measure < SWEEP_PROTOCOL_COUNT;
    const char *title = accuracy ? arena_printf(memory, "%s on the test split", protocol_titles[measure])
                                 : "loss, mean of the last epoch";
    const char *axis = plan->axes[0].name;
    for (int a = 1; a < plan->axis_count - 1; a++)
        axis = arena_printf(memory, "%s, %s", axis, plan->axes[a].name);
    return (plot_panel){.title = title,
                        .x_label = axis,
                        .y_label = accuracy ? "accuracy, %" : "loss",
                        .categories = layout->group_names,
                        .category_count = layout->groups,
                        .series = series,
                        .series_count = layout->series};
}

static void write_plot(const sweep_plan *plan, text_buffer *out) {
    plot_layout layout = layout_of(plan);
    plot_panel panels[SWEEP_PROTOCOL_COUNT + 1];
    int count = 0;
    for (int measure = 0; measure < SWEEP_PROTOCOL_COUNT; measure++)
        if (is_measured(plan, (sweep_protocol)measure))
            panels[count++] = panel_of(&layout, measure);
    const driver_list *specs = &plan->work->options->inputs;
    if (count == 0 || specs->count == 1) /* losses of different methods are not to be compared */
        panels[count++] = panel_of(&layout, SWEEP_PROTOCOL_COUNT);
    const char *title = "";
    for (int i = 0; i < specs->count; i++)
        title = arena_printf(plan->memory, "%s%s%s", title, i ? ", " : "", rt_base_name(specs->items[i]));
    plot_write(&(plot_figure){.title = title, .panels = panels, .panel_count = count}, out);
}

bool sweep_write_tables(const sweep_plan *plan) {
    static void (*const writers[])(const sweep_plan *, text_buffer *) = {write_markdown, write_csv, write_plot};
    static const char *const names[] = {"table.md", "table.csv", "plot.svg"};
    for (int i = 0; i < 3; i++) {
        text_buffer text = {0};
        writers[i](plan, &text);
        const char *path = arena_printf(plan->memory, "%s/%s", plan->folder, names[i]);
        int failed = text_write_file(path, text.data, text.length);
        int reason = errno;
        text_free(&text);
        if (failed) {
            fprintf(stderr, "cslc: error: cannot write '%s': %s\n", path, strerror(reason));
            return false;
        }
    }
    return true;
}
