/* Sums and variations of channels that convolutions keep while they store their maps, against the interpreter: for
 * every way to convolve, on maps whose means lie some deviations off zero. */
#include "tests/unit/contraction_case.h"

#include <math.h>

typedef struct {
    shape at;
    bool kept; /* the convolution's kernel keeps statistics, on vectors of 16 */
} map_case;

static const map_case cases[] = {
    /* sums of products: panels and rows of tiles, several maps an iteration, groups, one place of each map */
    {{4, 3, 32, {9, 7}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1}, true},
    {{32, 64, 96, {6, 5}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1}, true},
    {{32, 512, 384, {2, 3}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1}, true},
    {{1, 64, 128, {57, 48}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1}, true},
    {{3, 32, 64, {8, 8}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 2}, true},
    /* channels that are not whole vectors, and whose groups' are not */
    {{4, 16, 20, {9, 7}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, false},
    {{3, 32, 32, {8, 8}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 4}, false},
    /* Winograd's method: whole tiles, tiles cut short, rows of tiles of one map, all blocks at once, stride 2 */
    {{8, 32, 32, {8, 8}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, true},
    {{6, 48, 32, {7, 7}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, true},
    {{2, 32, 64, {32, 36}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, true},
    {{4, 224, 192, {4, 4}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, true},
    {{5, 32, 48, {16, 15}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1}, true},
    /* rows of tiles, of which the last is cut short: parts of different sizes */
    {{2, 32, 32, {30, 64}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, false},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct {
    const char *target, *runs; /* lowered for, and written for: others do what matrix units do */
    int parts;
    double bound; /* of sums, relative to their addends' sizes, and of variations */
} way;

static const way ways[] = {
    {"scalar", "scalar", 0, 2e-5},   {"portable", "portable", 0, 2e-5}, {"avx2", "avx2", 0, 2e-5},
    {"avx512", "avx512", 0, 2e-5},   {"amx", "avx2", 2, 1e-3},          {"amx", "avx512", 2, 1e-3},
    {"amx", "avx512-bf16", 2, 1e-3}, {"amx", "amx", 2, 1e-3},
};

static void append_statistics(text_buffer *text, const shape *at) {
    text_append(text, "module @maps\n");
    append_function(text, at, 0);
    text->length -= strlen("  output @r, %2\n}\n");
    int filters = (int)at->filters;
    text_append(text, "  %%3 = reduce_sum %%2 {axes=[0,2,3]} : f32[%d]\n", filters);
    text_append(text, "  %%4 = reduce_variation %%2 {axes=[0,2,3]} : f32[%d]\n", filters);
    text_append(text, "  output @r, %%2\n  output @sums, %%3\n  output @variations, %%4\n}\n");
}

static bool keeps_statistics(const kir_program *program) {
    for (int k = 0; k < program->kernel_count; k++)
        for (int a = 0; a < program->kernels[k]->argument_count; a++)
            if (strcmp(program->kernels[k]->arguments[a].name, "running") == 0)
                return true;
    return false;
}

static void check_results(const char *what, const tensor_list *wanted, const tensor_list *got, int64_t filters,
                          double places, double bound) {
    const double *sums = tensor_elements(wanted, false, "sums"),
                 *variations = tensor_elements(wanted, false, "variations");
    const double *got_sums = tensor_elements(got, false, "sums"),
                 *got_variations = tensor_elements(got, false, "variations");
    for (int64_t f = 0; f < filters; f++) {
        double size = fabs(sums[f]) + sqrt(places * variations[f]);
        if (!(fabs(got_sums[f] - sums[f]) <= bound * size))
            fail_msg("%s: sum %d is %.9g instead of %.9g", what, (int)f, got_sums[f], sums[f]);
        if (!(fabs(got_variations[f] - variations[f]) <= bound * variations[f]))
            fail_msg("%s: variation %d is %.9g instead of %.9g", what, (int)f, got_variations[f], variations[f]);
    }
}

static void check_way(const map_case *of, const text_buffer *text, const tensor_list *given, const tensor_list *wanted,
                      const way *how, int number) {
    kir_target target, runs;
    assert_true(kir_target_named(how->target, &target) && kir_target_named(how->runs, &runs));
    if (!target_runs_here(&runs))
        return;
    char what[80];
    snprintf(what, sizeof what, "map %d: %s by %s", number, how->target, how->runs);
    ir_case *this = ir_case_parse(what, text);
    pass_context context = ir_case_context(this, &target);
    context.product_parts = how->parts;
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    ir_case_no_errors(this, what);
    if (target.lanes == 16 && keeps_statistics(context.program) != of->kept)
        fail_msg("%s: the convolution %s statistics", what, of->kept ? "does not keep" : "keeps");
    backend_code *code = llvm_compile(context.program, &runs, &this->diags);
    ir_case_no_errors(this, what);
    tensor_list got = {.memory = this->memory};
    compiled_run(context.program, code, "conv2d", given, &got);
    double places = (double)(of->at.n * out_size(&of->at, 0) * out_size(&of->at, 1));
    check_results(what, wanted, &got, of->at.filters, places, how->bound);
    backend_free(code);
    ir_case_free(this);
}

static void statistics_agree_with_the_interpreter(void **state) {
    (void)state;
    for (int number = 0; number < CASES; number++) {
        text_buffer text = {0};
        append_statistics(&text, &cases[number].at);
        ir_case *this = ir_case_parse("maps", &text);
        tensor_list given = {.memory = this->memory}, wanted = {.memory = this->memory};
        give_inputs(this, (uint64_t)number, &given);
        for (int i = 0; i < given.count; i++)
            for (int64_t e = 0; e < ir_type_elements(&given.items[i].type); e++)
                given.items[i].elements[e] = (double)(float)(given.items[i].elements[e] + 0.4);
        ir_case_interpret(this, "conv2d", &given, &wanted);
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
            check_way(&cases[number], &text, &given, &wanted, &ways[w], number);
        ir_case_free(this);
        text_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_agree_with_the_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
