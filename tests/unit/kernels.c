/* Kernels as machine code: every instruction and shape of control flow against plain loops, by every way that there is
 * from kernel IR to the processor. */
#include "kernel_case.h"
#include "runtime/random.h"

#include <math.h>

/* ---- every operation on numbers ------------------------------------------------------------------------------------
 */

enum { NUMBERS = 64, OPERATIONS = 32 };

typedef struct {
    kir_opcode opcode;
    double (*expected)(double a, double b, double c);
} operation_case;

static double add(double a, double b, double c) {
    return a + b + 0 * c;
}
static double sub(double a, double b, double c) {
    (void)c;
    return a - b;
}
static double mul(double a, double b, double c) {
    (void)c;
    return a * b;
}
static double divide(double a, double b, double c) {
    (void)c;
    return a / b;
}
static double divide_whole(double a, double b, double c) {
    (void)c;
    return trunc(a / b);
}
static double rem(double a, double b, double c) {
    (void)c;
    return fmod(a, b);
}
static double smaller(double a, double b, double c) {
    (void)c;
    return a < b ? a : b;
}
static double larger(double a, double b, double c) {
    (void)c;
    return a > b ? a : b;
}
static double multiply_add(double a, double b, double c) {
    return a * b + c;
}
static double negative(double a, double b, double c) {
    (void)b, (void)c;
    return -a;
}
static double absolute(double a, double b, double c) {
    (void)b, (void)c;
    return fabs(a);
}
static double root(double a, double b, double c) {
    (void)b, (void)c;
    return sqrt(a);
}
static double whole_below(double a, double b, double c) {
    (void)b, (void)c;
    return floor(a);
}
static double sine(double a, double b, double c) {
    (void)b, (void)c;
    return sin(a);
}
static double cosine(double a, double b, double c) {
    (void)b, (void)c;
    return cos(a);
}
static double power(double a, double b, double c) {
    (void)c;
    return pow(a, b);
}
static double equal(double a, double b, double c) {
    (void)c;
    return a == b;
}
static double less(double a, double b, double c) {
    (void)c;
    return a < b;
}
static double less_equal(double a, double b, double c) {
    (void)c;
    return a <= b;
}
static double both_bits(double a, double b, double c) {
    (void)c;
    return (double)((int64_t)a & (int64_t)b);
}
static double any_bits(double a, double b, double c) {
    (void)c;
    return (double)((int64_t)a | (int64_t)b);
}
static double shifted_left(double a, double b, double c) {
    (void)b;
    return a * exp2(c);
}
static double shifted_right(double a, double b, double c) {
    (void)b;
    return floor(a / exp2(c));
}

static const operation_case float_operations[] = {
    {KIR_add, add},           {KIR_sub, sub},          {KIR_mul, mul},
    {KIR_div, divide},        {KIR_rem, rem},          {KIR_min, smaller},
    {KIR_max, larger},        {KIR_fma, multiply_add}, {KIR_neg, negative},
    {KIR_abs, absolute},      {KIR_sqrt, root},        {KIR_sin, sine},
    {KIR_floor, whole_below}, {KIR_cos, cosine},       {KIR_pow, power},
    {KIR_equal, equal},       {KIR_less, less},        {KIR_less_equal, less_equal},
    {KIR_OP_COUNT, NULL},
};

static const operation_case whole_operations[] = {
    {KIR_add, add},
    {KIR_sub, sub},
    {KIR_mul, mul},
    {KIR_div, divide_whole},
    {KIR_rem, rem},
    {KIR_min, smaller},
    {KIR_max, larger},
    {KIR_neg, negative},
    {KIR_abs, absolute},
    {KIR_equal, equal},
    {KIR_less, less},
    {KIR_less_equal, less_equal},
    {KIR_and, both_bits},
    {KIR_or, any_bits},
    {KIR_shift_left, shifted_left},
    {KIR_shift_right, shifted_right},
    {KIR_OP_COUNT, NULL},
};

static bool shifts(kir_opcode opcode) {
    return opcode == KIR_shift_left || opcode == KIR_shift_right;
}

static const operation_case *operations_of(kir_element element) {
    return element == KIR_F32 ? float_operations : whole_operations;
}

