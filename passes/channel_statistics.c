#include "passes/channel_statistics.h"

#include <assert.h>

enum { SHIFT, SUM, SQUARES, RUNNING };

/* ---- which are wanted -----------------------------------------------------------------------------------------------
 */

static bool is_over_places(const ir_value *value, const ir_value *map) {
    static const int64_t places[] = {0, 2, 3};
    if ((value->opcode != IR_OP_reduce_sum && value->opcode != IR_OP_reduce_variation) || value->operands[0] != map)
        return false;
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    bool same = axes->count == 3;
    for (int i = 0; same && i < 3; i++)
        same = axes->as.ints[i] == places[i];
    return same;
}

/* The map whose channels' statistics the group is, or NULL. */
static const ir_value *map_of(const lower_group *group) {
    const ir_value *map = group->results[0]->operand_count == 1 ? group->results[0]->operands[0] : NULL;
    if (!map || map->type.rank != 4 || map->type.dtype != IR_F32 || group->member_count != group->result_count)
        return NULL;
    for (int i = 0; i < group->result_count; i++)
        if (!is_over_places(group->results[i], map))
            return NULL;
    return map;
}

void channel_statistics_find(lower_context *context, const lower_units *units) {
    size_t count = (size_t)context->source->next_id + 1;
    context->statistics = arena_alloc(context->memory, count * sizeof(channel_statistics *));
    for (size_t i = 0; i < count; i++)
        context->statistics[i] = NULL;
    for (int i = 0; i < units->count; i++) {
        const lower_group *group = &units->items[i];
        const ir_value *map = group->result_count > 0 ? map_of(group) : NULL;
        if (!map)
            continue;
        channel_statistics *statistics = arena_alloc(context->memory, sizeof *statistics);
        *statistics =
            (channel_statistics){.group = group, .channels = map->type.dims[1], .lanes = context->pass->target.lanes};
        context->statistics[map->id] = statistics;
    }
}

channel_statistics *channel_statistics_open(lower_context *context, const ir_value *value, kir_kernel *kernel,
                                            int64_t parts, int64_t elements) {
    channel_statistics *statistics = context->statistics[value->id];
    if (!statistics || elements == 0 || statistics->channels % statistics->lanes != 0)
        return NULL;
    arena *memory = context->memory;
    int64_t numbers = parts * statistics->channels;
    statistics->parts = (reduction_parts){.count = parts, .elements = (double)elements};
    statistics->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, numbers, false, true);
    statistics->means = kir_argument_add(memory, kernel, "means", KIR_F32, numbers, false, true);
    statistics->variations = kir_argument_add(memory, kernel, "variations", KIR_F32, numbers, false, true);
    statistics->running = kir_scratch_add(memory, kernel, "running", KIR_F32, RUNNING * statistics->channels);
    return statistics;
}

/* ---- in the kernel --------------------------------------------------------------------------------------------------
 */

static kir_index running_at(const channel_statistics *statistics, int which, kir_index channel) {
    channel.base += which * statistics->channels;
    return channel;
}

void channel_statistics_clear(const kir_builder *builder, const channel_statistics *statistics) {
    if (!statistics)
        return;
    int lanes = statistics->lanes;
    kir_builder body;
    kir_reg number = kir_loop(builder, kir_at(0), kir_at(RUNNING * statistics->channels), lanes, &body);
    kir_store(&body, statistics->running, kir_plus(kir_at(0), 1, number),
              kir_number(&body, kir_vector_type(KIR_F32, lanes), 0), lanes);
}

kir_reg channel_statistics_first(const kir_builder *builder, kir_index loops) {
    return kir_op2(builder, KIR_equal, kir_value(builder, loops), kir_value(builder, kir_at(0)));
}

statistics_vector channel_statistics_begin(const kir_builder *builder, const channel_statistics *statistics,
                                           kir_index channel) {
    statistics_vector vector = {.channel = channel};
    kir_reg *all[] = {&vector.so_far.shift, &vector.so_far.sum, &vector.so_far.squares};
    int lanes = statistics->lanes;
    for (int i = 0; i < RUNNING; i++) {
        *all[i] = kir_register(builder, kir_vector_type(KIR_F32, lanes));
        kir_assign(builder, *all[i],
                   kir_load(builder, statistics->running, running_at(statistics, i, channel), lanes, lanes));
    }
    return vector;
}

