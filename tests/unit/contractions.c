/* Convolutions, products of matrices, turned copies and gradients of maxima over a grid of shapes, all directions, for
 * every target that this processor runs, against the interpreter. */
#include "tests/unit/contraction_case.h"

#include <math.h>

static const shape shapes[] = {
    /* one of everything; kernels of one element; no room to spare */
    {1, 1, 1, {1, 1}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1},
    {2, 3, 5, {4, 6}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1},
    {3, 16, 24, {5, 4}, {1, 1}, {2, 2}, SAME(0), {1, 1}, 1},
    {1, 4, 4, {3, 3}, {3, 3}, {1, 1}, SAME(0), {1, 1}, 1},
    /* strides, paddings on one side, dilation, groups, few and odd channels */
    {2, 3, 16, {9, 7}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    {2, 5, 7, {8, 9}, {3, 2}, {2, 3}, {0, 2, 1, 0}, {2, 1}, 1},
    {2, 8, 12, {7, 7}, {3, 3}, {1, 2}, SAME(2), {1, 3}, 4},
    {4, 32, 32, {6, 5}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 32},
    {1, 3, 8, {17, 18}, {7, 7}, {2, 2}, SAME(3), {1, 1}, 1},
    {2, 40, 24, {8, 8}, {5, 5}, {2, 2}, SAME(2), {1, 1}, 1},
    {3, 48, 80, {8, 8}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    {4, 64, 160, {4, 4}, {1, 1}, {2, 2}, SAME(0), {1, 1}, 1},
    /* weights' gradients in blocks: of one tap with all places in a row, with rows of places, with single ones; of many
     */
    {16, 384, 512, {5, 5}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1},
    {18, 512, 320, {8, 10}, {1, 1}, {2, 2}, SAME(0), {1, 1}, 1},
    {30, 192, 768, {7, 9}, {1, 1}, {2, 2}, SAME(0), {1, 1}, 1},
    {2, 64, 192, {12, 9}, {5, 5}, {3, 2}, SAME(2), {1, 1}, 1},
    /* the window is the whole map: products of matrices, with long sums, blocks of columns and rests of all */
    {100, 96, 160, {1, 1}, {1, 1}, {1, 1}, SAME(0), {1, 1}, 1},
    {61, 24, 608, {3, 3}, {3, 3}, {1, 1}, SAME(0), {1, 1}, 1},
    {600, 40, 50, {1, 2}, {1, 2}, {2, 1}, SAME(0), {3, 1}, 1},
    /* taps that nowhere reach the map */
    {3, 16, 24, {1, 1}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    {2, 8, 12, {1, 6}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 2},
    {2, 4, 8, {2, 2}, {4, 4}, {1, 1}, {2, 0, 0, 2}, {1, 1}, 1},
    {2, 4, 8, {5, 4}, {3, 3}, {2, 1}, SAME(5), {5, 5}, 1},
    /* 3 x 3 at stride 1: whole tiles, tiles cut short, one tile, several maps in a block, rows of tiles of one map */
    {4, 32, 32, {8, 8}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {6, 48, 32, {7, 7}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {17, 32, 48, {4, 4}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {1, 32, 80, {25, 34}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {2, 32, 32, {13, 30}, {3, 3}, {1, 1}, SAME(0), {1, 1}, 1},
    {5, 64, 32, {9, 8}, {3, 3}, {1, 1}, {0, 2, 2, 1}, {1, 1}, 1},
    {31, 224, 192, {3, 3}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1},
    {66, 32, 32, {12, 12}, {3, 3}, {1, 1}, SAME(1), {1, 1}, 1}, /* blocks that share sums of weights' gradients */
    /* the same at stride 2 */
    {5, 32, 48, {16, 15}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    {3, 48, 32, {25, 18}, {3, 3}, {2, 2}, {1, 0, 1, 1}, {1, 1}, 1},
    {2, 32, 80, {31, 24}, {3, 3}, {2, 2}, SAME(0), {1, 1}, 1},
    {2, 32, 32, {23, 26}, {3, 3}, {2, 2}, SAME(2), {1, 1}, 1},
    {17, 224, 192, {8, 8}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},
    {68, 32, 32, {12, 12}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1},   /* blocks that share sums */
    {14, 128, 128, {8, 136}, {3, 3}, {2, 2}, SAME(1), {1, 1}, 1}, /* larger ones */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Bounds of f32's errors relative to the root of the mean square: of the mean square, and of a single element. */
typedef struct {
    double mean, largest;
} bounds;
static const bounds plain_sums = {1e-6, 1e-5}, winograd_sums = {3e-6, 3e-5};

static bounds bounds_of(const shape *at) {
    bool winograd = at->kernel[0] == 3 && at->kernel[1] == 3 && at->groups == 1 && at->dilation[0] == 1 &&
                    at->dilation[1] == 1 && at->channels >= 32;
    return winograd ? winograd_sums : plain_sums;
}

static void check_close(const char *what, const tensor *wanted, const double *got, bounds most) {
    int64_t count = ir_type_elements(&wanted->type);
    double squares = 0, errors = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = got[i] - wanted->elements[i];
        squares += wanted->elements[i] * wanted->elements[i];
        errors += error * error;
        largest = error == error ? fmax(largest, fabs(error)) : INFINITY;
    }
    double size = sqrt(squares / (double)count);
    if (!(sqrt(errors / (double)count) <= most.mean * size) || !(largest <= most.largest * size))
        fail_msg("%s: errors of %.2g in the mean, %.2g at most, relative to %.2g", what,
                 sqrt(errors / (double)count) / size, largest / size, size);
}

typedef struct {
    const char *name;
    int lanes;
} target_case;
static const target_case targets[] = {{"scalar", 1}, {"portable", 4}, {"avx2", 8}, {"avx512", 16}};

/* Compiles the case for a target and compares its functions' results with those `wanted`. Results of odd seeds are
 * streamed, as otherwise only large ones are. */
static void check_target(const text_buffer *text, const target_case *which, uint64_t seed, const tensor_list *given,
                         const tensor_list *wanted, const char *name, bounds most) {
    kir_target target;
    assert_true(kir_target_named(which->name, &target));
    if (which->lanes > backend_target_host().lanes)
        return;
    ir_case *this = ir_case_parse(name, text);
    this->streamed_bytes = (int64_t)(seed % 2);
    const kir_program *program;
    backend_code *code = ir_case_compile(this, name, &target, &program);
    for (int f = 0; f < this->module->function_count; f++) {
        const char *function = this->module->functions[f]->name;
        tensor_list got = {.memory = this->memory};
        compiled_run(program, code, function, given, &got);
        char what[160];
        snprintf(what, sizeof what, "%s: %s for %s", name, function, which->name);
        check_close(what, tensor_find(&wanted[f], false, "r"), tensor_elements(&got, false, "r"), most);
    }
    backend_free(code);
    ir_case_free(this);
}

/* Interprets the functions of a module once and compares the code for all targets. */
static void check_module(const text_buffer *text, uint64_t seed, const char *name, bounds most) {
    ir_case *this = ir_case_parse(name, text);
    tensor_list given = {.memory = this->memory}, wanted[3];
    give_inputs(this, seed, &given);
    for (int f = 0; f < this->module->function_count; f++) {
        wanted[f] = (tensor_list){.memory = this->memory};
        ir_case_interpret(this, this->module->functions[f]->name, &given, &wanted[f]);
    }
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++)
        check_target(text, &targets[t], seed, &given, wanted, name, most);
    ir_case_free(this);
}

static void convolutions_agree_with_the_interpreter(void **state) {
    (void)state;
    for (int number = 0; number < SHAPES; number++) {
        char name[32];
        snprintf(name, sizeof name, "shape %d", number);
        text_buffer text = {0};
        append_shape(&text, &shapes[number]);
        check_module(&text, (uint64_t)number, name, bounds_of(&shapes[number]));
        text_free(&text);
    }
}

/* ---- products of matrices -------------------------------------------------------------------------------------------
 */

static const product_case products[] = {
    {1, 1, 1, 1, false, false},     {1, 1, 70, 33, false, true},     {1, 13, 100, 20, true, false},
    {3, 50, 40, 17, false, false},  {2, 61, 130, 31, true, true},    {1, 200, 96, 130, false, true},
    {1, 256, 64, 48, true, false},  {1, 100, 90, 1100, true, false}, {1, 30, 20, 600, false, false},
    {5, 49, 49, 64, false, true},   {1, 300, 7, 5, true, true},      {1, 110, 640, 700, true, false},
    {2, 96, 256, 40, false, true},  {3, 200, 384, 30, false, false}, {1, 30, 1024, 600, false, true},
    {1, 20, 1024, 90, true, false}, {2, 5, 1024, 33, false, false},
};
enum { PRODUCTS = sizeof products / sizeof *products };

static void products_agree_with_the_interpreter(void **state) {
    (void)state;
    for (int number = 0; number < PRODUCTS; number++) {
        char name[32];
        snprintf(name, sizeof name, "product %d", number);
        text_buffer text = {0};
        append_product(&text, &products[number]);
        check_module(&text, (uint64_t)number, name, plain_sums);
        text_free(&text);
    }
}

/* ---- copies that turn -----------------------------------------------------------------------------------------------
 */

static const char *const transpositions[] = {
    "%0 = input @a : f32[32,48]  %1 = transpose %0 {axes=[1,0]} : f32[48,32]",
    "%0 = input @a : f32[48,33]  %1 = transpose %0 {axes=[1,0]} : f32[33,48]",
    "%0 = input @a : f32[3,16,5,32]  %1 = transpose %0 {axes=[0,3,2,1]} : f32[3,32,5,16]",
    "%0 = input @a : f32[16,2,64]  %1 = transpose %0 {axes=[2,1,0]} : f32[64,2,16]",
    "%0 = input @a : f32[1,160,1,16]  %1 = transpose %0 {axes=[3,0,2,1]} : f32[16,1,1,160]",
};

static void transpositions_agree_with_the_interpreter(void **state) {
    (void)state;
    for (size_t number = 0; number < sizeof transpositions / sizeof *transpositions; number++) {
        char name[32];
        snprintf(name, sizeof name, "transposition %d", (int)number);
        text_buffer text = {0};
        text_append(&text, "module @turned func @f { %s output @r, %%1 }", transpositions[number]);
        check_module(&text, number, name, (bounds){0, 0});
        text_free(&text);
    }
}

/* ---- gradients of maxima, of maps in either order -------------------------------------------------------------------
 */

static const char pool_of_convolution[] =
    "module @pools func @f {"
    " %0 = input @x : f32[2,32,9,8]  %1 = input @w : f32[48,32,3,3]  %2 = input @g : f32[2,48,5,4]"
    " %3 = conv2d %0, %1 {stride=[1,1], padding=[1,1,1,1], dilation=[1,1], groups=1} : f32[2,48,9,8]"
    " %4 = max_pool2d_grad %3, %2 {kernel=[3,3], stride=[2,2], padding=[1,1,1,1]} : f32[2,48,9,8]"
    " output @r, %4 }";
static const char pool_alone[] =
    "module @pools func @f {"
    " %0 = input @x : f32[3,5,7,6]  %1 = input @g : f32[3,5,6,3]"
    " %2 = max_pool2d_grad %0, %1 {kernel=[2,3], stride=[1,2], padding=[0,0,1,1]} : f32[3,5,7,6]"
    " output @r, %2 }";

static void gradients_of_maxima_agree_with_the_interpreter(void **state) {
    (void)state;
    const char *const modules[] = {pool_of_convolution, pool_alone};
    for (int number = 0; number < 2; number++) {
        text_buffer text = {0};
        text_append(&text, "%s", modules[number]);
        check_module(&text, (uint64_t)number, number ? "pool alone" : "pool of a convolution", plain_sums);
        text_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_agree_with_the_interpreter),
        cmocka_unit_test(products_agree_with_the_interpreter),
        cmocka_unit_test(transpositions_agree_with_the_interpreter),
        cmocka_unit_test(gradients_of_maxima_agree_with_the_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
