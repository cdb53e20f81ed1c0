#include "runtime/matmul.h"

#include "runtime/program.h"

#include <cblas.h>

enum { ROW_BLOCK = 64 };

typedef struct {
    int64_t rows, columns, inner;
    rt_matrix a, b;
    float add, *c;
} product;

static void multiply_blocks(void *context, int worker, int64_t begin, int64_t end) {
    const product *p = context;
    (void)worker;
    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * ROW_BLOCK;
        int64_t rows = p->rows - first < ROW_BLOCK ? p->rows - first : ROW_BLOCK;
        const float *a = p->a.values + (p->a.transposed ? first : first * p->a.stride);
        cblas_sgemm(CblasRowMajor, p->a.transposed ? CblasTrans : CblasNoTrans,
                    p->b.transposed ? CblasTrans : CblasNoTrans, (blasint)rows, (blasint)p->columns, (blasint)p->inner,
                    1, a, (blasint)p->a.stride, p->b.values, (blasint)p->b.stride, p->add, p->c + first * p->columns,
                    (blasint)p->columns);
    }
}

void rt_matmul(rt_pool *pool, int64_t rows, int64_t columns, int64_t inner, rt_matrix a, rt_matrix b, float add,
               float *c) {
    product p = {rows, columns, inner, a, b, add, c};
    rt_pool_run(pool, (rows + ROW_BLOCK - 1) / ROW_BLOCK, multiply_blocks, &p);
}

void rt_product(const float *left, const float *right, float *result, int64_t begin, int64_t end, int64_t rows,
                int64_t columns, int64_t inner, int64_t block, int left_transposed, int right_transposed) {
    int64_t first = begin * block, last = end * block < rows ? end * block : rows;
    cblas_sgemm(CblasRowMajor, left_transposed ? CblasTrans : CblasNoTrans,
                right_transposed ? CblasTrans : CblasNoTrans, (blasint)(last - first), (blasint)columns, (blasint)inner,
                1, left + (left_transposed ? first : first * inner), (blasint)(left_transposed ? rows : inner), right,
                (blasint)(right_transposed ? inner : columns), 0, result + first * columns, (blasint)columns);
}
