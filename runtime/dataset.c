/* Opening a data set: which reader a path belongs to, and the set's memory. */
#include "runtime/dataset_sources.h"
#include "runtime/npy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *rt_split_name(rt_split split) {
    static const char *const names[] = {
        [RT_SPLIT_TRAIN] = "train", [RT_SPLIT_TEST] = "test", [RT_SPLIT_LABELLED] = "train"};
    return names[split];
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
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) { /* a pipe or device may have no end */
        rt_fail(error, "%s: neither a file nor a folder", path);
        return NULL;
    }
    if (!S_ISDIR(status.st_mode)) {
        return rt_npy_recognise(path) ? rt_dataset_open_vector_file(path, split, error)
                                      : rt_dataset_open_binary_archive(path, split, error);
    }
    if (rt_dataset_is_vector_folder(path)) {
        return rt_dataset_open_vector_folder(path, split, error);
    }
    return rt_dataset_is_binary_folder(path) ? rt_dataset_open_binary_folder(path, split, error)
                                             : rt_dataset_open_folder(path, split, error);
}

rt_dataset *rt_dataset_allocate(const char *path, rt_data_kind kind, int64_t count, int class_count, rt_error *error) {
    rt_dataset *dataset = calloc(1, sizeof *dataset);
    if (dataset == NULL) {
        rt_fail(error, "%s: out of memory", path);
        return NULL;
    }
    dataset->kind = kind;
    dataset->count = count;
    dataset->class_count = class_count;
    dataset->class_names = calloc((size_t)class_count + 1, sizeof *dataset->class_names);
    dataset->labels = malloc(((size_t)count + 1) * sizeof *dataset->labels);
    int failed = dataset->class_names == NULL || dataset->labels == NULL;
    if (kind == RT_IMAGES) {
        dataset->images = calloc((size_t)count + 1, sizeof *dataset->images);
        failed = failed || dataset->images == NULL;
    } else {
        dataset->vectors = calloc((size_t)count + 1, sizeof *dataset->vectors);
        failed = failed || dataset->vectors == NULL;
    }
    if (failed) {
        rt_dataset_free(dataset);
        rt_fail(error, "%s: out of memory for %lld items", path, (long long)count);
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

const rt_dataset *rt_dataset_source(const rt_dataset *dataset, int source) {
    while (dataset != NULL && source-- > 0) {
        dataset = dataset->next;
    }
    return dataset;
}

void rt_dataset_grow_sides(const rt_dataset *dataset, int *height, int *width) {
    for (int64_t i = 0; dataset->kind == RT_IMAGES && i < dataset->count; i++) {
        const rt_image *image = &dataset->images[i];
        *height = image->height > *height ? image->height : *height;
        *width = image->width > *width ? image->width : *width;
    }
}

static rt_dataset *select_one(const rt_dataset *dataset, const int64_t *indices, int64_t count, rt_error *error) {
    const char *description = dataset->description;
    rt_dataset *selected = rt_dataset_allocate(description, dataset->kind, count, dataset->class_count, error);
    if (selected == NULL) {
        return NULL;
    }
    if (dataset->files != NULL) {
        selected->files = calloc((size_t)count + 1, sizeof *selected->files);
        if (selected->files == NULL) {
            rt_dataset_free(selected);
            rt_fail(error, "%s: out of memory", description);
            return NULL;
        }
    }
    selected->width = dataset->width;
    selected->borrowed = 1;
    for (int64_t i = 0; i < count; i++) {
        selected->labels[i] = dataset->labels[indices[i]];
        if (dataset->kind == RT_IMAGES) {
            selected->images[i] = dataset->images[indices[i]];
            if (dataset->files != NULL)
                selected->files[i] = dataset->files[indices[i]];
        } else {
            selected->vectors[i] = dataset->vectors[indices[i]];
        }
    }
    if (rt_dataset_describe(selected, error, "%s, %lld of them", description, (long long)count) != 0) {
        rt_dataset_free(selected);
        return NULL;
    }
    return selected;
}

rt_dataset *rt_dataset_select(const rt_dataset *dataset, const int64_t *indices, int64_t count, rt_error *error) {
    rt_dataset *first = NULL, **place = &first;
    for (; dataset != NULL; dataset = dataset->next) {
        *place = select_one(dataset, indices, count, error);
        if (*place == NULL) {
            rt_dataset_free(first);
            return NULL;
        }
        place = &(*place)->next;
    }
    return first;
}

static void free_one(rt_dataset *dataset) {
    int owns_pixels = dataset->images != NULL && dataset->storage == NULL && !dataset->borrowed;
    for (int64_t i = 0; owns_pixels && i < dataset->count; i++) {
        free(dataset->images[i].pixels);
    }
    for (int i = 0; dataset->class_names != NULL && i < dataset->class_count; i++) {
        free(dataset->class_names[i]);
    }
    for (int64_t i = 0; dataset->files != NULL && !dataset->borrowed && i < dataset->count; i++) {
        free(dataset->files[i].path);
    }
    free(dataset->files);
    free(dataset->storage);
    free(dataset->class_names);
    free(dataset->labels);
    free(dataset->images);
    free(dataset->vectors);
    free(dataset->description);
    free(dataset);
}

void rt_dataset_free(rt_dataset *dataset) {
    while (dataset != NULL) {
        rt_dataset *next = dataset->next;
        free_one(dataset);
        dataset = next;
    }
}
