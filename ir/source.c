#include "ir/source.h"

#include <string.h>

int source_add(source_table *table, const char *path, const char *text, size_t length) {
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->files[i].path, path) == 0) {
            if (text && !table->files[i].text)
                table->files[i] = (source_file){table->files[i].path, text, length};
            return i;
        }
    source_file file = {arena_strdup(table->memory, path), text, length};
    ARENA_PUSH(table->memory, table->files, table->count, table->capacity, file);
    return table->count - 1;
}

const char *source_line(const source_table *table, int file, int line, size_t *length) {
    *length = 0;
    if (file < 0 || file >= table->count || line < 1 || !table->files[file].text)
        return NULL;
    const char *at = table->files[file].text;
    const char *end = at + table->files[file].length;
    for (int number = 1; number < line; number++) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at)
            return NULL;
        at++;
    }
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop)
        stop = end;
    if (stop > at && stop[-1] == '\r')
        stop--;
    *length = (size_t)(stop - at);
    return at;
}

const char *source_component_name(source_component component) {
    static const char *const names[SOURCE_COMPONENT_COUNT] = {"none",       "augment", "encoder", "extract",
                                                              "similarity", "loss",    "train"};
    return names[component];
}
