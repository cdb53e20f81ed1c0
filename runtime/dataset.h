/* Labelled sets of images or vectors, and the ways to cut them. */
#ifndef RT_DATASET_H
#define RT_DATASET_H

#include "runtime/error.h"

#include <stdint.h>

/* Labelled: those items of the training split that have labels, where a set keeps them in files of their own; else the
 * same as train. */
typedef enum { RT_SPLIT_TRAIN, RT_SPLIT_TEST, RT_SPLIT_LABELLED } rt_split;
typedef enum { RT_IMAGES, RT_VECTORS } rt_data_kind;

/* One decoded image, 8 bits a channel, interleaved red green blue, rows top to bottom. */
typedef struct {
    int width, height;
    uint8_t *pixels;
} rt_image;

/* Where an encoded picture lies. */
typedef struct {
    char *path;
    int64_t bytes;
} rt_picture_file;

typedef struct rt_dataset rt_dataset;
struct rt_dataset {
    char *description; /* e.g. "CIFAR-10 binary, train, 5000 images of 32x32" */
    rt_data_kind kind;
    int64_t count;
    int class_count; /* 0 where nothing has a label */
    char **class_names;
    int32_t *labels;        /* [count]; -1 where there is none */
    rt_image *images;       /* [count]; NULL in a set of vectors. Without pixels where `files` has them */
    rt_picture_file *files; /* [count]: decoded when they are needed; NULL where all pixels are in memory */
    const float **vectors;  /* [count], of `width` numbers; NULL in a set of images */
    int64_t width;
    void *storage; /* what pixels or numbers live in; NULL where each image owns its pixels */
    int borrowed;  /* pixels, paths or numbers belong to the set that this one was selected from, which outlives it */
    rt_dataset *next; /* another source: its item i belongs to item i of this set; labels are in the first one */
};

/* Opens `path`: a folder or .tar.gz of the binary files of CIFAR-10 (any number of data_batch_*.bin), CIFAR-100 (by its
 * fine labels) or STL-10 (train is unlabeled_X.bin, where it is there, then train_X.bin), an image folder with
 * train/<class>/ and test/<class>/ or val/<class>/ of JPEG and PNG files, `shapes` with optional settings
 * (`shapes:train=5000,test=1000,size=32,seed=1`), a .npy file of vectors, or a folder with train.npy and test.npy.
 * A file of vectors has an empty test split. Returns NULL and fills `error` on bad input. */
rt_dataset *rt_dataset_open(const char *path, rt_split split, rt_error *error);

/* All pictures below one folder without labels, in name order; `names` receives their paths (for `embed`) in one
 * block with a NULL behind the last: free(names) frees them all. */
rt_dataset *rt_dataset_open_unlabelled(const char *path, char ***names, rt_error *error);

/* The items with these indices, of all sources, in memory that stays the set's. NULL without memory. */
rt_dataset *rt_dataset_select(const rt_dataset *dataset, const int64_t *indices, int64_t count, rt_error *error);

/* The source of that number, 0 being the set itself; NULL where it has fewer. */
const rt_dataset *rt_dataset_source(const rt_dataset *dataset, int source);

/* Raises the sides to those of the largest images of this one source. */
void rt_dataset_grow_sides(const rt_dataset *dataset, int *height, int *width);

/* Frees all sources. */
void rt_dataset_free(rt_dataset *dataset);

#endif
