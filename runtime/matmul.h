/* Matrix products for the evaluation: OpenBLAS on blocks of rows whose size does not depend on the number of threads,
 * so that results do not either. */
#ifndef RT_MATMUL_H
#define RT_MATMUL_H

#include "runtime/pool.h"

/* A dense row-major matrix; `transposed` says that the product takes its transpose. */
typedef struct {
    const float *values;
    int64_t stride; /* from row to row, in elements */
    int transposed;
} rt_matrix;

/* c[rows, columns] = a[rows, inner] b[inner, columns] + add * c, where c's rows are `columns` apart. OpenBLAS must run
 * on one thread (openblas_set_num_threads(1)): the pool's workers call it side by side. */
void rt_matmul(rt_pool *pool, int64_t rows, int64_t columns, int64_t inner, rt_matrix a, rt_matrix b, float add,
               float *c);

#endif
