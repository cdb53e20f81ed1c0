/* Vectors: NAME.npy of [count, width], with labels in NAME_labels.npy beside it where that exists; a folder of
 * train.npy and test.npy. */
#include "runtime/archive.h"
#include "runtime/dataset_sources.h"
#include "runtime/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CLASSES = 1 << 20 };

static const char suffix[] = ".npy", label_suffix[] = "_labels.npy", train_name[] = "train.npy",
                  test_name[] = "test.npy";

/* NAME_labels.npy of NAME.npy; freed by the caller. */
static char *label_path(const char *path) {
    size_t length = strlen(path), end = sizeof suffix - 1;
    if (length > end && strcmp(path + length - end, suffix) == 0) {
        length -= end;
    }
    char *labels = malloc(length + sizeof label_suffix);
    if (labels != NULL) {
        memcpy(labels, path, length);
        memcpy(labels + length, label_suffix, sizeof label_suffix);
    }
    return labels;
}

/* One more than the largest label; -1 with a message for one that is no class. */
static int count_classes(const int32_t *labels, int64_t count, const char *path, rt_error *error) {
    int classes = 0;
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] < -1 || labels[i] >= MOST_CLASSES) {
            return rt_fail(error, "%s: label %d of row %lld is not in -1 (none) .. %d", path, (int)labels[i],
                           (long long)i, MOST_CLASSES - 1);
        }
        classes = labels[i] >= classes ? labels[i] + 1 : classes;
    }
    return classes;
}

/* The labels beside `path`: `labels` stays NULL where there are none. Returns the number of classes or -1. */
static int read_labels(const char *path, int32_t **labels, int64_t *count, rt_error *error) {
    char *beside = label_path(path);
    int classes = 0;
    if (beside == NULL) {
        return rt_fail(error, "%s: out of memory", path);
    }
    if (access(beside, F_OK) == 0) {
        classes =
            rt_npy_load_labels(beside, labels, count, error) != 0 ? -1 : count_classes(*labels, *count, beside, error);
    }
    free(beside);
    return classes;
}

/* Gives the set the labels beside `path`; both splits have as many classes as the one with more. */
static int label(rt_dataset *dataset, const char *path, const char *other_split, rt_error *error) {
    int32_t *labels = NULL, *others = NULL;
    int64_t count = 0, other_count = 0;
    int classes = read_labels(path, &labels, &count, error);
    int more = classes > 0 && other_split != NULL ? read_labels(other_split, &others, &other_count, error) : 0;
    int result = classes < 0 || more < 0 ? -1 : 0;
    free(others);
    if (result == 0 && labels != NULL && count != dataset->count) {
        result = rt_fail(error, "%s: has %lld rows, but there are labels for %lld", path, (long long)dataset->count,
                         (long long)count);
    }
    if (result == 0 && labels != NULL) {
        free(dataset->labels);
        dataset->labels = labels;
        dataset->class_count = classes > more ? classes : more;
        free(dataset->class_names);
        dataset->class_names = calloc((size_t)dataset->class_count + 1, sizeof *dataset->class_names);
        return dataset->class_names == NULL ? rt_fail(error, "%s: out of memory", path) : 0;
    }
    free(labels);
    return result;
}

static rt_dataset *read_split(const char *path, const char *other_split, rt_split split, rt_error *error) {
    rt_matrix matrix;
    if (rt_npy_load(path, &matrix, error) != 0) {
        return NULL;
    }
    rt_dataset *dataset = rt_dataset_allocate(path, RT_VECTORS, matrix.rows, 0, error);
    if (dataset == NULL) {
        free(matrix.values);
        return NULL;
    }
    dataset->storage = matrix.values;
    dataset->width = matrix.columns;
    for (int64_t i = 0; i < matrix.rows; i++) {
        dataset->vectors[i] = matrix.values + i * matrix.columns;
    }
    if (label(dataset, path, other_split, error) != 0 ||
        rt_dataset_describe(dataset, error, "%s, %s, %lld vectors of %lld", path, rt_split_name(split),
                            (long long)matrix.rows, (long long)matrix.columns) != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

rt_dataset *rt_dataset_open_vector_file(const char *path, rt_split split, rt_error *error) {
    if (split != RT_SPLIT_TEST) {
        return read_split(path, NULL, split, error);
    }
    rt_dataset *nothing = rt_dataset_allocate(path, RT_VECTORS, 0, 0, error);
    if (nothing != NULL && rt_dataset_describe(nothing, error, "%s, which has no test split", path) != 0) {
        rt_dataset_free(nothing);
        return NULL;
    }
    return nothing;
}

static int holds(const char *folder, const char *name) {
    char *path = rt_path_join(folder, name);
    int found = path != NULL && access(path, F_OK) == 0;
    free(path);
    return found;
}

int rt_dataset_is_vector_folder(const char *path) {
    return holds(path, train_name) || holds(path, test_name);
}

rt_dataset *rt_dataset_open_vector_folder(const char *path, rt_split split, rt_error *error) {
    const char *name = split == RT_SPLIT_TEST ? test_name : train_name;
    char *own = rt_path_join(path, name), *other = rt_path_join(path, name == train_name ? test_name : train_name);
    rt_dataset *dataset = NULL;
    if (own == NULL || other == NULL) {
        rt_fail(error, "%s: out of memory", path);
    } else {
        dataset = split == RT_SPLIT_TEST && !holds(path, name) ? rt_dataset_open_vector_file(path, split, error)
                                                               : read_split(own, other, split, error);
    }
    free(own);
    free(other);
    return dataset;
}
