/* What the runtime does with tensor descriptions: sizes, scalars, and moving elements between a strided tensor and a
 * dense row-major array. */
#ifndef RT_TENSOR_H
#define RT_TENSOR_H

#include "runtime/program.h"

size_t rt_dtype_size(rt_dtype dtype);
const char *rt_dtype_name(rt_dtype dtype); /* "f32", "i32", "bool", as in the manifest */

int64_t rt_tensor_count(const rt_tensor *tensor);  /* elements */
int64_t rt_tensor_extent(const rt_tensor *tensor); /* elements from the first to the last one in memory, inclusive */

/* Gives the tensor dense row-major strides. */
void rt_tensor_make_dense(rt_tensor *tensor);

int rt_tensor_same_shape(const rt_tensor *a, const rt_tensor *b);

/* Writes "[2, 3]" into `text`. */
void rt_tensor_shape_text(const rt_tensor *tensor, char *text, size_t size);

/* Copies all elements between the tensor in `region` and the dense row-major array. */
void rt_tensor_gather(const rt_tensor *tensor, const char *region, void *dense);
void rt_tensor_scatter(const rt_tensor *tensor, char *region, const void *dense);

/* Reads or writes the first element, whatever its type. */
double rt_tensor_scalar(const rt_tensor *tensor, const char *region);
void rt_tensor_set_scalar(const rt_tensor *tensor, char *region, double value);

#endif
