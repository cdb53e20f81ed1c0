/* lower-views: the augmentations of every view of images become one kernel, which makes a picture in few sweeps.
 * Requires `lower`, whose functions say how a view lies in memory. */
#include "passes/lower_views.h"

#include <string.h>

/* ---- what the other files share ---- */

static kir_index index_of(kir_reg reg) {
    return kir_plus(kir_at(0), 1, reg);
}

kir_reg view_number(const kir_builder *b, kir_reg block, int64_t place) {
    return kir_convert(b, kir_load(b, VIEW_NUMBERS, kir_plus(kir_at(place), 1, block), 1, 1), KIR_I64);
}

kir_reg view_block(const kir_builder *b, int stage, int which) {
    return kir_convert(b, kir_load(b, VIEW_NUMBERS, kir_at(2 * stage + which), 1, 1), KIR_I64);
}

kir_reg view_whole(const kir_builder *b, const view_writer *w, double n) {
    return kir_number(b, kir_vector_type(KIR_I32, w->lanes), n);
}

kir_reg view_real(const kir_builder *b, const view_writer *w, double n) {
    return kir_number(b, kir_vector_type(KIR_F32, w->lanes), n);
}

static kir_reg number_like(const kir_builder *b, int lanes, double n) {
    return kir_number(b, kir_vector_type(KIR_I32, lanes), n);
}

kir_reg view_unpack(const kir_builder *b, kir_reg packed, int channel, int lanes) {
    kir_reg shifted = channel ? kir_op2(b, KIR_shift_right, packed, number_like(b, lanes, 8 * channel)) : packed;
    return channel == 2 ? shifted : kir_op2(b, KIR_and, shifted, number_like(b, lanes, 255));
}

kir_reg view_pack(const kir_builder *b, const kir_reg channel[3], int lanes) {
    kir_reg packed = channel[0];
    for (int c = 1; c < 3; c++)
        packed = kir_op2(b, KIR_or, packed, kir_op2(b, KIR_shift_left, channel[c], number_like(b, lanes, 8 * c)));
    return packed;
}

/* ---- a sweep: from where pixels come, through colour steps, to where they go ---- */

typedef struct {
    view_writer *w;
    int stage, segment; /* segment 0 follows the sampling or blur, the others a contrast */
    bool final;         /* the pixels leave for the result */
    view_source from;
    kir_reg mean; /* for the contrast */
    kir_reg luma; /* i64: sum over the picture, for the next contrast; -1 where none follows */
} sweep;

static const view_stage *stage_of(const sweep *s) {
    return &s->w->plan->stages[s->stage];
}

/* The pixels in registers of their own, which the steps assign. */
static view_pixels take_pixels(const kir_builder *b, const sweep *s, kir_reg row, kir_reg x) {
    view_pixels found, pixels;
    const view_writer *w = s->w;
    if (s->segment > 0) {
        kir_reg packed = kir_load(b, w->current, kir_plus(index_of(row), 1, x), w->lanes, w->lanes);
        for (int c = 0; c < 3; c++)
            found.channel[c] = kir_convert(b, view_unpack(b, packed, c, w->lanes), KIR_F32);
    } else {
        found = stage_of(s)->blur ? view_blur_pixels(b, w, &s->from, x) : view_sample_pixels(b, w, &s->from, x);
    }
    for (int c = 0; c < 3; c++) {
        pixels.channel[c] = kir_register(b, kir_vector_type(KIR_F32, w->lanes));
        kir_assign(b, pixels.channel[c], found.channel[c]);
    }
    return pixels;
}

static void keep_pixels(const kir_builder *b, const sweep *s, const view_pixels *pixels, kir_reg row, kir_reg x) {
    kir_reg whole[3];
    for (int c = 0; c < 3; c++)
        whole[c] = kir_convert(b, pixels->channel[c], KIR_I32);
    kir_store(b, s->w->current, kir_plus(index_of(row), 1, x), view_pack(b, whole, s->w->lanes), s->w->lanes);
}

static void store_channels(const kir_builder *b, const view_plan *plan, const kir_reg values[3], kir_reg y, kir_reg x,
                           int count) {
    for (int c = 0; c < 3; c++) {
        kir_index place = kir_plus(kir_plus(kir_at(c * plan->strides[0]), plan->strides[1], y), plan->strides[2], x);
        kir_store_strided(b, VIEW_OUT, place, values[c], count, plan->strides[2]);
    }
}

