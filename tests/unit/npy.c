/* .npy files: the header as NumPy writes it, and the values. */
#include "runtime/npy.h"
#include "runtime/archive.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
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
    char own_folder[] = "/tmp/cslc-npy-XXXXXX", own_path[64];
    rt_error error = {{0}};
    size_t size;
    const float values[6] = {0, 1, 2, 3, 4, 5};
    assert_non_null(mkdtemp(own_folder));
    snprintf(own_path, sizeof own_path, "%s/x.npy", own_folder);
    assert_int_equal(rt_npy_save(own_path, values, 2, 3, &error), 0);
    char *bytes = contents(own_path, &size);
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
    unlink(own_path);
    assert_int_equal(rmdir(own_folder), 0);
    assert_int_equal(rt_npy_save(own_path, values, 2, 3, &error), -1);
    assert_non_null(strstr(error.text, own_path));
}

/* ---- reading ---- */

static char folder[] = "/tmp/cslc-npy-read-XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/x.npy", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Writes a file of that version with this header's text and these numbers. */
static void write_npy(int version, const char *header, const void *numbers, size_t bytes) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    size_t length = strlen(header);
    fprintf(stream, "\x93NUMPY%c%c", version, 0);
    for (int i = 0; i < (version == 1 ? 2 : 4); i++)
        fputc((int)(length >> 8 * i & 255), stream);
    fputs(header, stream);
    assert_int_equal(fwrite(numbers, 1, bytes, stream), bytes);
    assert_int_equal(fclose(stream), 0);
}

#define HEADER(type, order, shape) "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }\n"

static void expect_matrix(int64_t rows, int64_t columns, const float *values) {
    rt_matrix matrix;
    rt_error error;
    if (rt_npy_load(path, &matrix, &error))
        fail_msg("%s", error.text);
    assert_int_equal(matrix.rows, rows);
    assert_int_equal(matrix.columns, columns);
    assert_memory_equal(matrix.values, values, (size_t)(rows * columns) * sizeof *values);
    free(matrix.values);
}

static void reads_what_numpy_writes(void **state) {
    (void)state;
    const float values[6] = {0, 1, 2, 3, -4.5f, 5}, turned[6] = {0, 3, 1, -4.5f, 2, 5};
    const double wide[6] = {0, 1, 2, 3, -4.5, 5};
    unsigned char swapped[24];
    for (int i = 0; i < 24; i++)
        swapped[i] = ((const unsigned char *)values)[i / 4 * 4 + 3 - i % 4];
    rt_error error;
    assert_int_equal(rt_npy_save(path, values, 2, 3, &error), 0);
    expect_matrix(2, 3, values);
    for (int version = 1; version <= 3; version++) {
        write_npy(version, HEADER("<f8", "False", "(2, 3)"), wide, sizeof wide);
        expect_matrix(2, 3, values);
    }
    write_npy(1, HEADER(">f4", "False", "(2, 3)"), swapped, sizeof swapped);
    expect_matrix(2, 3, values);
    write_npy(1, HEADER("<f4", "True", "(2, 3)"), turned, sizeof turned);
    expect_matrix(2, 3, values);
    write_npy(1, "{'shape':(3,2,),'fortran_order':False,'descr':'<f4'}", values, sizeof values);
    expect_matrix(3, 2, values);
    assert_true(rt_npy_recognise(path));
    assert_false(rt_npy_recognise("/dev/null"));
}

static void expect_labels(int count, const int32_t *wanted) {
    int32_t *labels;
    int64_t found;
    rt_error error;
    if (rt_npy_load_labels(path, &labels, &found, &error))
        fail_msg("%s", error.text);
    assert_int_equal(found, count);
    assert_memory_equal(labels, wanted, (size_t)count * sizeof *wanted);
    free(labels);
}

