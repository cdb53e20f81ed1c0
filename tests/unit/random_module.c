/* Random modules with states, inputs and gradients: printed and read back, the same in the interpreter after every
 * pass, their gradients against differences, and the same in the code of every back end. CSL_SEEDS=FIRST:COUNT in the
 * environment runs other seeds. */
#include "tests/support/random_function.h"

#include <math.h>
#include <stdio.h>

typedef struct {
    uint64_t first, count;
} seed_range;

static seed_range seeds(uint64_t count) {
    seed_range range = {1, count};
    const char *text = getenv("CSL_SEEDS");
    if (text) {
        char *colon;
        range.first = strtoull(text, &colon, 10);
        range.count = *colon == ':' ? strtoull(colon + 1, NULL, 10) : 1;
    }
    return range;
}

typedef struct {
    ir_case *built;
    uint64_t seed;
    tensor_list given;
    bool smooth;     /* differences make sense */
    bool comparable; /* single precision takes the same sides of all kinks */
    const char *forward, *gradients;
} program;

/* Adds the program of a seed to the module. */
static program program_add(ir_case *built, uint64_t seed) {
    program this = {.built = built, .seed = seed, .given = {.memory = built->memory}};
    this.forward = arena_printf(built->memory, "forward%llu", (unsigned long long)seed);
    this.gradients = arena_printf(built->memory, "gradients%llu", (unsigned long long)seed);
    random_traits made = random_function(built->module, this.forward, seed, false, &this.given);
    random_function(built->module, this.gradients, seed, true, &this.given);
    this.smooth = made.smooth;
    this.comparable = !made.kinks;
    return this;
}

static ir_case *new_case(void) {
    ir_case *built = ir_case_new();
    built->module = ir_module_new(built->memory, &built->sources, "random");
    return built;
}

