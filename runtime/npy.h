/* NumPy's .npy format, version 1.0. */
#ifndef RT_NPY_H
#define RT_NPY_H

#include "runtime/error.h"

#include <stdint.h>

/* Writes a row-major float32 matrix to a file that appears whole or not at all. Returns 0, or -1 with a message. */
int rt_npy_save(const char *path, const float *values, int64_t rows, int64_t columns, rt_error *error);

#endif
