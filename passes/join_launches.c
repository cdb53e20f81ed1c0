/* join-launches: one launch for many of the same kernel, where nothing orders them: an optimiser's updates of all
 * parameters, say.
 *
 * From the last launch to the first, each moves down to the nearest launch of its kernel, whose part it becomes, if no
 * launch in between needs what it writes or writes what it needs, and if no more memory than the function's peak is
 * alive while what it reads waits. Only launches that walk through whole buffers are joined: they have no shape of
 * their own. Requires `lower`; runs before `plan-memory`. */
#include "passes/pass.h"

typedef struct {
    int first, last; /* launches that touch the buffer; first > last: none */
} span_of_use;

typedef struct {
    arena *memory;
    kir_program *program;
    kir_function *function;
    span_of_use *uses; /* by buffer */
    int64_t *alive;    /* by launch: bytes of the arena */
    int64_t peak;
    bool *gone; /* by launch: it is part of a later one */
} join;

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void note_use(join *work, int buffer, int launch) {
    span_of_use *use = &work->uses[buffer];
    use->first = launch < use->first ? launch : use->first;
    use->last = launch > use->last ? launch : use->last;
}

static void note_ports(join *work, const kir_port *ports, int count) {
    for (int i = 0; i < count; i++) {
        note_use(work, ports[i].buffer, 0);
        note_use(work, ports[i].buffer, work->function->launch_count);
    }
}

static bool in_arena(const join *work, int buffer) {
    return work->program->buffers[buffer].region == KIR_ARENA;
}

static int64_t bytes_of(const join *work, int buffer) {
    return kir_aligned(work->program->buffers[buffer].bytes);
}

static void find_uses(join *work) {
    const kir_function *function = work->function;
    for (int buffer = 0; buffer < work->program->buffer_count; buffer++)
        work->uses[buffer] = (span_of_use){function->launch_count + 1, -1};
    note_ports(work, function->inputs, function->input_count);
    note_ports(work, function->outputs, function->output_count);
    for (int l = 0; l < function->launch_count; l++)
        for (int i = 0; i < kir_launch_buffers(work->program, &function->launches[l]); i++)
            note_use(work, function->launches[l].buffers[i], l);
}

static void find_alive(join *work) {
    for (int buffer = 0; buffer < work->program->buffer_count; buffer++)
        for (int l = work->uses[buffer].first; l <= work->uses[buffer].last && in_arena(work, buffer); l++)
            work->alive[l] += bytes_of(work, buffer);
    for (int l = 0; l <= work->function->launch_count; l++)
        work->peak = work->alive[l] > work->peak ? work->alive[l] : work->peak;
}

/* What waits if the launch moves from `from` to `to`: its operands that nothing needs that late. A buffer that stands
 * twice among them counts twice. */
static bool fits(const join *work, int from, int to) {
    const kir_launch *launch = &work->function->launches[from];
    for (int l = from + 1; l <= to; l++) {
        int64_t waiting = 0;
        for (int i = 0; i < kir_launch_buffers(work->program, launch); i++)
            if (in_arena(work, launch->buffers[i]) && work->uses[launch->buffers[i]].last < l)
                waiting += bytes_of(work, launch->buffers[i]);
        if (work->alive[l] + waiting > work->peak)
            return false;
    }
    return true;
}

