/* Convolutions in all directions and products of matrices in pairs of bf16 parts, for each number of parts and by every
 * way to the processor, against the interpreter and the error that passes/pair_panel.h states. */
#include "tests/unit/contraction_case.h"

#include <math.h>

/* Computed in pairs by 1 part, and by 2 unless Winograd's method in f32 is faster. */
static const shape shapes[] = {
    {16, 16, 16, {5, 4}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {32, 48, 24, {7, 6}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    {36, 72, 160, {5, 4}, {1, 1}, {2, 2}, SAME(0), {1, 1}, 1},
    {20, 48, 72, {6, 9}, {5, 2}, {1, 3}, {2, 1, 0, 1}, {1, 2}, 1},
    {18, 20, 36, {7, 3}, {4, 3}, {3, 2}, SAME(2), {2, 1}, 1},
    /* of whose weights an iteration takes half, on matrix units */
    {16, 448, 128, {3, 4}, {2, 3}, {1, 1}, {1, 0, 1, 1}, {1, 1}, 1},
    {64, 64, 64, {8, 9}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    /* of points: in slices, for runs of places and of blocks of images */
    {32, 640, 576, {3, 2}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1},
    {64, 576, 640, {1, 1}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1},
    /* by Winograd's method: in f32; in 2 parts, with partial tiles; with launches of their own for large weights */
    {64, 64, 48, {8, 8}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {32, 64, 96, {7, 8}, {3, 3}, {1, 1}, {1, 0, 1, 1}, {1, 1}, 1},
    {32, 192, 160, {4, 4}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, F32_SHAPE = 9 };

static const product_case products[] = {
    {3, 60, 40, 17, false, false},  {2, 64, 130, 31, true, true},    {1, 200, 96, 130, false, true},
    {1, 256, 64, 47, true, false},  {1, 100, 90, 599, false, true},  {5, 48, 56, 64, true, false},
    {1, 32, 1024, 80, false, true}, {1, 300, 1024, 64, true, false},
};
enum { PRODUCTS = sizeof products / sizeof *products };
/* By how many parts they are computed in pairs at least: small ones are not worth splitting in two. */
static const int product_parts[PRODUCTS] = {1, 2, 2, 2, 2, 1, 2, 2};

/* With so many parts all results are streamed, as otherwise only large ones are. */
enum { STREAMED_PARTS = 2 };

/* The error of a sum of products by the number of parts, of the sum of their sizes. */
static const double splitting[] = {0, 1.01 * 0x1p-7, 0x1p-14, 0x1p-22};

/* What f32 rounds besides, of the sizes; and the root of all errors' mean square by the number of parts, of that of the
 * results, where errors have no sign in common. The transforms of Winograd's method make errors grow. */
typedef struct {
    double rounding, mean[4];
} bounds;
static const bounds plain_sums = {1e-6, {0, 4e-3, 2e-5, 2e-6}}, winograd_sums = {3e-6, {0, 4e-3, 5e-5, 5e-6}};

typedef struct {
    const char *target; /* that it is lowered for */
    const char *runs;   /* that code is written for: others do what matrix units do */
    backend_code *(*compile)(const kir_program *program, const kir_target *target, diag_list *diags);
} way;

static backend_code *by_tcc(const kir_program *program, const kir_target *target, diag_list *diags) {
    (void)target;
    return tcc_compile(program, diags);
}

static const way ways[] = {
    {"amx", "avx512", cgen_compile},
    {"amx", "amx", llvm_compile},
    {"avx512-bf16", "avx512-bf16", llvm_compile},
    {"avx512", "avx512", llvm_compile},
    {"avx2", "avx2", llvm_compile},
    {"portable", "portable", llvm_compile},
    {"portable", "portable", cgen_compile},
    {"scalar", "scalar", by_tcc},
};
enum { WAYS = sizeof ways / sizeof *ways };

static bool has_pairs(const kir_program *program, const char *function) {
    for (int f = 0; f < program->function_count; f++)
        for (int l = 0; strcmp(program->functions[f].name, function) == 0 && l < program->functions[f].launch_count;
             l++)
            if (strstr(program->kernels[program->functions[f].launches[l].kernel]->name, "_pairs"))
                return true;
    return false;
}

static void check_close(const char *what, const tensor *wanted, const double *sizes, const double *got, int parts,
                        const bounds *most) {
    int64_t count = ir_type_elements(&wanted->type);
    double squares = 0, errors = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = got[i] - wanted->elements[i];
        if (!(fabs(error) <= (splitting[parts] + most->rounding) * sizes[i]))
            fail_msg("%s[%lld]: off by %.3g, %.3g of the sizes", what, (long long)i, error, fabs(error) / sizes[i]);
        squares += wanted->elements[i] * wanted->elements[i];
        errors += error * error;
    }
    double mean = sqrt(errors / squares);
    if (getenv("SHOW_ERRORS"))
        printf("%s: %.2g in the mean\n", what, mean);
    if (!(mean <= most->mean[parts]))
        fail_msg("%s: %.2g in the mean", what, mean);
}

/* What the interpreter computes of the inputs, and of their sizes. */
typedef struct {
    const text_buffer *text;
    const char *name;
    const bounds *most;
    tensor_list given, wanted[3], sizes[3];
} expectation;

/* Compiles for one way and compares all functions. Returns how many of them are computed in pairs. */
static int check_way(const expectation *of, const way *how, int parts) {
    kir_target target, runs;
    assert_true(kir_target_named(how->target, &target) && kir_target_named(how->runs, &runs));
    if (how->compile == llvm_compile && !target_runs_here(&runs))
        return -1;
    ir_case *this = ir_case_parse(of->name, of->text);
    this->streamed_bytes = parts == STREAMED_PARTS ? 1 : 0;
    pass_context context = ir_case_context(this, &target);
    context.product_parts = parts;
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    ir_case_no_errors(this, of->name);
    backend_code *code = how->compile(context.program, &runs, &this->diags);
    ir_case_no_errors(this, of->name);
    int in_pairs = 0;
    for (int f = 0; f < this->module->function_count; f++) {
        const char *function = this->module->functions[f]->name;
        tensor_list got = {.memory = this->memory};
        compiled_run(context.program, code, function, &of->given, &got);
        char what[160];
        snprintf(what, sizeof what, "%s: %s, %d parts, %s by %s", of->name, function, parts, how->target, how->runs);
        check_close(what, tensor_find(&of->wanted[f], false, "r"), tensor_elements(&of->sizes[f], false, "r"),
                    tensor_elements(&got, false, "r"), parts, of->most);
        in_pairs += has_pairs(context.program, function);
    }
    backend_free(code);
    ir_case_free(this);
    return in_pairs;
}

/* Runs nowhere without the units, but must become their instructions everywhere. */
static void check_instructions(const expectation *of, const char *name, const char *instruction, int parts) {
    kir_target target;
    assert_true(kir_target_named(name, &target));
    ir_case *this = ir_case_parse(of->name, of->text);
    pass_context context = ir_case_context(this, &target);
    context.product_parts = parts;
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    text_buffer assembly = {0};
    assert_true(llvm_emit(context.program, &target, LLVM_ASSEMBLY, &assembly, &this->diags));
    if (!strstr(assembly.data, instruction))
        fail_msg("%s: no %s in %d parts", of->name, instruction, parts);
    text_free(&assembly);
    ir_case_free(this);
}

static void interpret(ir_case *this, expectation *of) {
    tensor_list sizes = {.memory = this->memory};
    for (int i = 0; i < of->given.count; i++) {
        const tensor *input = &of->given.items[i];
        double *elements = tensor_add(&sizes, false, input->name, &input->type);
        for (int64_t e = 0; e < ir_type_elements(&input->type); e++)
            elements[e] = fabs(input->elements[e]);
    }
    for (int f = 0; f < this->module->function_count; f++) {
        of->wanted[f] = of->sizes[f] = (tensor_list){.memory = this->memory};
        ir_case_interpret(this, this->module->functions[f]->name, &of->given, &of->wanted[f]);
        ir_case_interpret(this, this->module->functions[f]->name, &sizes, &of->sizes[f]);
    }
}

/* All functions are in pairs by up to `paired` parts. */
static void check_module(const text_buffer *text, uint64_t seed, int paired, const bounds *most, const char *name) {
    ir_case *this = ir_case_parse(name, text);
    expectation of = {.text = text, .name = name, .most = most, .given = {.memory = this->memory}};
    give_inputs(this, seed, &of.given);
    interpret(this, &of);
    for (int parts = 1; parts <= paired; parts++)
        check_instructions(&of, "amx", "tdpbf16ps", parts);
    for (int w = 0; w < WAYS; w++)
        for (int parts = 1; parts <= 3; parts++) {
            /* C compilers take their time. */
            if (ways[w].compile == cgen_compile && parts != 2)
                continue;
            int in_pairs = check_way(&of, &ways[w], parts);
            bool all = parts <= paired && strcmp(ways[w].target, "avx512-bf16") != 0;
            if (all && in_pairs >= 0 && in_pairs < this->module->function_count)
                fail_msg("%s: %d of %d functions are in %d parts for %s", name, in_pairs, this->module->function_count,
                         parts, ways[w].target);
        }
    ir_case_free(this);
}

static void convolutions_keep_their_bound(void **state) {
    (void)state;
    for (int number = 0; number < SHAPES; number++) {
        char name[32];
        snprintf(name, sizeof name, "shape %d", number);
        text_buffer text = {0};
        append_shape(&text, &shapes[number]);
        check_module(&text, (uint64_t)number, number == F32_SHAPE ? 1 : 2,
                     number > F32_SHAPE ? &winograd_sums : &plain_sums, name);
        text_free(&text);
    }
}

static void products_keep_their_bound(void **state) {
    (void)state;
    for (int number = 0; number < PRODUCTS; number++) {
        char name[32];
        snprintf(name, sizeof name, "product %d", number);
        text_buffer text = {0};
        append_product(&text, &products[number]);
        check_module(&text, (uint64_t)number, product_parts[number], &plain_sums, name);
        text_free(&text);
    }
}

/* Maps that are computed straight into pairs, of an odd number of channels, and that several convolutions read. */
#define STEPS "stride=[1,1], dilation=[1,1], groups=1"
static const char shared_maps[] = "module @shared\n"
                                  "func @forward {\n"
                                  "  %0 = input @a : f32[32,27,7,6]\n"
                                  "  %1 = input @b : f32[32,27,7,6]\n"
                                  "  %2 = input @w : f32[27,27,3,3]\n"
                                  "  %3 = input @v : f32[27,27,5,5]\n"
                                  "  %4 = add %0, %1 : f32[32,27,7,6]\n"
                                  "  %5 = conv2d %4, %2 {" STEPS ", padding=[1,1,1,1]} : f32[32,27,7,6]\n"
                                  "  %6 = conv2d %4, %3 {" STEPS ", padding=[2,2,2,2]} : f32[32,27,7,6]\n"
                                  "  %7 = add %5, %6 : f32[32,27,7,6]\n"
                                  "  %8 = add %7, %4 : f32[32,27,7,6]\n"
                                  "  output @r, %8\n}\n"
                                  "func @gradients {\n"
                                  "  %0 = input @a : f32[32,27,7,6]\n"
                                  "  %1 = input @b : f32[32,27,7,6]\n"
                                  "  %2 = input @w : f32[27,27,3,3]\n"
                                  "  %3 = input @x : f32[32,27,7,6]\n"
                                  "  %4 = add %0, %1 : f32[32,27,7,6]\n"
                                  "  %5 = conv2d_input_grad %4, %2 {" STEPS ", padding=[1,1,1,1]} : f32[32,27,7,6]\n"
                                  "  %6 = conv2d_weight_grad %3, %4 {" STEPS ", padding=[1,1,1,1]} : f32[27,27,3,3]\n"
                                  "  %7 = reshape %5 : f32[36288]\n"
                                  "  %8 = reshape %6 : f32[6561]\n"
                                  "  %9 = concat %7, %8 {axis=0} : f32[42849]\n"
                                  "  output @r, %9\n}\n";

static void shared_maps_keep_their_bound(void **state) {
    (void)state;
    text_buffer text = {0};
    text_append(&text, "%s", shared_maps);
    check_module(&text, SHAPES, 2, &plain_sums, "shared maps");
    text_free(&text);
}

/* What lies between convolutions in one part is kept as bf16 numbers: written by plain sums, in pairs and by
 * elementwise kernels, read by all of these, by reductions and pools; weights' gradients stay f32. */
static const char narrow_maps[] =
    "module @narrow\n"
    "func @forward {\n"
    "  %0 = input @a : f32[32,3,8,6]\n"
    "  %1 = input @w : f32[32,3,3,3]\n"
    "  %2 = input @v : f32[48,32,3,3]\n"
    "  %3 = input @u : f32[32,48,1,1]\n"
    "  %4 = conv2d %0, %1 {" STEPS ", padding=[1,1,1,1]} : f32[32,32,8,6]\n"
    "  %5 = relu %4 : f32[32,32,8,6]\n"
    "  %6 = conv2d %5, %2 {" STEPS ", padding=[1,1,1,1]} : f32[32,48,8,6]\n"
    "  %7 = max_pool2d %6 {kernel=[2,2], stride=[2,2], padding=[0,0,0,0]} : f32[32,48,4,3]\n"
    "  %8 = conv2d %7, %3 {" STEPS ", padding=[0,0,0,0]} : f32[32,32,4,3]\n"
    "  %9 = mul %8, %8 : f32[32,32,4,3]\n"
    "  %10 = reduce_sum %9 {axes=[0,2,3]} : f32[32]\n"
    "  output @r, %10\n}\n"
    "func @gradients {\n"
    "  %0 = input @a : f32[32,3,8,6]\n"
    "  %1 = input @dy : f32[32,48,8,6]\n"
    "  %2 = input @v : f32[48,32,3,3]\n"
    "  %3 = input @x : f32[32,32,8,6]\n"
    "  %4 = add %1, %1 : f32[32,48,8,6]\n"
    "  %5 = conv2d_input_grad %4, %2 {" STEPS ", padding=[1,1,1,1]} : f32[32,32,8,6]\n"
    "  %6 = mul %5, %3 : f32[32,32,8,6]\n"
    "  %7 = conv2d_weight_grad %0, %6 {" STEPS ", padding=[1,1,1,1]} : f32[32,3,3,3]\n"
    "  %8 = conv2d_weight_grad %3, %4 {" STEPS ", padding=[1,1,1,1]} : f32[48,32,3,3]\n"
    "  %9 = reshape %7 : f32[864]\n"
    "  %10 = reshape %8 : f32[13824]\n"
    "  %11 = concat %9, %10 {axis=0} : f32[14688]\n"
    "  output @r, %11\n}\n";

/* Maps of bf16 numbers, and what else is: nothing should be. */
static int count_narrow(const kir_program *program) {
    int maps = 0;
    for (int i = 0; i < program->buffer_count; i++) {
        const kir_buffer *buffer = &program->buffers[i];
        if (buffer->element != KIR_BF16)
            continue;
        assert_int_equal(buffer->type.rank, 4);
        assert_int_equal(buffer->type.dims[0], 32); /* images */
        assert_false(buffer->fixed);
        maps++;
    }
    return maps;
}

/* How many of them there are for matrix units. */
static void check_narrow(const text_buffer *text, int parts, int wanted) {
    kir_target target;
    assert_true(kir_target_named("amx", &target));
    ir_case *this = ir_case_parse("narrow maps", text);
    pass_context context = ir_case_context(this, &target);
    context.product_parts = parts;
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    ir_case_no_errors(this, "narrow maps");
    int maps = count_narrow(context.program);
    if (maps != wanted)
        fail_msg("%d narrow maps in %d parts", maps, parts);
    ir_case_free(this);
}

static void maps_between_kernels_are_narrow(void **state) {
    (void)state;
    enum { MAPS = 6 }; /* of eight, two being written as pairs alone */
    static const bounds chain = {0x1p-5, {0, 8e-3}};
    text_buffer text = {0};
    text_append(&text, "%s", narrow_maps);
    for (int parts = 0; parts <= 3; parts++)
        check_narrow(&text, parts, parts == 1 ? MAPS : 0);
    ir_case *this = ir_case_parse("narrow maps", &text);
    expectation of = {.text = &text, .name = "narrow maps", .most = &chain, .given = {.memory = this->memory}};
    give_inputs(this, SHAPES, &of.given);
    interpret(this, &of);
    for (int w = 0; w < WAYS; w++)
        check_way(&of, &ways[w], 1);
    ir_case_free(this);
    text_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_between_kernels_are_narrow),
        cmocka_unit_test(shared_maps_keep_their_bound),
        cmocka_unit_test(convolutions_keep_their_bound),
        cmocka_unit_test(products_keep_their_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
