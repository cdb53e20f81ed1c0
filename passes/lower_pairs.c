#include "passes/lower_pairs.h"

#include <assert.h>

/* Multiply-adds that units do while vectors do one of f32, and what splitting one number costs in multiply-adds of
 * f32 (docs/precision.md): from whole convolutions on matrix units, whose peak of 16 the caches do not feed; dot
 * products of pairs from their peak. */
enum { UNITS_RATE = 10, DOTS_RATE = 2, SPLITTING = 4, HALF_TILE = PAIR_UNIT / 2 };

bool lower_fills_tiles(int64_t rows, int64_t columns, int64_t summed) {
    pair_tile tile = pair_tile_for(rows, columns, (summed + 1) / 2);
    return tile.rows >= HALF_TILE && tile.columns >= HALF_TILE && tile.pairs >= HALF_TILE;
}

double lower_pairs_time(const pass_context *pass) {
    bool dots = pass->target.pair_products && !pass->target.matrix_units;
    return (double)kir_products_of_parts(pass->product_parts) / (dots ? DOTS_RATE : UNITS_RATE);
}

bool lower_pairs_pay(const pass_context *pass, const pair_work *work) {
    int parts = pass->product_parts;
    if (parts == 0 || !lower_fills_tiles(work->rows, work->columns, work->summed))
        return false;
    double time = work->multiply_adds * lower_pairs_time(pass);
    return time + (double)(SPLITTING * parts * work->numbers) < work->multiply_adds * work->other_share;
}

static void set_strides(pair_maps *maps, const int64_t size[2]) {
    for (int i = 0; i < 2; i++)
        maps->size[i] = size[i];
    maps->first_to = maps->number_to;
    maps->place = maps->lines * maps->length;
    maps->row = size[1] * maps->place;
    maps->block = size[0] * maps->row;
    maps->part = maps->blocks * maps->block;
}

void pair_maps_in_tiles(pair_maps *maps) {
    assert(maps->number_to == 1 && maps->length % PAIR_UNIT == 0);
    maps->line_to = PAIR_UNIT;
    maps->first_to = maps->lines;
}

pair_maps pair_maps_of_channels(int parts, int64_t blocks, int64_t images, const int64_t size[2], int64_t channels) {
    int64_t half = (channels + 1) / 2, map = size[0] * size[1] * channels;
    pair_maps maps = {.parts = parts,
                      .blocks = blocks,
                      .block_from = images * map,
                      .lines = images,
                      .paired_lines = images,
                      .line_from = map,
                      .line_to = half,
                      .length = half,
                      .number_to = 1,
                      .second = half,
                      .paired_numbers = channels - half};
    set_strides(&maps, size);
    return maps;
}

pair_maps pair_maps_of_images(int parts, int64_t blocks, int64_t images, const int64_t size[2], int64_t channels,
                              bool turned) {
    int64_t map = size[0] * size[1] * channels, pairs = (images + 1) / 2;
    pair_maps maps = {.parts = parts,
                      .blocks = blocks,
                      .block_from = images * map,
                      .lines = pairs,
                      .paired_lines = images - pairs,
                      .line_from = map,
                      .line_to = turned ? 1 : channels,
                      .length = channels,
                      .number_to = turned ? pairs : 1,
                      .second = pairs * map,
                      .paired_numbers = channels};
    set_strides(&maps, size);
    return maps;
}

/* ---- rearranging ---------------------------------------------------------------------------------------------------
 */

typedef struct {
    const pair_maps *maps;
    int source, target, lanes;
    kir_index from, to; /* of the line */
} pair_copy;

/* Numbers `first` and following of a line, of which `seconds` have another. */
static void copy_vector(const kir_builder *builder, const pair_copy *copy, kir_index first, int64_t count,
                        int64_t seconds) {
    const pair_maps *maps = copy->maps;
    int lanes = copy->lanes;
    kir_index from = kir_plus_index(copy->from, 1, first), second = from;
    second.base += maps->second;
    kir_reg a = kir_load(builder, copy->source, from, lanes, (int)count);
    kir_reg b = seconds > 0 ? kir_load(builder, copy->source, second, lanes, (int)seconds)
                            : kir_number(builder, kir_vector_type(KIR_F32, lanes), 0);
    pair_store_parts_apart(builder, maps->parts, copy->target, kir_plus_index(copy->to, maps->number_to, first),
                           maps->part, a, b, (int)count, maps->number_to);
}

static void copy_line(const kir_builder *builder, const pair_copy *copy, bool paired) {
    const pair_maps *maps = copy->maps;
    int64_t lanes = copy->lanes, whole = maps->paired_numbers / lanes * lanes, rest = maps->length - whole;
    if (whole > 0) {
        kir_builder body;
        kir_reg number = kir_loop(builder, kir_at(0), kir_at(whole), lanes, &body);
        copy_vector(&body, copy, kir_plus(kir_at(0), 1, number), lanes, paired ? lanes : 0);
    }
    if (rest > 0)
        copy_vector(builder, copy, kir_at(whole), rest, paired ? maps->paired_numbers - whole : 0);
}

/* All lines of a block. */
static void copy_block(const kir_builder *builder, pair_copy copy) {
    const pair_maps *maps = copy.maps;
    if (maps->paired_lines > 0) {
        kir_builder lines;
        pair_copy line = copy;
        kir_reg number = kir_loop(builder, kir_at(0), kir_at(maps->paired_lines), 1, &lines);
        line.from = kir_plus(line.from, maps->line_from, number);
        line.to = kir_plus(line.to, maps->line_to, number);
        copy_line(&lines, &line, true);
    }
    if (maps->paired_lines < maps->lines) {
        copy.from.base += maps->paired_lines * maps->line_from;
        copy.to.base += maps->paired_lines * maps->line_to;
        copy_line(builder, &copy, false);
    }
}

int lower_pack_pair_lines(lower_context *context, const pair_maps *maps, int buffer, int64_t source_elements,
                          source_span span) {
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, "pairs", span);
    pair_copy copy = {.maps = maps, .lanes = context->pass->target.lanes};
    copy.source = kir_argument_add(memory, kernel, "numbers", KIR_F32, source_elements, true, false);
    copy.target = kir_argument_add(memory, kernel, "pairs", KIR_I32, maps->parts * maps->part, false, true);
    kir_builder builder = {memory, kernel, &kernel->body, span};
    copy.from = kir_plus(kir_at(0), maps->block_from, 0);
    copy.to = kir_plus(kir_at(0), maps->block, 0);
    copy_block(&builder, copy);
    int pairs = lower_temporary(context, "pairs", KIR_I32, maps->parts * maps->part, span);
    lower_launch(context, kernel, maps->blocks, (int[]){buffer, pairs}, span);
    return pairs;
}
