/* Reductions of more elements than the nearer caches hold, to vectors of results: sums, maxima and variances of the
 * same elements, some of which are outputs besides, against the interpreter, for every processor that this one can be.
 */
#include "ir_case.h"

#include <math.h>
#include <stdio.h>

/* Sums, a maximum and a variation of [images, places, results] numbers over all images and places; the sums are of
 * elements that go out, too. */
static ir_case *case_of(int images, int places, int results) {
    char maps[64], kept[32];
    snprintf(maps, sizeof maps, "f32[%d,%d,%d]", images, places, results);
    snprintf(kept, sizeof kept, "f32[%d]", results);
    text_buffer text = {0};
    text_append(&text, "module @m\nfunc @f {\n  %%0 = input @x : %s\n  %%1 = input @y : %s\n", maps, maps);
    text_append(&text, "  %%2 = mul %%0, %%1 : %s\n", maps);
    text_append(&text, "  %%3 = reduce_sum %%2 {axes=[0,1]} : %s\n", kept);
    text_append(&text, "  %%4 = reduce_sum %%1 {axes=[0,1]} : %s\n", kept);
    text_append(&text, "  %%5 = reduce_max %%2 {axes=[0,1]} : %s\n", kept);
    text_append(&text, "  %%6 = reduce_variation %%0 {axes=[0,1]} : %s\n", kept);
    text_append(&text, "  output @products, %%2\n  output @sums, %%3\n  output @others, %%4\n");
    text_append(&text, "  output @largest, %%5\n  output @variations, %%6\n}\n");
    ir_case *this = ir_case_parse("reductions", &text);
    text_free(&text);
    return this;
}

static void give(tensor_list *given, int images, int places, int results) {
    ir_type type = ir_type_make(IR_F32, 3, (int64_t[]){images, places, results});
    for (int operand = 0; operand < 2; operand++) {
        double *elements = tensor_add(given, false, operand ? "y" : "x", &type);
        for (int64_t i = 0; i < ir_type_elements(&type); i++)
            elements[i] = (double)(rt_random_normal(7, operand, 1, i) + (float)(i % results % 5));
    }
}

static void compare(const tensor_list *wanted, const tensor_list *found, const char *target) {
    for (int i = 0; i < wanted->count; i++) {
        const tensor *exact = &wanted->items[i];
        const double *elements = tensor_elements(found, false, exact->name);
        for (int64_t k = 0; k < ir_type_elements(&exact->type); k++)
            if (!(fabs(elements[k] - exact->elements[k]) <= 1e-5 * fabs(exact->elements[k]) + 1e-3))
                fail_msg("%s, %s %d: %.9g instead of %.9g", target, exact->name, (int)k, elements[k],
                         exact->elements[k]);
    }
}

static void check(const char *name, int images, int places, int results) {
    kir_target target;
    assert_true(backend_target_named(name, &target));
    if (!target_runs_here(&target))
        return;
    ir_case *this = case_of(images, places, results);
    tensor_list given = {.memory = this->memory}, exact = {.memory = this->memory}, found = {.memory = this->memory};
    give(&given, images, places, results);
    ir_case_interpret(this, "f", &given, &exact);
    const kir_program *program;
    backend_code *code = ir_case_compile(this, "reductions", &target, &program);
    compiled_run(program, code, "f", &given, &found);
    compare(&exact, &found, name);
    backend_free(code);
    ir_case_free(this);
}

static void every_processor_agrees(void **state) {
    (void)state;
    static const char *const targets[] = {"avx512", "avx2", "portable", "scalar"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        check(targets[i], 4, 512, 160);  /* places one after the other: ten vectors of AVX-512, two blocks and a half */
        check(targets[i], 3, 700, 72);   /* no whole vectors of AVX-512 */
        check(targets[i], 16, 1100, 32); /* one block */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_processor_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
