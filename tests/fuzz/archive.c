/* Any bytes as a tar archive, plain or gzipped: an error, or files with names. */
#include "runtime/archive.h"

#include "input_file.h"

#include <string.h>

static int every_other(const char *base_name) {
    return strlen(base_name) % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rt_error error = {{0}};
    rt_file_list list = {0};
    int failed = rt_archive_read(input_file(data, size), every_other, &list, &error);
    if (failed && !error.text[0])
        abort();
    for (int i = 0; i < list.count; i++)
        if (!every_other(rt_base_name(list.files[i].name)) || list.files[i].bytes[list.files[i].size] != 0)
            abort();
    rt_file_list_free(&list);
    return 0;
}
