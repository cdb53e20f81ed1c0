/* What the data set readers share. Private to the runtime. */
#ifndef RT_DATASET_SOURCES_H
#define RT_DATASET_SOURCES_H

#include "runtime/archive.h"
#include "runtime/dataset.h"

/* A set with room for `count` images (pixels NULL) or vectors (NULL), labels (-1) and `class_count` names (NULL), or
 * NULL with an error that names `path`. Where `storage` is set, everything lives in that one block. */
rt_dataset *rt_dataset_allocate(const char *path, rt_data_kind kind, int64_t count, int class_count, rt_error *error);

/* Gives the set one block of `bytes` for all its pixels. Returns 0 or -1. */
int rt_dataset_allocate_storage(rt_dataset *dataset, const char *path, int64_t bytes, rt_error *error);

/* Sets the description, printf style; 0, or -1 without memory. */
int rt_dataset_describe(rt_dataset *dataset, rt_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

const char *rt_split_name(rt_split split);

/* The readers behind rt_dataset_open. */
rt_dataset *rt_dataset_open_binary_archive(const char *path, rt_split split, rt_error *error);
rt_dataset *rt_dataset_open_binary_folder(const char *path, rt_split split, rt_error *error);
rt_dataset *rt_dataset_open_folder(const char *path, rt_split split, rt_error *error);
rt_dataset *rt_dataset_open_vector_file(const char *path, rt_split split, rt_error *error);
rt_dataset *rt_dataset_open_vector_folder(const char *path, rt_split split, rt_error *error);
rt_dataset *rt_dataset_open_shapes(const char *path, rt_split split, rt_error *error);

/* Whether a folder holds the files of a binary format, directly or in the folder of its official archive. */
int rt_dataset_is_binary_folder(const char *path);

/* A format of binary files, known by their names. */
typedef struct {
    const char *name, *folder; /* "CIFAR-10"; what its official archive calls the folder */
    const char *class_names;   /* the file of the classes' names, one a line; may be missing */
    int class_count;
    const char *files[3]; /* of each split, in words: "data_batch_*.bin" */
    int (*is_file)(const char *base_name, rt_split split);
    /* Builds the set of the split's files, which are sorted by name; may take over their memory. */
    rt_dataset *(*build)(rt_file_list *files, const char *path, rt_split split, rt_error *error);
} rt_binary_format;

extern const rt_binary_format rt_format_cifar10, rt_format_cifar100, rt_format_stl10;

/* Whether a folder holds train.npy or test.npy. */
int rt_dataset_is_vector_folder(const char *path);

#endif
