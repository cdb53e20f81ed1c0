/* NumPy's .npy format. */
#ifndef RT_NPY_H
#define RT_NPY_H

#include "runtime/error.h"

#include <stdint.h>

typedef struct {
    int64_t rows, columns;
    float *values; /* row-major; freed by the owner */
} rt_matrix;

/* Writes a row-major float32 matrix to a file that appears whole or not at all. Returns 0, or -1 with a message. */
int rt_npy_save(const char *path, const float *values, int64_t rows, int64_t columns, rt_error *error);

/* Reads a matrix of float32 or float64, in rows or in columns ("fortran_order"), as float32. All its numbers are
 * finite. Returns 0, or -1 with a message that names the file and what is wrong with it. */
int rt_npy_load(const char *path, rt_matrix *matrix, rt_error *error);

/* Reads a one-dimensional array of whole numbers of 8 to 64 bits. The caller frees `labels`. */
int rt_npy_load_labels(const char *path, int32_t **labels, int64_t *count, rt_error *error);

/* Whether the file begins as .npy files do. */
int rt_npy_recognise(const char *path);

#endif
