/* Kernels that rearrange maps into pairs of bf16 parts: from a buffer, or as a group of elements is computed.
 *
 * An iteration does a row of a block of images. At a time it holds vectors of four places, two images by two channels,
 * so that pairs of both kinds have both numbers at hand. Pairs of images that are to be turned wait, for a few columns
 * of the row, in the worker's memory, and are then turned in squares. */
#include "passes/pair_forms.h"
#include "passes/transpose.h"

enum { WAYS = 2, MOST_PACKS = 16, WAITING_BYTES = 64 << 10 };

typedef struct {
    int value; /* number among the values */
    pair_kind kind;
    pair_maps maps;
    int argument;
    int waiting; /* scratch: [part][column][panel of channels][pair of images][channel of the panel]; -1: none */
} pack;

typedef struct {
    lower_kernel kernel;
    const ir_type *type;
    const ir_value *const *values;
    int value_count;
    int loaded;                    /* buffer that holds the only value, channels last; -1: the kernel computes all */
    int stored[LOWER_MAX_RESULTS]; /* buffer that a value itself goes to; -1: none */
    pack packs[MOST_PACKS];
    int pack_count;
    int64_t images, ways, half; /* of a block; of a pair of places; channels before that of a second number */
    int64_t columns;            /* at once */
    kir_index block, row, column, image;
    kir_index number; /* of the column among those at once */
} packing;

static kir_reg load(packing *work, int value, const lower_coordinate *at, int count) {
    int lanes = work->kernel.context->pass->target.lanes;
    ir_layout layout = lower_channels_last();
    if (work->loaded >= 0)
        return lower_load_at(&work->kernel, work->loaded, work->type, &layout, at, lanes, count);
    return lower_element_at(&work->kernel, work->values[value], at, lanes, count);
}

static int64_t lanes_of(const packing *work) {
    return work->kernel.context->pass->target.lanes;
}

static int64_t waiting_part(const packing *work, const pack *to) {
    return work->columns * to->maps.lines * to->maps.length;
}

/* Pairs of two images that are to be turned. */
static void store_waiting(const packing *work, const pack *to, kir_reg places[WAYS][WAYS], kir_index channel) {
    const pair_maps *maps = &to->maps;
    kir_index at = kir_plus_index(kir_plus_index(kir_at(0), maps->lines * maps->length, work->number), maps->lines,
                                  channel); /* whole panels */
    at = kir_plus_index(at, lanes_of(work), work->image);
    for (int i = 0; i < WAYS; i++) {
        pair_store_parts(&work->kernel.builder, maps->parts, to->waiting, at, waiting_part(work, to), places[0][i],
                         places[1][i], (int)lanes_of(work));
        at.base += work->half * maps->lines;
    }
}

/* Pairs of the four places; `counts` are of the first and second channels. */
static void store_pairs(const packing *work, const pack *to, kir_reg places[WAYS][WAYS], kir_index channel,
                        const int counts[WAYS]) {
    const pair_maps *maps = &to->maps;
    kir_index at = kir_plus_index(kir_plus_index(kir_at(0), maps->block, work->block), maps->row, work->row);
    at = kir_plus_index(kir_plus_index(at, maps->place, work->column), maps->line_to, work->image);
    at = kir_plus_index(at, maps->first_to, channel);
    bool channels = to->kind == PAIRS_OF_CHANNELS;
    for (int i = 0; i < (channels ? work->ways : WAYS); i++) {
        kir_reg a = channels ? places[i][0] : places[0][i], b = channels ? places[i][1] : places[1][i];
        if (channels || counts[i] > 0)
            pair_store_parts_apart(&work->kernel.builder, maps->parts, to->argument, at, maps->part, a, b,
                                   channels ? counts[0] : counts[i], maps->number_to);
        at.base += channels ? work->images / work->ways * maps->line_to : work->half * maps->first_to;
    }
}

