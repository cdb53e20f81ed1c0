/* Scores of all pairs, fused: random bodies and reductions of random sizes give, loss and gradients, what the
 * interpreter computes from the stored scores. SCORE_SEEDS=FIRST:COUNT in the environment runs other seeds. */
#include "tests/unit/ir_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { CASES = 48 };

/* A program as text while it grows. */
typedef struct {
    rt_random_sequence random;
    text_buffer text;
    int next; /* number of the next value */
    int64_t rows, columns, length;
    bool same; /* rows and columns are the same vectors */
    int scores, row_bias, column_bias, temperature, row_labels, column_labels;
} program;

static int below(program *this, int limit) {
    return (int)rt_random_below(&this->random, limit);
}

/* "%7 = <format> : <dtype>[rows,columns]"; returns 7. */
static int wide(program *this, const char *dtype, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int wide(program *this, const char *dtype, const char *format, ...) {
    char line[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_append(&this->text, "  %%%d = %s : %s[%" PRId64 ",%" PRId64 "]\n", this->next, line, dtype, this->rows,
                this->columns);
    return this->next++;
}

static int narrow(program *this, const char *type, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int narrow(program *this, const char *type, const char *format, ...) {
    char line[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_append(&this->text, "  %%%d = %s : %s\n", this->next, line, type);
    return this->next++;
}

static const char *vector_type(char *text, const char *dtype, int64_t count) {
    sprintf(text, "%s[%" PRId64 "]", dtype, count);
    return text;
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------
 */

static int number(program *this, double value) {
    return wide(this, "f32", "constant {value=%.9g}", value);
}

static int row_vector(program *this, int value, const char *dtype) {
    return wide(this, dtype, "broadcast %%%d {axes=[0]}", value);
}

static int column_vector(program *this, int value, const char *dtype) {
    return wide(this, dtype, "broadcast %%%d {axes=[1]}", value);
}

/* A condition of the pair's indices or labels. */
static int condition(program *this) {
    int i = wide(this, "i32", "iota {axis=0}"), j = wide(this, "i32", "iota {axis=1}"), between;
    switch (below(this, 4)) {
    case 0: return wide(this, "bool", "not %%%d", wide(this, "bool", "equal %%%d, %%%d", i, j));
    case 1: return wide(this, "bool", "less %%%d, %%%d", i, j);
    case 2:
        between = wide(this, "i32", "abs %%%d", wide(this, "i32", "sub %%%d, %%%d", i, j));
        return wide(this, "bool", "less_equal %%%d, %%%d", between, wide(this, "i32", "constant {value=5}"));
    default:
        return wide(this, "bool", "equal %%%d, %%%d", row_vector(this, this->row_labels, "i32"),
                    column_vector(this, this->column_labels, "i32"));
    }
}

static int body_step(program *this, int x) {
    int y;
    switch (below(this, 8)) {
    case 0: return wide(this, "f32", "div %%%d, %%%d", x, number(this, 0.4));
    case 1:
        y = wide(this, "f32", "tanh %%%d", wide(this, "f32", "div %%%d, %%%d", x, number(this, 4)));
        return wide(this, "f32", "mul %%%d, %%%d", y, number(this, 4));
    case 2: return wide(this, "f32", "add %%%d, %%%d", x, column_vector(this, this->column_bias, "f32"));
    case 3: return wide(this, "f32", "sub %%%d, %%%d", x, row_vector(this, this->row_bias, "f32"));
    case 4:
        y = wide(this, "f32", "broadcast %%%d {axes=[]}", this->temperature);
        return wide(this, "f32", "mul %%%d, %%%d", x, y);
    case 5:
        y = wide(this, "f32", "mul %%%d, %%%d", x, x);
        return wide(this, "f32", "sub %%%d, %%%d", x, wide(this, "f32", "mul %%%d, %%%d", y, number(this, 0.1)));
    case 6: return wide(this, "f32", "select %%%d, %%%d, %%%d", condition(this), x, number(this, -1));
    default: return wide(this, "f32", "max %%%d, %%%d", x, number(this, -0.7));
    }
}

/* ---- reductions: each gives a scalar -------------------------------------------------------------------------------
 */

static int mean(program *this, int vector, int64_t count) {
    int sum = narrow(this, "f32[]", "reduce_sum %%%d {axes=[0]}", vector);
    return narrow(this, "f32[]", "mul %%%d, %%%d", sum,
                  narrow(this, "f32[]", "constant {value=%.17g}", 1.0 / (double)count));
}

static int logsumexp(program *this, int x, int axis) {
    char type[64];
    if (below(this, 2))
        x = wide(this, "f32", "select %%%d, %%%d, %%%d", condition(this), x, number(this, -INFINITY));
    int64_t count = axis ? this->rows : this->columns;
    int result = narrow(this, vector_type(type, "f32", count), "reduce_logsumexp %%%d {axes=[%d]}", x, axis);
    /* Rows without any score are left out. */
    int lowest = narrow(this, type, "constant {value=-50}");
    return mean(this, narrow(this, type, "max %%%d, %%%d", result, lowest), count);
}

static int positives(program *this, int x) {
    char type[64], whole[64];
    vector_type(type, "f32", this->rows);
    int index = narrow(this, vector_type(whole, "i32", this->rows), "iota {axis=0}");
    int last = narrow(this, whole, "constant {value=%" PRId64 "}", this->columns);
    int shifted = narrow(this, whole, "add %%%d, %%%d", index, narrow(this, whole, "constant {value=3}"));
    index = narrow(this, whole, "rem %%%d, %%%d", shifted, last);
    return mean(this, narrow(this, type, "gather %%%d, %%%d {axis=1, batch=1}", x, index), this->rows);
}

static int reduction(program *this, int x) {
    char type[64];
    int y;
    double scores = (double)this->rows * (double)this->columns;
    switch (below(this, 6)) {
    case 0: return logsumexp(this, x, 1);
    case 1: return logsumexp(this, x, 0);
    case 2:
        y = wide(this, "f32", "mul %%%d, %%%d", x, x);
        y = narrow(this, "f32[]", "reduce_sum %%%d {axes=[0,1]}", y);
        return narrow(this, "f32[]", "mul %%%d, %%%d", y, narrow(this, "f32[]", "constant {value=%.17g}", 1 / scores));
    case 3:
        y = wide(this, "f32", "select %%%d, %%%d, %%%d", condition(this), x, number(this, 0));
        y = narrow(this, vector_type(type, "f32", this->rows), "reduce_sum %%%d {axes=[1]}", y);
        y = narrow(this, type, "mul %%%d, %%%d", y,
                   narrow(this, type, "constant {value=%.17g}", 1.0 / (double)this->columns));
        return mean(this, narrow(this, type, "mul %%%d, %%%d", y, y), this->rows);
    case 4: return positives(this, x);
    default:
        y = wide(this, "f32", "exp %%%d", wide(this, "f32", "tanh %%%d", x));
        y = narrow(this, vector_type(type, "f32", this->columns), "reduce_sum %%%d {axes=[0]}", y);
        y = narrow(this, type, "mul %%%d, %%%d", y,
                   narrow(this, type, "constant {value=%.17g}", 1.0 / (double)this->rows));
        return mean(this, y, this->columns);
    }
}

/* ---- whole programs ------------------------------------------------------------------------------------------------
 */

static void write_program(program *this) {
    char type[64];
    text_append(&this->text, "module @scores\nfunc @f {\n");
    sprintf(type, "f32[%" PRId64 ",%" PRId64 "]", this->rows, this->length);
    int a = narrow(this, type, "input @a"), b = a;
    if (!this->same) {
        sprintf(type, "f32[%" PRId64 ",%" PRId64 "]", this->columns, this->length);
        b = narrow(this, type, "input @b");
    }
    this->row_bias = narrow(this, vector_type(type, "f32", this->rows), "input @row_bias");
    this->column_bias = narrow(this, vector_type(type, "f32", this->columns), "input @column_bias");
    this->row_labels = narrow(this, vector_type(type, "i32", this->rows), "input @row_labels");
    this->column_labels = narrow(this, vector_type(type, "i32", this->columns), "input @column_labels");
    this->temperature = narrow(this, "f32[]", "input @temperature");
    int x = wide(this, "f32", "dot %%%d, %%%d {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]}", a, b);
    int loss = -1;
    for (int part = 1 + below(this, 3); part > 0; part--) {
        int y = x;
        for (int step = below(this, 4); step > 0; step--)
            y = body_step(this, y);
        int term = reduction(this, y);
        loss = loss < 0 ? term : narrow(this, "f32[]", "add %%%d, %%%d", loss, term);
    }
    text_append(&this->text, "  output @loss, %%%d\n", loss);
    static const char *const names[] = {"a", "b", "row_bias", "temperature"};
    int variables[] = {a, b, this->row_bias, this->temperature};
    for (int i = 0; i < 4; i++) {
        if (i == 1 && this->same)
            continue;
        int64_t count = i == 1 ? this->columns : this->rows;
        if (i < 2)
            sprintf(type, "f32[%" PRId64 ",%" PRId64 "]", count, this->length);
        else
            snprintf(type, sizeof type, "%s", i == 2 ? vector_type((char[64]){0}, "f32", count) : "f32[]");
        int gradient = narrow(this, type, "gradient %%%d, %%%d", loss, variables[i]);
        text_append(&this->text, "  output @grad.%s, %%%d\n", names[i], gradient);
    }
    text_append(&this->text, "}\n");
}

static program make_program(uint64_t seed) {
    static const int64_t sizes[] = {64, 128, 1, 3, 16, 33, 100, 130, 257, 300};
    static const int64_t lengths[] = {16, 1, 7, 2, 64, 130, 33}, long_ones[] = {1000, 4096};
    program made = {.random = rt_random_begin(seed, 7)};
    made.same = seed % 3 == 0;
    made.rows = sizes[below(&made, 10)];
    made.columns = made.same ? made.rows : sizes[below(&made, 10)];
    made.length = lengths[below(&made, 7)];
    if (seed % 8 == 5 && made.rows * made.columns <= 20000)
        made.length = long_ones[below(&made, 2)];
    write_program(&made);
    return made;
}

static void fill_inputs(const ir_case *built, uint64_t seed, double scale, tensor_list *given) {
    rt_random_sequence random = rt_random_begin(seed, 8);
    for (const ir_value *value = ir_function_find(built->module, "f")->first; value; value = value->next) {
        if (value->opcode != IR_OP_input)
            continue;
        double *elements = tensor_add(given, false, ir_symbol(value, IR_ATTR_symbol), &value->type);
        int64_t last = value->type.rank ? value->type.dims[value->type.rank - 1] : 1;
        double spread = value->type.rank == 2 ? scale / sqrt((double)last) : 1;
        for (int64_t i = 0; i < ir_type_elements(&value->type); i++)
            elements[i] = value->type.dtype == IR_I32 ? (double)rt_random_below(&random, 7)
                                                      : (double)(float)(spread * rt_random_range(&random, -2, 2));
    }
}

static void check_close(const char *name, uint64_t seed, const tensor *got, const tensor *wanted, double relative,
                        double size) {
    /* A loss is a sum of terms around 1. */
    double floor = strcmp(name, "loss") == 0 ? 1 : 1e-3;
    if (size != 1)
        relative = 2e-2;
    double largest = 0;
    for (int64_t i = 0; i < ir_type_elements(&wanted->type); i++)
        largest = fmax(largest, fabs(wanted->elements[i]));
    double allowed = relative * (largest + floor);
    for (int64_t i = 0; i < ir_type_elements(&wanted->type); i++)
        if (!(fabs(got->elements[i] - wanted->elements[i]) <= allowed))
            fail_msg("seed %" PRIu64 ", %s[%" PRId64 "]: %.9g in place of %.9g (largest %.3g)", seed, name, i,
                     got->elements[i], wanted->elements[i], largest);
}

static int kernels_named(const kir_program *lowered, const char *name) {
    int count = 0;
    for (int i = 0; i < lowered->kernel_count; i++)
        count += strncmp(lowered->kernels[i]->name, name, strlen(name)) == 0;
    return count;
}

static bool stores_scores(const program *made, const kir_program *lowered) {
    char name[100];
    if (made->length == made->columns) /* a gradient's product would have the same name */
        return false;
    sprintf(name, "dot_%" PRId64 "x%" PRId64 "x%" PRId64, made->rows, made->columns, made->length);
    return kernels_named(lowered, name) > 0;
}

/* How a program is compiled and how far its numbers may be off. */
typedef struct {
    const char *target; /* that it is lowered for */
    const char *runs;   /* that code is generated for: another one emulates the matrix units */
    int parts;          /* of numbers in products */
    double loss, gradient;
    backend_code *(*compile)(const kir_program *lowered, const kir_target *target, diag_list *diags);
} way;

static backend_code *compile_by_tcc(const kir_program *lowered, const kir_target *target, diag_list *diags) {
    (void)target;
    return tcc_compile(lowered, diags);
}

static backend_code *compile(ir_case *this, const way *how, const kir_program **lowered) {
    kir_target target, runs;
    assert_true(kir_target_named(how->target, &target) && kir_target_named(how->runs, &runs));
    pass_context context = ir_case_context(this, &target);
    context.product_parts = how->parts;
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    ir_case_no_errors(this, "passes");
    *lowered = context.program;
    backend_code *code = how->compile(context.program, &runs, &this->diags);
    ir_case_no_errors(this, "code");
    assert_non_null(code);
    return code;
}

/* `size`: of the inputs. Large scores round away most of what softmax depends on: then finite numbers of about the
 * right size are wanted. */
static void check_program(uint64_t seed, const way *how, double size) {
    program made = make_program(seed);
    ir_case *stored = ir_case_parse("stored", &made.text), *fused = ir_case_parse("fused", &made.text);
    tensor_list given = {.memory = stored->memory}, wanted = {.memory = stored->memory},
                got = {.memory = stored->memory};
    fill_inputs(stored, seed, size, &given);
    ir_case_pass(stored, "stored", "differentiate");
    ir_case_interpret(stored, "f", &given, &wanted);
    const kir_program *lowered;
    backend_code *code = compile(fused, how, &lowered);
    if (made.rows * made.columns >= 1024 && stores_scores(&made, lowered)) {
        text_buffer text = {0};
        diag_render(&fused->diags, &text, false);
        fail_msg("seed %" PRIu64 ": scores are stored\n%s\n%s", seed, made.text.data, text.data);
    }
    compiled_run(lowered, code, "f", &given, &got);
    for (int i = 0; i < wanted.count; i++)
        check_close(wanted.items[i].name, seed, tensor_find(&got, false, wanted.items[i].name), &wanted.items[i],
                    strcmp(wanted.items[i].name, "loss") == 0 ? how->loss : how->gradient, size);
    backend_free(code);
    ir_case_free(stored);
    ir_case_free(fused);
    text_free(&made.text);
}

static void check_seeds(const way *how, uint64_t count) {
    uint64_t first = 1;
    const char *text = getenv("SCORE_SEEDS");
    if (text) {
        char *colon;
        first = strtoull(text, &colon, 10);
        count = *colon == ':' ? strtoull(colon + 1, NULL, 10) : 1;
    }
    for (uint64_t seed = first; seed < first + count; seed++)
        check_program(seed, how, 1);
}

/* The widest vectors that this processor has. */
static const char *host(void) {
    int lanes = backend_target_host().lanes;
    return lanes == 16 ? "avx512" : lanes == 8 ? "avx2" : "portable";
}

static void vector_code_agrees_with_stored_scores(void **state) {
    (void)state;
    check_seeds(&(way){host(), host(), 0, 1e-6, 1e-5, llvm_compile}, CASES);
}

static void scalar_code_agrees_with_stored_scores(void **state) {
    (void)state;
    check_seeds(&(way){"scalar", "scalar", 0, 1e-5, 1e-5, compile_by_tcc}, CASES);
}

/* Scores beyond 10,000, and all of them 0. */
static void extreme_scores_stay_finite(void **state) {
    (void)state;
    way how = {host(), host(), 0, 1e-6, 1e-5, llvm_compile};
    for (uint64_t seed = 1; seed < 1 + CASES / 3; seed++) {
        check_program(seed, &how, 150);
        check_program(seed, &how, 0);
    }
}

/* Runs `f` as it is written and fused. Returns how many kernels bring sums out of tiles. */
static int check_fused(const way *how, const text_buffer *text, uint64_t seed, double size, double relative) {
    ir_case *stored = ir_case_parse("stored", text), *fused = ir_case_parse("fused", text);
    tensor_list given = {.memory = stored->memory}, wanted = {.memory = stored->memory},
                got = {.memory = stored->memory};
    fill_inputs(stored, seed, size, &given);
    ir_case_interpret(stored, "f", &given, &wanted);
    const kir_program *lowered;
    backend_code *code = compile(fused, how, &lowered);
    int finishing = kernels_named(lowered, "finish_products");
    compiled_run(lowered, code, "f", &given, &got);
    for (int i = 0; i < wanted.count; i++)
        check_close(wanted.items[i].name, seed, tensor_find(&got, false, wanted.items[i].name), &wanted.items[i],
                    relative, 1);
    backend_free(code);
    ir_case_free(stored);
    ir_case_free(fused);
    return finishing;
}

/* Log-sum-exps of rows and of columns of the same scores. */
static void check_both_ways(const way *how, int rows, int columns, bool same, double size) {
    text_buffer text = {0};
    text_append(&text, "module @both\nfunc @f {\n  %%0 = input @a : f32[%d,16]\n", rows);
    if (!same)
        text_append(&text, "  %%1 = input @b : f32[%d,16]\n", columns);
    text_append(&text,
                "  %%2 = dot %%0, %%%d {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]} : f32[%d,%d]\n"
                "  %%3 = reduce_logsumexp %%2 {axes=[1]} : f32[%d]\n  output @rows, %%3\n",
                !same, rows, columns, rows);
    if (!same)
        text_append(&text, "  %%4 = reduce_logsumexp %%2 {axes=[0]} : f32[%d]\n  output @columns, %%4\n", columns);
    text_append(&text, "}\n");
    check_fused(how, &text, (uint64_t)(rows + columns), size, how->loss);
    text_free(&text);
}

/* The gradient of log-sum-exps of rows and columns, or of rows of symmetric scores. */
static void check_gradient_both_ways(const way *how, int rows, int columns, double size) {
    bool same = columns == 0;
    columns = same ? rows : columns;
    text_buffer text = {0};
    text_append(&text, "module @gradient\nfunc @f {\n  %%0 = input @a : f32[%d,16]\n", rows);
    if (!same)
        text_append(&text, "  %%1 = input @b : f32[%d,16]\n", columns);
    text_append(&text,
                "  %%2 = dot %%0, %%%d {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]} : f32[%d,%d]\n"
                "  %%3 = reduce_logsumexp %%2 {axes=[1]} : f32[%d]\n  %%4 = broadcast %%3 {axes=[0]} : f32[%d,%d]\n"
                "  %%5 = sub %%2, %%4 : f32[%d,%d]\n  %%6 = exp %%5 : f32[%d,%d]\n",
                !same, rows, columns, rows, rows, columns, rows, columns, rows, columns);
    if (same)
        text_append(&text, "  %%10 = transpose %%6 {axes=[1,0]} : f32[%d,%d]\n", rows, rows);
    else
        text_append(&text,
                    "  %%7 = reduce_logsumexp %%2 {axes=[0]} : f32[%d]\n  %%8 = broadcast %%7 {axes=[1]} : f32[%d,%d]\n"
                    "  %%9 = sub %%2, %%8 : f32[%d,%d]\n  %%10 = exp %%9 : f32[%d,%d]\n",
                    columns, rows, columns, rows, columns, rows, columns);
    text_append(&text, "  %%11 = add %%6, %%10 : f32[%d,%d]\n", rows, columns);
    for (int side = 0; side < 2 - same; side++)
        text_append(&text,
                    "  %%%d = dot %%11, %%%d {lhs_batch=[], rhs_batch=[], lhs_contract=[%d], rhs_contract=[0]} : "
                    "f32[%d,16]\n  output @gradient%d, %%%d\n",
                    12 + side, !same && side == 0, 1 - side, side ? columns : rows, side, 12 + side);
    text_append(&text, "}\n");
    /* Exponentials have the errors of their scores. */
    check_fused(how, &text, (uint64_t)(rows + columns), size, how->gradient * size * size);
    text_free(&text);
}

/* Of each row's scores, which a bias makes differ from the column's though the product does not. */
static void check_biased_rows(const way *how, int rows, int length) {
    text_buffer text = {0};
    text_append(&text,
                "module @biased\nfunc @f {\n  %%0 = input @a : f32[%d,%d]\n  %%1 = input @bias : f32[%d]\n"
                "  %%2 = dot %%0, %%0 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]} : f32[%d,%d]\n"
                "  %%3 = broadcast %%1 {axes=[0]} : f32[%d,%d]\n  %%4 = sub %%2, %%3 : f32[%d,%d]\n"
                "  %%5 = reduce_logsumexp %%4 {axes=[1]} : f32[%d]\n  output @rows, %%5\n}\n",
                rows, length, rows, rows, rows, rows, rows, rows, rows, rows);
    check_fused(how, &text, (uint64_t)rows, 1, how->loss);
    text_free(&text);
}

static void symmetric_products_of_other_scores_agree(void **state) {
    (void)state;
    way vectors = {host(), host(), 0, 1e-6, 0, llvm_compile}, scalar = {"scalar", "scalar", 0, 1e-5, 0, compile_by_tcc};
    check_biased_rows(&vectors, 512, 16);
    check_biased_rows(&vectors, 512, 512); /* is kept */
    check_biased_rows(&scalar, 300, 16);
}

/* Scores near each other, whose exponentials serve both, and scores so far apart that they cannot. */
static void rows_and_columns_go_together(void **state) {
    (void)state;
    static const double sizes[] = {1, 5, 30};
    bool units = backend_target_host().matrix_units;
    way ways[] = {{host(), host(), 0, 1e-6, 0, llvm_compile}, {"amx", "amx", 2, 1e-4, 0, llvm_compile}};
    for (int w = 0; w < 1 + units; w++)
        for (int i = 0; i < 3; i++) {
            check_both_ways(&ways[w], 192, 320, false, sizes[i]);
            check_both_ways(&ways[w], 80, 96, false, sizes[i]); /* tiles of rows that are no whole vectors */
            check_both_ways(&ways[w], 4, 512, false, sizes[i]);
            check_both_ways(&ways[w], 512, 512, true, sizes[i]);
            check_both_ways(&ways[w], 1024, 1024, true, sizes[i]);
        }
}

/* ---- products of parts ---------------------------------------------------------------------------------------------
 */

/* What follows from scores that are off by 2^-7 or 2^-14; three parts are as good as f32. */
static const struct { double loss, gradient; } allowed[] = {{1e-6, 1e-5}, {2e-2, 3e-2}, {1e-4, 2e-4}, {1e-6, 1e-5}};

static way parts_way(const char *target, const char *runs, int parts) {
    return (way){target, runs, parts, allowed[parts].loss, allowed[parts].gradient, llvm_compile};
}

/* Tiles as the matrix units take them, multiplied by C. */
static way tiles_way(int parts) {
    way tiles = parts_way("amx", "avx512", parts);
    tiles.compile = cgen_compile;
    return tiles;
}

/* Exponentials of rows and columns in one where their log-sum-exps lie near each other, and each by itself. */
static void exponentials_of_gradients_are_shared(void **state) {
    (void)state;
    static const double sizes[] = {1, 4, 16};
    way ways[] = {{host(), host(), 0, 1e-6, 1e-5, llvm_compile},
                  {"scalar", "scalar", 0, 1e-5, 1e-4, compile_by_tcc},
                  tiles_way(2),
                  parts_way("amx", "amx", 2)};
    for (int w = 0; w < 3 + backend_target_host().matrix_units; w++)
        for (int i = 0; i < 3; i++) {
            check_gradient_both_ways(&ways[w], 80, 96, sizes[i]);
            check_gradient_both_ways(&ways[w], 320, 192, sizes[i]);
            check_gradient_both_ways(&ways[w], 512, 0, sizes[i]);
        }
}

static void products_of_parts_agree(void **state) {
    (void)state;
    const char *own = backend_target_host().pair_products ? "avx512-bf16" : host();
    for (int parts = 1; parts <= 3; parts++) {
        way by_vectors = parts_way(own, own, parts);
        check_seeds(&by_vectors, CASES / 3);
        way scalar = {"scalar", "scalar", parts, allowed[parts].loss, allowed[parts].gradient, compile_by_tcc};
        if (parts == 3)
            scalar.loss = 1e-5;
        check_seeds(&scalar, CASES / 4);
    }
}

static void products_on_matrix_units_agree(void **state) {
    (void)state;
    for (int parts = 1; parts <= 3 && backend_target_host().matrix_units; parts++) {
        way units = parts_way("amx", "amx", parts);
        check_seeds(&units, CASES / 3);
    }
}

static void products_in_tiles_agree(void **state) {
    (void)state;
    static const uint64_t seeds[] = {2, 3, 9};
    for (int parts = 1; parts <= 3; parts++) {
        way tiles = tiles_way(parts);
        for (int i = 0; i < parts; i++)
            check_program(seeds[i], &tiles, 1);
    }
}

/* Scores of few columns, added up and multiplied by the vectors of both sides. The long side's products are stored
 * once: in rows, unless their length is no whole number of tiles; then tiles are finished, whole ones and those that
 * are left. `weighted`: by the sums of their rows, so that they are computed again for the products alone, in strips.
 */
static void check_long_side(const way *how, int length, bool weighted, int finishing) {
    enum { ROWS = 2008, COLUMNS = 160 };
    text_buffer text = {0};
    text_append(&text,
                "module @long\nfunc @f {\n  %%0 = input @a : f32[%d,%d]\n  %%1 = input @b : f32[%d,%d]\n"
                "  %%2 = dot %%0, %%1 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]} : f32[%d,%d]\n"
                "  %%3 = tanh %%2 : f32[%d,%d]\n  %%4 = reduce_sum %%3 {axes=[1]} : f32[%d]\n  output @sums, %%4\n",
                ROWS, length, COLUMNS, length, ROWS, COLUMNS, ROWS, COLUMNS, ROWS);
    if (weighted)
        text_append(&text, "  %%5 = broadcast %%4 {axes=[0]} : f32[%d,%d]\n  %%6 = mul %%3, %%5 : f32[%d,%d]\n", ROWS,
                    COLUMNS, ROWS, COLUMNS);
    int weights = weighted ? 6 : 3;
    text_append(&text,
                "  %%7 = dot %%%d, %%1 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0]} : f32[%d,%d]\n"
                "  output @rows, %%7\n"
                "  %%8 = dot %%%d, %%0 {lhs_batch=[], rhs_batch=[], lhs_contract=[0], rhs_contract=[0]} : f32[%d,%d]\n"
                "  output @columns, %%8\n}\n",
                weights, ROWS, length, weights, COLUMNS, length);
    assert_int_equal(check_fused(how, &text, (uint64_t)length, 1, how->gradient), finishing);
    text_free(&text);
}

static void products_of_the_long_side_agree(void **state) {
    (void)state;
    bool units = backend_target_host().matrix_units;
    way tiles = tiles_way(2);
    check_long_side(&tiles, 80, false, 1);
    check_long_side(&tiles, 72, false, 3);
    for (int parts = 1; parts <= 2 && units; parts++) {
        way by_units = parts_way("amx", "amx", parts);
        check_long_side(&by_units, 64, false, 1);
        check_long_side(&by_units, 64, true, 1);
        check_long_side(&by_units, 80, false, 1);
        check_long_side(&by_units, 72, false, 3);
    }
}

/* Sums and maxima of columns are added up while rows are swept, for their own results and for weights. */
static void check_columns_beside(const way *how, int rows, int columns) {
    enum { LENGTH = 24 };
    text_buffer text = {0};
    text_append(&text,
                "module @beside\nfunc @f {\n  %%0 = input @a : f32[%d,%d]\n  %%1 = input @b : f32[%d,%d]\n"
                "  %%2 = dot %%0, %%1 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]} : f32[%d,%d]\n"
                "  %%3 = tanh %%2 : f32[%d,%d]\n  %%4 = mul %%3, %%3 : f32[%d,%d]\n",
                rows, LENGTH, columns, LENGTH, rows, columns, rows, columns, rows, columns);
    text_append(&text,
                "  %%5 = reduce_sum %%3 {axes=[0]} : f32[%d]\n  output @sums, %%5\n"
                "  %%6 = reduce_max %%2 {axes=[0]} : f32[%d]\n  output @largest, %%6\n"
                "  %%7 = reduce_sum %%4 {axes=[0]} : f32[%d]\n  output @squares, %%7\n"
                "  %%8 = reduce_sum %%3 {axes=[1]} : f32[%d]\n  output @rows, %%8\n",
                columns, columns, columns, rows);
    text_append(&text,
                "  %%9 = dot %%4, %%1 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0]} : f32[%d,%d]\n"
                "  output @products, %%9\n}\n",
                rows, LENGTH);
    check_fused(how, &text, (uint64_t)(rows + columns), 1, how->gradient);
    text_free(&text);
}

static void columns_beside_rows_agree(void **state) {
    (void)state;
    static const int sizes[][2] = {{64, 48}, {130, 100}, {33, 700}, {600, 300}};
    way vectors = parts_way(host(), host(), 0), tiles = tiles_way(2);
    way scalar = {"scalar", "scalar", 0, vectors.loss, vectors.gradient, compile_by_tcc};
    for (int i = 0; i < 4; i++) {
        check_columns_beside(&vectors, sizes[i][0], sizes[i][1]);
        check_columns_beside(&scalar, sizes[i][0], sizes[i][1]);
    }
    check_columns_beside(&tiles, 130, 100);
}

/* The largest score of each row is off by no more than the bound that passes/pair_panel.h states. */
static void check_bound(const way *how, int length) {
    enum { ROWS = 40, COLUMNS = 50 };
    static const double bounds[] = {0, 1.01 * 0x1p-7, 0x1p-14, 0x1p-22};
    text_buffer text = {0};
    text_append(&text,
                "module @bound\nfunc @f {\n  %%0 = input @a : f32[%d,%d]\n  %%1 = input @b : f32[%d,%d]\n"
                "  %%2 = dot %%0, %%1 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1]} : f32[%d,%d]\n"
                "  %%3 = reduce_max %%2 {axes=[1]} : f32[%d]\n  output @largest, %%3\n}\n",
                ROWS, length, COLUMNS, length, ROWS, COLUMNS, ROWS);
    ir_case *this = ir_case_parse("bound", &text);
    tensor_list given = {.memory = this->memory}, got = {.memory = this->memory};
    fill_inputs(this, (uint64_t)length, sqrt((double)length), &given);
    const kir_program *lowered;
    backend_code *code = compile(this, how, &lowered);
    compiled_run(lowered, code, "f", &given, &got);
    const double *a = tensor_elements(&given, false, "a"), *b = tensor_elements(&given, false, "b");
    for (int row = 0; row < ROWS; row++) {
        double largest = -INFINITY, sizes = 0;
        for (int column = 0; column < COLUMNS; column++) {
            double sum = 0, size = 0;
            for (int k = 0; k < length; k++) {
                sum += a[row * length + k] * b[column * length + k];
                size += fabs(a[row * length + k] * b[column * length + k]);
            }
            largest = fmax(largest, sum);
            sizes = fmax(sizes, size);
        }
        double off = fabs(tensor_elements(&got, false, "largest")[row] - largest);
        if (!(off <= (bounds[how->parts] + length * 0x1p-24) * sizes))
            fail_msg("%d parts of %d numbers on %s: off by %.3g of %.3g", how->parts, length, how->target, off, sizes);
    }
    backend_free(code);
    ir_case_free(this);
    text_free(&text);
}

static void products_keep_their_bound(void **state) {
    (void)state;
    static const int lengths[] = {1, 2, 7, 32, 33, 200};
    const char *own = backend_target_host().pair_products ? "avx512-bf16" : host();
    for (int parts = 1; parts <= 3; parts++) {
        way vectors = parts_way(own, own, parts), tiles = tiles_way(parts);
        for (int i = 0; i < 6; i++)
            check_bound(&vectors, lengths[i]);
        check_bound(&tiles, 1);
        check_bound(&tiles, 33);
        check_bound(&tiles, 200);
        way units = parts_way("amx", "amx", parts);
        for (int i = 0; i < 6 && backend_target_host().matrix_units; i++)
            check_bound(&units, lengths[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_keep_their_bound),
        cmocka_unit_test(rows_and_columns_go_together),
        cmocka_unit_test(exponentials_of_gradients_are_shared),
        cmocka_unit_test(symmetric_products_of_other_scores_agree),
        cmocka_unit_test(products_of_parts_agree),
        cmocka_unit_test(products_on_matrix_units_agree),
        cmocka_unit_test(products_in_tiles_agree),
        cmocka_unit_test(products_of_the_long_side_agree),
        cmocka_unit_test(columns_beside_rows_agree),
        cmocka_unit_test(extreme_scores_stay_finite),
        cmocka_unit_test(scalar_code_agrees_with_stored_scores),
        cmocka_unit_test(vector_code_agrees_with_stored_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
