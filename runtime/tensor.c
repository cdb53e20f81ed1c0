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

/* A copy between a strided and a dense tensor. Neighbours of the strided side are taken some at a time, so that either
 * side's cache lines are used whole before they are gone. */
typedef struct {
    const rt_tensor *tensor;
    int64_t dense[RT_MAX_RANK]; /* strides of the dense side */
    size_t size;                /* of an element */
    int gather;                 /* from the strided side to the dense one */
    int near;                   /* the axis of neighbours */
    int64_t count;              /* of them, at a time */
} axes_copy;

enum { NEIGHBOURS = 16 };

static void copy_neighbours(const axes_copy *copy, char *strided, char *dense) {
    size_t steps[2] = {(size_t)copy->tensor->strides[copy->near] * copy->size,
                       (size_t)copy->dense[copy->near] * copy->size};
    for (int64_t i = 0; i < copy->count; i++, strided += steps[0], dense += steps[1])
        copy_element(copy->gather ? dense : strided, copy->gather ? strided : dense, copy->size);
}

/* Walks the axes from `axis` on, all but that of neighbours. */
static void copy_axes(const axes_copy *copy, int axis, char *strided, char *dense) {
    const rt_tensor *tensor = copy->tensor;
    if (axis == copy->near)
        axis++;
    if (axis >= tensor->rank) {
        copy_neighbours(copy, strided, dense);
        return;
    }
    int64_t size = (int64_t)copy->size;
    for (int64_t i = 0; i < tensor->dims[axis]; i++)
        copy_axes(copy, axis + 1, strided + i * tensor->strides[axis] * size, dense + i * copy->dense[axis] * size);
}

static int is_dense(const rt_tensor *tensor, const rt_tensor *dense) {
    for (int axis = 0; axis < tensor->rank; axis++)
        if (tensor->dims[axis] > 1 && tensor->strides[axis] != dense->strides[axis])
            return 0;
    return 1;
}

/* The axis whose elements lie closest together. */
static int nearest_axis(const rt_tensor *tensor) {
    int near = tensor->rank - 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        if (tensor->dims[axis] > 1 && (tensor->dims[near] <= 1 || tensor->strides[axis] < tensor->strides[near]))
            near = axis;
    return near;
}

static void copy_tensor(const rt_tensor *tensor, char *strided, char *dense, int gather) {
    rt_tensor other = *tensor;
    rt_tensor_make_dense(&other);
    axes_copy copy = {.tensor = tensor, .size = rt_dtype_size(tensor->dtype), .gather = gather};
    if (is_dense(tensor, &other)) {
        memcpy(gather ? dense : strided, gather ? strided : dense, (size_t)rt_tensor_count(tensor) * copy.size);
        return;
    }
    memcpy(copy.dense, other.strides, sizeof copy.dense);
    copy.near = nearest_axis(tensor);
    int64_t count = tensor->dims[copy.near], size = (int64_t)copy.size;
    for (int64_t first = 0; first < count; first += NEIGHBOURS) {
        copy.count = count - first < NEIGHBOURS ? count - first : NEIGHBOURS;
        copy_axes(&copy, 0, strided + first * tensor->strides[copy.near] * size,
                  dense + first * copy.dense[copy.near] * size);
    }
}

void rt_tensor_gather(const rt_tensor *tensor, const char *region, void *dense) {
    copy_tensor(tensor, (char *)region + tensor->offset, dense, 1);
}

void rt_tensor_scatter(const rt_tensor *tensor, char *region, const void *dense) {
    copy_tensor(tensor, region + tensor->offset, (char *)dense, 0);
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