/* `counts` channels from `channel` on, and as many half of them further. */
static void pack_channels(packing *work, kir_index channel, const int counts[WAYS]) {
    lower_kernel *kernel = &work->kernel;
    kir_reg places[LOWER_MAX_RESULTS][WAYS][WAYS];
    lower_coordinate at[WAYS][WAYS][IR_MAX_RANK];
    int lanes = kernel->context->pass->target.lanes;
    for (int m = 0; m < work->ways; m++)
        for (int k = 0; k < WAYS; k++) {
            kir_index image = kir_plus(work->image, 0, 0), second = channel;
            image.base += m * (work->images / work->ways);
            second.base += k * work->half;
            lower_coordinate here[] = {{kir_plus_index(image, work->images, work->block), 0},
                                       {second, lanes > 1},
                                       {work->row, 0},
                                       {work->column, 0}};
            for (int axis = 0; axis < work->type->rank; axis++)
                at[m][k][axis] = here[axis];
            lower_begin_place(kernel);
            for (int v = 0; v < work->value_count; v++)
                places[v][m][k] = counts[k] > 0 ? load(work, v, at[m][k], counts[k])
                                                : kir_number(&kernel->builder, kir_vector_type(KIR_F32, lanes), 0);
        }
    for (int i = 0; i < work->pack_count; i++) {
        const pack *to = &work->packs[i];
        if (to->waiting >= 0)
            store_waiting(work, to, places[to->value], channel);
        else
            store_pairs(work, to, places[to->value], channel, counts);
    }
    for (int v = 0; v < work->value_count; v++)
        for (int m = 0; m < work->ways && work->stored[v] >= 0; m++)
            for (int k = 0; k < WAYS && counts[k] > 0; k++)
                lower_store_at(kernel, work->stored[v], work->type, &work->values[v]->layout, at[m][k], places[v][m][k],
                               counts[k]);
}

static void pack_place(packing *work) {
    int lanes = work->kernel.context->pass->target.lanes;
    int64_t seconds = work->type->dims[1] - work->half, whole = seconds / lanes * lanes;
    kir_builder outer = work->kernel.builder;
    if (whole > 0) {
        kir_reg channel = kir_loop(&outer, kir_at(0), kir_at(whole), lanes, &work->kernel.builder);
        pack_channels(work, kir_plus(kir_at(0), 1, channel), (int[]){lanes, lanes});
        work->kernel.builder = outer;
    }
    if (whole < work->half)
        pack_channels(work, kir_at(whole), (int[]){(int)(work->half - whole), (int)(seconds - whole)});
}

static kir_index loop(packing *work, int64_t count) {
    kir_builder outer = work->kernel.builder;
    return count == 1 ? kir_at(0)
                      : kir_plus(kir_at(0), 1, kir_loop(&outer, kir_at(0), kir_at(count), 1, &work->kernel.builder));
}

/* ---- launches -----------------------------------------------------------------------------------------------------
 */

static packing begin(lower_kernel kernel, const ir_value *const *values, int count, int64_t images) {
    packing work = {.kernel = kernel,
                    .type = &values[0]->type,
                    .values = values,
                    .value_count = count,
                    .loaded = -1,
                    .images = images,
                    .ways = images % WAYS == 0 ? WAYS : 1};
    work.half = (work.type->dims[1] + 1) / 2;
    for (int i = 0; i < count; i++)
        work.stored[i] = -1;
    return work;
}

static void add_pack(packing *work, int value, wanted_form *form, source_span span) {
    lower_context *context = work->kernel.context;
    pack *added = &work->packs[work->pack_count++];
    *added = (pack){.value = value, .kind = form->form.kind};
    added->maps = lower_pair_form_maps(context, &form->form, work->type);
    form->buffer = lower_temporary(context, "pairs", KIR_I32, added->maps.parts * added->maps.part, span);
    added->argument = lower_argument(&work->kernel, form->buffer, true);
}

/* Whether the pairs make squares of vectors. */
static bool can_turn(const packing *work, const pack *to) {
    int64_t lanes = lanes_of(work);
    return to->kind == PAIRS_OF_IMAGES_TURNED && lanes > 1 && to->maps.lines == lanes &&
           work->type->dims[1] % (2 * lanes) == 0;
}