/* numbers[i, n] = operation i of (a[n], b[n], c[n]), or truths[i, n] for a comparison; shifts are a by c. */
static kernel_case *operations_build(kir_element element, int lanes) {
    kernel_case *this = case_new("operations");
    const kir_builder *b = &this->builder;
    int inputs[3];
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        inputs[i] = case_argument(this, names[i], element, NUMBERS, false);
    int numbers = case_argument(this, "numbers", element, NUMBERS * OPERATIONS, true);
    int truths = case_argument(this, "truths", KIR_BOOL, NUMBERS * OPERATIONS, true);
    kir_index at = kir_plus(kir_at(0), lanes, 0);
    kir_reg r[3];
    for (int i = 0; i < 3; i++)
        r[i] = kir_load(b, inputs[i], at, lanes, lanes);
    const operation_case *operations = operations_of(element);
    for (int i = 0; operations[i].expected; i++) {
        kir_opcode opcode = operations[i].opcode;
        int count = kir_op_operands(opcode);
        kir_reg result = count == 1   ? kir_op1(b, opcode, r[0])
                         : count == 2 ? kir_op2(b, opcode, r[0], r[shifts(opcode) ? 2 : 1])
                                      : kir_op3(b, opcode, r[0], r[1], r[2]);
        bool truth = this->kernel->registers[result].element == KIR_BOOL;
        kir_store(b, truth ? truths : numbers, kir_plus_index(kir_at(i * NUMBERS), 1, at), result, lanes);
    }
    case_finish(this, NUMBERS / lanes);
    return this;
}

static double number_get(const kernel_case *this, const char *memory, int argument, int place) {
    const char *start = memory + this->offsets[argument];
    switch (this->kernel->arguments[argument].element) {
    case KIR_F32: return (double)((const float *)start)[place];
    case KIR_I32: return ((const int32_t *)start)[place];
    case KIR_I64: return (double)((const int64_t *)start)[place];
    default: return start[place];
    }
}

static void number_set(const kernel_case *this, char *memory, int argument, int place, double value) {
    char *start = memory + this->offsets[argument];
    switch (this->kernel->arguments[argument].element) {
    case KIR_F32: ((float *)start)[place] = (float)value; break;
    case KIR_I32: ((int32_t *)start)[place] = (int32_t)value; break;
    case KIR_I64: ((int64_t *)start)[place] = (int64_t)value; break;
    default: start[place] = value != 0; break;
    }
}

/* Whole numbers below 2^20, and 2^40 in i64; fractions and every special number in f32. c is a small whole number, so
 * that it can be shifted by, and a * b + c is exact. */
static void operations_fill(kernel_case *this, char *memory, int lanes) {
    static const double specials[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e30, -0.25, 8388609};
    (void)lanes;
    bool is_float = this->kernel->arguments[0].element == KIR_F32;
    double unit = is_float ? 0.25 : this->kernel->arguments[0].element == KIR_I64 ? 1099511627776.0 : 1;
    for (int n = 0; n < NUMBERS; n++) {
        double a = (n * 37 % 101 - 50) * unit, b = (n % 13 - 6) == 0 ? 7 : n % 13 - 6;
        if (is_float && n < 8)
            a = specials[n];
        if (is_float && n >= 8 && n < 16)
            b = specials[n - 8];
        number_set(this, memory, 0, n, a);
        number_set(this, memory, 1, n, b);
        number_set(this, memory, 2, n, n % 5);
    }
}

static bool close_enough(double value, double expected) {
    if (isnan(expected))
        return isnan(value);
    if (isinf(expected) || expected == 0)
        return value == expected || fabs(value - expected) < 1e-6;
    return fabs(value - expected) <= 1e-6 * fmax(1, fabs(expected));
}

static void operations_check(kernel_case *this, char *memory, int lanes) {
    kir_element element = this->kernel->arguments[0].element;
    const operation_case *operations = operations_of(element);
    for (int i = 0; operations[i].expected; i++) {
        kir_opcode opcode = operations[i].opcode;
        bool truth = opcode == KIR_equal || opcode == KIR_less || opcode == KIR_less_equal;
        for (int n = 0; n < NUMBERS; n++) {
            double a = number_get(this, memory, 0, n), b = number_get(this, memory, 1, n);
            double expected = operations[i].expected(a, b, number_get(this, memory, 2, n));
            double value = number_get(this, memory, truth ? 4 : 3, i * NUMBERS + n);
            if (!close_enough(value, element == KIR_F32 ? (double)(float)expected : expected))
                fail_msg("%s of %s, %d lanes: (%g, %g, %d) gives %.9g in place of %.9g", kir_op_name(opcode),
                         kir_element_name(element), lanes, a, b, n % 5, value, expected);
        }
    }
}

