/* The report of `cslc profile` as one screen of text and as JSON. */
#include "frontend/driver/explain.h"
#include "frontend/driver/profile.h"

#include "runtime/json.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_LINES = 10, SHOWN_KERNELS = 12, NAME_WIDTH = 32, TEXT_WIDTH = 44 };

static double share(double part, double whole) {
    return whole > 0 ? 100 * part / whole : 0;
}

/* 1.23 s, 4.56 ms or 7.8 us, in eight columns. */
static const char *time_text(arena *memory, double seconds) {
    if (seconds >= 1)
        return arena_printf(memory, "%.2f s", seconds);
    if (seconds >= 1e-3)
        return arena_printf(memory, "%.2f ms", 1e3 * seconds);
    return arena_printf(memory, "%.1f us", 1e6 * seconds);
}

static void write_head(const char *what, text_buffer *out) {
    text_append(out, "\n%-*s %9s %7s %8s %8s %7s %8s\n", NAME_WIDTH, what, "time", "share", "launches", "GFLOP/s",
                "GB/s", "of peak");
}

static void write_row(const profile_report *report, const profile_row *row, const char *name, const char *behind,
                      text_buffer *out) {
    text_append(out, "%-*s %9s %5.1f %% %8d", NAME_WIDTH, name, time_text(report->memory, row->seconds),
                share(row->seconds, report->step), row->launches);
    double seconds = row->seconds > 0 ? row->seconds : 1;
    text_append(out, " %8.1f %7.1f %6.0f %%%s%s\n", 1e-9 * row->flops / seconds,
                1e-9 * (row->bytes_read + row->bytes_written) / seconds, share(row->shortest, row->seconds),
                *behind ? "  " : "", behind);
}

/* The text of the line that a place names, cut where it gets long. */
static const char *line_text(const profile_report *report, const char *place) {
    const char *colon = strrchr(place, ':');
    for (int i = 0; colon && i < report->sources->count; i++) {
        const char *path = report->sources->files[i].path;
        size_t length, prefix = strlen(path);
        if (prefix != (size_t)(colon - place) || strncmp(path, place, prefix) != 0)
            continue;
        const char *text = source_line(report->sources, i, atoi(colon + 1), &length);
        while (length > 0 && *text == ' ')
            text++, length--;
        return length > TEXT_WIDTH ? arena_printf(report->memory, "%.*s…", TEXT_WIDTH - 1, text)
                                   : arena_strndup(report->memory, text ? text : "", length);
    }
    return "";
}

/* The end of a long name, which says more than its beginning. */
static const char *cut_name(arena *memory, const char *name) {
    size_t length = strlen(name);
    return length <= NAME_WIDTH ? name : arena_printf(memory, "…%s", name + length - (NAME_WIDTH - 1));
}

static void write_rest(const profile_report *report, const profile_table *table, int shown, const char *what,
                       text_buffer *out) {
    profile_row rest = {0};
    for (int i = shown; i < table->count; i++) {
        const profile_row *row = &table->rows[i];
        rest.launches += row->launches;
        rest.seconds += row->seconds;
        rest.flops += row->flops;
        rest.bytes_read += row->bytes_read;
        rest.bytes_written += row->bytes_written;
        rest.shortest += row->shortest;
    }
    if (shown < table->count)
        write_row(report, &rest, arena_printf(report->memory, "%d other %s", table->count - shown, what), "", out);
}

static void write_table(const profile_report *report, const profile_table *table, int most, bool lines,
                        text_buffer *out) {
    int shown = table->count > most ? most : table->count;
    write_head(lines ? "spec line" : "kernel", out);
    for (int i = 0; i < shown; i++) {
        const profile_row *row = &table->rows[i];
        const char *behind =
            lines ? line_text(report, row->place) : arena_printf(report->memory, "%s, %s", row->component, row->place);
        write_row(report, row, cut_name(report->memory, row->name), behind, out);
    }
    write_rest(report, table, shown, lines ? "lines" : "kernels", out);
}

/* The views are made beside the step, on threads of their own. */
static void write_views(const profile_report *report, text_buffer *out) {
    double together = 0;
    for (int i = 0; i < report->view_count; i++)
        together += report->views[i].seconds * (double)report->batch;
    text_append(out, "%-*s %9s", NAME_WIDTH, "augment, beside the step", time_text(report->memory, together));
    text_append(out, " of one thread:");
    for (int i = 0; i < report->view_count; i++)
        text_append(out, "%s %s %.0f us an item (%s)", i ? "," : "", report->views[i].name,
                    1e6 * report->views[i].seconds, report->views[i].place);
    text_append(out, "\n");
}

