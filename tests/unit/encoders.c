/* Any encoder goes with any method on any data set, or an error says which shapes do not go together: all combinations,
 * evaluated by the front end, and those that are refused as tests/golden/encoders.txt has them (--update writes it
 * anew). Encoders, methods and data sets come from the folder. */
#include "frontend/frontend.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN SOURCE_DIR "/tests/golden/encoders.txt"

enum { MOST_NAMES = 64 };

typedef struct {
    const char *items[MOST_NAMES];
    int count;
} name_list;

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ---- what the folder holds --------------------------------------------------------------------------------------- */

typedef void (*text_reader)(arena *memory, const char *name, const char *text, name_list *found);

/* Reads every .csl file of the folder; what is found is in alphabetical order. */
static void read_folder(arena *memory, const char *path, text_reader reader, name_list *found) {
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".csl") != 0)
            continue;
        size_t length;
        char *text = text_read_file(arena_printf(memory, "%s/%s", path, entry->d_name), &length);
        assert_non_null(text);
        reader(memory, arena_strndup(memory, entry->d_name, (size_t)(dot - entry->d_name)), text, found);
        free(text);
    }
    closedir(folder);
    qsort(found->items, (size_t)found->count, sizeof found->items[0], by_name);
}

static void add_name(name_list *found, const char *name) {
    assert_true(found->count < MOST_NAMES);
    found->items[found->count++] = name;
}

/* Encoders are the modules of pictures that have a width and a choice of stems: "module NAME(x, width = …, stem =
 * auto". */
static void find_encoders(arena *memory, const char *name, const char *text, name_list *found) {
    (void)name;
    static const char head[] = "module ", parameters[] = "(x, width = ";
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, head, sizeof head - 1) != 0)
            continue;
        const char *begin = line + sizeof head - 1, *end = begin + strcspn(begin, "(\n");
        const char *stem = strstr(end, "stem = auto");
        if (strncmp(end, parameters, sizeof parameters - 1) == 0 && stem && stem < end + strcspn(end, "\n"))
            add_name(found, arena_strndup(memory, begin, (size_t)(end - begin)));
    }
}

static void find_methods(arena *memory, const char *name, const char *text, name_list *found) {
    (void)memory;
    if (strstr(text, "param encoder = "))
        add_name(found, name);
}

/* Data sets are the records with pictures of a size: "NAME = { mean = …". */
static void find_data_sets(arena *memory, const char *name, const char *text, name_list *found) {
    (void)name;
    for (const char *at = text; (at = strstr(at, "= { mean = ")); at++) {
        const char *line = at;
        while (line > text && line[-1] != '\n')
            line--;
        add_name(found, arena_strndup(memory, line, strcspn(line, " ")));
    }
}

/* ---- combinations ------------------------------------------------------------------------------------------------ */

/* The first error of the combination, or NULL for one that compiles. */
static const char *refusal(arena *memory, const char *method, const char *encoder, const char *data_set) {
    arena *own = arena_new();
    source_table sources = {.memory = own};
    diag_list diags = {.memory = own, .sources = &sources};
    const char *definitions[] = {"batch=2", "width=8", arena_printf(own, "encoder=%s", encoder),
                                 arena_printf(own, "dataset=%s", data_set)};
    const char *folders[] = {SOURCE_DIR "/specs/lib"};
    fe_options options = {definitions, 4, folders, 1, NULL};
    const char *message = NULL;
    if (!fe_compile(own, &diags, arena_printf(own, SOURCE_DIR "/specs/%s.csl", method), &options)) {
        assert_true(diags.error_count > 0);
        message = arena_strdup(memory, diags.entries[0].message);
    }
    arena_free(own);
    return message;
}

/* A shape in a message: "[2, 512]" or "32x32". */
static int count_shapes(const char *message) {
    int count = 0;
    for (const char *at = message; *at; at++)
        count += *at == '[' ||
                 (*at == 'x' && at > message && isdigit((unsigned char)at[-1]) && isdigit((unsigned char)at[1]));
    return count;
}

static void append_refusals(arena *memory, text_buffer *out, int *combinations) {
    name_list encoders = {0}, methods = {0}, data_sets = {0};
    read_folder(memory, SOURCE_DIR "/specs/lib", find_encoders, &encoders);
    read_folder(memory, SOURCE_DIR "/specs", find_methods, &methods);
    read_folder(memory, SOURCE_DIR "/specs/lib", find_data_sets, &data_sets);
    assert_true(encoders.count >= 9 && methods.count >= 14 && data_sets.count == 3);
    for (int m = 0; m < methods.count; m++)
        for (int e = 0; e < encoders.count; e++)
            for (int d = 0; d < data_sets.count; d++, ++*combinations) {
                const char *message = refusal(memory, methods.items[m], encoders.items[e], data_sets.items[d]);
                if (message)
                    text_append(out, "%s %s %s: %s\n", methods.items[m], encoders.items[e], data_sets.items[d],
                                message);
            }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void encoders_fit_or_name_the_shapes(void **state) {
    (void)state;
    arena *memory = arena_new();
    text_buffer refusals = {0};
    int combinations = 0;
    append_refusals(memory, &refusals, &combinations);
    size_t length;
    char *expected = text_read_file(GOLDEN, &length);
    assert_non_null(expected);
    if (strcmp(refusals.data, expected) != 0)
        fail_msg("of %d combinations, others are refused:\n%s", combinations, refusals.data);
    char *rest = expected;
    for (char *line; (line = strtok_r(rest, "\n", &rest));)
        if (count_shapes(strchr(line, ':')) < 2)
            fail_msg("an error does not name both shapes: %s", line);
    free(expected);
    text_free(&refusals);
    arena_free(memory);
}

static int update(void) {
    arena *memory = arena_new();
    text_buffer refusals = {0};
    int combinations = 0;
    append_refusals(memory, &refusals, &combinations);
    int status = text_write_file(GOLDEN, refusals.data, refusals.length) == 0 ? 0 : 1;
    text_free(&refusals);
    arena_free(memory);
    return status;
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "--update") == 0)
        return update();
    const struct CMUnitTest tests[] = {cmocka_unit_test(encoders_fit_or_name_the_shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