/* ---- conversions
 * ------------------------------------------------------------------------------------------------------ */

enum { CONVERSIONS = 7 };
static const struct {
    kir_element from, to;
} conversions[CONVERSIONS] = {
    {KIR_F32, KIR_I32},  {KIR_I32, KIR_F32},  {KIR_I32, KIR_I64},  {KIR_I64, KIR_I32},
    {KIR_F32, KIR_BOOL}, {KIR_BOOL, KIR_F32}, {KIR_BOOL, KIR_I32},
};

/* Argument e holds the numbers as element e; argument 4 + i gets conversion i of them. */
static kernel_case *conversions_build(int lanes) {
    static const kir_element elements[] = {KIR_F32, KIR_I32, KIR_I64, KIR_BOOL};
    kernel_case *this = case_new("conversions");
    const kir_builder *b = &this->builder;
    for (int e = 0; e < 4; e++)
        case_argument(this, kir_element_name(elements[e]), elements[e], NUMBERS, false);
    for (int i = 0; i < CONVERSIONS; i++)
        case_argument(this, arena_printf(this->memory, "to%d", i), conversions[i].to, NUMBERS, true);
    kir_index at = kir_plus(kir_at(0), lanes, 0);
    for (int i = 0; i < CONVERSIONS; i++) {
        int from = 0;
        while (elements[from] != conversions[i].from)
            from++;
        kir_reg value = kir_load(b, from, at, lanes, lanes);
        kir_store(b, 4 + i, at, kir_convert(b, value, conversions[i].to), lanes);
    }
    case_finish(this, NUMBERS / lanes);
    return this;
}

static double conversion_input(kir_element element, int n) {
    return element == KIR_BOOL ? n % 3 == 0 : element == KIR_F32 ? (n - 32) * 0.75 : (n - 32) * 1000;
}

static void conversions_fill(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int e = 0; e < 4; e++)
        for (int n = 0; n < NUMBERS; n++)
            number_set(this, memory, e, n, conversion_input(this->kernel->arguments[e].element, n));
}

static void conversions_check(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < CONVERSIONS; i++)
        for (int n = 0; n < NUMBERS; n++) {
            double input = conversion_input(conversions[i].from, n), value = number_get(this, memory, 4 + i, n);
            double expected = conversions[i].to == KIR_BOOL  ? input != 0
                              : conversions[i].to == KIR_F32 ? input
                                                             : trunc(input);
            if (value != expected)
                fail_msg("%s to %s, %d lanes: %g gives %g", kir_element_name(conversions[i].from),
                         kir_element_name(conversions[i].to), lanes, input, value);
        }
}

/* x to bf16 in memory, and from there to f32 again. */
static kernel_case *bf16_build(int lanes) {
    kernel_case *this = case_new("bf16");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_F32, NUMBERS, false),
        half = case_argument(this, "half", KIR_BF16, NUMBERS, true);
    int y = case_argument(this, "y", KIR_F32, NUMBERS, true);
    kir_index at = kir_plus(kir_at(0), lanes, 0);
    kir_store(b, half, at, kir_convert(b, kir_load(b, x, at, lanes, lanes), KIR_BF16), lanes);
    kir_store(b, y, at, kir_convert(b, kir_load(b, half, at, lanes, lanes), KIR_F32), lanes);
    case_finish(this, NUMBERS / lanes);
    return this;
}

/* Beside ordinary numbers: exact, a tie to even downward, a tie to even upward, just above a tie, overflow by rounding.
 */
static void bf16_fill(kernel_case *this, char *memory, int lanes) {
    static const float first[] = {1.0f,     1.00390625f, 1.01171875f, 1.0039064f, 3.4028235e38f,
                                  INFINITY, -INFINITY,   NAN,         -0.0f};
    (void)lanes;
    for (int n = 0; n < NUMBERS; n++)
        floats(this, memory, 0)[n] = n < 9 ? first[n] : (float)(n - 40) * 0.37f;
}

