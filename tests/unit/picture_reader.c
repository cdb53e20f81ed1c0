/* Pictures decoded in part: the same numbers as decoded whole, whatever the part and the file's sampling of colours. */
#include "runtime/picture_reader.h"

#include "runtime/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

typedef struct {
    int height, width, across, down; /* luma samples for one of colour */
    int gray, progressive;
} kind;

static const kind kinds[] = {{57, 83, 1, 1, 0, 0}, {57, 83, 2, 1, 0, 0}, {96, 131, 2, 2, 0, 0}, {64, 64, 2, 2, 0, 1},
                             {40, 57, 1, 2, 0, 0}, {33, 70, 1, 1, 1, 0}, {1, 1, 2, 2, 0, 0},    {130, 5, 2, 2, 0, 0}};
enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct {
    unsigned char *bytes;
    unsigned long size;
} encoded;

static encoded encode(const kind *how) {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr errors;
    encoded made = {NULL, 0};
    encoder.err = jpeg_std_error(&errors);
    jpeg_create_compress(&encoder);
    jpeg_mem_dest(&encoder, &made.bytes, &made.size);
    encoder.image_width = (JDIMENSION)how->width;
    encoder.image_height = (JDIMENSION)how->height;
    encoder.input_components = how->gray ? 1 : 3;
    encoder.in_color_space = how->gray ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&encoder);
    encoder.comp_info[0].h_samp_factor = how->across;
    encoder.comp_info[0].v_samp_factor = how->down;
    if (how->progressive)
        jpeg_simple_progression(&encoder);
    jpeg_start_compress(&encoder, TRUE);
    unsigned char row[3 * 256];
    for (int y = 0; y < how->height; y++) {
        for (int i = 0; i < encoder.input_components * how->width; i++)
            row[i] = (unsigned char)(i * i / 7 + y * (i % 3 + 2) * 5 + i * y / 11);
        JSAMPROW rows[] = {row};
        jpeg_write_scanlines(&encoder, rows, 1);
    }
    jpeg_finish_compress(&encoder);
    jpeg_destroy_compress(&encoder);
    return made;
}

static rt_part random_part(rt_random_sequence *random, const rt_image *image) {
    rt_part part = {.height = 1 + (int)rt_random_below(random, image->height),
                    .width = 1 + (int)rt_random_below(random, image->width)};
    part.top = (int)rt_random_below(random, image->height - part.height + 1);
    part.left = (int)rt_random_below(random, image->width - part.width + 1);
    return part;
}

static void same_part(const rt_image *whole, const rt_image *image, rt_part part) {
    for (int y = part.top; y < part.top + part.height; y++) {
        int64_t begin = 3 * ((int64_t)y * whole->width + part.left);
        if (memcmp(whole->pixels + begin, image->pixels + begin, (size_t)(3 * part.width)) != 0)
            fail_msg("row %d of the part %d+%d, %d+%d of %dx%d differs", y, part.top, part.height, part.left,
                     part.width, whole->height, whole->width);
    }
}

static void parts_equal_the_whole(void **state) {
    (void)state;
    rt_random_sequence random = rt_random_begin(8, 0);
    for (int k = 0; k < KINDS; k++) {
        encoded file = encode(&kinds[k]);
        rt_image whole;
        rt_error error = {{0}};
        assert_int_equal(rt_picture_decode("whole", file.bytes, file.size, &whole, &error), 0);
        rt_image image = {whole.width, whole.height, malloc((size_t)(3 * whole.width * whole.height))};
        for (int i = 0; i < 200; i++) {
            rt_part part = random_part(&random, &whole);
            memset(image.pixels, 0x77, (size_t)(3 * whole.width * whole.height));
            if (rt_picture_decode_part("part", file.bytes, file.size, part, &image, &error) != 0)
                fail_msg("%s", error.text);
            same_part(&whole, &image, part);
        }
        free(image.pixels);
        free(whole.pixels);
        free(file.bytes);
    }
}

static void unions_hold_both(void **state) {
    (void)state;
    rt_part a = {2, 3, 4, 5}, b = {1, 6, 2, 7}, none = {0, 0, 0, 0}, both = rt_part_union(a, b);
    assert_memory_equal(&both, (&(rt_part){1, 3, 5, 10}), sizeof both);
    both = rt_part_union(a, none);
    assert_memory_equal(&both, &a, sizeof both);
    both = rt_part_union(none, b);
    assert_memory_equal(&both, &b, sizeof both);
}

/* ---- a folder of pictures, decoded at once or when needed ---- */

static char folder[] = "/tmp/cslc-pictures-XXXXXX";

