/* cslc bench --plot: time and memory of all groups against the spec's parameter n, which doubles. */
#include "frontend/driver/bench.h"
#include "frontend/driver/explain.h"
#include "frontend/driver/plot.h"

#include "runtime/archive.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST = 64, MOST_POINTS = 16, LINES = BENCH_SIDES + 1, PYTORCH = BENCH_SIDES };
/* A side is measured no further where its next run would take longer than this, or more than half of the memory. */
static const double longest_run = 5;

static const char *const line_names[LINES] = {
    [BENCH_FUSED] = "fused", [BENCH_UNFUSED] = "unfused", [PYTORCH] = "PyTorch, eager"};
static const char *const line_keys[LINES] = {
    [BENCH_FUSED] = "fused", [BENCH_UNFUSED] = "unfused", [PYTORCH] = "pytorch"};

/* NaN where a line has no point. */
typedef struct {
    int count;
    const char *precision; /* of the fused sides' products */
    double n[MOST_POINTS];
    double milliseconds[LINES][MOST_POINTS], megabytes[LINES][MOST_POINTS];
} points;

/* ---- measuring -----------------------------------------------------------------------------------------------------
 */

/* Groups follow one another: their times add up, the largest one's memory serves all. */
static void add_group(points *found, int at, const bench_group *group) {
    for (int line = 0; line < LINES; line++) {
        bool measured = line == PYTORCH ? group->has_pytorch : group->sides[line].measured;
        if (!measured)
            continue;
        double seconds = line == PYTORCH ? group->pytorch_together : group->sides[line].together;
        double bytes = (double)(line == PYTORCH ? group->pytorch_bytes : group->sides[line].bytes);
        double before = found->milliseconds[line][at];
        found->milliseconds[line][at] = 1e3 * seconds + (isnan(before) ? 0 : before);
        found->megabytes[line][at] = fmax(1e-6 * bytes, found->megabytes[line][at]);
    }
}

/* Compiles the spec with this n, in a session of its own, and measures it. */
static bool measure_point(const driver_session *work, const bool wanted[LINES], int64_t n, points *found) {
    driver_session one;
    driver_options options = *work->options;
    if (!driver_begin(&one, &options))
        return false;
    pass_context passes = work->passes;
    passes.memory = one.memory;
    passes.diags = &one.diags;
    one.passes = passes;
    options.definitions = (driver_list){0};
    driver_list *list = &options.definitions;
    for (int i = 0; i < work->options->definitions.count; i++)
        ARENA_PUSH(one.memory, list->items, list->count, list->capacity, work->options->definitions.items[i]);
    ARENA_PUSH(one.memory, list->items, list->count, list->capacity, arena_printf(one.memory, "n=%lld", (long long)n));
    int at = found->count;
    found->n[at] = (double)n;
    for (int line = 0; line < LINES; line++)
        found->milliseconds[line][at] = found->megabytes[line][at] = NAN;
    options.against = wanted[PYTORCH] ? work->options->against : NULL;
    bench_report report = {.memory = one.memory};
    bool good = driver_compile_program(&one, "fuse-contrastive") && bench_measure_groups(&one, wanted, &report);
    found->precision = kir_precisions[one.passes.product_parts];
    for (int i = 0; i < report.count; i++)
        add_group(found, at, &report.groups[i]);
    found->count += good;
    driver_end(&one, good ? STATUS_GOOD : STATUS_FAILED);
    return good;
}