void channel_statistics_shift(const kir_builder *builder, const statistics_vector *vector, kir_reg first,
                              kir_reg value) {
    kir_builder body = *builder;
    if (first >= 0)
        kir_if(builder, first, &body, NULL);
    kir_assign(&body, vector->so_far.shift, value);
}

void channel_statistics_take(const kir_builder *builder, const statistics_vector *vector, kir_reg value,
                             kir_reg inside) {
    kir_type type = builder->kernel->registers[value];
    kir_reg distance = kir_op2(builder, KIR_sub, value, vector->so_far.shift);
    if (inside >= 0)
        distance = kir_op3(builder, KIR_select, kir_splat(builder, inside, type.lanes), distance,
                           kir_number(builder, type, 0));
    variation_take(builder, &vector->so_far, distance, 1);
}

void channel_statistics_end(const kir_builder *builder, const channel_statistics *statistics,
                            const statistics_vector *vector) {
    const kir_reg all[] = {vector->so_far.shift, vector->so_far.sum, vector->so_far.squares};
    for (int i = 0; i < RUNNING; i++)
        kir_store(builder, statistics->running, running_at(statistics, i, vector->channel), all[i], statistics->lanes);
}

void channel_statistics_take_rows(const kir_builder *builder, const channel_statistics *statistics,
                                  const statistics_rows *rows) {
    int lanes = statistics->lanes;
    kir_builder vectors, body;
    kir_reg number = kir_loop(builder, kir_at(0), kir_at(rows->columns), lanes, &vectors);
    kir_index at = kir_plus(rows->at, 1, number);
    statistics_vector vector = channel_statistics_begin(&vectors, statistics, kir_plus(rows->channel, 1, number));
    channel_statistics_shift(&vectors, &vector, rows->first, kir_load(&vectors, rows->from, at, lanes, lanes));
    kir_reg row = kir_loop(&vectors, kir_at(0), kir_at(rows->rows), 1, &body);
    channel_statistics_take(&body, &vector, kir_load(&body, rows->from, kir_plus(at, rows->columns, row), lanes, lanes),
                            -1);
    channel_statistics_end(&vectors, statistics, &vector);
}

void channel_statistics_store(const kir_builder *builder, const channel_statistics *statistics, kir_index part,
                              kir_index first, int64_t channels) {
    if (!statistics)
        return;
    int lanes = statistics->lanes;
    kir_builder body;
    kir_index channel = kir_plus(first, 1, kir_loop(builder, kir_at(0), kir_at(channels), lanes, &body));
    kir_index at = kir_plus_index(channel, statistics->channels, part);
    statistics_vector vector = channel_statistics_begin(&body, statistics, channel);
    double elements = statistics->parts.elements;
    kir_reg mean, variation = variation_finish(&body, &vector.so_far, elements, 1, &mean);
    kir_reg count = kir_number(&body, kir_vector_type(KIR_F32, lanes), elements);
    kir_store(&body, statistics->sums, at, kir_op2(&body, KIR_mul, mean, count), lanes);
    kir_store(&body, statistics->means, at, mean, lanes);
    kir_store(&body, statistics->variations, at, variation, lanes);
}

/* ---- launches -------------------------------------------------------------------------------------------------------
 */

void channel_statistics_launch(lower_context *context, channel_statistics *statistics, kir_kernel *kernel,
                               const int *buffers, int count, int64_t extent, source_span span) {
    enum { MOST = 8, OWN = 3 };
    int all[MOST];
    assert(count + OWN <= MOST);
    for (int i = 0; i < count; i++)
        all[i] = buffers[i];
    if (statistics) {
        reduction_parts *parts = &statistics->parts;
        int64_t numbers = parts->count * statistics->channels;
        all[count++] = parts->sums = lower_temporary(context, "part_sums", KIR_F32, numbers, span);
        all[count++] = parts->means = lower_temporary(context, "part_means", KIR_F32, numbers, span);
        all[count++] = parts->variations = lower_temporary(context, "part_variations", KIR_F32, numbers, span);
    }
    lower_launch(context, kernel, extent, all, span);
}

bool channel_statistics_join(lower_context *context, const lower_group *group) {
    if (group->result_count == 0 || group->results[0]->operand_count == 0)
        return false;
    const channel_statistics *statistics = context->statistics[group->results[0]->operands[0]->id];
    if (!statistics || statistics->group != group || statistics->parts.count == 0)
        return false;
    lower_reduction_of_parts(context, group, &statistics->parts);
    return true;
}
