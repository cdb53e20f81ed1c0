/* The manifest's reader: every field arrives, every broken line is refused by number and reason. */
#include "runtime/program.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char good[] = "cslc-program 1\n"
                           "method tiny\n"
                           "spec a folder/tiny.csl\n"
                           "fingerprint 0badcafe\n"
                           "precision f32\n"
                           "bytes state 64 arena 256 scratch 32\n"
                           "state f.weight param f32 0 2 2 3 1 2\n"
                           "state steps counter i32 32 0\n"
                           "function train_step 256\n"
                           "input view.a f32 0 4 1 3 2 2 12 1 6 3\n"
                           "output loss f32 64 0\n"
                           "function embed 128\n"
                           "output features f32 0 2 1 4 4 1\n"
                           "view a 3 2 2\n"
                           "augment horizontal_flip draw=0 p=0.5\n"
                           "view evaluate 3 2 2\n"
                           "setting knn.k 20\n";

static void all_fields_arrive(void **state) {
    (void)state;
    rt_error error = {{0}};
    rt_manifest *manifest = rt_manifest_parse(good, &error);
    if (!manifest)
        fail_msg("%s", error.text);
    assert_string_equal(manifest->method, "tiny");
    assert_string_equal(manifest->spec, "a folder/tiny.csl");
    assert_string_equal(manifest->fingerprint, "0badcafe");
    assert_int_equal(manifest->state_bytes, 64);
    assert_int_equal(manifest->arena_bytes, 256);
    assert_int_equal(manifest->scratch_bytes, 32);
    assert_int_equal(manifest->state_count, 2);
    const rt_tensor *weight = &manifest->states[0];
    assert_string_equal(weight->name, "f.weight");
    assert_string_equal(weight->role, "param");
    assert_int_equal(weight->rank, 2);
    assert_int_equal(weight->dims[1], 3);
    assert_int_equal(weight->strides[1], 2);
    assert_int_equal(manifest->states[1].dtype, RT_I32);
    assert_int_equal(manifest->states[1].offset, 32);
    assert_int_equal(manifest->function_count, 2);
    assert_int_equal(manifest->functions[0].input_count, 1);
    assert_string_equal(manifest->functions[0].outputs[0].name, "loss");
    assert_int_equal(manifest->functions[1].output_count, 1);
    assert_int_equal(manifest->view_count, 2);
    assert_int_equal(manifest->views[0].op_count, 1);
    assert_int_equal(manifest->views[0].ops[0].kind, RT_HORIZONTAL_FLIP);
    assert_string_equal(manifest->settings[0].value, "20");
    rt_manifest_free(manifest);
}

static void broken_lines_are_named(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *reason;
    } cases[] = {
        {"cslc-program 1", "elf 1", "line 1"},
        {"cslc-program 1", "cslc-program 2", "version 2"},
        {"fingerprint 0badcafe\n", "", "fingerprint"},
        {"bytes state 64", "bytes heap 64", "'state'"},
        {"f32 0 2 2 3 1 2", "f32 0 2 2 3 1", "stride is missing"},
        {"f32 0 2 2 3 1 2", "f32 0 2 2 3 1 2 9", "one word too many"},
        {"f32 0 2 2 3 1 2", "f16 0 2 2 3 1 2", "f16"},
        {"f32 0 2 2 3 1 2", "f32 0 9 2 3 1 2", "rank"},
        {"f32 0 2 2 3 1 2", "f32 0 2 2 0 1 2", "empty axis"},
        {"f32 0 2 2 3 1 2", "f32 60 2 2 3 1 2", "does not fit"},
        {"f32 0 2 2 3 1 2", "f32 0 2 2 3 1 4611686018427387904", "too large"},
        {"f32 0 2 2 3 1 2", "f32 -4 2 2 3 1 2", "offset"},
        {"function train_step 256\n", "", "no function before"},
        {"function embed 128", "function embed 512", "arena"},
        {"view a 3 2 2\n", "", "no view before"},
        {"view a 3 2 2", "view a 3 2 x", "'x'"},
        {"augment horizontal_flip", "augment vertical_flop", "vertical_flop"},
        {"setting knn.k 20", "setting knn.k", "value is missing"},
        {"setting knn.k 20", "settings knn.k 20", "no record 'settings'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048];
        rt_error error = {{0}};
        const char *found = strstr(good, cases[i].from);
        assert_non_null(found);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(found - good), good, cases[i].to, found + strlen(cases[i].from));
        assert_null(rt_manifest_parse(text, &error));
        if (!strstr(error.text, cases[i].reason))
            fail_msg("'%s' gave: %s", cases[i].to, error.text);
    }
}

static void every_truncation_ends_well(void **state) {
    (void)state;
    for (size_t length = 0; length < sizeof good; length++) {
        char text[sizeof good];
        rt_error error = {{0}};
        memcpy(text, good, length);
        text[length] = 0;
        rt_manifest *manifest = rt_manifest_parse(text, &error);
        assert_true(manifest || *error.text);
        rt_manifest_free(manifest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_arrive),
        cmocka_unit_test(broken_lines_are_named),
        cmocka_unit_test(every_truncation_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