static void fail_seed(const program *this, const char *what) {
    ir_case_no_errors(this->built, what);
    text_buffer text = {0};
    ir_print(this->built->module, &text);
    fprintf(stderr, "%s\n", text.data);
    fail_msg("seed %llu: %s", (unsigned long long)this->seed, what);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Prints, reads, prints again: the same. */
static void check_text(const program *this) {
    text_buffer first = {0}, second = {0};
    ir_print(this->built->module, &first);
    ir_case *again = ir_case_parse("printed", &first);
    ir_print(again->module, &second);
    if (strcmp(first.data, second.data) != 0)
        fail_seed(this, "the text changes when it is read and printed");
    text_free(&first);
    text_free(&second);
    ir_case_free(again);
}

/* ---- the interpreter --------------------------------------------------------------------------------------------- */

/* Largest difference allowed for the elements of a tensor. */
static double tolerance(const tensor *wanted, double relative) {
    double largest = 1;
    for (int64_t i = 0, count = ir_type_elements(&wanted->type); i < count; i++)
        largest = fmax(largest, fabs(wanted->elements[i]));
    return relative * largest;
}

static void check_equal(const program *this, const tensor_list *got, const tensor_list *wanted, double relative,
                        const char *when) {
    for (int t = 0; t < wanted->count; t++) {
        const tensor *expected = &wanted->items[t];
        const double *elements = tensor_elements(got, expected->state, expected->name);
        double allowed = tolerance(expected, relative);
        for (int64_t i = 0, count = ir_type_elements(&expected->type); i < count; i++)
            if (!(fabs(elements[i] - expected->elements[i]) <= allowed)) {
                char what[256];
                snprintf(what, sizeof what, "%s: element %lld of %s is %.17g in place of %.17g", when, (long long)i,
                         expected->name, elements[i], expected->elements[i]);
                fail_seed(this, what);
            }
    }
}

static void interpret_and_compare(const program *this, const char *function, const tensor_list *wanted,
                                  const char *when) {
    tensor_list results = {.memory = arena_new()};
    ir_case_interpret(this->built, function, &this->given, &results);
    check_equal(this, &results, wanted, 1e-12, when);
    arena_free(results.memory);
}

static double loss_at(const program *this, const tensor_list *directions, double distance) {
    tensor_list moved = {.memory = arena_new()}, results = {.memory = moved.memory};
    for (int t = 0; t < this->given.count; t++) {
        const tensor *from = &this->given.items[t];
        const tensor *direction = tensor_find(directions, from->state, from->name);
        double *to = tensor_add(&moved, from->state, from->name, &from->type);
        for (int64_t i = 0, count = ir_type_elements(&from->type); i < count; i++)
            to[i] = from->elements[i] + (direction ? distance * direction->elements[i] : 0);
    }
    ir_case_interpret(this->built, this->forward, &moved, &results);
    double loss = *tensor_elements(&results, false, "loss");
    arena_free(moved.memory);
    return loss;
}

/* The derivative along one random direction of all variables. */
static void check_direction(const program *this, const tensor_list *gradients) {
    tensor_list directions = {.memory = this->built->memory};
    rt_random_sequence random = rt_random_begin(this->seed, 2);
    double wanted = 0, size = 1;
    for (int t = 0; t < this->given.count; t++) {
        const tensor *x = &this->given.items[t];
        if (x->type.dtype != IR_F32)
            continue;
        char name[64];
        snprintf(name, sizeof name, "grad.%s", x->name);
        const tensor *gradient = tensor_find(gradients, false, name);
        if (!gradient)
            continue;
        double *direction = tensor_add(&directions, x->state, x->name, &x->type);
        for (int64_t i = 0, count = ir_type_elements(&x->type); i < count; i++) {
            direction[i] = rt_random_range(&random, -1, 1);
            wanted += direction[i] * gradient->elements[i];
            size += fabs(direction[i] * gradient->elements[i]);
        }
    }
    const double distance = 1e-4;
    double got = (loss_at(this, &directions, -2 * distance) - 8 * loss_at(this, &directions, -distance) +
                  8 * loss_at(this, &directions, distance) - loss_at(this, &directions, 2 * distance)) /
                 (12 * distance);
    if (!(fabs(got - wanted) <= 1e-6 * size)) {
        char what[128];
        snprintf(what, sizeof what, "the derivative along a direction is %.12g, differences say %.12g", wanted, got);
        fail_seed(this, what);
    }
}

/* Every pass before `lower` in the order of the pipeline, for the given target. */
static void check_passes(program *this, const kir_target *target) {
    pass_context context = ir_case_context(this->built, target);
    pass_options options = {.verify = true};
    tensor_list forward = {.memory = this->built->memory}, gradients = {.memory = this->built->memory};
    ir_case_interpret(this->built, this->forward, &this->given, &forward);
    int count;
    const pass_info *const *passes = pass_pipeline(&count);
    for (int i = 0; i < count && strcmp(passes[i]->name, "lower") != 0; i++) {
        bool done = pass_run(&context, passes[i], &options);
        if (!done || this->built->diags.error_count)
            fail_seed(this, passes[i]->name);
        check_text(this);
        interpret_and_compare(this, this->forward, &forward, passes[i]->name);
        if (passes[i]->run == pass_differentiate) {
            ir_case_interpret(this->built, this->gradients, &this->given, &gradients);
            if (this->smooth)
                check_direction(this, &gradients);
        } else if (gradients.count) {
            interpret_and_compare(this, this->gradients, &gradients, passes[i]->name);
        }
    }
}

/* ---- compiled code ----------------------------------------------------------------------------------------------- */

/* What the interpreter gives for the program before any pass but differentiate. */
static void reference(const program *this, tensor_list *forward, tensor_list *gradients) {
    ir_case *built = new_case();
    program again = program_add(built, this->seed);
    ir_case_pass(built, "reference", "differentiate");
    ir_case_interpret(built, again.forward, &this->given, forward);
    if (this->comparable)
        ir_case_interpret(built, again.gradients, &this->given, gradients);
    ir_case_free(built);
}

static void run_and_compare(const program *this, const kir_program *lowered, const backend_code *code,
                            const char *function, const tensor_list *wanted, const char *target) {
    tensor_list results = {.memory = arena_new()};
    compiled_run(lowered, code, function, &this->given, &results);
    check_equal(this, &results, wanted, 1e-4, target);
    arena_free(results.memory);
}

static backend_code *compile_by_cc(ir_case *built, const kir_target *target, const kir_program **lowered) {
    pass_context context = ir_case_context(built, target);
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    ir_case_no_errors(built, "cc");
    backend_code *code = cgen_compile(*lowered = context.program, target, &built->diags);
    ir_case_no_errors(built, "cc");
    return code;
}

static void check_compiled(ir_case *built, const program *programs, int count, const char *target_name, bool by_cc) {
    kir_target target;
    assert_true(kir_target_named(target_name, &target));
    tensor_list *forward = calloc((size_t)count, sizeof *forward),
                *gradients = calloc((size_t)count, sizeof *gradients);
    for (int i = 0; i < count; i++) {
        forward[i].memory = gradients[i].memory = built->memory;
        reference(&programs[i], &forward[i], &gradients[i]);
    }
    const kir_program *lowered;
    backend_code *code =
        by_cc ? compile_by_cc(built, &target, &lowered) : ir_case_compile(built, target_name, &target, &lowered);
    for (int i = 0; i < count; i++) {
        run_and_compare(&programs[i], lowered, code, programs[i].forward, &forward[i], target_name);
        if (programs[i].comparable)
            run_and_compare(&programs[i], lowered, code, programs[i].gradients, &gradients[i], target_name);
    }
    backend_free(code);
    free(forward);
    free(gradients);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* All programs without a limit of memory, every second one also under 1 byte: what can be is then computed anew. */
static int limits_of(uint64_t seed) {
    return seed % 2 == 1;
}

static void passes_keep_what_programs_compute(void **state) {
    (void)state;
    kir_target target = backend_target_host();
    seed_range range = seeds(160);
    for (uint64_t seed = range.first; seed < range.first + range.count; seed++)
        for (int limit = 0; limit <= limits_of(seed); limit++) {
            ir_case *built = new_case();
            built->memory_limit = limit;
            program this = program_add(built, seed);
            if (!ir_verify(built->module, &built->diags))
                fail_seed(&this, "built invalid");
            check_text(&this);
            check_passes(&this, &target);
            ir_case_free(built);
        }
}

static const char *vector_target(void) {
    return backend_target_host().lanes == 16 ? "avx512" : backend_target_host().lanes == 8 ? "avx2" : "portable";
}

/* Two programs out of four stream all their results, as otherwise only large ones are streamed. */
static void check_each(seed_range range, const char *target) {
    for (uint64_t seed = range.first; seed < range.first + range.count; seed++)
        for (int limit = 0; limit <= limits_of(seed); limit++) {
            ir_case *built = new_case();
            built->memory_limit = limit;
            built->streamed_bytes = seed % 4 / 2;
            program this = program_add(built, seed);
            check_compiled(built, &this, 1, target, false);
            ir_case_free(built);
        }
}

static void scalar_code_agrees_with_the_interpreter(void **state) {
    (void)state;
    check_each(seeds(160), "scalar");
}

static void vector_code_agrees_with_the_interpreter(void **state) {
    (void)state;
    check_each(seeds(32), vector_target());
}

/* Several programs in one file for the C compiler, which takes its time. */
static void c_code_agrees_with_the_interpreter(void **state) {
    (void)state;
    enum { TOGETHER = 8 };
    seed_range range = seeds(TOGETHER);
    for (uint64_t seed = range.first; seed < range.first + range.count; seed += TOGETHER) {
        ir_case *built = new_case();
        program programs[TOGETHER];
        int count = 0;
        for (; count < TOGETHER && seed + (uint64_t)count < range.first + range.count; count++)
            programs[count] = program_add(built, seed + (uint64_t)count);
        check_compiled(built, programs, count, vector_target(), true);
        ir_case_free(built);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_keep_what_programs_compute),
        cmocka_unit_test(scalar_code_agrees_with_the_interpreter),
        cmocka_unit_test(vector_code_agrees_with_the_interpreter),
        cmocka_unit_test(c_code_agrees_with_the_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
