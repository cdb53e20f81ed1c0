/* Winograd's method: maps cut into tiles, and their patches evaluated at the points. */
#include "passes/pair_panel.h"
#include "passes/winograd.h"

static int64_t quotient_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

winograd_tiling winograd_tiling_new(int64_t n, const int64_t size[2], int outputs, int64_t wanted) {
    winograd_tiling tiling = {.count = {quotient_up(size[0], outputs), quotient_up(size[1], outputs)}, .images = 1};
    int64_t map = tiling.count[0] * tiling.count[1];
    tiling.rows = tiling.count[0];
    if (map > wanted)
        tiling.rows = lower_divisor_below(tiling.count[0], wanted / tiling.count[1]);
    else
        tiling.images = lower_divisor_below(n, wanted / map);
    tiling.blocks = tiling.count[0] / tiling.rows;
    tiling.tiles = tiling.images * tiling.rows * tiling.count[1];
    tiling.extent = n / tiling.images * tiling.blocks;
    return tiling;
}

winograd_place winograd_place_of(const kir_builder *builder, const winograd_tiling *tiling, kir_index block) {
    if (tiling->blocks == 1)
        return (winograd_place){kir_plus_index(kir_at(0), tiling->images, block), kir_at(0)};
    kir_reg number = kir_value(builder, block), count = kir_value(builder, kir_at(tiling->blocks));
    kir_reg image = kir_op2(builder, KIR_div, number, count), part = kir_op2(builder, KIR_rem, number, count);
    return (winograd_place){kir_plus(kir_at(0), 1, image), kir_plus(kir_at(0), tiling->rows, part)};
}

int64_t winograd_point_stride(int64_t tiles, int64_t channels, int lanes) {
    return tiles * channels + lanes;
}

/* The part of a map that a block's patches cover, with what lies outside of the map. */
static int64_t covered(const winograd_patches *patches, int64_t tiles) {
    return (tiles - 1) * patches->step + patches->matrix->columns;
}

winograd_patches winograd_patches_new(const winograd_tiling *tiling, const winograd_matrix *matrix, int step,
                                      const int64_t size[2], int64_t channels, const int64_t origin[2], int64_t panel) {
    winograd_patches patches = {
        .matrix = matrix, .step = step, .channels = channels, .numbers = channels, .panel = panel, .padded = -1};
    patches.inside = true;
    for (int i = 0; i < 2; i++) {
        patches.size[i] = size[i];
        patches.origin[i] = origin[i];
        patches.inside &= origin[i] == 0 && covered(&patches, tiling->count[i]) <= size[i];
    }
    return patches;
}

void winograd_pair_channels(winograd_patches *patches, int parts) {
    patches->parts = parts;
    patches->numbers = patches->channels / 2;
}

void winograd_pair_images(winograd_patches *patches, int parts, int64_t between) {
    patches->parts = parts;
    patches->images_between = between;
}

kir_element winograd_element(int parts) {
    return parts > 0 ? KIR_I32 : KIR_F32;
}

void winograd_patches_lay(winograd_patches *patches, int64_t tiles, int lanes) {
    const winograd_matrix *matrix = patches->matrix;
    patches->tiles = tiles;
    patches->point = winograd_point_stride(tiles, patches->numbers, lanes);
    patches->part = matrix->rows * matrix->rows * patches->point;
}

int64_t winograd_patches_elements(const winograd_patches *patches) {
    return (patches->parts > 0 ? patches->parts : 1) * patches->part;
}

/* Elements of a block's part of a map with its margins. */
static int64_t padded_elements(const winograd_patches *patches, const winograd_tiling *tiling) {
    return covered(patches, tiling->rows) * covered(patches, tiling->count[1]) * patches->channels;
}

void winograd_patches_open(winograd_patches *patches, arena *memory, kir_kernel *kernel, const winograd_tiling *tiling,
                           int source, int lanes) {
    int64_t elements = padded_elements(patches, tiling);
    patches->source = source;
    patches->padded = -1;
    if (!patches->inside)
        patches->padded =
            kir_scratch_add(memory, kernel, "padded", KIR_F32, patches->images_between > 0 ? 2 * elements : elements);
    patches->half = patches->parts > 0 ? winograd_half(memory, kernel, patches->matrix, 2, lanes) : -1;
}