static void keep_alive(join *work, int from, int to) {
    const kir_launch *launch = &work->function->launches[from];
    for (int i = 0; i < kir_launch_buffers(work->program, launch); i++) {
        int buffer = launch->buffers[i];
        for (int l = work->uses[buffer].last + 1; l <= to && in_arena(work, buffer); l++)
            work->alive[l] += bytes_of(work, buffer);
        note_use(work, buffer, to);
    }
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

/* The next non-scratch argument from `number` on. */
static const kir_argument *argument_at(const kir_kernel *kernel, int *number) {
    while (kernel->arguments[*number].scratch)
        ++*number;
    return &kernel->arguments[(*number)++];
}

/* Whether the launch writes the buffer; *touches: whether it names it at all. */
static bool writes(const join *work, const kir_launch *launch, int buffer, bool *touches) {
    const kir_kernel *kernel = work->program->kernels[launch->kernel];
    int count = kir_buffer_arguments(kernel);
    bool found = false;
    *touches = false;
    for (int i = 0, number = 0; i < kir_launch_buffers(work->program, launch); i++) {
        number = i % count ? number : 0;
        const kir_argument *argument = argument_at(kernel, &number);
        if (launch->buffers[i] != buffer)
            continue;
        *touches = true;
        found |= argument->writes;
    }
    return found;
}

/* Whether the launches must keep their order: one writes what the other touches. */
static bool is_ordered(const join *work, const kir_launch *a, const kir_launch *b) {
    const kir_kernel *kernel = work->program->kernels[a->kernel];
    for (int i = 0, number = 0; i < kir_buffer_arguments(kernel); i++) {
        bool touched, written = argument_at(kernel, &number)->writes, overwritten;
        overwritten = writes(work, b, a->buffers[i], &touched);
        if (overwritten || (written && touched))
            return true;
    }
    return false;
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

/* Whether all that the kernel's iterations write is theirs: then parts of any length are alike. */
static bool walks_through_buffers(const kir_kernel *kernel) {
    for (int i = 0; i < kernel->argument_count; i++)
        if (kernel->arguments[i].writes && !kernel->arguments[i].each)
            return false;
    return !kernel->library;
}

/* The launch that takes this one as its part; -1 if there is none. */
static int find_target(const join *work, int from) {
    const kir_launch *launch = &work->function->launches[from];
    if (!walks_through_buffers(work->program->kernels[launch->kernel]) || launch->rounds != 1)
        return -1;
    for (int l = from + 1; l < work->function->launch_count; l++) {
        const kir_launch *other = &work->function->launches[l];
        if (work->gone[l])
            continue;
        if (is_ordered(work, launch, other))
            return -1;
        if (other->kernel == launch->kernel && other->rounds == 1)
            return fits(work, from, l) ? l : -1;
    }
    return -1;
}

/* The launch `from` as the first part of launch `to`. */
static void add_part(join *work, int from, int to) {
    const kir_launch *part = &work->function->launches[from];
    kir_launch *whole = &work->function->launches[to];
    int own = kir_launch_buffers(work->program, part), others = kir_launch_buffers(work->program, whole);
    kir_launch joined = *whole;
    joined.extent += part->extent;
    joined.part_count++;
    joined.part_extents = arena_alloc(work->memory, (size_t)joined.part_count * sizeof *joined.part_extents);
    joined.buffers = arena_alloc(work->memory, (size_t)(own + others) * sizeof *joined.buffers);
    joined.byte_offsets = arena_alloc(work->memory, (size_t)(own + others) * sizeof *joined.byte_offsets);
    joined.part_extents[0] = part->extent;
    for (int i = 0; i < whole->part_count; i++)
        joined.part_extents[1 + i] = whole->part_extents ? whole->part_extents[i] : whole->extent;
    for (int i = 0; i < own + others; i++) {
        joined.buffers[i] = i < own ? part->buffers[i] : whole->buffers[i - own];
        joined.byte_offsets[i] = i < own ? part->byte_offsets[i] : whole->byte_offsets[i - own];
    }
    *whole = joined;
    work->gone[from] = true;
}

static void drop_gone(join *work) {
    kir_function *function = work->function;
    int kept = 0;
    for (int l = 0; l < function->launch_count; l++)
        if (!work->gone[l])
            function->launches[kept++] = function->launches[l];
    function->launch_count = kept;
}

static void join_function(arena *memory, kir_program *program, kir_function *function) {
    join work = {.memory = memory, .program = program, .function = function};
    work.uses = arena_alloc(memory, (size_t)(program->buffer_count + 1) * sizeof *work.uses);
    work.alive = arena_alloc(memory, (size_t)(function->launch_count + 1) * sizeof *work.alive);
    work.gone = arena_alloc(memory, (size_t)(function->launch_count + 1) * sizeof *work.gone);
    find_uses(&work);
    find_alive(&work);
    for (int from = function->launch_count - 1; from >= 0; from--) {
        int to = find_target(&work, from);
        if (to < 0)
            continue;
        keep_alive(&work, from, to);
        add_part(&work, from, to);
    }
    drop_gone(&work);
}

bool pass_join_launches(pass_context *context) {
    if (!pass_lowered(context, "join-launches"))
        return false;
    for (int i = 0; i < context->program->function_count; i++)
        join_function(context->memory, context->program, &context->program->functions[i]);
    return true;
}