/* How many places of an image are read in a row. Images lie so far apart that what is fetched ahead of one drives out
 * what was fetched of another; turned pairs of a place, though, are to stay in the caches together. */
static int64_t columns_at_once(const packing *work) {
    enum { TURNED = 8 };
    int64_t limit = work->type->dims[3];
    for (int i = 0; i < work->pack_count; i++) {
        const pair_maps *maps = &work->packs[i].maps;
        if (work->packs[i].kind == PAIRS_OF_IMAGES_TURNED)
            limit = TURNED;
        if (can_turn(work, &work->packs[i]) && WAITING_BYTES / (4 * maps->parts * maps->place) < limit)
            limit = WAITING_BYTES / (4 * maps->parts * maps->place);
    }
    return lower_divisor_below(work->type->dims[3], limit);
}

/* The memory in which pairs wait to be turned; where turned ones are written in whole lines, these may be streamed. */
static void open_packs(packing *work) {
    lower_context *context = work->kernel.context;
    work->columns = columns_at_once(work);
    for (int i = 0; i < work->pack_count; i++) {
        pack *to = &work->packs[i];
        to->waiting = -1;
        if (can_turn(work, to))
            to->waiting = kir_scratch_add(context->memory, work->kernel.kernel, "waiting", KIR_I32,
                                          to->maps.parts * waiting_part(work, to));
        if (to->waiting >= 0 || to->kind != PAIRS_OF_IMAGES_TURNED)
            kir_stream(work->kernel.kernel, to->argument);
    }
}

/* Turns what waits, of the columns from `first` on. */
static void turn(packing *work, const pack *to, kir_index first) {
    const pair_maps *maps = &to->maps;
    int lanes = (int)lanes_of(work);
    kir_builder parts, columns, body;
    kir_reg part = kir_loop(&work->kernel.builder, kir_at(0), kir_at(maps->parts), 1, &parts);
    kir_reg column = kir_loop(&parts, kir_at(0), kir_at(work->columns), 1, &columns);
    kir_reg channel = kir_loop(&columns, kir_at(0), kir_at(maps->length), lanes, &body);
    kir_index from = kir_plus(kir_plus(kir_at(0), waiting_part(work, to), part), maps->lines * maps->length, column);
    from = kir_plus(from, maps->lines, channel);
    kir_index at = kir_plus_index(kir_plus_index(kir_at(0), maps->block, work->block), maps->row, work->row);
    at = kir_plus(kir_plus_index(kir_plus(at, maps->part, part), maps->place, first), maps->place, column);
    at = kir_plus(at, maps->number_to, channel);
    transpose_copy(&body, &(transpose_square){to->argument, at, maps->number_to},
                   &(transpose_square){to->waiting, from, lanes}, lanes);
}

static void launch(packing *work) {
    kir_builder *builder = &work->kernel.builder;
    int64_t rows = work->type->dims[2], blocks = work->type->dims[0] / work->images;
    work->block = kir_plus(kir_at(0), 1, 0);
    work->row = kir_at(0);
    if (rows > 1) {
        kir_reg count = kir_value(builder, kir_at(rows));
        work->block = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_div, 0, count));
        work->row = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_rem, 0, count));
    }
    open_packs(work);
    kir_index first = kir_plus_index(kir_at(0), work->columns, loop(work, work->type->dims[3] / work->columns));
    kir_builder group = work->kernel.builder;
    work->image = loop(work, work->images / work->ways);
    work->number = loop(work, work->columns);
    work->column = kir_plus_index(first, 1, work->number);
    pack_place(work);
    work->kernel.builder = group;
    for (int i = 0; i < work->pack_count; i++)
        if (work->packs[i].waiting >= 0)
            turn(work, &work->packs[i], first);
    lower_kernel_launch(&work->kernel, blocks * rows);
}

