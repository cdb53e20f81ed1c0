/* The BLAS library's choice of kernels. */
#ifndef RT_BLAS_H
#define RT_BLAS_H

/* OpenBLAS chooses its kernels when it is loaded and takes the slowest, without AVX, for processors that are newer than
 * itself. When it did, and this one has AVX2 or AVX-512, starts the program anew with OPENBLAS_CORETYPE set; else, and
 * where that fails, returns. To be called before anything else has begun. */
void rt_blas_choose(char **arguments);

#endif
