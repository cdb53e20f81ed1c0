/* .npy files: the header as NumPy writes it, and the values. */
#include "runtime/npy.h"
#include "runtime/archive.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>

static char *contents(const char *path, size_t *size) {
    rt_error error;
    rt_file file;
    if (rt_file_read(path, &file, &error))
        fail_msg("%s", error.text);
    *size = file.size;
    free(file.name);
    return (char *)file.bytes;
}

static void header_and_values(void **state) {
    (void)state;
    char folder[] = "/tmp/cslc-npy-XXXXXX", path[64];
    rt_error error = {{0}};
    size_t size;
    const float values[6] = {0, 1, 2, 3, 4, 5};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.npy", folder);
    assert_int_equal(rt_npy_save(path, values, 2, 3, &error), 0);
    char *bytes = contents(path, &size);
    assert_non_null(bytes);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
    size_t header = (size_t)(unsigned char)bytes[8] + 256u * (unsigned char)bytes[9];
    assert_int_equal((10 + header) % 64, 0);
    assert_int_equal(bytes[9 + header], '\n');
    const char expected[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    assert_memory_equal(bytes + 10, expected, strlen(expected));
    assert_int_equal(size, 10 + header + sizeof values);
    assert_memory_equal(bytes + 10 + header, values, sizeof values);
    free(bytes);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rt_npy_save(path, values, 2, 3, &error), -1);
    assert_non_null(strstr(error.text, path));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(header_and_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
