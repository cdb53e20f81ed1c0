#include "runtime/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[RT_F32] = {"f32", 4}, [RT_I32] = {"i32", 4}, [RT_BOOL] = {"bool", 1}};

size_t rt_dtype_size(rt_dtype dtype) {
    return dtypes[dtype].size;
}

const char *rt_dtype_name(rt_dtype dtype) {
    return dtypes[dtype].name;
}

int64_t rt_tensor_count(const rt_tensor *tensor) {
    int64_t count = 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        count *= tensor->dims[axis];
    return count;
}

int64_t rt_tensor_extent(const rt_tensor *tensor) {
    int64_t last = 0;
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (tensor->dims[axis] == 0)
            return 0;
        last += (tensor->dims[axis] - 1) * tensor->strides[axis];
    }
    return last + 1;
}

void rt_tensor_make_dense(rt_tensor *tensor) {
    int64_t stride = 1;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        tensor->strides[axis] = stride;
        stride *= tensor->dims[axis];
    }
}

int rt_tensor_same_shape(const rt_tensor *a, const rt_tensor *b) {
    return a->rank == b->rank && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

void rt_tensor_shape_text(const rt_tensor *tensor, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int axis = 0; axis < tensor->rank && used < size; axis++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, axis ? ", " : "", tensor->dims[axis]);
    if (used < size)
        snprintf(text + used, size - used, "]");
}

static void copy_element(char *to, const char *from, size_t size) {
    if (size == 4)
        memcpy(to, from, 4);
    else
        *to = *from;
}

/* Walks the axes from `axis` on; the dense side advances one element at a time. Returns its next element. */
static char *copy_axes(const rt_tensor *tensor, int axis, char *strided, char *dense, int gather) {
    size_t size = rt_dtype_size(tensor->dtype);
    if (axis == tensor->rank) {
        copy_element(gather ? dense : strided, gather ? strided : dense, size);
        return dense + size;
    }
    int64_t count = tensor->dims[axis];
    int64_t step = tensor->strides[axis] * (int64_t)size;
    if (axis == tensor->rank - 1 && step == (int64_t)size) {
        memcpy(gather ? dense : strided, gather ? strided : dense, (size_t)count * size);
        return dense + (size_t)count * size;
    }
    for (int64_t i = 0; i < count; i++)
        dense = copy_axes(tensor, axis + 1, strided + i * step, dense, gather);
    return dense;
}

void rt_tensor_gather(const rt_tensor *tensor, const char *region, void *dense) {
    copy_axes(tensor, 0, (char *)region + tensor->offset, dense, 1);
}

void rt_tensor_scatter(const rt_tensor *tensor, char *region, const void *dense) {
    copy_axes(tensor, 0, region + tensor->offset, (char *)dense, 0);
}

double rt_tensor_scalar(const rt_tensor *tensor, const char *region) {
    const char *element = region + tensor->offset;
    float real;
    int32_t whole;
    switch (tensor->dtype) {
    case RT_F32: memcpy(&real, element, sizeof real); return (double)real;
    case RT_I32: memcpy(&whole, element, sizeof whole); return whole;
    case RT_BOOL: break;
    }
    return *element != 0;
}

void rt_tensor_set_scalar(const rt_tensor *tensor, char *region, double value) {
    char *element = region + tensor->offset;
    float real = (float)value;
    int32_t whole = tensor->dtype == RT_I32 ? (int32_t)value : 0;
    switch (tensor->dtype) {
    case RT_F32: memcpy(element, &real, sizeof real); break;
    case RT_I32: memcpy(element, &whole, sizeof whole); break;
    case RT_BOOL: *element = value != 0; break;
    }
}
