#include "passes/pair_forms.h"

#include <assert.h>
#include <limits.h>

struct pair_operands {
    pair_operand **of; /* by value id */
};

pair_operand *lower_pair_operand(const lower_context *context, const ir_value *value) {
    return context->pairs->of[value->id];
}

static int unit_of(const lower_units *units, const lower_straight *straight, const ir_value *value) {
    int unit = units->of[value->id];
    bool last = ir_op(value->opcode)->class_ == IR_CLASS_EFFECT;
    return last ? INT_MAX : straight->late[unit] ? units->count + unit : unit;
}

static wanted_form *find_form(const pair_operand *operand, const pair_form *form) {
    for (int i = 0; i < operand->count; i++)
        if (operand->forms[i].form.kind == form->kind && operand->forms[i].form.images == form->images)
            return &operand->forms[i];
    return NULL;
}

static void want(arena *memory, pair_operand **operand, const pair_form *form, int unit) {
    if (!*operand) {
        *operand = arena_alloc(memory, sizeof **operand);
        (*operand)->last_read = -1;
    }
    wanted_form *found = find_form(*operand, form);
    if (!found) {
        wanted_form wanted = {*form, unit, -1};
        ARENA_PUSH(memory, (*operand)->forms, (*operand)->count, (*operand)->capacity, wanted);
        return;
    }
    found->wanted = unit < found->wanted ? unit : found->wanted;
}

void lower_pair_operands_find(lower_context *context, const lower_units *units, const lower_straight *straight) {
    arena *memory = context->memory;
    pair_operand **of = arena_alloc(memory, (size_t)(context->source->next_id + 1) * sizeof(pair_operand *));
    pair_form form;
    for (const ir_value *user = context->source->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++)
            if (lower_conv_form(context, user, i, &form))
                want(memory, &of[user->operands[i]->id], &form, unit_of(units, straight, user));
    for (const ir_value *user = context->source->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++) {
            const ir_value *value = user->operands[i];
            int unit = unit_of(units, straight, user);
            pair_operand *operand = of[value->id];
            if (operand && units->of[value->id] != units->of[user->id] && unit > operand->last_read &&
                !lower_conv_form(context, user, i, &form))
                operand->last_read = unit;
        }
    context->pairs = arena_alloc(memory, sizeof *context->pairs);
    context->pairs->of = of;
}

pair_maps lower_pair_form_maps(const lower_context *context, const pair_form *form, const ir_type *type) {
    int parts = context->pass->product_parts;
    int64_t blocks = type->dims[0] / form->images, channels = type->dims[1];
    const int64_t *size = &type->dims[2];
    bool turned = form->kind == PAIRS_OF_IMAGES_TURNED;
    pair_maps maps = form->kind == PAIRS_OF_CHANNELS
                         ? pair_maps_of_channels(parts, blocks, form->images, size, channels)
                         : pair_maps_of_images(parts, blocks, form->images, size, channels, turned);
    const kir_target *cpu = &context->pass->target;
    if (cpu->matrix_units && cpu->lanes == PAIR_UNIT && !turned && channels % (2 * PAIR_UNIT) == 0)
        pair_maps_in_tiles(&maps);
    return maps;
}

/* Whether the forms that are wanted later than the first may wait in place of the map: they take little more memory,
 * and the map need not be read again for them. */
static bool may_wait_packed(const lower_context *context, const pair_operand *operand, const ir_type *type) {
    int64_t elements = 0, of_first = 0;
    int first = INT_MAX;
    for (int i = 0; i < operand->count; i++) {
        const wanted_form *form = &operand->forms[i];
        pair_maps maps = lower_pair_form_maps(context, &form->form, type);
        if (form->buffer >= 0)
            continue;
        elements += maps.parts * maps.part;
        if (form->wanted < first)
            of_first = maps.parts * maps.part;
        first = form->wanted < first ? form->wanted : first;
    }
    return operand->last_read <= context->unit && 3 * (elements - of_first) <= 4 * ir_type_elements(type);
}

bool lower_pair_form_due(const lower_context *context, const ir_value *value, const wanted_form *form) {
    return form->buffer < 0 && (form->wanted <= context->unit ||
                                may_wait_packed(context, lower_pair_operand(context, value), &value->type));
}

pair_maps lower_pair_maps(lower_context *context, const ir_value *value, const pair_form *form, source_span span,
                          int *buffer) {
    pair_operand *operand = lower_pair_operand(context, value);
    wanted_form *found = find_form(operand, form);
    assert(found);
    if (found->buffer < 0)
        lower_pack_forms(context, value, operand, found, span);
    *buffer = found->buffer;
    return lower_pair_form_maps(context, &found->form, &value->type);
}
