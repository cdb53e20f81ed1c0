/* The report of `cslc bench` as text and as JSON. */
#include "frontend/driver/bench.h"
#include "frontend/driver/explain.h"

static const char *place_of(const bench_report *report, const bench_group *group) {
    const source_table *sources = report->sources;
    if (group->span.line <= 0 || group->span.file >= sources->count)
        return "-";
    return arena_printf(report->memory, "%s:%d", sources->files[group->span.file].path, group->span.line);
}

static void write_row(text_buffer *out, const char *name, double fused, double unfused, double pytorch) {
    text_append(out, "  %-10s", name);
    const double columns[] = {fused, unfused, pytorch};
    for (int i = 0; i < 3; i++)
        if (columns[i] > 0)
            text_append(out, " %12.3f", 1e3 * columns[i]);
        else
            text_append(out, " %12s", "");
    if (fused > 0 && unfused > 0)
        text_append(out, " %9.2f", unfused / fused);
    if (fused > 0 && pytorch > 0)
        text_append(out, " %9.2f", pytorch / fused);
    text_append(out, "\n");
}

static double flops_of(const bench_side *side) {
    return side->together > 0 ? side->operations / side->together : 0;
}

static void write_group(const bench_report *report, const bench_group *group, text_buffer *out) {
    const bench_side *fused = &group->sides[BENCH_FUSED], *unfused = &group->sides[BENCH_UNFUSED];
    text_append(out, "\n%s, %s, %s\n", group->name, place_of(report, group), report->precision);
    text_append(out, "  %-10s %12s %12s", "ms", "fused", "unfused");
    if (group->has_pytorch)
        text_append(out, " %12s %9s %9s\n", "pytorch", "unf./fus.", "pyt./fus.");
    else
        text_append(out, " %12s %9s\n", "", fused->measured && unfused->measured ? "ratio" : "");
    write_row(out, "forward", fused->forward, unfused->forward, group->pytorch_forward);
    write_row(out, "backward", fused->together - fused->forward, unfused->together - unfused->forward,
              group->pytorch_together - group->pytorch_forward);
    write_row(out, "together", fused->together, unfused->together, group->pytorch_together);
    text_append(out, "  %-10s", "memory");
    for (int side = 0; side < BENCH_SIDES; side++)
        text_append(out, " %12s",
                    group->sides[side].measured ? explain_bytes(report->memory, group->sides[side].bytes) : "");
    if (group->has_pytorch)
        text_append(out, " %12s", explain_bytes(report->memory, group->pytorch_bytes));
    text_append(out, "\n  %-10s", "GFLOP/s");
    for (int side = 0; side < BENCH_SIDES; side++)
        if (group->sides[side].measured)
            text_append(out, " %12.1f", 1e-9 * flops_of(&group->sides[side]));
        else
            text_append(out, " %12s", "");
    text_append(out, "\n  %-10s", "of peak");
    for (int side = 0; side < BENCH_SIDES; side++)
        if (group->sides[side].measured)
            text_append(out, " %10.1f %%", 100 * flops_of(&group->sides[side]) / report->peaks[side]);
        else
            text_append(out, " %12s", "");
    text_append(out, "\n");
    if (group->compiled_together > 0)
        text_append(out, "  compiled by PyTorch: forward %.3f ms, together %.3f ms\n", 1e3 * group->compiled_forward,
                    1e3 * group->compiled_together);
    if (group->difference >= 0)
        text_append(out, "  both sides agree within %.2g of each result's largest element\n", group->difference);
}

void bench_write_text(const bench_report *report, text_buffer *out) {
    text_append(out, "%s, %d thread%s, measured peak %.0f GFLOP/s", report->machine, report->threads,
                report->threads == 1 ? "" : "s", 1e-9 * report->peaks[BENCH_UNFUSED]);
    if (report->peaks[BENCH_FUSED] != report->peaks[BENCH_UNFUSED])
        text_append(out, ", %.0f in %s", 1e-9 * report->peaks[BENCH_FUSED], report->precision);
    text_append(out, ", OpenBLAS for %s; medians\n", report->blas);
    for (int i = 0; i < report->count; i++)
        write_group(report, &report->groups[i], out);
}

static void write_json_group(const bench_report *report, const bench_group *group, rt_json_writer *json) {
    const bench_side *fused = &group->sides[BENCH_FUSED], *unfused = &group->sides[BENCH_UNFUSED];
    const bench_side *shown = fused->measured ? fused : unfused;
    rt_json_open(json, NULL, '{');
    rt_json_text(json, "name", group->name);
    rt_json_text(json, "spec_line", place_of(report, group));
    rt_json_integer(json, "rows", group->rows);
    rt_json_integer(json, "columns", group->columns);
    rt_json_integer(json, "length", group->length);
    if (fused->measured) {
        rt_json_real(json, "fused_seconds", fused->together);
        rt_json_real(json, "fused_forward_seconds", fused->forward);
        rt_json_integer(json, "fused_bytes", fused->bytes);
    }
    if (unfused->measured) {
        rt_json_real(json, "unfused_seconds", unfused->together);
        rt_json_real(json, "unfused_forward_seconds", unfused->forward);
        rt_json_integer(json, "unfused_bytes", unfused->bytes);
    }
    if (group->has_pytorch) {
        rt_json_real(json, "pytorch_seconds", group->pytorch_together);
        rt_json_real(json, "pytorch_forward_seconds", group->pytorch_forward);
        rt_json_integer(json, "pytorch_bytes", group->pytorch_bytes);
    }
    if (group->compiled_together > 0) {
        rt_json_real(json, "pytorch_compiled_seconds", group->compiled_together);
        rt_json_real(json, "pytorch_compiled_forward_seconds", group->compiled_forward);
    }
    rt_json_real(json, "gflops", 1e-9 * flops_of(shown));
    rt_json_real(json, "peak_share", flops_of(shown) / report->peaks[shown == fused ? BENCH_FUSED : BENCH_UNFUSED]);
    rt_json_text(json, "precision", report->precision);
    if (group->difference >= 0)
        rt_json_real(json, "difference", group->difference);
    rt_json_close(json, '}');
}

void bench_open_json(rt_json_writer *json, const bench_report *report) {
    rt_json_open(json, NULL, '{');
    rt_json_text(json, "machine", report->machine);
    rt_json_integer(json, "threads", report->threads);
}

bool bench_write_json(const bench_report *report, text_buffer *out) {
    explain_stream stream;
    if (!explain_stream_open(&stream))
        return false;
    rt_json_writer json = rt_json_to(stream.stream);
    bench_open_json(&json, report);
    rt_json_text(&json, "blas", report->blas);
    rt_json_real(&json, "peak_gflops", 1e-9 * report->peaks[BENCH_UNFUSED]);
    rt_json_open(&json, "groups", '[');
    for (int i = 0; i < report->count; i++)
        write_json_group(report, &report->groups[i], &json);
    rt_json_close(&json, ']');
    rt_json_close(&json, '}');
    return explain_stream_close(&stream, out);
}