static void write_picture(int number) {
    char path[128];
    encoded file = encode(&kinds[number % KINDS]);
    snprintf(path, sizeof path, "%s/%d.jpg", folder, number);
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(file.bytes, 1, file.size, to), file.size);
    fclose(to);
    free(file.bytes);
}

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    for (int i = 0; i < KINDS; i++)
        write_picture(i);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    char path[128];
    for (int i = 0; i < KINDS; i++) {
        snprintf(path, sizeof path, "%s/%d.jpg", folder, i);
        unlink(path);
    }
    return rmdir(folder);
}

static rt_dataset *open_folder(const char *memory) {
    rt_error error;
    if (memory)
        setenv("CSLC_PICTURE_MEMORY", memory, 1);
    rt_dataset *dataset = rt_dataset_open_unlabelled(folder, NULL, &error);
    unsetenv("CSLC_PICTURE_MEMORY");
    if (!dataset)
        fail_msg("%s", error.text);
    return dataset;
}

static void folders_are_decoded_when_needed(void **state) {
    (void)state;
    rt_error error;
    rt_dataset *decoded = open_folder(NULL), *files = open_folder("1000");
    assert_null(decoded->files);
    assert_non_null(files->files);
    assert_non_null(strstr(files->description, "decoded when needed"));
    rt_picture_reader reader, idle;
    assert_int_equal(rt_picture_reader_open(&idle, decoded, &error), 0);
    assert_int_equal(rt_picture_reader_open(&reader, files, &error), 0);
    rt_random_sequence random = rt_random_begin(9, 0);
    for (int i = 0; i < 100; i++) {
        int64_t index = rt_random_below(&random, KINDS);
        const rt_image *whole = rt_picture_read(&idle, decoded, index, (rt_part){0, 0, 1, 1}, &error);
        rt_part part = random_part(&random, whole);
        const rt_image *image = rt_picture_read(&reader, files, index, part, &error);
        assert_non_null(image);
        assert_int_equal(image->width, whole->width);
        same_part(whole, image, part);
        rt_part corner = {part.top, part.left, 1, 1};
        assert_ptr_equal(rt_picture_read(&reader, files, index, corner, &error), image);
    }
    rt_dataset *some = rt_dataset_select(files, (int64_t[]){3, 1}, 2, &error);
    assert_non_null(rt_picture_read(&reader, some, 1, (rt_part){0, 0, 1, 1}, &error));
    rt_dataset_free(some);
    rt_picture_reader_close(&reader);
    rt_picture_reader_close(&idle);
    rt_dataset_free(files);
    rt_dataset_free(decoded);
}

static void changed_files_are_reported(void **state) {
    (void)state;
    rt_error error;
    rt_dataset *files = open_folder("0");
    rt_picture_reader reader;
    assert_int_equal(rt_picture_reader_open(&reader, files, &error), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/0.jpg", folder);
    assert_int_equal(truncate(path, 100), 0);
    assert_null(rt_picture_read(&reader, files, 0, (rt_part){0, 0, 1, 1}, &error));
    assert_non_null(strstr(error.text, "0.jpg: has changed"));
    unlink(path);
    assert_null(rt_picture_read(&reader, files, 0, (rt_part){0, 0, 1, 1}, &error));
    assert_non_null(strstr(error.text, "0.jpg: cannot open"));
    write_picture(0);
    assert_non_null(rt_picture_read(&reader, files, 0, (rt_part){0, 0, 1, 1}, &error));
    rt_picture_reader_close(&reader);
    rt_dataset_free(files);
}

/* The size in its header alone must not decide how much memory is asked for. */
static void absurd_sizes_are_refused_at_once(void **state) {
    (void)state;
    rt_error error;
    rt_image image;
    int64_t bytes;
    encoded file = encode(&kinds[0]);
    size_t at = 2;
    while (at + 9 < file.size && (file.bytes[at + 1] & 0xf0) != 0xc0) /* to the frame's marker */
        at += 2 + (size_t)(file.bytes[at + 2] << 8 | file.bytes[at + 3]);
    memset(file.bytes + at + 5, 0xea, 4); /* height and width */
    char path[128];
    snprintf(path, sizeof path, "%s/0.jpg", folder);
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(file.bytes, 1, file.size, to), file.size);
    fclose(to);
    free(file.bytes);
    assert_int_equal(rt_picture_measure(path, &image, &bytes, &error), -1);
    assert_non_null(strstr(error.text, "0.jpg: absurd dimensions 60138x60138"));
    write_picture(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_equal_the_whole),
        cmocka_unit_test(unions_hold_both),
        cmocka_unit_test(folders_are_decoded_when_needed),
        cmocka_unit_test(changed_files_are_reported),
        cmocka_unit_test(absurd_sizes_are_refused_at_once),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
