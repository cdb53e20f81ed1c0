/* Products in kernels: by vectors, by pairs of bf16 numbers and by matrix tiles, against plain loops, by every way that
 * there is from kernel IR to the processor. */
#include "kernel_case.h"
#include "passes/transpose.h"

/* c[6, 2 lanes] = a[6, 5] b[5, 2 lanes]: two rows by two vectors of accumulators an iteration. */
static kernel_case *product_build(int lanes) {
    kernel_case *this = case_new("product");
    const kir_builder *b = &this->builder;
    int left = case_argument(this, "a", KIR_F32, 6 * 5, false),
        right = case_argument(this, "b", KIR_F32, 5 * 2 * lanes, false);
    int product = case_argument(this, "c", KIR_F32, 6 * 2 * lanes, true);
    kir_reg sums[4];
    for (int i = 0; i < 4; i++)
        sums[i] = kir_number(b, kir_vector_type(KIR_F32, lanes), 0);
    kir_builder body;
    kir_reg k = kir_loop(b, kir_at(0), kir_at(5), 1, &body);
    for (int i = 0; i < 4; i++) {
        kir_reg a = kir_load(&body, left, kir_plus(kir_plus(kir_at(i / 2 * 5), 10, 0), 1, k), 1, 1);
        kir_reg vector = kir_load(&body, right, kir_plus(kir_at(i % 2 * lanes), 2 * lanes, k), lanes, lanes);
        kir_into(&body, sums[i], KIR_fma, kir_splat(&body, a, lanes), vector, sums[i]);
    }
    for (int i = 0; i < 4; i++)
        kir_store(b, product, kir_plus(kir_at((i / 2 * 2 + i % 2) * lanes), 4 * lanes, 0), sums[i], lanes);
    case_finish(this, 3);
    return this;
}

static void product_fill(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < 6 * 5; i++)
        floats(this, memory, 0)[i] = (float)(i % 11 - 5);
    for (int i = 0; i < 5 * 2 * lanes; i++)
        floats(this, memory, 1)[i] = (float)(i % 7 - 3);
}

static void product_check(kernel_case *this, char *memory, int lanes) {
    for (int row = 0; row < 6; row++)
        for (int column = 0; column < 2 * lanes; column++) {
            float sum = 0;
            for (int k = 0; k < 5; k++)
                sum += floats(this, memory, 0)[row * 5 + k] * floats(this, memory, 1)[k * 2 * lanes + column];
            assert_true(floats(this, memory, 2)[row * 2 * lanes + column] == sum);
        }
}

/* The same by matrix tiles: c += a b, with `b` in pairs of rows; rows lie `gap` elements further apart than they are
 * long. */
enum { TILE_ROWS = 5, TILE_COLUMNS = 12, TILE_DEPTH = 6, GAP = 3 };

static kernel_case *tiles_build(int lanes) {
    kernel_case *this = case_new("tiles");
    const kir_builder *b = &this->builder;
    int left_stride = TILE_DEPTH + GAP, right_stride = 2 * TILE_COLUMNS + GAP, product_stride = TILE_COLUMNS + GAP;
    (void)lanes;
    int left = case_argument(this, "a", KIR_BF16, 2 * TILE_ROWS * left_stride, false);
    int right = case_argument(this, "b", KIR_BF16, TILE_DEPTH / 2 * right_stride, false);
    int product = case_argument(this, "c", KIR_F32, 2 * TILE_ROWS * product_stride, true);
    kir_type sum_type = kir_tile_type(KIR_F32, TILE_ROWS, TILE_COLUMNS);
    kir_index at = kir_plus(kir_at(0), TILE_ROWS * product_stride, 0);
    kir_reg zero = kir_tile_zero(b, sum_type), sum = kir_tile_load(b, product, at, sum_type, product_stride);
    kir_reg rows = kir_tile_load(b, left, kir_plus(kir_at(0), TILE_ROWS * left_stride, 0),
                                 kir_tile_type(KIR_BF16, TILE_ROWS, TILE_DEPTH), left_stride);
    kir_reg pairs =
        kir_tile_load(b, right, kir_at(0), kir_tile_type(KIR_BF16, TILE_DEPTH / 2, 2 * TILE_COLUMNS), right_stride);
    kir_builder body;
    kir_loop(b, kir_at(0), kir_at(2), 1, &body);
    kir_into(&body, sum, KIR_tile_multiply, rows, pairs, sum);
    kir_into(b, zero, KIR_tile_multiply, rows, pairs, zero);
    kir_tile_store(b, product, at, sum, product_stride);
    case_finish(this, 2);
    return this;
}