static void bf16_check(kernel_case *this, char *memory, int lanes) {
    static const float first[] = {1.0f, 1.0f, 1.015625f, 1.0078125f, INFINITY, INFINITY, -INFINITY, NAN, -0.0f};
    (void)lanes;
    const float *x = floats(this, memory, 0), *y = floats(this, memory, 2);
    for (int n = 0; n < NUMBERS; n++) {
        if (n < 9)
            assert_true(isnan(first[n]) ? isnan(y[n]) : y[n] == first[n]);
        else
            assert_true(fabsf(y[n] - x[n]) <= fabsf(x[n]) / 256);
    }
}

/* ---- what is particular to vectors
 * -------------------------------------------------------------------------------------- */

/* Each of three rows of 37: y = 2 x + y, in vectors and a rest. */
static kernel_case *tails_build(int lanes) {
    kernel_case *this = case_new("saxpy");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_F32, 3 * 37, false), y = case_argument(this, "y", KIR_F32, 3 * 37, true);
    kir_builder body;
    int whole = 37 / lanes * lanes;
    kir_reg two = kir_number(b, kir_vector_type(KIR_F32, lanes), 2);
    kir_reg n = kir_loop(b, kir_at(0), kir_at(whole), lanes, &body);
    kir_index row = kir_plus(kir_at(0), 37, 0), at = kir_plus(row, 1, n);
    kir_reg sum =
        kir_op3(&body, KIR_fma, two, kir_load(&body, x, at, lanes, lanes), kir_load(&body, y, at, lanes, lanes));
    kir_store(&body, y, at, sum, lanes);
    if (whole < 37) {
        row.base = whole;
        sum = kir_op3(b, KIR_fma, two, kir_load(b, x, row, lanes, 37 - whole), kir_load(b, y, row, lanes, 37 - whole));
        kir_store(b, y, row, sum, 37 - whole);
    }
    case_finish(this, 3);
    return this;
}

static void tails_fill(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int i = 0; i < 3 * 37; i++) {
        floats(this, memory, 0)[i] = (float)i;
        floats(this, memory, 1)[i] = (float)(i % 7);
    }
}

static void tails_check(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int i = 0; i < 3 * 37; i++)
        assert_true(floats(this, memory, 1)[i] == (float)(2 * i + i % 7));
}

/* sums[g] and maxima[g] of row g of x[4, 5 lanes + 3], by accumulators; the rest of a row counts by select. What is
 * fetched ahead, in x or far outside of it, changes nothing. */
static kernel_case *reduction_build(int lanes) {
    kernel_case *this = case_new("reduction");
    const kir_builder *b = &this->builder;
    int width = 5 * lanes + (lanes > 3 ? 3 : 0);
    int x = case_argument(this, "x", KIR_F32, 4 * width, false);
    int sums = case_argument(this, "sums", KIR_F32, 4, true), maxima = case_argument(this, "maxima", KIR_F32, 4, true);
    kir_type vector = kir_vector_type(KIR_F32, lanes);
    kir_reg sum = kir_number(b, vector, 0), largest = kir_number(b, vector, -INFINITY);
    kir_builder body;
    kir_reg n = kir_loop(b, kir_at(0), kir_at(5 * lanes), lanes, &body);
    kir_index row = kir_plus(kir_at(0), width, 0);
    kir_reg value = kir_load(&body, x, kir_plus(row, 1, n), lanes, lanes);
    kir_into(&body, sum, KIR_add, sum, value, -1);
    kir_into(&body, largest, KIR_max, largest, value, -1);
    kir_prefetch(&body, x, kir_plus(kir_plus(kir_at(width), width, 0), 1, n));
    kir_prefetch(&body, x, kir_plus(kir_at(-(INT64_C(1) << 40)), 1, n));
    if (width > 5 * lanes) {
        row.base = 5 * lanes;
        value = kir_load(b, x, row, lanes, 3);
        kir_into(b, sum, KIR_add, sum, value, -1);
        kir_reg inside = kir_op2(b, KIR_less, kir_iota(b, kir_vector_type(KIR_I32, lanes)),
                                 kir_number(b, kir_vector_type(KIR_I32, lanes), 3));
        kir_into(b, largest, KIR_max, largest, kir_op3(b, KIR_select, inside, value, kir_number(b, vector, -INFINITY)),
                 -1);
    }
    kir_index at = kir_plus(kir_at(0), 1, 0);
    kir_store(b, sums, at, kir_op1(b, KIR_sum_lanes, sum), 1);
    kir_store(b, maxima, at, kir_op1(b, KIR_max_lanes, largest), 1);
    case_finish(this, 4);
    return this;
}

