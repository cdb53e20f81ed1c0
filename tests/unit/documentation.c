/* The generated parts of the documentation are what the tables say. */
#include "frontend/evaluate.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_holds(const char *path, const text_buffer *section) {
    size_t length;
    char *page = text_read_file(path, &length);
    assert_non_null(page);
    assert_non_null(strstr(page, section->data));
    free(page);
}

static void operations_are_documented(void **state) {
    (void)state;
    text_buffer table = {0};
    ir_print_op_table(&table);
    assert_holds(SOURCE_DIR "/docs/ir.md", &table);
    text_free(&table);
}

static void builtins_are_documented(void **state) {
    (void)state;
    text_buffer table = {0};
    fe_print_builtins(&table);
    assert_holds(SOURCE_DIR "/docs/language.md", &table);
    text_free(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(operations_are_documented), cmocka_unit_test(builtins_are_documented)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