/* One row of the padded part: of the map, or of zeros. */
static void emit_padded_row(kir_builder *builder, const winograd_patches *patches, int64_t columns, kir_index target,
                            kir_index image, kir_index row, int lanes) {
    int64_t line = patches->size[1] * patches->channels, left = -patches->origin[1] * patches->channels;
    int64_t room = columns * patches->channels - left,
            copied = line < room ? line : room; /* strides may skip the last */
    kir_reg number = kir_value(builder, row);
    kir_reg above = kir_op2(builder, KIR_less, number, kir_value(builder, kir_at(0)));
    kir_reg below = kir_op2(builder, KIR_less_equal, kir_value(builder, kir_at(patches->size[0])), number);
    kir_builder outside, inside;
    kir_if(builder, kir_op2(builder, KIR_or, above, below), &outside, &inside);
    lower_clear_elements(&outside, patches->padded, target, columns * patches->channels, lanes);
    lower_clear_elements(&inside, patches->padded, target, left, lanes);
    target.base += left;
    kir_index from = kir_plus_index(kir_plus_index(kir_at(0), patches->size[0] * line, image), line, row);
    lower_move_elements(&inside, patches->padded, target, patches->source, from, copied, lanes);
    target.base += copied;
    lower_clear_elements(&inside, patches->padded, target, room - copied, lanes);
}

/* What the elements of a patch are loaded from and stored to. */
typedef struct {
    const winograd_patches *patches;
    int argument, lanes;
    int64_t row;            /* elements between rows of the map */
    int64_t second;         /* elements from a number to the other of its pair */
    kir_index from, target; /* of element 0, 0 */
} patch_elements;

static kir_reg load_element(const kir_builder *builder, int row, kir_index column, void *user) {
    const patch_elements *at = user;
    kir_index from = kir_plus_index(at->from, at->patches->channels, column);
    from.base += row * at->row;
    return kir_load(builder, at->argument, from, at->lanes, at->lanes);
}

static kir_index point_at(const patch_elements *at, kir_index row, int column) {
    const winograd_patches *patches = at->patches;
    kir_index target = kir_plus_index(at->target, patches->matrix->rows * patches->point, row);
    target.base += column * patches->point;
    return target;
}

static void store_point(const kir_builder *builder, kir_index row, int column, kir_reg value, void *user) {
    const patch_elements *at = user;
    kir_store(builder, at->patches->points, point_at(at, row, column), value, at->lanes);
}

static void store_pair(const kir_builder *builder, kir_index row, int column, kir_reg a, kir_reg b, void *user) {
    const patch_elements *at = user;
    const winograd_patches *patches = at->patches;
    pair_store_parts(builder, patches->parts, patches->points, point_at(at, row, column), patches->part, a, b,
                     at->lanes);
}

/* The channels of one panel of one tile; `user` are its elements. */
static void emit_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    patch_elements at = *(patch_elements *)user;
    const winograd_patches *patches = at.patches;
    at.from = kir_plus_index(at.from, 1, first);
    at.target = kir_plus_index(kir_plus_index(kir_at(0), patches->tiles, first), size, at.target);
    kir_builder body = *builder;
    if (size > at.lanes) {
        kir_reg vector = kir_loop(builder, kir_at(0), kir_at(size), at.lanes, &body);
        at.from = kir_plus(at.from, 1, vector);
        at.target = kir_plus(at.target, 1, vector);
    }
    if (patches->parts > 0) {
        patch_elements other = at;
        other.from.base += at.second;
        winograd_transform_pair(&body, patches->matrix, patches->half, at.lanes, load_element,
                                (void *const[]){&at, &other}, store_pair);
    } else {
        winograd_transform(&body, patches->matrix, load_element, store_point, &at);
    }
}

/* The part of a map with its margins, into the scratch from `target` on. */
static void emit_padded(const kir_builder *builder, const winograd_patches *patches, const winograd_tiling *tiling,
                        kir_index image, kir_index top, int64_t target, int lanes) {
    int64_t width = covered(patches, tiling->count[1]);
    kir_builder rows;
    kir_reg row = kir_loop(builder, kir_at(0), kir_at(covered(patches, tiling->rows)), 1, &rows);
    kir_index source_row = kir_plus(top, 1, row);
    source_row.base += patches->origin[0];
    emit_padded_row(&rows, patches, width, kir_plus(kir_at(target), width * patches->channels, row), image, source_row,
                    lanes);
}