static void reduction_fill(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int64_t i = 0; i < this->kernel->arguments[0].elements; i++)
        floats(this, memory, 0)[i] = (float)(-1 - i * 29 % 83);
}

static void reduction_check(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    int64_t width = this->kernel->arguments[0].elements / 4;
    for (int64_t g = 0; g < 4; g++) {
        float sum = 0, largest = -INFINITY;
        for (int64_t i = g * width; i < (g + 1) * width; i++) {
            sum += floats(this, memory, 0)[i];
            largest = fmaxf(largest, floats(this, memory, 0)[i]);
        }
        assert_true(floats(this, memory, 1)[g] == sum);
        assert_true(floats(this, memory, 2)[g] == largest);
    }
}

/* The order of sum_lanes is part of the meaning: halves are added pairwise. */
static kernel_case *order_build(int lanes) {
    kernel_case *this = case_new("order");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_F32, lanes, false), y = case_argument(this, "y", KIR_F32, 1, true);
    kir_store(b, y, kir_at(0), kir_op1(b, KIR_sum_lanes, kir_load(b, x, kir_at(0), lanes, lanes)), 1);
    case_finish(this, 1);
    return this;
}

static void order_fill(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < lanes; i++)
        floats(this, memory, 0)[i] = ldexpf(1.0f + (float)i / 3, i * 5 % 23);
}

static void order_check(kernel_case *this, char *memory, int lanes) {
    float *x = floats(this, memory, 0);
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] += x[i + half];
    assert_true(floats(this, memory, 1)[0] == x[0]);
}

/* Row g: bytes loaded side by side, three apart and one short, as numbers; and back, three apart. */
enum { BYTES = 96 };
static kernel_case *bytes_build(int lanes) {
    kernel_case *this = case_new("bytes");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_U8, 2 * BYTES, false), y = case_argument(this, "y", KIR_U8, 2 * BYTES, true);
    int sums = case_argument(this, "sums", KIR_I32, 2 * BYTES, true);
    kir_index row = kir_plus(kir_at(0), BYTES, 0);
    int some = lanes > 1 ? lanes - 1 : 1;
    kir_reg every = kir_convert(b, kir_load(b, x, row, lanes, lanes), KIR_I32);
    kir_reg third = kir_convert(b, kir_load_strided(b, x, kir_plus_index(kir_at(1), 1, row), lanes, lanes, 3), KIR_I32);
    kir_reg part = kir_convert(b, kir_load_strided(b, x, row, lanes, some, 3), KIR_F32);
    kir_reg sum = kir_op2(b, KIR_add, every, third);
    kir_store_strided(b, sums, row, sum, lanes, 2);
    kir_store_strided(b, sums, kir_plus_index(kir_at(1), 1, row), kir_convert(b, part, KIR_I32), some, 2);
    kir_store(b, y, row, kir_convert(b, every, KIR_U8), lanes);
    kir_store_strided(b, y, kir_plus_index(kir_at(lanes), 1, row), kir_convert(b, part, KIR_U8), some, 4);
    case_finish(this, 2);
    return this;
}

static void bytes_fill(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int i = 0; i < 2 * BYTES; i++)
        ((uint8_t *)(memory + this->offsets[0]))[i] = (uint8_t)(i * 89 + 200);
}

static void bytes_check(kernel_case *this, char *memory, int lanes) {
    int some = lanes > 1 ? lanes - 1 : 1;
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < lanes; i++) {
            const uint8_t *x = (uint8_t *)(memory + this->offsets[0]) + BYTES * g;
            const uint8_t *y = (uint8_t *)(memory + this->offsets[1]) + BYTES * g;
            const int32_t *sums = (int32_t *)(void *)(memory + this->offsets[2]) + BYTES * g;
            assert_int_equal(sums[2 * i], x[i] + x[3 * i + 1]);
            assert_int_equal(sums[2 * i + 1], i < some ? x[3 * i] : 0);
            assert_int_equal(y[i], x[i]);
            assert_int_equal(y[lanes + 4 * i], i < some ? x[3 * i] : 0);
        }
}

