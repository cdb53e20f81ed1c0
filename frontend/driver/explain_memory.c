/* What holds a step's memory when it needs most: `cslc explain --memory`. */
#include "frontend/driver/explain.h"

#include "passes/plan_memory.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 24 };

static int by_bytes(const void *a, const void *b) {
    const explain_holder *left = a, *right = b;
    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? 1 : -1;
    return left->span.line != right->span.line ? left->span.line - right->span.line : strcmp(left->shape, right->shape);
}

static explain_holder *find_holder(arena *memory, explain_plan *plan, const char *shape, source_span span) {
    for (int i = 0; i < plan->holder_count; i++) {
        explain_holder *holder = &plan->holders[i];
        if (holder->span.file == span.file && holder->span.line == span.line && strcmp(holder->shape, shape) == 0)
            return holder;
    }
    explain_holder holder = {.shape = shape, .span = span};
    ARENA_PUSH(memory, plan->holders, plan->holder_count, plan->holder_capacity, holder);
    return &plan->holders[plan->holder_count - 1];
}

void explain_find_holders(arena *memory, const kir_program *program, const kir_function *step, explain_plan *plan) {
    plan_peak peak = plan_memory_peak(memory, program, step);
    for (int i = 0; i < peak.count; i++) {
        const kir_buffer *buffer = &program->buffers[peak.buffers[i]];
        const char *shape =
            arena_printf(memory, "%s%s", kir_element_name(buffer->element), ir_shape_text(memory, &buffer->type));
        explain_holder *holder = find_holder(memory, plan, shape, buffer->span);
        holder->buffers++;
        holder->bytes += buffer->bytes;
    }
    if (plan->holder_count)
        qsort(plan->holders, (size_t)plan->holder_count, sizeof *plan->holders, by_bytes);
    if (peak.launch < step->launch_count) {
        plan->peak_kernel = program->kernels[step->launches[peak.launch].kernel]->name;
        plan->peak_span = step->launches[peak.launch].span;
    }
    plan->peak_launch = peak.launch;
}

static void write_holder(const explanation *method, const explain_plan *plan, const explain_holder *holder,
                         text_buffer *out) {
    size_t length;
    const char *line = source_line(method->sources, holder->span.file, holder->span.line, &length);
    for (; length > 0 && *line == ' '; line++)
        length--;
    text_append(out, "%10s %5.1f %% %7d  %-28s %-24s ", explain_bytes(method->memory, holder->bytes),
                100 * (double)holder->bytes / (double)plan->peak_bytes, holder->buffers, holder->shape,
                explain_place(method, holder->span));
    text_append_bytes(out, line ? line : "", length);
    while (out->data[out->length - 1] == ' ')
        out->data[--out->length] = 0;
    text_append(out, "\n");
}

void explain_write_memory(const explanation *method, const explain_plan *plan, bool all, text_buffer *out) {
    arena *memory = method->memory;
    int shown = all || plan->holder_count <= MOST_ROWS ? plan->holder_count : MOST_ROWS;
    text_append(out, "a step of %s: %s planned; %s alive at once at least (%.2f %% less), %s without sharing\n",
                method->module->name, explain_bytes(memory, plan->arena_bytes), explain_bytes(memory, plan->peak_bytes),
                plan->arena_bytes ? 100 * (1 - (double)plan->peak_bytes / (double)plan->arena_bytes) : 0,
                explain_bytes(memory, plan->unshared_bytes));
    text_append(out, "always: %s state; %s scratch a thread\n", explain_bytes(memory, plan->state_bytes),
                explain_bytes(memory, plan->scratch_bytes));
    text_append(out, "most is alive at launch %d of %d, %s (%s):\n\n", plan->peak_launch + 1, plan->launches,
                plan->peak_kernel ? plan->peak_kernel : "the end", explain_place(method, plan->peak_span));
    text_append(out, "%10s %7s %7s  %-28s spec line\n", "held", "share", "buffers", "each");
    for (int i = 0; i < shown; i++)
        write_holder(method, plan, &plan->holders[i], out);
    int64_t rest = 0;
    int buffers = 0;
    for (int i = shown; i < plan->holder_count; i++) {
        rest += plan->holders[i].bytes;
        buffers += plan->holders[i].buffers;
    }
    if (shown < plan->holder_count)
        text_append(out, "%10s %5.1f %% %7d  of %d other shapes and lines (--layers shows them)\n",
                    explain_bytes(memory, rest), 100 * (double)rest / (double)plan->peak_bytes, buffers,
                    plan->holder_count - shown);
}
