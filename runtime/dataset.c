/* Opening a data set: which reader a path belongs to, and the set's memory. */
#include "runtime/dataset_sources.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *rt_split_name(rt_split split) {
    return split == RT_SPLIT_TRAIN ? "train" : "test";
}

rt_dataset *rt_dataset_open(const char *path, rt_split split, rt_error *error) {
    if (strcmp(path, "shapes") == 0 || strncmp(path, "shapes:", 7) == 0) {
        return rt_dataset_open_shapes(path, split, error);
    }
    struct stat status;
    if (stat(path, &status) != 0) {
        rt_fail(error, "%s: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(status.st_mode)) {
        return rt_dataset_open_cifar_archive(path, split, error);
    }
    return rt_dataset_is_cifar_folder(path) ? rt_dataset_open_cifar_folder(path, split, error)
                                            : rt_dataset_open_folder(path, split, error);
}

rt_dataset *rt_dataset_allocate(const char *path, int64_t count, int class_count, rt_error *error) {
    rt_dataset *dataset = calloc(1, sizeof *dataset);
    if (dataset == NULL) {
        rt_fail(error, "%s: out of memory", path);
        return NULL;
    }
    dataset->count = count;
    dataset->class_count = class_count;
    dataset->class_names = calloc((size_t)class_count + 1, sizeof *dataset->class_names);
    dataset->labels = malloc(((size_t)count + 1) * sizeof *dataset->labels);
    dataset->images = calloc((size_t)count + 1, sizeof *dataset->images);
    if (dataset->class_names == NULL || dataset->labels == NULL || dataset->images == NULL) {
        rt_dataset_free(dataset);
        rt_fail(error, "%s: out of memory for %lld images", path, (long long)count);
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        dataset->labels[i] = -1;
    }
    return dataset;
}

int rt_dataset_allocate_storage(rt_dataset *dataset, const char *path, int64_t bytes, rt_error *error) {
    dataset->storage = malloc((size_t)bytes);
    if (dataset->storage == NULL) {
        return rt_fail(error, "%s: out of memory for %lld bytes of pixels", path, (long long)bytes);
    }
    return 0;
}

int rt_dataset_describe(rt_dataset *dataset, rt_error *error, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dataset->description = strdup(text);
    return dataset->description == NULL ? rt_fail(error, "%s: out of memory", text) : 0;
}

void rt_dataset_free(rt_dataset *dataset) {
    if (dataset == NULL) {
        return;
    }
    for (int64_t i = 0; dataset->images != NULL && dataset->storage == NULL && i < dataset->count; i++) {
        free(dataset->images[i].pixels);
    }
    for (int i = 0; dataset->class_names != NULL && i < dataset->class_count; i++) {
        free(dataset->class_names[i]);
    }
    free(dataset->storage);
    free(dataset->class_names);
    free(dataset->labels);
    free(dataset->images);
    free(dataset->description);
    free(dataset);
}