/* Row g: two loads with a stride, loads at i32 and i64 offsets, the lanes one by one, through scratch memory. */
enum { PICKED = 6 };
static kernel_case *addresses_build(int lanes) {
    kernel_case *this = case_new("addresses");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_F32, 4 * 64, false);
    int narrow = case_argument(this, "narrow", KIR_I32, 16, false),
        wide = case_argument(this, "wide", KIR_I64, 16, false);
    int y = case_argument(this, "y", KIR_F32, 4 * PICKED * lanes, true);
    int unused = kir_scratch_add(this->memory, this->kernel, "unused", KIR_BOOL, 3);
    int scratch = kir_scratch_add(this->memory, this->kernel, "scratch", KIR_F32, PICKED * lanes);
    kir_index row = kir_plus(kir_at(0), 64, 0);
    int some = lanes > 1 ? lanes - 1 : 1;
    kir_reg picked[PICKED] = {
        kir_load_strided(b, x, row, lanes, lanes, 3),
        kir_load_strided(b, x, kir_plus(row, 1, 0), lanes, some, 2),
        kir_load_indexed(b, x, row, kir_load(b, narrow, kir_at(0), lanes, lanes), lanes),
        kir_load_indexed(b, x, row, kir_load(b, wide, kir_at(0), lanes, lanes), some),
    };
    picked[4] = kir_splat(b, kir_lane(b, picked[0], lanes - 1), lanes);
    picked[5] = kir_convert(b, kir_iota(b, kir_vector_type(KIR_I32, lanes)), KIR_F32);
    kir_store(b, unused, kir_at(0), kir_number(b, kir_scalar_type(KIR_BOOL), 1), 1);
    for (int i = 0; i < PICKED; i++)
        kir_store(b, scratch, kir_at(i * lanes), picked[i], lanes);
    kir_builder body;
    kir_reg i = kir_loop(b, kir_at(0), kir_at(PICKED), 1, &body);
    kir_index to = kir_plus(kir_plus(kir_at(0), lanes, i), PICKED * lanes, 0);
    kir_store(&body, y, to, kir_load(&body, scratch, kir_plus(kir_at(0), lanes, i), lanes, lanes), lanes);
    case_finish(this, 4);
    return this;
}

static void addresses_fill(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int i = 0; i < 4 * 64; i++)
        number_set(this, memory, 0, i, i + 1);
    for (int i = 0; i < 16; i++) {
        number_set(this, memory, 1, i, i * 11 % 16);
        number_set(this, memory, 2, i, i * 7 % 16);
    }
}

static void addresses_check(kernel_case *this, char *memory, int lanes) {
    int some = lanes > 1 ? lanes - 1 : 1;
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < lanes; i++) {
            const float *x = floats(this, memory, 0) + 64 * g, *y = floats(this, memory, 3) + PICKED * lanes * g + i;
            assert_true(y[0] == x[3 * i]);
            assert_true(y[lanes] == (i < some ? x[g + 2 * i] : 0));
            assert_true(y[2 * lanes] == x[i * 11 % 16]);
            assert_true(y[3 * lanes] == (i < some ? x[i * 7 % 16] : 0));
            assert_true(y[4 * lanes] == x[3 * (lanes - 1)]);
            assert_true(y[5 * lanes] == (float)i);
        }
}

/* ---- truth values, branches, bits
 * ------------------------------------------------------------------------------------- */

/* out[i] = !(flags[i] && g < 2) || constant false, as truth values in memory; z = its number by select; lane 0 by
 * branch. */
static kernel_case *truth_build(int lanes) {
    kernel_case *this = case_new("truth");
    const kir_builder *b = &this->builder;
    int flags = case_argument(this, "flags", KIR_BOOL, 4 * lanes, false);
    int out = case_argument(this, "out", KIR_BOOL, 4 * lanes, true),
        z = case_argument(this, "z", KIR_F32, 4 * lanes, true);
    int chosen = case_argument(this, "chosen", KIR_F32, 4, true);
    kir_index at = kir_plus(kir_at(0), lanes, 0);
    kir_reg early = kir_op2(b, KIR_less, 0, kir_value(b, kir_at(2)));
    kir_reg flag = kir_load(b, flags, at, lanes, lanes);
    kir_reg result = kir_op1(b, KIR_not, kir_op2(b, KIR_and, flag, kir_splat(b, early, lanes)));
    result = kir_op2(b, KIR_or, result, kir_number(b, kir_vector_type(KIR_BOOL, lanes), 0));
    kir_store(b, out, at, result, lanes);
    kir_type vector = kir_vector_type(KIR_F32, lanes);
    kir_store(b, z, at, kir_op3(b, KIR_select, result, kir_number(b, vector, 5), kir_number(b, vector, -7)), lanes);
    kir_reg value = kir_register(b, kir_scalar_type(KIR_F32));
    kir_builder yes, no;
    kir_if(b, kir_lane(b, result, 0), &yes, &no);
    kir_assign(&yes, value, kir_number(&yes, kir_scalar_type(KIR_F32), 1));
    kir_reg code = kir_number(&no, kir_scalar_type(KIR_I32), 0x40490fdb);
    kir_assign(&no, value, kir_op1(&no, KIR_bitcast, code));
    kir_store(b, chosen, kir_plus(kir_at(0), 1, 0), value, 1);
    case_finish(this, 4);
    return this;
}

