/* Labelled image sets in memory: CIFAR-10 binary archives, image folders, and the generated `shapes`. */
#ifndef RT_DATASET_H
#define RT_DATASET_H

#include "runtime/error.h"

#include <stdint.h>

typedef enum { RT_SPLIT_TRAIN, RT_SPLIT_TEST } rt_split;

/* One decoded image, 8 bits a channel, interleaved red green blue, rows top to bottom. */
typedef struct {
    int width, height;
    uint8_t *pixels;
} rt_image;

typedef struct {
    char *description; /* e.g. "CIFAR-10 binary, train, 5000 images of 32x32" */
    int64_t count;
    int class_count;
    char **class_names;
    int32_t *labels;  /* [count]; -1 where there is none */
    rt_image *images; /* [count] */
    void *storage;    /* what the pixels live in */
} rt_dataset;

/* Opens `path`: a folder or .tar.gz of CIFAR-10's binary layout (any number of data_batch_*.bin), an image folder
 * with train/<class>/ and test/<class>/ or val/<class>/ of JPEG and PNG files, or `shapes` with optional settings
 * (`shapes:train=5000,test=1000,size=32,seed=1`). Returns NULL and fills `error` on bad input. */
rt_dataset *rt_dataset_open(const char *path, rt_split split, rt_error *error);

/* All pictures below one folder without labels, in name order; `names` receives their paths (for `embed`) in one
 * block with a NULL behind the last: free(names) frees them all. */
rt_dataset *rt_dataset_open_unlabelled(const char *path, char ***names, rt_error *error);

void rt_dataset_free(rt_dataset *dataset);

#endif
