/* The cache's key of a program's functions: launches in parts that differ in one part's length or place, even the last
 * one's, are different code. */
#include "backend/llvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

enum { PARTS = 3 };

static text_buffer key_of(int64_t extents[PARTS], int buffers[PARTS]) {
    kir_argument argument = {.name = "x", .element = KIR_F32, .each = 1, .writes = true};
    kir_kernel kernel = {.name = "k", .arguments = &argument, .argument_count = 1}, *kernels[] = {&kernel};
    kir_buffer places[] = {{.offset = 0}, {.offset = 64}, {.offset = 128}, {.offset = 192}};
    kir_launch launch = {.extent = 6, .rounds = 1, .part_count = PARTS, .part_extents = extents, .buffers = buffers};
    kir_function function = {.name = "train_step", .launches = &launch, .launch_count = 1};
    ir_module module = {.name = "m"};
    kir_program program = {.module = &module,
                           .kernels = kernels,
                           .kernel_count = 1,
                           .buffers = places,
                           .buffer_count = 4,
                           .functions = &function,
                           .function_count = 1};
    llvm_source source = {.program = &program, .manifest = ""};
    text_buffer key = {0};
    llvm_append_program_key(&source, &key);
    return key;
}

static bool equal(int64_t extents[PARTS], int buffers[PARTS]) {
    text_buffer one = key_of((int64_t[]){1, 2, 3}, (int[]){0, 1, 2}), other = key_of(extents, buffers);
    bool same = one.length == other.length && memcmp(one.data, other.data, one.length) == 0;
    text_free(&one);
    text_free(&other);
    return same;
}

static void parts_are_in_the_key(void **state) {
    (void)state;
    assert_true(equal((int64_t[]){1, 2, 3}, (int[]){0, 1, 2}));
    assert_false(equal((int64_t[]){1, 3, 2}, (int[]){0, 1, 2}));
    assert_false(equal((int64_t[]){1, 2, 3}, (int[]){0, 1, 3}));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_are_in_the_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