static void truth_fill(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < 4 * lanes; i++)
        number_set(this, memory, 0, i, i % 3 == 0);
}

static void truth_check(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < 4 * lanes; i++) {
        bool expected = !(i % 3 == 0 && i / lanes < 2);
        assert_int_equal((memory + this->offsets[1])[i], expected);
        assert_true(floats(this, memory, 2)[i] == (expected ? 5.0f : -7.0f));
        if (i % lanes == 0)
            assert_true(floats(this, memory, 3)[i / lanes] == (expected ? 1.0f : 3.14159274f));
    }
}

/* The bits of vectors: x as i32, its sign cleared, as f32 again. */
static kernel_case *bits_build(int lanes) {
    kernel_case *this = case_new("bits");
    const kir_builder *b = &this->builder;
    int x = case_argument(this, "x", KIR_F32, lanes, true);
    kir_reg bits = kir_op1(b, KIR_bitcast, kir_load(b, x, kir_at(0), lanes, lanes));
    bits = kir_op2(b, KIR_and, bits, kir_number(b, kir_vector_type(KIR_I32, lanes), 0x7fffffff));
    kir_store(b, x, kir_at(0), kir_op1(b, KIR_bitcast, bits), lanes);
    case_finish(this, 1);
    return this;
}

static void bits_fill(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < lanes; i++)
        floats(this, memory, 0)[i] = i % 2 ? 1.5f : -2.5f;
}

static void bits_check(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < lanes; i++)
        assert_true(floats(this, memory, 0)[i] == (i % 2 ? 1.5f : 2.5f));
}

/* ---- random numbers
 * ------------------------------------------------------------------------------------------------------- */

static kernel_case *random_build(int lanes) {
    kernel_case *this = case_new("random");
    const kir_builder *b = &this->builder;
    (void)lanes;
    int uniform = case_argument(this, "uniform", KIR_F32, 100, true),
        normal = case_argument(this, "normal", KIR_F32, 100, true);
    kir_index at = kir_plus(kir_at(0), 1, 0);
    kir_reg seed = kir_number(b, kir_scalar_type(KIR_I32), 7), step = kir_number(b, kir_scalar_type(KIR_I32), 3);
    kir_store(b, uniform, at, kir_random(b, KIR_random_uniform, seed, step, 0, 11), 1);
    kir_store(b, normal, at, kir_random(b, KIR_random_normal, seed, step, kir_value(b, kir_plus(kir_at(5), 2, 0)), 12),
              1);
    case_finish(this, 100);
    return this;
}

static void random_fill(kernel_case *this, char *memory, int lanes) {
    (void)this, (void)memory, (void)lanes;
}

static void random_check(kernel_case *this, char *memory, int lanes) {
    (void)lanes;
    for (int i = 0; i < 100; i++) {
        assert_true(floats(this, memory, 0)[i] == rt_random_uniform(7, 3, 11, i));
        assert_true(floats(this, memory, 1)[i] == rt_random_normal(7, 3, 12, 5 + 2 * i));
    }
}

/* ---- streamed stores ------------------------------------------------------------------------------------------- */

enum { STREAMED_LINES = 40, STREAMED_SHIFT = 3 };

/* The first argument at whole lines, the second three elements further, where no vector may go past the caches; the
 * third in a loop whose register moves by less than a vector from the second turn on. */
