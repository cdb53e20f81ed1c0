/* Sets in binary files: which format a folder or an archive holds, and its files. */
#include "runtime/dataset_sources.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rt_binary_format *const formats[] = {&rt_format_cifar10, &rt_format_cifar100, &rt_format_stl10};
enum { FORMATS = sizeof formats / sizeof *formats };

/* ---- which files ---- */

/* The format whose split has a file of that name, or NULL. */
static const rt_binary_format *format_of(const char *base_name, rt_split split) {
    for (int i = 0; i < FORMATS; i++) {
        if (formats[i]->is_file(base_name, split)) { /* NOLINT(clang-analyzer-core.NullDereference): none is NULL */
            return formats[i];
        }
    }
    return NULL;
}

static int is_names_file(const char *base_name) {
    for (int i = 0; i < FORMATS; i++) {
        if (strcmp(base_name, formats[i]->class_names) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_train_file(const char *name) {
    return is_names_file(name) || format_of(name, RT_SPLIT_TRAIN) != NULL;
}

static int is_test_file(const char *name) {
    return is_names_file(name) || format_of(name, RT_SPLIT_TEST) != NULL;
}

static int is_labelled_file(const char *name) {
    return is_names_file(name) || format_of(name, RT_SPLIT_LABELLED) != NULL;
}

static const rt_file_filter filters[] = {
    [RT_SPLIT_TRAIN] = is_train_file, [RT_SPLIT_TEST] = is_test_file, [RT_SPLIT_LABELLED] = is_labelled_file};

static int compare_files(const void *left, const void *right) {
    return strcmp(((const rt_file *)left)->name, ((const rt_file *)right)->name);
}

/* ---- the classes' names ---- */

/* One class name a line; trailing empty lines are usual. */
static int read_class_names(rt_dataset *dataset, rt_file *file, const char *path, rt_error *error) {
    int count = 0;
    char *rest = NULL;
    for (char *line = strtok_r((char *)file->bytes, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        if (count == dataset->class_count) {
            return rt_fail(error, "%s: '%s' names more than %d classes", path, file->name, dataset->class_count);
        }
        dataset->class_names[count] = strdup(line);
        if (dataset->class_names[count++] == NULL) {
            return rt_fail(error, "%s: out of memory", path);
        }
    }
    if (count != dataset->class_count) {
        return rt_fail(error, "%s: '%s' names %d classes, not %d", path, file->name, count, dataset->class_count);
    }
    return 0;
}

static int number_classes(rt_dataset *dataset, const char *path, rt_error *error) {
    for (int label = 0; label < dataset->class_count; label++) {
        char name[32];
        snprintf(name, sizeof name, "class %d", label);
        dataset->class_names[label] = strdup(name);
        if (dataset->class_names[label] == NULL) {
            return rt_fail(error, "%s: out of memory", path);
        }
    }
    return 0;
}

/* ---- building ---- */

static int no_files(const char *path, rt_split split, rt_error *error) {
    return rt_fail(error, "%s: holds no %s files of %s (%s), %s (%s) or %s (%s)", path, rt_split_name(split),
                   formats[0]->name, formats[0]->files[split], formats[1]->name, formats[1]->files[split],
                   formats[2]->name, formats[2]->files[split]);
}

/* The one format of the files; NULL with a message. */
static const rt_binary_format *choose(const rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    const rt_binary_format *chosen = NULL;
    for (int i = 0; i < files->count; i++) {
        const rt_binary_format *format = format_of(rt_base_name(files->files[i].name), split);
        if (format != NULL && chosen != NULL && format != chosen) {
            rt_fail(error, "%s: holds files of both %s and %s", path, chosen->name, format->name);
            return NULL;
        }
        chosen = format != NULL ? format : chosen;
    }
    if (chosen == NULL) {
        no_files(path, split, error);
    }
    return chosen;
}

/* Takes the file of the classes' names out of the list, and those of other formats; `names` has no bytes without one.
 */
static void take_names(rt_file_list *files, const rt_binary_format *format, rt_file *names) {
    int kept = 0;
    *names = (rt_file){0};
    for (int i = 0; i < files->count; i++) {
        rt_file file = files->files[i];
        if (!is_names_file(rt_base_name(file.name))) {
            files->files[kept++] = file;
        } else if (names->bytes == NULL && strcmp(rt_base_name(file.name), format->class_names) == 0) {
            *names = file;
        } else {
            rt_file_free(&file);
        }
    }
    files->count = kept;
}

static rt_dataset *build(rt_file_list *files, const char *path, rt_split split, rt_error *error) {
    const rt_binary_format *format = choose(files, path, split, error);
    if (format == NULL) {
        return NULL;
    }
    rt_file names;
    take_names(files, format, &names);
    if (files->count > 1)
        qsort(files->files, (size_t)files->count, sizeof *files->files, compare_files);
    rt_dataset *dataset = format->build(files, path, split, error);
    int failed = dataset == NULL       ? 0
                 : names.bytes != NULL ? read_class_names(dataset, &names, path, error)
                                       : number_classes(dataset, path, error);
    rt_file_free(&names);
    if (failed) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

rt_dataset *rt_dataset_open_binary_archive(const char *path, rt_split split, rt_error *error) {
    rt_file_list files = {0};
    rt_dataset *dataset = NULL;
    if (rt_archive_read(path, filters[split], &files, error) == 0) {
        dataset = build(&files, path, split, error);
    }
    rt_file_list_free(&files);
    return dataset;
}

/* ---- folders ---- */

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
        if (filters[split](entry->d_name)) {
            result = add_file(files, path, entry->d_name, error);
        }
    }
    closedir(folder);
    return result;
}

static int holds_files(const char *path) {
    DIR *folder = opendir(path);
    int found = 0;
    for (struct dirent *entry; folder != NULL && !found && (entry = readdir(folder)) != NULL;) {
        found = format_of(entry->d_name, RT_SPLIT_TRAIN) != NULL || format_of(entry->d_name, RT_SPLIT_TEST) != NULL;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return found;
}

/* The folder that holds the files, `path` itself or the official one inside, on the heap; NULL where none does. */
static char *file_folder(const char *path) {
    if (holds_files(path)) {
        return strdup(path);
    }
    for (int i = 0; i < FORMATS; i++) {
        char *inner = rt_path_join(path, formats[i]->folder);
        if (inner != NULL && holds_files(inner)) {
            return inner;
        }
        free(inner);
    }
    return NULL;
}

int rt_dataset_is_binary_folder(const char *path) {
    char *folder = file_folder(path);
    int found = folder != NULL;
    free(folder);
    return found;
}

rt_dataset *rt_dataset_open_binary_folder(const char *path, rt_split split, rt_error *error) {
    char *folder = file_folder(path);
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
