/* The generated parts of the documentation are what the tables say. With --update they are written anew. */
#include "frontend/evaluate.h"
#include "ir/kernel.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *page;
    void (*print)(text_buffer *out);
} sections[] = {
    {SOURCE_DIR "/docs/ir.md", ir_print_op_table},
    {SOURCE_DIR "/docs/kernel-ir.md", kir_print_op_table},
    {SOURCE_DIR "/docs/language.md", fe_print_builtins},
};
enum { SECTION_COUNT = sizeof sections / sizeof *sections };

static void tables_are_documented(void **state) {
    (void)state;
    for (int i = 0; i < SECTION_COUNT; i++) {
        text_buffer section = {0};
        sections[i].print(&section);
        size_t length;
        char *page = text_read_file(sections[i].page, &length);
        assert_non_null(page);
        if (!strstr(page, section.data))
            fail_msg("%s is not what the table says; `build/tests/unit_documentation --update` writes it",
                     sections[i].page);
        free(page);
        text_free(&section);
    }
}

/* A generated section stands at the end of its page and is known by its first line. */
static bool update(const char *path, const text_buffer *section) {
    size_t length;
    char *page = text_read_file(path, &length);
    text_buffer first = {0}, whole = {0};
    text_append_bytes(&first, section->data, strcspn(section->data, "\n") + 1);
    const char *begin = page ? strstr(page, first.data) : NULL;
    if (begin) {
        text_append_bytes(&whole, page, (size_t)(begin - page));
        text_append_bytes(&whole, section->data, section->length);
    }
    bool good = begin && text_write_file(path, whole.data, whole.length) == 0;
    if (!good)
        fprintf(stderr, "cannot update %s\n", path);
    text_free(&first);
    text_free(&whole);
    free(page);
    return good;
}

static bool update_all(void) {
    bool good = true;
    for (int i = 0; i < SECTION_COUNT; i++) {
        text_buffer section = {0};
        sections[i].print(&section);
        good &= update(sections[i].page, &section);
        text_free(&section);
    }
    return good;
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "--update") == 0)
        return update_all() ? 0 : 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables_are_documented)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