/* Where the patches of one map, or of the two that are paired, begin. */
static patch_elements elements_of_map(const kir_builder *builder, const winograd_patches *patches,
                                      const winograd_tiling *tiling, kir_index image, kir_index top, int lanes) {
    patch_elements at = {.patches = patches, .argument = patches->source, .lanes = lanes, .second = patches->numbers};
    int64_t between = patches->images_between, padded = padded_elements(patches, tiling);
    if (patches->padded >= 0) {
        at.argument = patches->padded;
        at.row = covered(patches, tiling->count[1]) * patches->channels;
        emit_padded(builder, patches, tiling, image, top, 0, lanes);
        if (between > 0) {
            at.second = padded;
            image.base += between;
            emit_padded(builder, patches, tiling, image, top, padded, lanes);
        }
        return at;
    }
    at.row = patches->size[1] * patches->channels;
    at.from = kir_plus_index(kir_plus_index(kir_at(0), patches->size[0] * at.row, image), at.row, top);
    if (between > 0)
        at.second = between * patches->size[0] * at.row;
    return at;
}

void winograd_emit_patches(kir_builder *builder, const winograd_patches *patches, const winograd_tiling *tiling,
                           const winograd_place *place, kir_index first, int lanes) {
    kir_builder maps = *builder, rows, columns;
    kir_index image = kir_at(0);
    if (tiling->images > 1)
        image = kir_plus(image, 1, kir_loop(builder, kir_at(0), kir_at(tiling->images), 1, &maps));
    kir_index map = kir_plus_index(place->image, 1, image), top = kir_plus_index(kir_at(0), patches->step, place->row);
    patch_elements at = elements_of_map(&maps, patches, tiling, map, top, lanes);
    kir_reg row = kir_loop(&maps, kir_at(0), kir_at(tiling->rows), 1, &rows);
    kir_reg column = kir_loop(&rows, kir_at(0), kir_at(tiling->count[1]), 1, &columns);
    at.from = kir_plus(kir_plus(at.from, patches->step * at.row, row), patches->step * patches->channels, column);
    at.target = kir_plus_index(first, tiling->rows * tiling->count[1], image);
    at.target =
        kir_plus(kir_plus(at.target, tiling->count[1], row), 1, column); /* the tile's number, until emit_panel */
    tile_blocks(&columns, patches->numbers, patches->panel, emit_panel, &at);
}

int winograd_map_count(const winograd_patches *patches) {
    return patches->images_between > 0 ? 2 : 1;
}

fetch_ahead winograd_fetch_next(const kir_builder *builder, const winograd_patches *patches,
                                const winograd_tiling *tiling, kir_index block, int map) {
    int64_t half = builder->kernel->arguments[patches->source].elements / winograd_map_count(patches);
    int64_t size = half / tiling->extent;
    return (fetch_ahead){
        .argument = patches->source, .first = kir_plus_index(kir_at(map * half + size), size, block), .elements = size};
}

int winograd_launch_patches(lower_context *context, winograd_patches *patches, const winograd_tiling *tiling,
                            int buffer, int64_t map_elements, source_span span) {
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, "winograd_points", span);
    kir_element element = winograd_element(patches->parts);
    int64_t elements = winograd_patches_elements(patches);
    int map = kir_argument_add(memory, kernel, "map", KIR_F32, map_elements, true, false);
    patches->points = kir_argument_add(memory, kernel, "points", element, elements, false, true);
    kir_stream(kernel, patches->points);
    winograd_patches_open(patches, memory, kernel, tiling, map, context->pass->target.lanes);
    kir_builder builder = {memory, kernel, &kernel->body, span};
    winograd_place place = winograd_place_of(&builder, tiling, kir_plus(kir_at(0), 1, 0));
    kir_index first = kir_plus(kir_at(0), tiling->tiles, 0);
    winograd_emit_patches(&builder, patches, tiling, &place, first, context->pass->target.lanes);
    int points = lower_temporary(context, "winograd_points", element, elements, span);
    lower_launch(context, kernel, tiling->extent, (int[]){buffer, points}, span);
    return points;
}