static uint16_t upper_half(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static float left_number(int row, int k) {
    return (float)((row * 7 + k * 3) % 9 - 4);
}

static float right_number(int k, int column) {
    return (float)((k * 5 + column) % 7 - 3) / 2;
}

static void tiles_fill(kernel_case *this, char *memory, int lanes) {
    uint16_t *a = (uint16_t *)(memory + this->offsets[0]), *b = (uint16_t *)(memory + this->offsets[1]);
    (void)lanes;
    for (int k = 0; k < TILE_DEPTH; k++) {
        for (int row = 0; row < 2 * TILE_ROWS; row++)
            a[row * (TILE_DEPTH + GAP) + k] = upper_half(left_number(row, k));
        for (int column = 0; column < TILE_COLUMNS; column++)
            b[k / 2 * (2 * TILE_COLUMNS + GAP) + 2 * column + k % 2] = upper_half(right_number(k, column));
    }
    for (int i = 0; i < 2 * TILE_ROWS * (TILE_COLUMNS + GAP); i++)
        floats(this, memory, 2)[i] = (float)i;
}

static void tiles_check(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int row = 0; row < 2 * TILE_ROWS; row++)
        for (int column = 0; column < TILE_COLUMNS + GAP; column++) {
            int place = row * (TILE_COLUMNS + GAP) + column;
            float sum = (float)place;
            for (int k = 0; k < TILE_DEPTH && column < TILE_COLUMNS; k++)
                sum += 2 * left_number(row, k) * right_number(k, column);
            assert_true(floats(this, memory, 2)[place] == sum);
        }
}

/* c += a b of tiles of I32 pairs, which dot_pairs makes of numbers: [rows, pairs] by [pairs, columns]. */
enum { PAIR_ROWS = 7, PAIRS = 5, PAIR_COLUMNS = 16 };

static kernel_case *pair_tiles_build(int lanes) {
    kernel_case *this = case_new("pair_tiles");
    const kir_builder *b = &this->builder;
    (void)lanes;
    int left = case_argument(this, "a", KIR_I32, PAIR_ROWS * (PAIRS + GAP), false);
    int right = case_argument(this, "b", KIR_I32, PAIRS * (PAIR_COLUMNS + GAP), false);
    int product = case_argument(this, "c", KIR_F32, PAIR_ROWS * (PAIR_COLUMNS + GAP), true);
    kir_type type = kir_tile_type(KIR_F32, PAIR_ROWS, PAIR_COLUMNS);
    kir_reg sum = kir_tile_load(b, product, kir_at(0), type, PAIR_COLUMNS + GAP);
    kir_reg rows = kir_tile_load_past(b, left, kir_at(0), kir_tile_type(KIR_I32, PAIR_ROWS, PAIRS), PAIRS + GAP);
    kir_reg pairs = kir_tile_load(b, right, kir_at(0), kir_tile_type(KIR_I32, PAIRS, PAIR_COLUMNS), PAIR_COLUMNS + GAP);
    kir_into(b, sum, KIR_tile_multiply, rows, pairs, sum);
    kir_tile_store(b, product, kir_at(0), sum, PAIR_COLUMNS + GAP);
    case_finish(this, 1);
    return this;
}

static void pair_tiles_fill(kernel_case *this, char *memory, int lanes) {
    uint16_t *a = (uint16_t *)(memory + this->offsets[0]), *b = (uint16_t *)(memory + this->offsets[1]);
    (void)lanes;
    for (int k = 0; k < 2 * PAIRS; k++) {
        for (int row = 0; row < PAIR_ROWS; row++)
            a[row * 2 * (PAIRS + GAP) + k] = upper_half(left_number(row, k));
        for (int column = 0; column < PAIR_COLUMNS; column++)
            b[k / 2 * 2 * (PAIR_COLUMNS + GAP) + 2 * column + k % 2] = upper_half(right_number(k, column));
    }
    for (int i = 0; i < PAIR_ROWS * (PAIR_COLUMNS + GAP); i++)
        floats(this, memory, 2)[i] = (float)i;
}

static void pair_tiles_check(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int row = 0; row < PAIR_ROWS; row++)
        for (int column = 0; column < PAIR_COLUMNS + GAP; column++) {
            float sum = (float)(row * (PAIR_COLUMNS + GAP) + column);
            for (int k = 0; k < 2 * PAIRS && column < PAIR_COLUMNS; k++)
                sum += left_number(row, k) * right_number(k, column);
            assert_true(floats(this, memory, 2)[row * (PAIR_COLUMNS + GAP) + column] == sum);
        }
}

/* Pairs of rounded numbers and their products: c = c + a[0] b[0] + a[1] b[1], lane by lane. */
static kernel_case *pairs_build(int lanes) {
    kernel_case *this = case_new("pairs");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_F32, 4 * lanes, false),
        pairs = case_argument(this, "pairs", KIR_I32, lanes, true);
    int sum = case_argument(this, "sum", KIR_F32, lanes, true),
        upper = case_argument(this, "upper", KIR_I32, lanes, true);
    kir_reg numbers[4];
    for (int i = 0; i < 4; i++)
        numbers[i] = kir_load(b, x, kir_at(i * lanes), lanes, lanes);
    kir_reg left = kir_op2(b, KIR_pair, numbers[0], numbers[1]), right = kir_op2(b, KIR_pair, numbers[2], numbers[3]);
    kir_store(b, pairs, kir_at(0), left, lanes);
    kir_store(b, upper, kir_at(0), kir_op2(b, KIR_pair_upper, left, right), lanes);
    kir_store(b, sum, kir_at(0), kir_op3(b, KIR_dot_pairs, left, right, kir_load(b, sum, kir_at(0), lanes, lanes)),
              lanes);
    case_finish(this, 1);
    return this;
}

