/* The cache's key of a program's functions: launches in parts that differ in one part's length or place, even the last
 * one's, are different code. */
#include "backend/llvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

enum { PARTS = 3 };

/* `other`: a kernel that no launch names. */
static text_buffer key_of(int64_t extents[PARTS], int buffers[PARTS], const char *other) {
    kir_argument argument = {.name = "x", .element = KIR_F32, .each = 1, .writes = true};
    kir_kernel kernel = {.name = "k", .arguments = &argument, .argument_count = 1};
    kir_kernel unused = {.name = other}, *kernels[] = {&kernel, &unused};
    kir_buffer places[] = {{.offset = 0}, {.offset = 64}, {.offset = 128}, {.offset = 192}};
    kir_launch launch = {.extent = 6, .rounds = 1, .part_count = PARTS, .part_extents = extents, .buffers = buffers};
    kir_function function = {.name = "train_step", .launches = &launch, .launch_count = 1};
    ir_module module = {.name = "m"};
    kir_program program = {.module = &module,
                           .kernels = kernels,
                           .kernel_count = 2,
                           .buffers = places,
                           .buffer_count = 4,
                           .functions = &function,
                           .function_count = 1};
    llvm_source source = {.program = &program, .manifest = ""};
    text_buffer key = {0};
    llvm_append_program_key(&source, &key);
    return key;
}

static bool equal(int64_t extents[PARTS], int buffers[PARTS], const char *unused) {
    text_buffer one = key_of((int64_t[]){1, 2, 3}, (int[]){0, 1, 2}, "u"), other = key_of(extents, buffers, unused);
    bool same = one.length == other.length && memcmp(one.data, other.data, one.length) == 0;
    text_free(&one);
    text_free(&other);
    return same;
}

static void parts_are_in_the_key(void **state) {
    (void)state;
    assert_true(equal((int64_t[]){1, 2, 3}, (int[]){0, 1, 2}, "u"));
    assert_false(equal((int64_t[]){1, 3, 2}, (int[]){0, 1, 2}, "u"));
    assert_false(equal((int64_t[]){1, 2, 3}, (int[]){0, 1, 3}, "u"));
}

/* The program's table of kernels has them all. */
static void kernels_are_in_the_key(void **state) {
    (void)state;
    assert_false(equal((int64_t[]){1, 2, 3}, (int[]){0, 1, 2}, "v"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_are_in_the_key),
                                       cmocka_unit_test(kernels_are_in_the_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