/* The last vector of a row may hold fewer pixels. */
static void give_pixels(const kir_builder *b, const sweep *s, const view_pixels *pixels, kir_reg y, kir_reg x) {
    const view_plan *plan = s->w->plan;
    int lanes = s->w->lanes, rest = (int)(plan->view->width % lanes);
    kir_reg values[3];
    for (int c = 0; c < 3; c++) {
        kir_reg scaled = kir_op2(b, KIR_mul, pixels->channel[c], view_real(b, s->w, plan->scale[c]));
        values[c] = kir_op2(b, KIR_add, scaled, view_real(b, s->w, plan->offset[c]));
    }
    if (rest == 0) {
        store_channels(b, plan, values, y, x, lanes);
        return;
    }
    kir_builder whole, part;
    kir_if(b, kir_op2(b, KIR_less, x, kir_value(b, kir_at(plan->view->width - rest))), &whole, &part);
    store_channels(&whole, plan, values, y, x, lanes);
    store_channels(&part, plan, values, y, x, rest);
}

/* What the pixels within the picture add to the sum of a row. */
static void add_luma(const kir_builder *b, const sweep *s, const view_pixels *pixels, kir_reg x, kir_reg sums) {
    const view_writer *w = s->w;
    kir_reg luma = kir_convert(b, view_luma(b, w, pixels), KIR_I32);
    kir_reg left = kir_value(b, kir_plus(s->from.width, -1, x));
    kir_reg lanes = kir_iota(b, kir_vector_type(KIR_I32, w->lanes));
    kir_reg inside = kir_op2(b, KIR_less, lanes, kir_splat(b, kir_convert(b, left, KIR_I32), w->lanes));
    luma = kir_op3(b, KIR_select, inside, luma, view_whole(b, w, 0));
    kir_into(b, sums, KIR_add, sums, luma, -1);
}

static void sweep_row(const kir_builder *b, sweep *s, kir_reg y) {
    const view_writer *w = s->w;
    kir_reg row = -1, sums = -1; /* where the row begins in a picture between sweeps */
    if (s->segment > 0 || !s->final)
        row = kir_op2(b, KIR_mul, y, kir_value(b, s->from.pitch));
    if (s->segment == 0 && stage_of(s)->blur)
        view_blur_begin_row(b, w, &s->from, y);
    else if (s->segment == 0)
        view_sample_begin_row(b, w, &s->from, y);
    if (s->luma >= 0) {
        sums = kir_register(b, kir_vector_type(KIR_I32, w->lanes));
        kir_assign(b, sums, view_whole(b, w, 0));
    }
    kir_builder body;
    kir_reg x = kir_loop(b, kir_at(0), s->from.width, w->lanes, &body);
    view_pixels pixels = take_pixels(&body, s, row, x);
    if (s->segment > 0)
        view_contrast(&body, w, s->stage, s->segment, s->mean, &pixels);
    view_steps(&body, w, s->stage, s->segment, &pixels);
    if (s->luma >= 0)
        add_luma(&body, s, &pixels, x, sums);
    if (s->final)
        give_pixels(&body, s, &pixels, y, x);
    else
        keep_pixels(&body, s, &pixels, row, x);
    if (s->luma >= 0)
        kir_into(b, s->luma, KIR_add, s->luma, kir_convert(b, kir_op1(b, KIR_sum_lanes, sums), KIR_I64), -1);
}

/* The mean gray, rounded to the nearest: (2 sum + count) / (2 count). */
static void find_mean(const kir_builder *b, sweep *s) {
    kir_reg count = kir_op2(b, KIR_mul, kir_value(b, s->from.height), kir_value(b, s->from.width));
    kir_reg twice = kir_value(b, kir_plus(kir_plus(kir_at(0), 2, s->luma), 1, count));
    s->mean = kir_convert(b, kir_op2(b, KIR_div, twice, kir_value(b, kir_plus(kir_at(0), 2, count))), KIR_F32);
}

static void write_sweep(const kir_builder *b, sweep *s, bool more) {
    if (s->segment > 0)
        find_mean(b, s);
    s->luma = -1;
    if (more) {
        s->luma = kir_register(b, kir_scalar_type(KIR_I64));
        kir_assign(b, s->luma, kir_value(b, kir_at(0)));
    }
    kir_builder rows;
    kir_reg y = kir_loop(b, kir_at(0), s->from.height, 1, &rows);
    sweep_row(&rows, s, y);
}

