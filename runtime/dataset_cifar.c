/* CIFAR's binary layouts: records of one label byte (CIFAR-10) or two, coarse and fine (CIFAR-100), and three 32x32
 * colour planes. */
#include "runtime/dataset_sources.h"

#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXEL_BYTES = 3 * PLANE };

typedef struct {
    const rt_binary_format *format;
    int label_bytes; /* the last of them is the label that counts */
} layout;

static size_t record_bytes(const layout *is) {
    return (size_t)is->label_bytes + PIXEL_BYTES;
}

static int check_file(const layout *is, const rt_file *file, const char *path, rt_error *error) {
    if (file->size == 0 || file->size % record_bytes(is) != 0) {
        return rt_fail(error, "%s: '%s' is no %s batch: %zu bytes are not whole records of %zu", path, file->name,
                       is->format->name, file->size, record_bytes(is));
    }
    return 0;
}

/* Adds one file's images behind the `first` that are there already. */
static int add_file(const layout *is, rt_dataset *dataset, int64_t first, const rt_file *file, const char *path,
                    rt_error *error) {
    int64_t records = (int64_t)(file->size / record_bytes(is));
    for (int64_t i = 0; i < records; i++) {
        const uint8_t *record = file->bytes + i * (int64_t)record_bytes(is), *planes = record + is->label_bytes;
        int label = planes[-1];
        if (label >= dataset->class_count) {
            return rt_fail(error, "%s: '%s', record %lld: label %d is not below %d", path, file->name, (long long)i,
                           label, dataset->class_count);
        }
        uint8_t *pixels = (uint8_t *)dataset->storage + (first + i) * PIXEL_BYTES;
        for (int position = 0; position < PLANE; position++) {
            for (int channel = 0; channel < 3; channel++) {
                pixels[3 * position + channel] = planes[channel * PLANE + position];
            }
        }
        dataset->labels[first + i] = label;
        dataset->images[first + i] = (rt_image){SIDE, SIDE, pixels};
    }
    return 0;
}

static int fill(const layout *is, rt_dataset *dataset, const rt_file_list *files, const char *path, rt_error *error) {
    if (rt_dataset_allocate_storage(dataset, path, dataset->count * PIXEL_BYTES, error) != 0) {
        return -1;
    }
    int64_t first = 0;
    for (int i = 0; i < files->count; i++) {
        if (add_file(is, dataset, first, &files->files[i], path, error) != 0) {
            return -1;
        }
        first += (int64_t)(files->files[i].size / record_bytes(is));
    }
    return 0;
}

static rt_dataset *build(const layout *is, const rt_file_list *files, const char *path, rt_split split,
                         rt_error *error) {
    int64_t count = 0;
    for (int i = 0; i < files->count; i++) {
        if (check_file(is, &files->files[i], path, error) != 0) {
            return NULL;
        }
        count += (int64_t)(files->files[i].size / record_bytes(is));
    }
    rt_dataset *dataset = rt_dataset_allocate(path, RT_IMAGES, count, is->format->class_count, error);
    if (dataset != NULL && (fill(is, dataset, files, path, error) != 0 ||
                            rt_dataset_describe(dataset, error, "%s binary, %s, %lld images of %dx%d", is->format->name,
                                                rt_split_name(split), (long long)count, SIDE, SIDE) != 0)) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

/* ---- CIFAR-10 ---- */

static int is_cifar10_file(const char *name, rt_split split) {
    static const char prefix[] = "data_batch_";
    size_t length = strlen(name), least = sizeof prefix - 1;
    if (split == RT_SPLIT_TEST) {
        return strcmp(name, "test_batch.bin") == 0;
    }
    return strncmp(name, prefix, least) == 0 && length > least + 4 && strcmp(name + length - 4, ".bin") == 0;
}

static rt_dataset *build_cifar10(rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    return build(&(layout){&rt_format_cifar10, 1}, files, path, split, error);
}

const rt_binary_format rt_format_cifar10 = {
    "CIFAR-10",
    "cifar-10-batches-bin",
    "batches.meta.txt",
    10,
    {"data_batch_*.bin", "test_batch.bin", "data_batch_*.bin"},
    is_cifar10_file,
    build_cifar10,
};

/* ---- CIFAR-100 ---- */

static int is_cifar100_file(const char *name, rt_split split) {
    return strcmp(name, split == RT_SPLIT_TEST ? "test.bin" : "train.bin") == 0;
}

static rt_dataset *build_cifar100(rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    return build(&(layout){&rt_format_cifar100, 2}, files, path, split, error);
}

const rt_binary_format rt_format_cifar100 = {
    "CIFAR-100",      "cifar-100-binary", "fine_label_names.txt", 100, {"train.bin", "test.bin", "train.bin"},
    is_cifar100_file, build_cifar100,
};
