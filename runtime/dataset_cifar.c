/* CIFAR-10's binary layout: files of 3,073-byte records, one label byte and three 32x32 colour planes. */
#include "runtime/archive.h"
#include "runtime/dataset_sources.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXEL_BYTES = 3 * PLANE, RECORD = 1 + PIXEL_BYTES, CLASSES = 10 };

static const char train_prefix[] = "data_batch_", test_name[] = "test_batch.bin", meta_name[] = "batches.meta.txt";
static const char inner_folder[] = "cifar-10-batches-bin";

/* Used where batches.meta.txt is missing. */
static const char *const standard_names[CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                    "dog",      "frog",       "horse", "ship", "truck"};

static int is_train_batch(const char *name) {
    size_t length = strlen(name), prefix = sizeof train_prefix - 1;
    return strncmp(name, train_prefix, prefix) == 0 && length > prefix + 4 && strcmp(name + length - 4, ".bin") == 0;
}

static int is_train_file(const char *name) {
    return is_train_batch(name) || strcmp(name, meta_name) == 0;
}

static int is_test_file(const char *name) {
    return strcmp(name, test_name) == 0 || strcmp(name, meta_name) == 0;
}

static rt_file_filter filter_of(rt_split split) {
    return split == RT_SPLIT_TRAIN ? is_train_file : is_test_file;
}

static int is_meta(const rt_file *file) {
    return strcmp(rt_base_name(file->name), meta_name) == 0;
}

static int compare_files(const void *left, const void *right) {
    return strcmp(((const rt_file *)left)->name, ((const rt_file *)right)->name);
}

static int check_batch(const rt_file *file, const char *path, rt_error *error) {
    if (file->size == 0 || file->size % RECORD != 0) {
        return rt_fail(error, "%s: '%s' is no CIFAR-10 batch: %zu bytes are not whole records of %d", path, file->name,
                       file->size, RECORD);
    }
    return 0;
}

/* Adds one batch behind the `first` images that are there already. */
static int add_batch(rt_dataset *dataset, int64_t first, const rt_file *file, const char *path, rt_error *error) {
    int64_t records = (int64_t)(file->size / RECORD);
    for (int64_t i = 0; i < records; i++) {
        const uint8_t *record = file->bytes + i * RECORD;
        if (record[0] >= CLASSES) {
            return rt_fail(error, "%s: '%s', record %lld: label %d is not below %d", path, file->name, (long long)i,
                           record[0], CLASSES);
        }
        uint8_t *pixels = (uint8_t *)dataset->storage + (first + i) * PIXEL_BYTES;
        for (int position = 0; position < PLANE; position++) {
            for (int channel = 0; channel < 3; channel++) {
                pixels[3 * position + channel] = record[1 + channel * PLANE + position];
            }
        }
        dataset->labels[first + i] = record[0];
        dataset->images[first + i] = (rt_image){SIDE, SIDE, pixels};
    }
    return 0;
}

