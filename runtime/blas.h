/* The BLAS library's choice of kernels, and its memory. */
#ifndef RT_BLAS_H
#define RT_BLAS_H

#include "runtime/error.h"

/* OpenBLAS chooses its kernels when it is loaded and takes the slowest, without AVX, for processors that are newer than
 * itself. When it did, and this one has AVX2 or AVX-512, starts the program anew with OPENBLAS_CORETYPE set; likewise
 * with one thread of the library's where the address space is limited. Else, and where that fails, returns. To be
 * called before anything else has begun. */
void rt_blas_choose(char **arguments);

/* 0 if there is room for the memory that OpenBLAS takes for each thread that calls it: where there is none, it would
 * ask for it without end. Else an error. */
int rt_blas_reserve(int threads, rt_error *error);

#endif