static kernel_case *streams_build(int lanes) {
    kernel_case *this = case_new("streams");
    const kir_builder *b = &this->builder;
    int64_t room = 2 * (int64_t)STREAMED_LINES * lanes + 64;
    int arguments[3];
    static const char *const names[] = {"whole", "shifted", "creeping"};
    for (int i = 0; i < 3; i++) {
        arguments[i] = case_argument(this, names[i], KIR_F32, room, true);
        this->kernel->arguments[arguments[i]].reads = false;
        kir_stream(this->kernel, arguments[i]);
    }
    kir_reg number = kir_convert(b, kir_value(b, kir_plus(kir_at(0), 1, 0)), KIR_F32);
    kir_reg values = kir_splat(b, number, lanes);
    kir_index at = kir_plus(kir_at(0), lanes, 0), shifted = at;
    shifted.base += STREAMED_SHIFT;
    kir_store(b, arguments[0], at, values, lanes);
    kir_store(b, arguments[1], shifted, values, lanes);
    kir_builder body;
    kir_reg place = kir_value(b, kir_at(0));
    kir_loop(b, kir_at(0), kir_at(2), 1, &body);
    kir_store(&body, arguments[2], kir_plus(kir_plus(kir_at(0), 2 * (int64_t)lanes, 0), 1, place), values, lanes);
    kir_assign(&body, place, kir_value(&body, kir_plus(kir_at(1), 1, place)));
    case_finish(this, STREAMED_LINES);
    return this;
}

static void streams_fill(kernel_case *this, char *memory, int lanes) {
    (void)this, (void)memory, (void)lanes;
}

static void streams_check(kernel_case *this, char *memory, int lanes) {
    for (int i = 0; i < STREAMED_LINES * lanes; i++) {
        assert_true(floats(this, memory, 0)[i] == (float)(i / lanes));
        assert_true(floats(this, memory, 1)[i + STREAMED_SHIFT] == (float)(i / lanes));
    }
    for (int i = 0; i < STREAMED_LINES; i++)
        for (int lane = 0; lane <= lanes; lane++)
            assert_true(floats(this, memory, 2)[2 * i * lanes + lane] == (float)i);
}

/* ---- all of them
 * --------------------------------------------------------------------------------------------------------------- */

static void run_all(const case_way *way) {
    int lanes = way->lanes;
    static const kir_element elements[] = {KIR_F32, KIR_I32, KIR_I64};
    for (int e = 0; e < 3; e++)
        case_complete(operations_build(elements[e], lanes), way, operations_fill, operations_check);
    case_complete(conversions_build(lanes), way, conversions_fill, conversions_check);
    case_complete(bf16_build(lanes), way, bf16_fill, bf16_check);
    case_complete(tails_build(lanes), way, tails_fill, tails_check);
    case_complete(reduction_build(lanes), way, reduction_fill, reduction_check);
    case_complete(order_build(lanes), way, order_fill, order_check);
    case_complete(addresses_build(lanes), way, addresses_fill, addresses_check);
    case_complete(bytes_build(lanes), way, bytes_fill, bytes_check);
    case_complete(truth_build(lanes), way, truth_fill, truth_check);
    case_complete(bits_build(lanes), way, bits_fill, bits_check);
    case_complete(random_build(lanes), way, random_fill, random_check);
    case_complete(streams_build(lanes), way, streams_fill, streams_check);
}

static void every_way(void **state) {
    (void)state;
    case_each_way(run_all);
}

/* The case becomes code with that text for the target; frees it. */
static void check_assembly(kernel_case *this, const char *name, const char *wanted) {
    kir_target target;
    text_buffer assembly = {0};
    assert_true(kir_target_named(name, &target));
    assert_true(llvm_emit(&this->program, &target, LLVM_ASSEMBLY, &assembly, &this->diags));
    assert_non_null(strstr(assembly.data, wanted));
    text_free(&assembly);
    case_free(this);
}

static void large_results_are_streamed(void **state) {
    (void)state;
    check_assembly(streams_build(16), "avx512", "vmovntps");
}

static void fetching_ahead_reaches_the_code(void **state) {
    (void)state;
    check_assembly(reduction_build(8), "avx2", "prefetcht1");
}

static void vectors_are_refused_in_scalar_code(void **state) {
    (void)state;
    kernel_case *this = bits_build(4);
    assert_null(tcc_compile(&this->program, &this->diags));
    assert_int_equal(this->diags.error_count, 1);
    assert_non_null(strstr(this->diags.entries[0].message, "has vectors"));
    case_free(this);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way),
        cmocka_unit_test(large_results_are_streamed),
        cmocka_unit_test(fetching_ahead_reaches_the_code),
        cmocka_unit_test(vectors_are_refused_in_scalar_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