/* One class name a line; trailing empty lines are usual. */
static int read_class_names(rt_dataset *dataset, rt_file *meta, const char *path, rt_error *error) {
    int count = 0;
    char *rest = NULL;
    for (char *line = strtok_r((char *)meta->bytes, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        if (count == CLASSES) {
            return rt_fail(error, "%s: '%s' names more than %d classes", path, meta->name, CLASSES);
        }
        dataset->class_names[count] = strdup(line);
        if (dataset->class_names[count++] == NULL) {
            return rt_fail(error, "%s: out of memory", path);
        }
    }
    if (count != CLASSES) {
        return rt_fail(error, "%s: '%s' names %d classes, not %d", path, meta->name, count, CLASSES);
    }
    return 0;
}

static int use_standard_names(rt_dataset *dataset, const char *path, rt_error *error) {
    for (int label = 0; label < CLASSES; label++) {
        dataset->class_names[label] = strdup(standard_names[label]);
        if (dataset->class_names[label] == NULL) {
            return rt_fail(error, "%s: out of memory", path);
        }
    }
    return 0;
}

static int fill(rt_dataset *dataset, rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    if (rt_dataset_allocate_storage(dataset, path, dataset->count * PIXEL_BYTES, error) != 0) {
        return -1;
    }
    int64_t first = 0;
    rt_file *meta = NULL;
    for (int i = 0; i < files->count; i++) {
        rt_file *file = &files->files[i];
        if (is_meta(file)) {
            meta = file;
            continue;
        }
        if (add_batch(dataset, first, file, path, error) != 0) {
            return -1;
        }
        first += (int64_t)(file->size / RECORD);
    }
    int named = meta != NULL ? read_class_names(dataset, meta, path, error) : use_standard_names(dataset, path, error);
    return named != 0 ? -1
                      : rt_dataset_describe(dataset, error, "CIFAR-10 binary, %s, %lld images of %dx%d",
                                            rt_split_name(split), (long long)dataset->count, SIDE, SIDE);
}

/* Builds the set from the batches' contents, in the order of their names. */
static rt_dataset *build(rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    int64_t count = 0;
    if (files->count > 0) {
        qsort(files->files, (size_t)files->count, sizeof *files->files, compare_files);
    }
    for (int i = 0; i < files->count; i++) {
        const rt_file *file = &files->files[i];
        if (!is_meta(file) && check_batch(file, path, error) != 0) {
            return NULL;
        }
        count += is_meta(file) ? 0 : (int64_t)(file->size / RECORD);
    }
    if (count == 0) {
        rt_fail(error, "%s: holds no CIFAR-10 %s batch (%s)", path, rt_split_name(split),
                split == RT_SPLIT_TRAIN ? "data_batch_*.bin" : test_name);
        return NULL;
    }
    rt_dataset *dataset = rt_dataset_allocate(path, RT_IMAGES, count, CLASSES, error);
    if (dataset != NULL && fill(dataset, files, path, split, error) != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

rt_dataset *rt_dataset_open_cifar_archive(const char *path, rt_split split, rt_error *error) {
    rt_file_list files = {0};
    rt_dataset *dataset = NULL;
    if (rt_archive_read(path, filter_of(split), &files, error) == 0) {
        dataset = build(&files, path, split, error);
    }
    rt_file_list_free(&files);
    return dataset;
}

static int add_file(rt_file_list *files, const char *folder, const char *name, rt_error *error) {
    char *path = rt_path_join(folder, name);
    rt_file file = {0};
    int result = path == NULL ? rt_fail(error, "%s: out of memory", folder) : rt_file_read(path, &file, error);
    free(path);
    if (result == 0 && (result = rt_file_list_add(files, file, error)) != 0) {
        rt_file_free(&file);
    }
    return result;
}

/* Reads the split's files of one folder; a folder that cannot be listed is an error. */
static int read_folder(const char *path, rt_split split, rt_file_list *files, rt_error *error) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return rt_fail(error, "%s: cannot list: %s", path, strerror(errno));
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(folder)) != NULL;) {
        if (filter_of(split)(entry->d_name)) {
            result = add_file(files, path, entry->d_name, error);
        }
    }
    closedir(folder);
    return result;
}

static int holds_batches(const char *path) {
    DIR *folder = opendir(path);
    int found = 0;
    for (struct dirent *entry; folder != NULL && !found && (entry = readdir(folder)) != NULL;) {
        found = is_train_batch(entry->d_name) || strcmp(entry->d_name, test_name) == 0;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return found;
}

/* The folder that holds the batches, `path` itself or the one inside, on the heap; NULL where neither does. */
static char *batch_folder(const char *path) {
    char *inner = rt_path_join(path, inner_folder);
    if (holds_batches(path)) {
        free(inner);
        return strdup(path);
    }
    if (inner != NULL && !holds_batches(inner)) {
        free(inner);
        return NULL;
    }
    return inner;
}

int rt_dataset_is_cifar_folder(const char *path) {
    char *folder = batch_folder(path);
    int found = folder != NULL;
    free(folder);
    return found;
}

rt_dataset *rt_dataset_open_cifar_folder(const char *path, rt_split split, rt_error *error) {
    char *folder = batch_folder(path);
    rt_file_list files = {0};
    rt_dataset *dataset = NULL;
    int result = folder == NULL ? rt_fail(error, "%s: cannot list", path) : read_folder(folder, split, &files, error);
    if (result == 0) {
        dataset = build(&files, path, split, error);
    }
    rt_file_list_free(&files);
    free(folder);
    return dataset;
}
