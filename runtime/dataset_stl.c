/* STL-10's binary layout: images of 96x96 in three colour planes, each column by column, and their labels from 1 to 10
 * in a file of their own. The images are turned where they lie: there are gigabytes of them. */
#include "runtime/dataset_sources.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 96, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE, CLASSES = 10 };

static int is_one_of(const char *name, const char *const *names, int count) {
    for (int i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_stl_file(const char *name, rt_split split) {
    static const char *const train[] = {"train_X.bin", "train_y.bin", "unlabeled_X.bin"};
    static const char *const test[] = {"test_X.bin", "test_y.bin"};
    return split == RT_SPLIT_TEST ? is_one_of(name, test, 2) : is_one_of(name, train, split == RT_SPLIT_TRAIN ? 3 : 2);
}

static rt_file *find(const rt_file_list *files, const char *name) {
    for (int i = 0; i < files->count; i++) {
        if (strcmp(rt_base_name(files->files[i].name), name) == 0) {
            return &files->files[i];
        }
    }
    return NULL;
}

/* Returns how many images there are, or -1; 0 for no file. */
static int64_t count_images(const rt_file *file, const char *path, rt_error *error) {
    if (file == NULL) {
        return 0;
    }
    if (file->size == 0 || file->size % IMAGE != 0) {
        return rt_fail(error, "%s: '%s' is no STL-10 file: %zu bytes are not whole images of %d", path, file->name,
                       file->size, IMAGE);
    }
    return (int64_t)(file->size / IMAGE);
}

/* The two files belong together, image by image. */
static int check_labels(const rt_file *images, const rt_file *labels, const char *path, rt_error *error) {
    if (images == NULL || labels == NULL) {
        return rt_fail(error,
                       "%s: holds only one of two STL-10 files, the images (…_X.bin) and their labels (…_y.bin): "
                       "'%s'",
                       path, images != NULL ? images->name : labels->name);
    }
    if (labels->size != images->size / IMAGE) {
        return rt_fail(error, "%s: '%s' has %zu labels for %zu images", path, labels->name, labels->size,
                       images->size / IMAGE);
    }
    for (size_t i = 0; i < labels->size; i++) {
        if (labels->bytes[i] < 1 || labels->bytes[i] > CLASSES) {
            return rt_fail(error, "%s: '%s', image %zu: label %d is not in 1 .. %d", path, labels->name, i,
                           labels->bytes[i], CLASSES);
        }
    }
    return 0;
}

/* From columns of planes to rows of interleaved channels. */
static void turn(uint8_t *image) {
    uint8_t planes[IMAGE];
    memcpy(planes, image, sizeof planes);
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            for (int channel = 0; channel < 3; channel++) {
                image[3 * (y * SIDE + x) + channel] = planes[channel * PLANE + x * SIDE + y];
            }
        }
    }
}

/* The set's storage: the unlabelled images' memory, with the labelled ones behind. */
static int take_storage(rt_dataset *dataset, rt_file *unlabelled, const rt_file *labelled, const char *path,
                        rt_error *error) {
    assert(unlabelled == NULL || unlabelled != labelled);
    size_t before = unlabelled != NULL ? unlabelled->size : 0, more = labelled != NULL ? labelled->size : 0;
    uint8_t *bytes = realloc(unlabelled != NULL ? unlabelled->bytes : NULL, before + more + 1);
    if (bytes == NULL) {
        return rt_fail(error, "%s: out of memory for %zu bytes of pixels", path, before + more);
    }
    if (unlabelled != NULL) {
        unlabelled->bytes = NULL;
    }
    dataset->storage = bytes;
    if (more > 0) {
        memcpy(bytes + before, labelled->bytes, more);
    }
    return 0;
}

static void fill(rt_dataset *dataset, int64_t unlabelled, const rt_file *labels) {
    for (int64_t i = 0; i < dataset->count; i++) {
        uint8_t *pixels = (uint8_t *)dataset->storage + i * IMAGE;
        turn(pixels);
        dataset->images[i] = (rt_image){SIDE, SIDE, pixels};
        dataset->labels[i] = labels == NULL || i < unlabelled ? -1 : labels->bytes[i - unlabelled] - 1;
    }
}

static rt_dataset *build_stl(rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    rt_file *unlabelled = find(files, "unlabeled_X.bin");
    rt_file *images = find(files, split == RT_SPLIT_TEST ? "test_X.bin" : "train_X.bin");
    rt_file *labels = find(files, split == RT_SPLIT_TEST ? "test_y.bin" : "train_y.bin");
    int64_t without = count_images(unlabelled, path, error), with = count_images(images, path, error);
    if (without < 0 || with < 0 ||
        ((images != NULL || labels != NULL) && check_labels(images, labels, path, error) != 0)) {
        return NULL;
    }
    rt_dataset *dataset = rt_dataset_allocate(path, RT_IMAGES, without + with, CLASSES, error);
    if (dataset == NULL || take_storage(dataset, unlabelled, images, path, error) != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    fill(dataset, without, labels);
    if (rt_dataset_describe(dataset, error, "STL-10 binary, %s, %lld images of %dx%d, %lld of them with labels",
                            rt_split_name(split), (long long)dataset->count, SIDE, SIDE, (long long)with) != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

const rt_binary_format rt_format_stl10 = {
    "STL-10",
    "stl10_binary",
    "class_names.txt",
    CLASSES,
    {"unlabeled_X.bin, train_X.bin, train_y.bin", "test_X.bin, test_y.bin", "train_X.bin, train_y.bin"},
    is_stl_file,
    build_stl,
};