/* Of scores of n x n, four times as much; where only one side grows, less. */
static bool is_too_much(const points *found, int line) {
    int last = found->count - 1;
    double memory = 1e-6 * (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double before = last > 0 ? found->milliseconds[line][last - 1] : NAN, time = found->milliseconds[line][last];
    double growth = before > 0 ? fmax(2, fmin(4, time / before)) : 4;
    return 1e-3 * growth * time > longest_run || growth * found->megabytes[line][last] > memory / 2;
}

/* The n of -D, which is where the doubling ends; 0 after saying that it is no number. */
static int64_t last_n(const driver_options *options) {
    int64_t last = INT64_MAX;
    for (int i = 0; i < options->definitions.count; i++) {
        const char *text = options->definitions.items[i];
        char *end = NULL;
        if (strncmp(text, "n=", 2) != 0)
            continue;
        last = strtoll(text + 2, &end, 10);
        if (*end || last < 1) {
            driver_usage_error("--plot wants a number above 0, not -D %s", text, NULL);
            return 0;
        }
    }
    return last;
}

static bool measure_points(const driver_session *work, bool wanted[LINES], int64_t last, points *found) {
    bool any = true;
    for (int64_t n = FIRST < last ? FIRST : last; any && n <= last && found->count < MOST_POINTS; n *= 2) {
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\rn = %lld …\033[K", (long long)n);
        if (!measure_point(work, wanted, n, found))
            return false;
        any = false;
        for (int line = 0; line < LINES; line++) {
            wanted[line] = wanted[line] && !is_too_much(found, line);
            any |= wanted[line];
        }
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return true;
}

/* ---- writing -------------------------------------------------------------------------------------------------------
 */

static bool is_measured(const points *found, int line) {
    return found->count > 0 && !isnan(found->milliseconds[line][0]);
}

static const char *title_of(const driver_session *work, const bench_report *report) {
    text_buffer text = {0};
    text_append(&text, "%s", rt_base_name(work->options->inputs.items[0]));
    for (int i = 0; i < work->options->definitions.count; i++)
        if (strncmp(work->options->definitions.items[i], "n=", 2) != 0)
            text_append(&text, ", %s", work->options->definitions.items[i]);
    text_append(&text, "; %s, %d thread%s, %s", report->machine, report->threads, report->threads == 1 ? "" : "s",
                report->precision);
    const char *title = arena_strdup(report->memory, text.data);
    text_free(&text);
    return title;
}

static void write_svg(const driver_session *work, const bench_report *report, const points *found, text_buffer *out) {
    plot_series series[2][LINES];
    int count = 0;
    for (int line = 0; line < LINES; line++) {
        if (!is_measured(found, line))
            continue;
        series[0][count] = (plot_series){line_names[line], found->n, found->milliseconds[line], found->count};
        series[1][count++] = (plot_series){line_names[line], found->n, found->megabytes[line], found->count};
    }
    static const char *const titles[] = {"scores forward and with gradients: time", "scores: memory"};
    static const char *const units[] = {"milliseconds", "megabytes"};
    plot_panel panels[2];
    for (int i = 0; i < 2; i++)
        panels[i] = (plot_panel){.title = titles[i],
                                 .x_label = "n",
                                 .y_label = units[i],
                                 .x_scale = PLOT_LOG2,
                                 .y_scale = PLOT_LOG10,
                                 .series = series[i],
                                 .series_count = count};
    plot_write(&(plot_figure){title_of(work, report), panels, 2}, out);
}

static void write_text(const driver_session *work, const bench_report *report, const points *found, text_buffer *out) {
    text_append(out, "%s\n%10s", title_of(work, report), "n");
    for (int line = 0; line < LINES; line++)
        if (is_measured(found, line))
            text_append(out, " %12s ms %10s", line_keys[line], "MB");
    text_append(out, "\n");
    for (int i = 0; i < found->count; i++) {
        text_append(out, "%10.0f", found->n[i]);
        for (int line = 0; line < LINES; line++)
            if (is_measured(found, line) && !isnan(found->milliseconds[line][i]))
                text_append(out, " %15.3f %10.2f", found->milliseconds[line][i], found->megabytes[line][i]);
            else if (is_measured(found, line))
                text_append(out, " %15s %10s", "", "");
        text_append(out, "\n");
    }
}

static bool write_json(const bench_report *report, const points *found, text_buffer *out) {
    explain_stream stream;
    if (!explain_stream_open(&stream))
        return false;
    rt_json_writer json = rt_json_to(stream.stream);
    bench_open_json(&json, report);
    rt_json_text(&json, "precision", report->precision);
    rt_json_open(&json, "points", '[');
    for (int i = 0; i < found->count; i++) {
        rt_json_open(&json, NULL, '{');
        rt_json_integer(&json, "n", (int64_t)found->n[i]);
        for (int line = 0; line < LINES; line++) {
            if (isnan(found->milliseconds[line][i]))
                continue;
            rt_json_real(&json, arena_printf(report->memory, "%s_seconds", line_keys[line]),
                         1e-3 * found->milliseconds[line][i]);
            rt_json_integer(&json, arena_printf(report->memory, "%s_bytes", line_keys[line]),
                            llround(1e6 * found->megabytes[line][i]));
        }
        rt_json_close(&json, '}');
    }
    rt_json_close(&json, ']');
    rt_json_close(&json, '}');
    return explain_stream_close(&stream, out);
}

static int write_results(const driver_session *work, const bench_report *report, const points *found) {
    text_buffer picture = {0}, text = {0};
    write_svg(work, report, found, &picture);
    int status = driver_write(work->options->plot, &picture);
    if (!work->options->json) {
        write_text(work, report, found, &text);
    } else if (!write_json(report, found, &text)) {
        fprintf(stderr, "cslc: error: out of memory\n");
        status = STATUS_FAILED;
    }
    if (status == STATUS_GOOD)
        status = driver_write(work->options->output, &text);
    text_free(&picture);
    text_free(&text);
    return status;
}

int bench_plot(const driver_session *work, const bool sides[BENCH_SIDES], bench_report *report) {
    points found = {0};
    bool wanted[LINES] = {sides[BENCH_FUSED], sides[BENCH_UNFUSED], work->options->against != NULL};
    int64_t last = last_n(work->options);
    if (last == 0)
        return STATUS_USAGE;
    if (!measure_points(work, wanted, last, &found))
        return STATUS_FAILED;
    report->precision = found.precision;
    return write_results(work, report, &found);
}
