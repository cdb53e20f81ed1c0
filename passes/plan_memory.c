/* plan-memory: one arena a function. Buffers whose lifetimes overlap get different places; greedy, the largest first,
 * at the lowest offset that is free. Requires `lower`. */
#include "passes/plan_memory.h"

#include <stdlib.h>

typedef struct {
    int buffer;
    int first, last; /* launches between which its contents matter */
    int64_t bytes, offset;
} lifetime;

static int by_size(const void *a, const void *b) {
    const lifetime *left = *(lifetime *const *)a, *right = *(lifetime *const *)b;
    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? 1 : -1;
    return left->buffer - right->buffer;
}

typedef struct {
    lifetime *items;
    int count, capacity;
    int *of_buffer; /* index in items, -1 for none */
} lifetimes;

static void touch(arena *memory, const kir_program *program, lifetimes *all, int buffer, int first, int last) {
    const kir_buffer *info = &program->buffers[buffer];
    if (info->region != KIR_ARENA)
        return;
    if (all->of_buffer[buffer] < 0) {
        all->of_buffer[buffer] = all->count;
        lifetime item = {buffer, first, last, kir_aligned(info->bytes), 0};
        ARENA_PUSH(memory, all->items, all->count, all->capacity, item);
        return;
    }
    lifetime *item = &all->items[all->of_buffer[buffer]];
    item->first = first < item->first ? first : item->first;
    item->last = last > item->last ? last : item->last;
}

static lifetimes find_lifetimes(arena *memory, const kir_program *program, const kir_function *function) {
    lifetimes all = {.of_buffer = arena_alloc(memory, (size_t)(program->buffer_count + 1) * sizeof(int))};
    for (int i = 0; i < program->buffer_count; i++)
        all.of_buffer[i] = -1;
    for (int i = 0; i < function->input_count; i++)
        touch(memory, program, &all, function->inputs[i].buffer, 0, function->launch_count);
    for (int i = 0; i < function->output_count; i++)
        touch(memory, program, &all, function->outputs[i].buffer, 0, function->launch_count);
    for (int l = 0; l < function->launch_count; l++) {
        const kir_launch *launch = &function->launches[l];
        for (int i = 0; i < kir_launch_buffers(program, launch); i++)
            touch(memory, program, &all, launch->buffers[i], l, l);
    }
    return all;
}

/* The lowest offset at which `item` meets none of the placed ones that live at the same time. These are in the order of
 * their offsets. */
static int64_t free_offset(const lifetime *item, lifetime *const *placed, int count) {
    int64_t offset = 0;
    for (int i = 0; i < count; i++) {
        const lifetime *other = placed[i];
        if (other->first > item->last || item->first > other->last)
            continue;
        if (other->offset - offset >= item->bytes)
            break;
        int64_t end = other->offset + other->bytes;
        offset = end > offset ? end : offset;
    }
    return offset;
}

static void insert(lifetime *item, lifetime **placed, int count) {
    int at = count;
    for (; at > 0 && placed[at - 1]->offset > item->offset; at--)
        placed[at] = placed[at - 1];
    placed[at] = item;
}

static void place(pass_context *context, kir_function *function, lifetimes *all) {
    size_t size = (size_t)(all->count + 1) * sizeof(lifetime *);
    lifetime **order = arena_alloc(context->memory, size), **placed = arena_alloc(context->memory, size);
    for (int i = 0; i < all->count; i++)
        order[i] = &all->items[i];
    if (all->count)
        qsort(order, (size_t)all->count, sizeof *order, by_size);
    for (int i = 0; i < all->count; i++) {
        lifetime *item = order[i];
        item->offset = free_offset(item, placed, i);
        insert(item, placed, i);
        context->program->buffers[item->buffer].offset = item->offset;
        int64_t end = item->offset + item->bytes;
        function->arena_bytes = end > function->arena_bytes ? end : function->arena_bytes;
        function->naive_bytes += item->bytes;
    }
}

/* The most bytes alive at once; *at is the launch where they are. */
static int64_t most_alive(arena *memory, const kir_function *function, const lifetimes *all, int *at) {
    int64_t *change = arena_alloc(memory, (size_t)(function->launch_count + 2) * sizeof *change);
    for (int i = 0; i < all->count; i++) {
        change[all->items[i].first] += all->items[i].bytes;
        change[all->items[i].last + 1] -= all->items[i].bytes;
    }
    int64_t alive = 0, most = 0;
    *at = 0;
    for (int l = 0; l <= function->launch_count; l++) {
        alive += change[l];
        if (alive > most) {
            most = alive;
            *at = l;
        }
    }
    return most;
}

plan_peak plan_memory_peak(arena *memory, const kir_program *program, const kir_function *function) {
    lifetimes all = find_lifetimes(memory, program, function);
    plan_peak peak = {.buffers = arena_alloc(memory, (size_t)(all.count + 1) * sizeof(int))};
    peak.bytes = most_alive(memory, function, &all, &peak.launch);
    for (int i = 0; i < all.count; i++)
        if (all.items[i].first <= peak.launch && peak.launch <= all.items[i].last)
            peak.buffers[peak.count++] = all.items[i].buffer;
    return peak;
}

bool pass_plan_memory(pass_context *context) {
    kir_program *program = pass_lowered(context, "plan-memory");
    if (!program)
        return false;
    for (int i = 0; i < program->function_count; i++) {
        kir_function *function = &program->functions[i];
        lifetimes all = find_lifetimes(context->memory, program, function);
        int at;
        function->arena_bytes = function->naive_bytes = 0;
        function->lower_bound = most_alive(context->memory, function, &all, &at);
        place(context, function, &all);
    }
    return true;
}