void lower_pack_forms(lower_context *context, const ir_value *value, pair_operand *operand, wanted_form *asked,
                      source_span span) {
    ir_value place = {.span = span};
    int buffer = lower_buffer_in_layout(context, value, lower_channels_last());
    packing work = begin(lower_kernel_begin(context, "pairs", &place), &value, 1, asked->form.images);
    work.kernel.root = NULL;
    work.loaded = buffer;
    lower_argument(&work.kernel, buffer, false);
    add_pack(&work, 0, asked, span);
    for (int i = 0; i < operand->count && work.pack_count < MOST_PACKS; i++) {
        wanted_form *form = &operand->forms[i];
        if (form->form.images == work.images && lower_pair_form_due(context, value, form))
            add_pack(&work, 0, form, span);
    }
    launch(&work);
}

/* ---- groups -------------------------------------------------------------------------------------------------------
 */

static bool can_pack(const lower_group *group) {
    const ir_type *type = &group->results[0]->type;
    ir_layout layout = lower_channels_last();
    if (type->rank != 4)
        return false;
    for (int i = 0; i < group->result_count; i++)
        if (!lower_same_memory(type, &group->results[i]->layout, &layout))
            return false;
    for (int m = 0; m < group->member_count; m++)
        if (group->members[m]->opcode == IR_OP_random_uniform || group->members[m]->opcode == IR_OP_random_normal)
            return false;
    return true;
}

/* Whether the form is made when its map is computed: it should not wait long, besides the map. */
static bool is_due_early(const lower_context *context, const ir_value *value, const wanted_form *form) {
    enum { SOON = 8 /* units */ };
    const pair_operand *operand = lower_pair_operand(context, value);
    if (form->buffer >= 0)
        return false;
    for (int i = 0; i < operand->count; i++)
        if (operand->forms[i].wanted < form->wanted)
            return lower_pair_form_due(context, value, form);
    return form->wanted - context->unit <= SOON || lower_pair_form_due(context, value, form);
}

/* The blocks of the first form that is due, 0: none is. */
static int64_t images_of(const lower_context *context, const lower_group *group) {
    for (int i = 0; i < group->result_count; i++) {
        const pair_operand *operand = lower_pair_operand(context, group->results[i]);
        for (int f = 0; operand && f < operand->count; f++)
            if (is_due_early(context, group->results[i], &operand->forms[f]))
                return operand->forms[f].form.images;
    }
    return 0;
}

/* Adds what is due of a result; whether the result itself is needed as well. */
static bool add_result(packing *work, int value) {
    const ir_value *result = work->values[value];
    lower_context *context = work->kernel.context;
    pair_operand *operand = lower_pair_operand(context, result);
    bool due[MOST_PACKS] = {false}, needed = !operand || operand->last_read > context->unit;
    for (int f = 0; operand && f < operand->count && f < MOST_PACKS; f++)
        due[f] = operand->forms[f].form.images == work->images && is_due_early(context, result, &operand->forms[f]);
    for (int f = 0; operand && f < operand->count; f++)
        if (f < MOST_PACKS && due[f] && work->pack_count < MOST_PACKS)
            add_pack(work, value, &operand->forms[f], result->span);
        else
            needed = true;
    return needed;
}

bool lower_pack_group(lower_context *context, const lower_group *group) {
    int64_t images = can_pack(group) ? images_of(context, group) : 0;
    if (images == 0)
        return false;
    const ir_value *root = group->results[group->result_count - 1];
    const char *name =
        arena_printf(context->memory, "%s%s_pairs", root->group ? "fused_" : "", ir_op(root->opcode)->name);
    packing work = begin(lower_kernel_begin(context, name, root), group->results, group->result_count, images);
    for (int i = 0; i < group->result_count; i++)
        if (add_result(&work, i)) {
            work.stored[i] = lower_result_buffer(context, group->results[i]);
            kir_stream(work.kernel.kernel, lower_argument(&work.kernel, work.stored[i], true));
        }
    launch(&work);
    return true;
}