void profile_write_text(const profile_report *report, bool all, text_buffer *out) {
    arena *memory = report->memory;
    double between = report->step - report->copy - report->whole.seconds;
    text_append(out, "method %s, batch %lld: a step takes %s (median of %d), %d thread%s of %s\n", report->module->name,
                (long long)report->batch, time_text(memory, report->step), report->steps, report->threads,
                report->threads == 1 ? "" : "s", report->processor);
    text_append(out, "measured peak %.0f GFLOP/s", 1e-9 * report->peaks.flops);
    if (report->peaks.pair_flops > 0)
        text_append(out, ", of bf16 products %.0f", 1e-9 * report->peaks.pair_flops);
    text_append(out, "; memory read at %.1f, written at %.1f GB/s\n", 1e-9 * report->peaks.read,
                1e-9 * report->peaks.write);
    write_head("component", out);
    for (int i = 0; i < report->components.count; i++)
        write_row(report, &report->components.rows[i], report->components.rows[i].name, "", out);
    write_row(report, &report->whole, "all launches", "", out);
    text_append(out, "%-*s %9s\n", NAME_WIDTH, "between launches", time_text(memory, between > 0 ? between : 0));
    text_append(out, "%-*s %9s\n", NAME_WIDTH, "copying the batch", time_text(memory, report->copy));
    write_views(report, out);
    write_table(report, &report->lines, all ? report->lines.count : SHOWN_LINES, true, out);
    write_table(report, &report->kernels, all ? report->kernels.count : SHOWN_KERNELS, false, out);
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------
 */

static void write_json_row(const profile_report *report, const profile_row *row, rt_json_writer *json) {
    double seconds = row->seconds > 0 ? row->seconds : 1;
    rt_json_text(json, "name", row->name);
    rt_json_text(json, "component", row->component);
    rt_json_text(json, "spec_line", row->place);
    rt_json_integer(json, "launches", row->launches);
    rt_json_real(json, "seconds", row->seconds);
    rt_json_real(json, "step_share", share(row->seconds, report->step) / 100);
    rt_json_real(json, "flops", row->flops);
    rt_json_real(json, "bytes_read", row->bytes_read);
    rt_json_real(json, "bytes_written", row->bytes_written);
    rt_json_real(json, "gflops", 1e-9 * row->flops / seconds);
    rt_json_real(json, "gb_per_s", 1e-9 * (row->bytes_read + row->bytes_written) / seconds);
    rt_json_real(json, "peak_share", share(row->shortest, row->seconds) / 100);
}

static void write_json_table(const profile_report *report, const char *name, const profile_table *table,
                             rt_json_writer *json) {
    rt_json_open(json, name, '[');
    for (int i = 0; i < table->count; i++) {
        rt_json_open(json, NULL, '{');
        write_json_row(report, &table->rows[i], json);
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

static void write_json_views(const profile_report *report, rt_json_writer *json) {
    rt_json_open(json, "views", '[');
    for (int i = 0; i < report->view_count; i++) {
        rt_json_open(json, NULL, '{');
        rt_json_text(json, "name", report->views[i].name);
        rt_json_text(json, "spec_line", report->views[i].place);
        rt_json_integer(json, "items", report->views[i].items);
        rt_json_real(json, "seconds_an_item", report->views[i].seconds);
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
}

bool profile_write_json(const profile_report *report, text_buffer *out) {
    explain_stream stream;
    if (!explain_stream_open(&stream))
        return false;
    rt_json_writer json = rt_json_to(stream.stream);
    rt_json_open(&json, NULL, '{');
    rt_json_text(&json, "method", report->module->name);
    rt_json_integer(&json, "batch", report->batch);
    rt_json_integer(&json, "steps", report->steps);
    rt_json_text(&json, "machine", report->processor);
    rt_json_integer(&json, "threads", report->threads);
    rt_json_real(&json, "peak_gflops", 1e-9 * report->peaks.flops);
    if (report->peaks.pair_flops > 0)
        rt_json_real(&json, "peak_pair_gflops", 1e-9 * report->peaks.pair_flops);
    rt_json_real(&json, "peak_read_gb_per_s", 1e-9 * report->peaks.read);
    rt_json_real(&json, "peak_write_gb_per_s", 1e-9 * report->peaks.write);
    rt_json_real(&json, "step_seconds", report->step);
    rt_json_real(&json, "launch_seconds", report->whole.seconds);
    rt_json_real(&json, "copy_seconds", report->copy);
    write_json_table(report, "components", &report->components, &json);
    write_json_views(report, &json);
    write_json_table(report, "lines", &report->lines, &json);
    write_json_table(report, "kernels", &report->kernels, &json);
    rt_json_close(&json, '}');
    return explain_stream_close(&stream, out);
}
