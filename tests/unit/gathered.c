/* Two processes' worth of negatives: the loss of a batch, and its gradients, are the means of what two processes make
 * that hold half of it each and gather the vectors of both. Both ways are written in the language. */
#include "spec_case.h"

#include <math.h>
#include <stdio.h>

#define SPEC SOURCE_DIR "/tests/unit/specs/gathered.csl"

static const char *const tasks[] = {"nt_xent", "info_nce", "symmetric"};
enum { TASKS = sizeof tasks / sizeof *tasks };

static const char *const ways[] = {"together", "apart"};
enum { WAYS = sizeof ways / sizeof *ways };

/* Runs `gradients` of the spec in double precision, or compiled for this machine. States and inputs are the same
 * whatever the settings. */
static tensor_list run(arena *memory, const char *task, const char *process, const char *encode, bool compiled) {
    ir_case *this =
        spec_case_compile(SPEC, arena_printf(memory, "task=%s process=%s encode=%s", task, process, encode));
    tensor_list given = {.memory = memory}, results = {.memory = memory};
    spec_case_start(this, &given);
    spec_case_inputs(this, "gradients", &given);
    if (compiled) {
        kir_target target = backend_target_host();
        const kir_program *program;
        backend_code *code = ir_case_compile(this, task, &target, &program);
        compiled_run(program, code, "gradients", &given, &results);
        backend_free(code);
    } else {
        ir_case_pass(this, task, "differentiate");
        ir_case_interpret(this, "gradients", &given, &results);
    }
    ir_case_free(this);
    return results;
}

static double length_of(const tensor *of) {
    double squares = 0;
    for (int64_t i = 0, count = ir_type_elements(&of->type); i < count; i++)
        squares += of->elements[i] * of->elements[i];
    return sqrt(squares);
}

/* Whether the tensor is the mean of two others, but for an error relative to its length. */
static bool is_mean(const tensor *whole, const double *first, const double *second, double relative) {
    double largest = 0;
    for (int64_t i = 0, count = ir_type_elements(&whole->type); i < count; i++)
        largest = fmax(largest, fabs((first[i] + second[i]) / 2 - whole->elements[i]));
    return largest <= relative * length_of(whole);
}

static void compare(const char *task, const char *encode, bool compiled, double relative) {
    arena *memory = arena_new();
    tensor_list whole = run(memory, task, "one", "together", compiled);
    tensor_list first = run(memory, task, "first", encode, compiled);
    tensor_list second = run(memory, task, "second", encode, compiled);
    int gradients = 0;
    for (int t = 0; t < whole.count; t++) {
        const tensor *wanted = &whole.items[t];
        if (wanted->state)
            continue;
        const double *one = tensor_elements(&first, false, wanted->name),
                     *other = tensor_elements(&second, false, wanted->name);
        gradients += strncmp(wanted->name, "grad.", 5) == 0;
        if (!is_mean(wanted, one, other, relative))
            fail_msg("%s, encoded %s, %s: %s is not the mean of both processes'", task, encode,
                     compiled ? "compiled" : "in double precision", wanted->name);
        /* Neither process sees the whole loss alone: the mean is no mean of equal numbers. */
        assert_false(is_mean(wanted, one, one, 1e-4));
    }
    assert_int_equal(gradients, 4);
    arena_free(memory);
}

static void means_of_two_processes_are_the_whole(void **state) {
    (void)state;
    for (int task = 0; task < TASKS; task++)
        for (int way = 0; way < WAYS; way++)
            compare(tasks[task], ways[way], false, 1e-12);
}

static void compiled_code_agrees(void **state) {
    (void)state;
    for (int task = 0; task < TASKS; task++)
        compare(tasks[task], "apart", true, 1e-5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_of_two_processes_are_the_whole),
        cmocka_unit_test(compiled_code_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
