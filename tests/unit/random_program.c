/* Random programs of the tensor IR, with their gradients: each prints and reads back, means the same after every pass, and
 * gives the interpreter's numbers as machine code. RANDOM_PROGRAMS=COUNT tries more of them, RANDOM_PROGRAM_SEED=S only one. */
#include "ir_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { PROGRAMS = 60, OPERATIONS = 24, INPUTS = 4, MOST_VALUES = 200, MOST_ELEMENTS = 2000 };

typedef struct {
    int rank;
    int64_t dims[IR_MAX_RANK];
} shape;

typedef struct {
    uint64_t random;
    text_buffer text;
    shape shapes[MOST_VALUES]; /* of the f32 values %0, %1, …; a rank below 0 marks others */
    int count;
    int recent[MOST_VALUES]; /* values to build on */
    int recent_count;
} generator;

/* ---- choices ----------------------------------------------------------------------------------------------------- */

static int draw(generator *make, int below) {
    make->random += 0x9e3779b97f4a7c15u;
    uint64_t mixed = (make->random ^ make->random >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return (int)((mixed ^ mixed >> 31) % (uint64_t)below);
}

static int64_t elements_of(const shape *of) {
    int64_t count = 1;
    for (int i = 0; i < of->rank; i++)
        count *= of->dims[i];
    return count;
}

static bool same_shape(const shape *a, const shape *b) {
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

/* One of the values, the later ones more often. */
static int pick(generator *make) {
    int a = draw(make, make->recent_count), b = draw(make, make->recent_count);
    return make->recent[a > b ? a : b];
}

/* Another value of that shape if there is one, else itself. */
static int pick_like(generator *make, int value) {
    for (int attempt = 0; attempt < 8; attempt++) {
        int other = pick(make);
        if (same_shape(&make->shapes[other], &make->shapes[value]))
            return other;
    }
    return value;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void append_list(generator *make, const int64_t *numbers, int count) {
    text_append(&make->text, "[");
    for (int i = 0; i < count; i++)
        text_append(&make->text, i ? ",%" PRId64 : "%" PRId64, numbers[i]);
    text_append(&make->text, "]");
}

/* "%7 = ", to be followed by the operation and `finish`. */
static void begin(generator *make) {
    text_append(&make->text, "  %%%d = ", make->count);
}

static int finish(generator *make, const char *type, const shape *result) {
    text_append(&make->text, " : %s", type);
    append_list(make, result->dims, result->rank);
    text_append(&make->text, "\n");
    make->shapes[make->count] = *result;
    if (strcmp(type, "f32") != 0)
        make->shapes[make->count].rank = -1;
    return make->count++;
}

static int keep(generator *make, int value) {
    make->recent[make->recent_count++] = value;
    return value;
}

static int unary(generator *make, const char *name, int x) {
    begin(make);
    text_append(&make->text, "%s %%%d", name, x);
    return finish(make, "f32", &make->shapes[x]);
}

static int binary(generator *make, const char *name, int x, int y) {
    begin(make);
    text_append(&make->text, "%s %%%d, %%%d", name, x, y);
    return finish(make, "f32", &make->shapes[x]);
}

/* Sums grow; what follows shall see numbers around 1. */
static int bounded(generator *make, int x) {
    return keep(make, unary(make, "tanh", x));
}

/* ---- one operation each -------------------------------------------------------------------------------------------- */

/* Everything is continuous, so that rounding moves results a little only: no sign, no floor, no free choice. */
static void add_unary(generator *make) {
    static const char *const names[] = {"neg", "abs", "tanh", "sin", "cos", "relu", "stop_gradient"};
    keep(make, unary(make, names[draw(make, 7)], pick(make)));
}

/* e^tanh x, log (1.5 + sin x) and the like: inside the domain whatever x is. */
static void add_function(generator *make) {
    static const char *const names[] = {"exp", "log", "sqrt", "rsqrt"};
    int x = unary(make, "sin", pick(make));
    begin(make);
    text_append(&make->text, "constant {value=1.5}");
    int offset = finish(make, "f32", &make->shapes[x]);
    keep(make, unary(make, names[draw(make, 4)], binary(make, "add", x, offset)));
}

static void add_binary(generator *make) {
    static const char *const names[] = {"add", "sub", "mul", "max", "min"};
    int x = pick(make);
    int z = binary(make, names[draw(make, 5)], x, pick_like(make, x));
    keep(make, z);
}

static void add_select(generator *make) {
    int x = pick(make), y = pick_like(make, x);
    begin(make);
    text_append(&make->text, "less %%%d, %%%d", x, y);
    int condition = finish(make, "bool", &make->shapes[x]);
    begin(make);
    text_append(&make->text, "select %%%d, %%%d, %%%d", condition, y, x);
    keep(make, finish(make, "f32", &make->shapes[x]));
}

static void add_broadcast(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = {0};
    int64_t axes[IR_MAX_RANK];
    int place = draw(make, from.rank + 1);
    if (from.rank >= 4 || elements_of(&from) * 3 > MOST_ELEMENTS)
        return;
    for (int i = 0; i <= from.rank; i++) {
        if (i == place)
            to.dims[to.rank++] = 1 + draw(make, 3);
        if (i < from.rank) {
            axes[i] = to.rank;
            to.dims[to.rank++] = from.dims[i];
        }
    }
    begin(make);
    text_append(&make->text, "broadcast %%%d {axes=", x);
    append_list(make, axes, from.rank);
    text_append(&make->text, "}");
    keep(make, finish(make, "f32", &to));
}

/* Joins two axes, or splits off a factor of one. */
static void add_reshape(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = from;
    if (from.rank > 1 && draw(make, 2)) {
        int axis = draw(make, from.rank - 1);
        to.dims[axis] *= to.dims[axis + 1];
        memmove(&to.dims[axis + 1], &to.dims[axis + 2], (size_t)(from.rank - axis - 2) * sizeof *to.dims);
        to.rank--;
    } else if (from.rank > 0 && from.rank < 4) {
        int axis = draw(make, from.rank);
        int64_t factor = from.dims[axis] % 3 == 0 ? 3 : from.dims[axis] % 2 == 0 ? 2 : 1;
        memmove(&to.dims[axis + 1], &to.dims[axis], (size_t)(from.rank - axis) * sizeof *to.dims);
        to.dims[axis] = factor;
        to.dims[axis + 1] /= factor;
        to.rank++;
    }
    begin(make);
    text_append(&make->text, "reshape %%%d", x);
    keep(make, finish(make, "f32", &to));
}

static void add_transpose(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = from;
    int64_t axes[IR_MAX_RANK];
    for (int i = 0; i < from.rank; i++)
        axes[i] = i;
    for (int i = from.rank - 1; i > 0; i--) {
        int j = draw(make, i + 1);
        int64_t kept = axes[i];
        axes[i] = axes[j];
        axes[j] = kept;
    }
    for (int i = 0; i < from.rank; i++)
        to.dims[i] = from.dims[axes[i]];
    begin(make);
    text_append(&make->text, "transpose %%%d {axes=", x);
    append_list(make, axes, from.rank);
    text_append(&make->text, "}");
    keep(make, finish(make, "f32", &to));
}

static void add_slice(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = from;
    int64_t start[IR_MAX_RANK], limit[IR_MAX_RANK], stride[IR_MAX_RANK];
    for (int i = 0; i < from.rank; i++) {
        start[i] = draw(make, (int)from.dims[i]);
        limit[i] = start[i] + 1 + draw(make, (int)(from.dims[i] - start[i]));
        stride[i] = 1 + draw(make, 2);
        to.dims[i] = (limit[i] - start[i] + stride[i] - 1) / stride[i];
    }
    begin(make);
    text_append(&make->text, "slice %%%d {start=", x);
    append_list(make, start, from.rank);
    text_append(&make->text, ", limit=");
    append_list(make, limit, from.rank);
    text_append(&make->text, ", stride=");
    append_list(make, stride, from.rank);
    text_append(&make->text, "}");
    keep(make, finish(make, "f32", &to));
}

static void add_pad(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = from;
    int64_t low[IR_MAX_RANK], high[IR_MAX_RANK], interior[IR_MAX_RANK];
    for (int i = 0; i < from.rank; i++) {
        low[i] = draw(make, 2);
        high[i] = draw(make, 2);
        interior[i] = draw(make, 4) == 0;
        to.dims[i] += low[i] + high[i] + interior[i] * (from.dims[i] - 1);
    }
    if (elements_of(&to) > MOST_ELEMENTS)
        return;
    begin(make);
    text_append(&make->text, "pad %%%d {low=", x);
    append_list(make, low, from.rank);
    text_append(&make->text, ", high=");
    append_list(make, high, from.rank);
    text_append(&make->text, ", interior=");
    append_list(make, interior, from.rank);
    text_append(&make->text, ", value=%s}", draw(make, 2) ? "0" : "0.5");
    keep(make, finish(make, "f32", &to));
}

static void add_concat(generator *make) {
    int x = pick(make), y = pick_like(make, x);
    shape to = make->shapes[x];
    if (to.rank == 0 || elements_of(&to) * 2 > MOST_ELEMENTS)
        return;
    int axis = draw(make, to.rank);
    to.dims[axis] *= 2;
    begin(make);
    text_append(&make->text, "concat %%%d, %%%d {axis=%d}", x, y, axis);
    keep(make, finish(make, "f32", &to));
}

/* Rows 0, 2, 4, … and around again. */
static void add_gather(generator *make) {
    int x = pick(make);
    shape to = make->shapes[x];
    if (to.rank == 0)
        return;
    int axis = draw(make, to.rank);
    shape places = {1, {1 + draw(make, 5)}};
    int64_t size = to.dims[axis];
    begin(make);
    text_append(&make->text, "iota {axis=0}");
    int counted = finish(make, "i32", &places);
    begin(make);
    text_append(&make->text, "constant {value=%d}", 2);
    int two = finish(make, "i32", &places);
    begin(make);
    text_append(&make->text, "constant {value=%" PRId64 "}", size);
    int around = finish(make, "i32", &places);
    begin(make);
    text_append(&make->text, "mul %%%d, %%%d", counted, two);
    int doubled = finish(make, "i32", &places);
    begin(make);
    text_append(&make->text, "rem %%%d, %%%d", doubled, around);
    int indices = finish(make, "i32", &places);
    to.dims[axis] = places.dims[0];
    begin(make);
    text_append(&make->text, "gather %%%d, %%%d {axis=%d, batch=0}", x, indices, axis);
    keep(make, finish(make, "f32", &to));
}

static void add_reduction(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = {0};
    int64_t axes[IR_MAX_RANK];
    int count = 0;
    for (int i = 0; i < from.rank; i++) {
        if (draw(make, 2))
            axes[count++] = i;
        else
            to.dims[to.rank++] = from.dims[i];
    }
    if (count == 0)
        return;
    begin(make);
    text_append(&make->text, "%s %%%d {axes=", draw(make, 3) ? "reduce_sum" : "reduce_max", x);
    append_list(make, axes, count);
    text_append(&make->text, "}");
    bounded(make, finish(make, "f32", &to));
}

/* Contracts an axis of x with one of y that is as long. */
static void add_dot(generator *make) {
    int x = pick(make), y = pick(make);
    const shape a = make->shapes[x], b = make->shapes[y];
    for (int i = a.rank - 1; i >= 0; i--)
        for (int j = b.rank - 1; j >= 0; j--) {
            if (a.dims[i] != b.dims[j] || a.rank + b.rank - 2 > 4)
                continue;
            shape to = {0};
            for (int k = 0; k < a.rank; k++)
                if (k != i)
                    to.dims[to.rank++] = a.dims[k];
            for (int k = 0; k < b.rank; k++)
                if (k != j)
                    to.dims[to.rank++] = b.dims[k];
            if (elements_of(&to) > MOST_ELEMENTS)
                continue;
            begin(make);
            text_append(&make->text,
                        "dot %%%d, %%%d {lhs_batch=[], rhs_batch=[], lhs_contract=[%d], rhs_contract=[%d]}", x, y, i,
                        j);
            bounded(make, finish(make, "f32", &to));
            return;
        }
}

/* A value of rank 4 by its own first images as weights, where their channels agree: x[0:o] of [N, C, H, W]. */
static void add_convolution(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], weights, to = from;
    if (from.rank != 4)
        return;
    weights = from;
    weights.dims[2] = 1 + draw(make, (int)(from.dims[2] < 3 ? from.dims[2] : 3));
    weights.dims[3] = 1 + draw(make, (int)(from.dims[3] < 3 ? from.dims[3] : 3));
    begin(make);
    text_append(&make->text, "slice %%%d {start=[0,0,0,0], limit=", x);
    append_list(make, weights.dims, 4);
    text_append(&make->text, ", stride=[1,1,1,1]}");
    int kernel = finish(make, "f32", &weights);
    int64_t stride[2], padding[4];
    for (int i = 0; i < 2; i++) {
        stride[i] = 1 + draw(make, 2);
        padding[2 * i] = draw(make, (int)weights.dims[2 + i]);
        padding[2 * i + 1] = draw(make, (int)weights.dims[2 + i]);
        to.dims[2 + i] =
            (from.dims[2 + i] + padding[2 * i] + padding[2 * i + 1] - weights.dims[2 + i]) / stride[i] + 1;
    }
    to.dims[1] = weights.dims[0];
    if (elements_of(&to) > MOST_ELEMENTS)
        return;
    begin(make);
    text_append(&make->text, "conv2d %%%d, %%%d {stride=", x, kernel);
    append_list(make, stride, 2);
    text_append(&make->text, ", padding=");
    append_list(make, padding, 4);
    text_append(&make->text, ", dilation=[1,1], groups=1}");
    bounded(make, finish(make, "f32", &to));
}

static void add_pool(generator *make) {
    int x = pick(make);
    shape from = make->shapes[x], to = from;
    if (from.rank != 4)
        return;
    int64_t kernel[2], stride[2];
    for (int i = 0; i < 2; i++) {
        kernel[i] = 1 + draw(make, (int)(from.dims[2 + i] < 3 ? from.dims[2 + i] : 3));
        stride[i] = 1 + draw(make, 2);
        to.dims[2 + i] = (from.dims[2 + i] - kernel[i]) / stride[i] + 1;
    }
    begin(make);
    text_append(&make->text, "%s %%%d {kernel=", draw(make, 2) ? "max_pool2d" : "avg_pool2d", x);
    append_list(make, kernel, 2);
    text_append(&make->text, ", stride=");
    append_list(make, stride, 2);
    text_append(&make->text, ", padding=[0,0,0,0]}");
    keep(make, finish(make, "f32", &to));
}

/* ---- whole programs ------------------------------------------------------------------------------------------------ */

static void (*const additions[])(generator *make) = {
    add_unary,     add_unary, add_function, add_binary, add_binary, add_binary,    add_select,      add_broadcast, add_reshape,
    add_transpose, add_slice, add_pad,      add_concat, add_gather, add_reduction, add_convolution, add_dot,       add_dot,
    add_pool,
};
enum { ADDITIONS = sizeof additions / sizeof *additions };

static const shape inputs[INPUTS] = {{1, {6}}, {2, {5, 6}}, {3, {2, 3, 6}}, {4, {2, 3, 5, 6}}};

/* The sum of the squares of everything that nothing else has used, the last values, and its gradients. */
static void append_results(generator *make) {
    shape scalar = {0};
    int total = -1;
    for (int i = make->recent_count > 6 ? make->recent_count - 6 : 0; i < make->recent_count; i++) {
        int value = make->recent[i];
        text_append(&make->text, "  output @y%d, %%%d\n", i, value);
        int square = binary(make, "mul", value, value), sum = square;
        if (make->shapes[value].rank > 0) {
            int64_t axes[IR_MAX_RANK];
            for (int axis = 0; axis < make->shapes[value].rank; axis++)
                axes[axis] = axis;
            begin(make);
            text_append(&make->text, "reduce_sum %%%d {axes=", square);
            append_list(make, axes, make->shapes[value].rank);
            text_append(&make->text, "}");
            sum = finish(make, "f32", &scalar);
        }
        total = total < 0 ? sum : binary(make, "add", total, sum);
    }
    text_append(&make->text, "  output @loss, %%%d\n", total);
    for (int i = 0; i < INPUTS; i++) {
        begin(make);
        text_append(&make->text, "gradient %%%d, %%%d", total, i);
        int gradient = finish(make, "f32", &inputs[i]);
        text_append(&make->text, "  output @g%d, %%%d\n", i, gradient);
    }
}

static void generate(generator *make, uint64_t seed) {
    *make = (generator){.random = seed * 1000003};
    text_append(&make->text, "module @random\nfunc @f {\n");
    for (int i = 0; i < INPUTS; i++) {
        begin(make);
        text_append(&make->text, "input @x%d", i);
        keep(make, finish(make, "f32", &inputs[i]));
    }
    while (make->recent_count < INPUTS + OPERATIONS && make->count < MOST_VALUES - 40)
        additions[draw(make, ADDITIONS)](make);
    append_results(make);
    text_append(&make->text, "}\n");
}

static void fill_inputs(tensor_list *given, uint64_t seed) {
    for (int i = 0; i < INPUTS; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", i);
        ir_type type = ir_type_make(IR_F32, inputs[i].rank, inputs[i].dims);
        double *elements = tensor_add(given, false, name, &type);
        for (int64_t j = 0; j < ir_type_elements(&type); j++)
            elements[j] = (double)rt_random_normal((int32_t)seed, i, 5, j);
    }
}

/* ---- comparing ----------------------------------------------------------------------------------------------------- */

/* Relative to the largest element of the tensor, or to 1. */
static double difference(const tensor_list *expected, const tensor_list *found, const char **where) {
    double worst = 0;
    for (int i = 0; i < expected->count; i++) {
        const tensor *want = &expected->items[i], *have = tensor_find(found, false, want->name);
        double largest = 1, error = 0;
        assert_non_null(have);
        for (int64_t j = 0; j < ir_type_elements(&want->type); j++) {
            largest = fmax(largest, fabs(want->elements[j]));
            error = fmax(error, fabs(want->elements[j] - have->elements[j]));
            if (isnan(have->elements[j]) != isnan(want->elements[j]))
                error = INFINITY;
        }
        if (error / largest > worst) {
            worst = error / largest;
            *where = want->name;
        }
    }
    return worst;
}

static void check_close(const generator *make, uint64_t seed, const char *what, const tensor_list *expected,
                        const tensor_list *found, double tolerance) {
    const char *where = "";
    double worst = difference(expected, found, &where);
    if (worst > tolerance)
        fail_msg("seed %" PRIu64 ", %s: %s is off by %g\n%s", seed, what, where, worst, make->text.data);
}

static void check_round_trip(ir_case *built, const char *what) {
    text_buffer first = {0}, second = {0};
    ir_print(built->module, &first);
    ir_module *again = ir_parse(built->memory, &built->diags, "again.ir", first.data, first.length);
    ir_case_no_errors(built, what);
    ir_print(again, &second);
    if (strcmp(first.data, second.data) != 0)
        fail_msg("%s reads back as another module:\n%s", what, first.data);
    text_free(&first);
    text_free(&second);
}

static void check_passes(const generator *make, uint64_t seed, const tensor_list *given, const tensor_list *expected) {
    static const char *const passes[] = {"canonicalize", "common-subexpressions", "dead-code",
                                         "differentiate", "canonicalize",         "common-subexpressions",
                                         "dead-code",     "layout",               "fuse-elementwise"};
    ir_case *built = ir_case_parse("random program", &make->text);
    for (int i = 0; i < 9; i++) {
        ir_case_pass(built, "random program", passes[i]);
        check_round_trip(built, passes[i]);
        if (i < 3)
            continue;
        tensor_list results = {.memory = built->memory};
        ir_case_interpret(built, "f", given, &results);
        check_close(make, seed, passes[i], expected, &results, 1e-9);
    }
    ir_case_free(built);
}

static void check_code(const generator *make, uint64_t seed, const char *target_name, const tensor_list *given,
                       const tensor_list *expected) {
    kir_target target;
    kir_target_named(target_name, &target);
    if (target.lanes > 1 && target.lanes > kir_target_host().lanes)
        return;
    ir_case *built = ir_case_parse("random program", &make->text);
    const kir_program *program;
    backend_code *code = ir_case_compile(built, "random program", &target, &program);
    tensor_list results = {.memory = built->memory};
    compiled_run(program, code, "f", given, &results);
    check_close(make, seed, target_name, expected, &results, 2e-4);
    backend_free(code);
    ir_case_free(built);
}

static void check_program(uint64_t seed) {
    generator make;
    generate(&make, seed);
    ir_case *built = ir_case_parse("random program", &make.text);
    tensor_list given = {.memory = built->memory}, expected = {.memory = built->memory};
    fill_inputs(&given, seed);
    ir_case_pass(built, "random program", "differentiate");
    ir_case_interpret(built, "f", &given, &expected);
    check_passes(&make, seed, &given, &expected);
    check_code(&make, seed, "scalar", &given, &expected);
    check_code(&make, seed, seed % 3 == 0 ? "portable" : seed % 3 == 1 ? "avx2" : "avx512", &given, &expected);
    ir_case_free(built);
    text_free(&make.text);
}

static void programs_keep_their_meaning(void **state) {
    (void)state;
    const char *count = getenv("RANDOM_PROGRAMS"), *only = getenv("RANDOM_PROGRAM_SEED");
    if (only) {
        check_program((uint64_t)atoll(only));
        return;
    }
    for (int seed = 0; seed < (count ? atoi(count) : PROGRAMS); seed++)
        check_program((uint64_t)seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs_keep_their_meaning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
