/* Variances of large tensors, which compiled code finds in one pass over memory: as good as in two, wherever the mean
 * lies and whichever rows are the first. */
#include "ir_case.h"

#include <math.h>

enum { ROWS = 4096, COLUMNS = 128 };

static const char source[] = "module @m\n"
                             "func @f {\n"
                             "  %0 = input @x : f32[4096,128]\n"
                             "  %1 = reduce_sum %0 {axes=[0]} : f32[128]\n"
                             "  %2 = constant {value=0.000244140625} : f32[128]\n"
                             "  %3 = mul %1, %2 : f32[128]\n"
                             "  %4 = broadcast %3 {axes=[1]} : f32[4096,128]\n"
                             "  %5 = sub %0, %4 : f32[4096,128]\n"
                             "  %6 = mul %5, %5 : f32[4096,128]\n"
                             "  %7 = reduce_sum %6 {axes=[0]} : f32[128]\n"
                             "  %8 = mul %7, %2 : f32[128]\n"
                             "  output @variance, %8\n"
                             "}\n";

typedef float (*filling)(int row, int column);

static float noise(int row, int column) {
    return rt_random_normal(5, 0, 1, (int64_t)row * COLUMNS + column);
}

/* Means of 0, 1, 2, … deviations. */
static float ordinary(int row, int column) {
    return noise(row, column) + (float)(column % 8);
}
/* The first rows, of which one helps to make the shift, lie 100 deviations off the others. */
static float first_rows_off(int row, int column) {
    return noise(row, column) + (row < ROWS / 32 ? 100.0f : 0.0f);
}
static float equal(int row, int column) {
    (void)row;
    return 1000.1f + (float)column;
}
static float one_outlier(int row, int column) {
    return row == 7 ? 1e4f : noise(row, column);
}

static void check(filling fill, double relative, double absolute) {
    text_buffer text = {0};
    text_append(&text, "%s", source);
    ir_case *this = ir_case_parse("variance", &text);
    text_free(&text);
    tensor_list given = {.memory = this->memory}, results = {.memory = this->memory};
    ir_type type = ir_type_make(IR_F32, 2, (int64_t[]){ROWS, COLUMNS});
    double *x = tensor_add(&given, false, "x", &type);
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < COLUMNS; column++)
            x[row * COLUMNS + column] = (double)fill(row, column);
    tensor_list exact = {.memory = this->memory};
    ir_case_interpret(this, "f", &given, &exact);
    kir_target target = backend_target_host();
    const kir_program *program;
    backend_code *code = ir_case_compile(this, "variance", &target, &program);
    compiled_run(program, code, "f", &given, &results);
    const double *found = tensor_elements(&results, false, "variance"),
                 *wanted = tensor_elements(&exact, false, "variance");
    for (int column = 0; column < COLUMNS; column++) {
        assert_true(found[column] >= 0);
        if (fabs(found[column] - wanted[column]) > relative * wanted[column] + absolute)
            fail_msg("column %d: variance %.9g instead of %.9g", column, found[column], wanted[column]);
    }
    backend_free(code);
    ir_case_free(this);
}

static void one_pass_is_as_good_as_two(void **state) {
    (void)state;
    check(ordinary, 1e-5, 0);
    check(first_rows_off, 1e-5, 0);
    check(one_outlier, 1e-4, 0); /* squares of 1 that are added to one of 1e8 in f32 */
    check(equal, 0, 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pass_is_as_good_as_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