static void write_stage(const kir_builder *b, view_writer *w, int stage) {
    const view_stage *info = &w->plan->stages[stage];
    sweep s = {.w = w, .stage = stage};
    if (info->blur)
        view_blur_prepare(b, w, stage, &s.from);
    else
        view_sample_prepare(b, w, stage, &s.from);
    for (; s.segment <= info->contrasts; s.segment++) {
        bool more = s.segment < info->contrasts;
        s.final = !more && stage == w->plan->stage_count - 1;
        write_sweep(b, &s, more);
    }
}

static kir_kernel *write_kernel(pass_context *context, const view_plan *plan) {
    static const struct {
        const char *name;
        kir_element element;
        bool writes;
    } arguments[] = {{"source", KIR_U8, false},   {"numbers", KIR_I32, false}, {"factors", KIR_F32, false},
                     {"samples", KIR_I32, false}, {"first", KIR_I32, true},    {"second", KIR_I32, true},
                     {"row", KIR_I32, true},      {"rows", KIR_F32, true},     {"out", KIR_F32, true}};
    arena *memory = context->memory;
    const ir_view *view = plan->view;
    kir_kernel *kernel = kir_kernel_new(memory, arena_printf(memory, "view_%s", view->name), view->span);
    for (int i = 0; i <= VIEW_OUT; i++)
        kir_argument_add(memory, kernel, arguments[i].name, arguments[i].element, 0, i != VIEW_OUT,
                         arguments[i].writes);
    kir_builder b = {memory, kernel, &kernel->body, view->span};
    view_writer w = {.plan = plan, .lanes = context->target.lanes, .current = VIEW_FIRST, .other = VIEW_SECOND};
    for (int stage = 0; stage < plan->stage_count; stage++)
        write_stage(&b, &w, stage);
    return kernel;
}

/* ---- the pass ---- */

static const kir_port *find_input(const kir_program *program, const char *function, const char *name) {
    for (int f = 0; f < program->function_count; f++) {
        const kir_function *found = &program->functions[f];
        for (int i = 0; strcmp(found->name, function) == 0 && i < found->input_count; i++)
            if (strcmp(found->inputs[i].name, name) == 0)
                return &found->inputs[i];
    }
    return NULL;
}

/* As the function that reads the view has it; densely where none does. */
static void find_strides(const pass_context *context, view_plan *plan) {
    const ir_view *view = plan->view;
    bool evaluation = strcmp(view->name, "evaluate") == 0;
    const char *name =
        evaluation ? (view->source ? view->source : "image") : arena_printf(context->memory, "view.%s", view->name);
    const kir_port *port = find_input(context->program, evaluation ? "embed" : "train_step", name);
    int64_t strides[IR_MAX_RANK];
    if (!port || port->type.rank != 4)
        return;
    ir_strides(&port->type, &port->layout, strides);
    for (int i = 0; i < 3; i++)
        plan->strides[i] = strides[i + 1];
}

/* What the runtime takes (rt_manifest_parse). */
static bool is_sensible(pass_context *context, const ir_view *view) {
    enum { MOST_SIDE = 1 << 15 };
    if (view->channels == 3 && view->height <= MOST_SIDE && view->width > 0 && view->width <= MOST_SIDE)
        return true;
    diag_error(context->diags, view->span, "a view of images has 3 channels and sides of at most %d", MOST_SIDE);
    return false;
}

bool pass_lower_views(pass_context *context) {
    kir_program *program = pass_lowered(context, "lower-views");
    if (!program)
        return false;
    const ir_module *module = context->module;
    program->views = arena_alloc(context->memory, (size_t)(module->view_count + 1) * sizeof *program->views);
    for (int i = 0; i < module->view_count; i++) {
        const ir_view *view = &module->views[i];
        program->views[i] = (kir_view){.kernel = -1};
        if (view->height == 0) /* vectors are the runtime's */
            continue;
        if (!is_sensible(context, view))
            return false;
        view_plan *plan = view_plan_make(context->memory, view);
        find_strides(context, plan);
        memcpy(program->views[i].strides, plan->strides, sizeof plan->strides);
        program->views[i].kernel = kir_program_add_kernel(program, write_kernel(context, plan));
    }
    return true;
}