static void reads_labels_of_every_size(void **state) {
    (void)state;
    const int32_t wanted[3] = {2, -1, 100};
    const int64_t wide[3] = {2, -1, 100};
    const int16_t narrow[3] = {2, -1, 100};
    const uint8_t bytes[3] = {2, 255, 100};
    write_npy(1, HEADER("<i8", "False", "(3,)"), wide, sizeof wide);
    expect_labels(3, wanted);
    write_npy(1, HEADER("<i2", "False", "(3,)"), narrow, sizeof narrow);
    expect_labels(3, wanted);
    write_npy(1, HEADER("|i1", "False", "(3,)"), bytes, sizeof bytes);
    expect_labels(3, wanted);
    write_npy(1, HEADER("|u1", "False", "(3,)"), bytes, sizeof bytes);
    expect_labels(3, (const int32_t[]){2, 255, 100});
}

static void wrong_files_are_named(void **state) {
    (void)state;
    const float values[6] = {0, 1, 2, 3, 4, 5}, odd[2] = {1, (float)HUGE_VAL};
    static const struct {
        const char *header;
        size_t bytes;
        const char *reason;
    } cases[] = {
        {HEADER("<f4", "False", "(2, 3)"), 23, "truncated"},
        {HEADER("<f4", "False", "(2, 3)"), 0, "truncated"},
        {HEADER("<f4", "False", "(2, 2)"), 24, "damaged"},
        {HEADER("<f2", "False", "(2, 6)"), 24, "f2"},
        {HEADER("<i4", "False", "(2, 3)"), 24, "i4"},
        {HEADER("<c8", "False", "(1, 3)"), 24, "c8"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }", 24, "type"},
        {HEADER("<f4", "False", "(6,)"), 24, "1 axis"},
        {HEADER("<f4", "False", "()"), 4, "0 axes"},
        {HEADER("<f4", "False", "(1, 2, 3)"), 24, "3 axes"},
        {HEADER("<f4", "False", "(0, 3)"), 0, "empty"},
        {HEADER("<f4", "False", "(4611686018427387904, 4)"), 24, "absurd"},
        {HEADER("<f4", "False", "(2, -3)"), 24, "header"},
        {HEADER("<f4", "False", "(2, 3"), 24, "header"},
        {HEADER("<f4", "Perhaps", "(2, 3)"), 24, "header"},
        {"", 24, "header"},
    };
    rt_matrix matrix;
    rt_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_npy(1, cases[i].header, values, cases[i].bytes);
        assert_int_equal(rt_npy_load(path, &matrix, &error), -1);
        if (!strstr(error.text, cases[i].reason) || !strstr(error.text, path))
            fail_msg("'%s' gave: %s", cases[i].header, error.text);
    }
    write_npy(1, HEADER("<f4", "False", "(1, 2)"), odd, sizeof odd);
    assert_int_equal(rt_npy_load(path, &matrix, &error), -1);
    assert_non_null(strstr(error.text, "row 0, column 1 is inf"));
    write_npy(4, HEADER("<f4", "False", "(2, 3)"), values, sizeof values);
    assert_int_equal(rt_npy_load(path, &matrix, &error), -1);
    assert_non_null(strstr(error.text, "version 4"));
    int32_t *labels;
    int64_t count;
    write_npy(1, HEADER("<f4", "False", "(6,)"), values, sizeof values);
    assert_int_equal(rt_npy_load_labels(path, &labels, &count, &error), -1);
    assert_non_null(strstr(error.text, "whole numbers"));
    const uint64_t huge[1] = {UINT64_MAX};
    write_npy(1, HEADER("<u8", "False", "(1,)"), huge, sizeof huge);
    assert_int_equal(rt_npy_load_labels(path, &labels, &count, &error), -1);
    assert_null(labels);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    const float values[6] = {0, 1, 2, 3, 4, 5};
    rt_error error;
    rt_matrix matrix;
    size_t size;
    assert_int_equal(rt_npy_save(path, values, 2, 3, &error), 0);
    char *bytes = contents(path, &size);
    for (size_t length = 0; length < size; length++) {
        FILE *stream = fopen(path, "wb");
        assert_non_null(stream);
        assert_int_equal(fwrite(bytes, 1, length, stream), length);
        fclose(stream);
        *error.text = 0;
        assert_int_equal(rt_npy_load(path, &matrix, &error), -1);
        assert_true(*error.text);
    }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_and_values),           cmocka_unit_test(reads_what_numpy_writes),
        cmocka_unit_test(reads_labels_of_every_size),  cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