/* Numbers of few bits, but for the first ones of a, which are rounded: 257 to 256 and 259 to 260, both ties. */
static float pair_number(int which, int lane) {
    return which == 0 ? (float)(257 + 2 * (lane % 2)) : (float)((which * 5 + lane * 3) % 17 - 8);
}

static void pairs_fill(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < lanes; lane++)
            floats(this, memory, 0)[i * lanes + lane] = pair_number(i, lane);
    for (int lane = 0; lane < lanes; lane++)
        floats(this, memory, 2)[lane] = (float)lane;
}

static void pairs_check(kernel_case *this, char *memory, int lanes) {
    const uint16_t *halves = (const uint16_t *)(memory + this->offsets[1]);
    const uint16_t *joined = (const uint16_t *)(memory + this->offsets[3]);
    for (int lane = 0; lane < lanes; lane++) {
        float first = lane % 2 ? 260 : 256, second = pair_number(1, lane);
        assert_int_equal(halves[2 * lane], upper_half(first));
        assert_int_equal(halves[2 * lane + 1], upper_half(second));
        assert_int_equal(joined[2 * lane], upper_half(second));
        assert_int_equal(joined[2 * lane + 1], upper_half(pair_number(3, lane)));
        assert_true(floats(this, memory, 2)[lane] ==
                    (float)lane + first * pair_number(2, lane) + second * pair_number(3, lane));
    }
}

/* A square of vectors, turned. */
static kernel_case *turn_build(int lanes) {
    kernel_case *this = case_new("turn");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_I32, lanes * lanes, false);
    int y = case_argument(this, "y", KIR_I32, lanes * lanes, true);
    kir_reg rows[16];
    for (int i = 0; i < lanes; i++)
        rows[i] = kir_load(b, x, kir_at(i * lanes), lanes, lanes);
    transpose_vectors(b, rows, lanes);
    for (int i = 0; i < lanes; i++)
        kir_store(b, y, kir_at(i * lanes), rows[i], lanes);
    case_finish(this, 1);
    return this;
}

static void turn_fill(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < lanes * lanes; i++)
        ((int32_t *)(memory + this->offsets[0]))[i] = 7 * i + 1;
}

static void turn_check(kernel_case *this, char *memory, int lanes) {
    const int32_t *x = (const int32_t *)(memory + this->offsets[0]), *y = (const int32_t *)(memory + this->offsets[1]);
    for (int i = 0; i < lanes; i++)
        for (int j = 0; j < lanes; j++)
            assert_int_equal(y[j * lanes + i], x[i * lanes + j]);
}

static void run_all(const case_way *way) {
    int lanes = way->lanes;
    case_complete(turn_build(lanes), way, turn_fill, turn_check);
    case_complete(product_build(lanes), way, product_fill, product_check);
    case_complete(pairs_build(lanes), way, pairs_fill, pairs_check);
    if (lanes > 1) {
        case_complete(tiles_build(lanes), way, tiles_fill, tiles_check);
        case_complete(pair_tiles_build(lanes), way, pair_tiles_fill, pair_tiles_check);
    }
}

static void every_way(void **state) {
    (void)state;
    case_each_way(run_all);
}

/* Runs nowhere without the units, but must become their instructions everywhere. */
static void check_instructions(kernel_case *this, const char *target_name, const char *const *instructions, int count) {
    kir_target target;
    text_buffer assembly = {0};
    assert_true(kir_target_named(target_name, &target));
    assert_true(llvm_emit(&this->program, &target, LLVM_ASSEMBLY, &assembly, &this->diags));
    for (int i = 0; i < count; i++)
        assert_non_null(strstr(assembly.data, instructions[i]));
    text_free(&assembly);
    case_free(this);
}

static void tiles_use_the_matrix_units(void **state) {
    (void)state;
    static const char *const instructions[] = {"ldtilecfg", "tileloadd", "tdpbf16ps", "tilestored", "tilezero"};
    static const char *const of_pairs[] = {"ldtilecfg", "tileloadd\t", "tileloaddt1", "tdpbf16ps", "tilestored"};
    check_instructions(tiles_build(16), "amx", instructions, 5);
    check_instructions(pair_tiles_build(16), "amx", of_pairs, 5);
}

static void pairs_use_their_instructions(void **state) {
    (void)state;
    static const char *const instructions[] = {"vcvtne2ps2bf16", "vdpbf16ps"};
    check_instructions(pairs_build(16), "avx512-bf16", instructions, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_use_the_matrix_units),
        cmocka_unit_test(pairs_use_their_instructions),
        cmocka_unit_test(every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
