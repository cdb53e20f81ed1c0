/* CIFAR-10, CIFAR-100 and STL-10 in folders and archives: every pixel in its place, every split, every broken file. */
#include "runtime/archive.h"
#include "runtime/dataset.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[] = "/tmp/cslc-sets-XXXXXX";

/* What the tests expect of image i at channel c, row y, column x. */
static uint8_t value_at(int i, int c, int y, int x) {
    return (uint8_t)(i * 31 + c * 57 + y * 3 + x * 7);
}

static FILE *begin(const char *folder, const char *name) {
    char path[256];
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    return stream;
}

static void write_bytes(const char *folder, const char *name, const void *bytes, size_t size) {
    FILE *stream = begin(folder, name);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

/* Images first … first + count - 1 in planes, by rows or, in STL-10, by columns. */
static void write_planes(FILE *stream, int image, int side, int by_columns) {
    for (int c = 0; c < 3; c++)
        for (int a = 0; a < side; a++)
            for (int b = 0; b < side; b++)
                fputc(value_at(image, c, by_columns ? b : a, by_columns ? a : b), stream);
}

static void write_cifar(const char *folder, const char *name, int first, int count, int label_bytes, int classes) {
    FILE *stream = begin(folder, name);
    for (int i = first; i < first + count; i++) {
        if (label_bytes == 2)
            fputc(i % 20, stream);
        fputc(i % classes, stream);
        write_planes(stream, i, 32, 0);
    }
    assert_int_equal(fclose(stream), 0);
}

static void write_stl(const char *folder, const char *name, int first, int count) {
    FILE *stream = begin(folder, name);
    for (int i = first; i < first + count; i++)
        write_planes(stream, i, 96, 1);
    assert_int_equal(fclose(stream), 0);
}

static void run(const char *format, ...) {
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static int make_files(void **state) {
    (void)state;
    if (!mkdtemp(home) || chdir(home))
        return -1;
    write_cifar("cifar-10-batches-bin", "data_batch_1.bin", 0, 3, 1, 10);
    write_cifar("cifar-10-batches-bin", "data_batch_2.bin", 3, 9, 1, 10);
    write_cifar("cifar-10-batches-bin", "test_batch.bin", 5, 4, 1, 10);
    write_cifar("cifar-100-binary", "train.bin", 40, 8, 2, 100);
    write_cifar("cifar-100-binary", "test.bin", 90, 12, 2, 100);
    write_stl("stl10_binary", "unlabeled_X.bin", 0, 4);
    write_stl("stl10_binary", "train_X.bin", 10, 3);
    write_bytes("stl10_binary", "train_y.bin", "\x0a\x01\x05", 3);
    write_stl("stl10_binary", "test_X.bin", 20, 2);
    write_bytes("stl10_binary", "test_y.bin", "\x02\x03", 2);
    write_bytes("stl10_binary", "fold_indices.txt", "0 1 2\n", 6);
    write_bytes("stl10_binary", "class_names.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20);
    run("tar czf cifar10.tar.gz cifar-10-batches-bin && tar czf cifar100.tar.gz cifar-100-binary && "
        "tar cf stl.tar stl10_binary && mkdir outer && cp -r stl10_binary outer");
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", home);
    return system(command);
}

static rt_dataset *open_set(const char *path, rt_split split) {
    rt_error error = {{0}};
    rt_dataset *set = rt_dataset_open(path, split, &error);
    if (!set)
        fail_msg("'%s': %s", path, error.text);
    return set;
}

static void expect_images(const rt_dataset *set, int64_t begin_at, int first, int count, int side) {
    for (int i = 0; i < count; i++) {
        const rt_image *image = &set->images[begin_at + i];
        assert_int_equal(image->width, side);
        assert_int_equal(image->height, side);
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++)
                for (int c = 0; c < 3; c++)
                    assert_int_equal(image->pixels[3 * (y * side + x) + c], value_at(first + i, c, y, x));
    }
}

static void refuse(const char *path, rt_split split, const char *reason) {
    rt_error error = {{0}};
    assert_null(rt_dataset_open(path, split, &error));
    if (!strstr(error.text, reason) || !strstr(error.text, path))
        fail_msg("'%s' gave: %s", path, error.text);
}

/* ---- tests ---- */

static void cifar10(void **state) {
    (void)state;
    static const char *const paths[] = {"cifar-10-batches-bin", "cifar10.tar.gz"};
    for (int i = 0; i < 2; i++) {
        rt_dataset *set = open_set(paths[i], RT_SPLIT_LABELLED);
        assert_int_equal(set->count, 12);
        assert_int_equal(set->class_count, 10);
        assert_int_equal(set->labels[11], 1);
        expect_images(set, 0, 0, 12, 32);
        rt_dataset_free(set);
        set = open_set(paths[i], RT_SPLIT_TEST);
        assert_int_equal(set->count, 4);
        expect_images(set, 0, 5, 4, 32);
        rt_dataset_free(set);
    }
}

static void cifar100(void **state) {
    (void)state;
    static const char *const paths[] = {"cifar-100-binary", "cifar100.tar.gz"};
    for (int i = 0; i < 2; i++) {
        rt_dataset *set = open_set(paths[i], RT_SPLIT_TRAIN);
        assert_int_equal(set->count, 8);
        assert_int_equal(set->class_count, 100);
        assert_int_equal(set->labels[7], 47); /* the fine label */
        expect_images(set, 0, 40, 8, 32);
        rt_dataset_free(set);
        set = open_set(paths[i], RT_SPLIT_TEST);
        assert_int_equal(set->count, 12);
        assert_int_equal(set->labels[9], 99);
        expect_images(set, 0, 90, 12, 32);
        rt_dataset_free(set);
    }
}

static void stl10(void **state) {
    (void)state;
    static const char *const paths[] = {"stl10_binary", "outer", "stl.tar"};
    for (int i = 0; i < 3; i++) {
        rt_dataset *set = open_set(paths[i], RT_SPLIT_TRAIN);
        assert_int_equal(set->count, 7);
        assert_int_equal(set->class_count, 10);
        assert_memory_equal(set->labels, ((const int32_t[]){-1, -1, -1, -1, 9, 0, 4}), 7 * sizeof(int32_t));
        assert_string_equal(set->class_names[9], "j");
        expect_images(set, 0, 0, 4, 96);
        expect_images(set, 4, 10, 3, 96);
        rt_dataset_free(set);
        set = open_set(paths[i], RT_SPLIT_LABELLED);
        assert_int_equal(set->count, 3);
        assert_memory_equal(set->labels, ((const int32_t[]){9, 0, 4}), 3 * sizeof(int32_t));
        expect_images(set, 0, 10, 3, 96);
        rt_dataset_free(set);
        set = open_set(paths[i], RT_SPLIT_TEST);
        assert_int_equal(set->count, 2);
        assert_int_equal(set->labels[1], 2);
        expect_images(set, 0, 20, 2, 96);
        rt_dataset_free(set);
    }
}

/* Some come without the unlabelled images, some without the labelled ones. */
static void parts_of_stl10(void **state) {
    (void)state;
    write_stl("some", "train_X.bin", 10, 3);
    write_bytes("some", "train_y.bin", "\x0a\x01\x05", 3);
    rt_dataset *set = open_set("some", RT_SPLIT_TRAIN);
    assert_int_equal(set->count, 3);
    rt_dataset_free(set);
    refuse("some", RT_SPLIT_TEST, "holds no test files");
    write_stl("others", "unlabeled_X.bin", 1, 2);
    set = open_set("others", RT_SPLIT_TRAIN);
    assert_int_equal(set->count, 2);
    assert_int_equal(set->labels[1], -1);
    expect_images(set, 0, 1, 2, 96);
    rt_dataset_free(set);
    refuse("others", RT_SPLIT_LABELLED, "holds no train files");
}

static void broken_files_are_named(void **state) {
    (void)state;
    char cut[200] = {1};
    write_bytes("cut10", "data_batch_1.bin", cut, sizeof cut);
    refuse("cut10", RT_SPLIT_TRAIN, "data_batch_1.bin' is no CIFAR-10 batch");
    write_bytes("cut100", "test.bin", cut, 0);
    refuse("cut100", RT_SPLIT_TEST, "test.bin' is no CIFAR-100 batch");
    write_cifar("label100", "train.bin", 0, 2, 2, 100);
    FILE *stream = fopen("label100/train.bin", "r+b");
    assert_non_null(stream);
    fseek(stream, 3074 + 1, SEEK_SET);
    fputc(100, stream);
    fclose(stream);
    refuse("label100", RT_SPLIT_TRAIN, "record 1: label 100 is not below 100");
    write_bytes("cutstl", "unlabeled_X.bin", cut, sizeof cut);
    refuse("cutstl", RT_SPLIT_TRAIN, "unlabeled_X.bin' is no STL-10 file");
    write_stl("alone", "train_X.bin", 0, 1);
    refuse("alone", RT_SPLIT_TRAIN, "only one of two");
    write_stl("fewer", "test_X.bin", 0, 2);
    write_bytes("fewer", "test_y.bin", "\x01", 1);
    refuse("fewer", RT_SPLIT_TEST, "1 labels for 2 images");
    write_bytes("fewer", "test_y.bin", "\x01\x0b", 2);
    refuse("fewer", RT_SPLIT_TEST, "image 1: label 11");
    write_bytes("fewer", "test_y.bin", "\x00\x02", 2);
    refuse("fewer", RT_SPLIT_TEST, "image 0: label 0");
    run("mkdir both && cp cifar-10-batches-bin/data_batch_1.bin stl10_binary/train_?.bin both");
    refuse("both", RT_SPLIT_TRAIN, "files of both");
    run("cp -r cifar-100-binary names && echo only > names/fine_label_names.txt");
    refuse("names", RT_SPLIT_TRAIN, "names 1 classes, not 100");
    run("mkdir nothing && echo x > nothing/x && tar czf nothing.tar.gz nothing");
    refuse("nothing.tar.gz", RT_SPLIT_TRAIN,
           "holds no train files of CIFAR-10 (data_batch_*.bin), CIFAR-100 (train.bin)");
}

static void every_cut_of_an_archive_is_refused(void **state) {
    (void)state;
    rt_file whole;
    rt_error error;
    static const char *const paths[] = {"cifar100.tar.gz", "stl.tar"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rt_file_read(paths[i], &whole, &error), 0);
        size_t end = i == 0 ? whole.size : whole.size - 10240; /* tar fills its last record with zeros */
        for (size_t part = 0; part < 16; part++) {
            write_bytes(".", "cut.tar", whole.bytes, end * part / 16);
            refuse("cut.tar", RT_SPLIT_TRAIN, "archive");
        }
        rt_file_free(&whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cifar10),
        cmocka_unit_test(cifar100),
        cmocka_unit_test(stl10),
        cmocka_unit_test(parts_of_stl10),
        cmocka_unit_test(broken_files_are_named),
        cmocka_unit_test(every_cut_of_an_archive_is_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
