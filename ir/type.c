/* Types, layouts and what follows from them. */
#include "ir/ir.h"

#include <string.h>

static const struct {
    const char *name;
    int64_t bytes;
} dtypes[] = {[IR_F32] = {"f32", 4}, [IR_I32] = {"i32", 4}, [IR_BOOL] = {"bool", 1}};

const char *ir_dtype_name(ir_dtype dtype) {
    return dtypes[dtype].name;
}

int64_t ir_dtype_bytes(ir_dtype dtype) {
    return dtypes[dtype].bytes;
}

ir_type ir_type_make(ir_dtype dtype, int rank, const int64_t *dims) {
    ir_type type = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++)
        type.dims[i] = dims[i];
    return type;
}

ir_type ir_type_scalar(ir_dtype dtype) {
    return ir_type_make(dtype, 0, NULL);
}

bool ir_same_dims(const ir_type *a, const ir_type *b) {
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

bool ir_type_equal(const ir_type *a, const ir_type *b) {
    return a->dtype == b->dtype && ir_same_dims(a, b);
}

int64_t ir_type_elements(const ir_type *type) {
    int64_t elements = 1;
    for (int i = 0; i < type->rank; i++)
        elements *= type->dims[i];
    return elements;
}

int64_t ir_type_bytes(const ir_type *type) {
    return ir_type_elements(type) * ir_dtype_bytes(type->dtype);
}

const char *ir_shape_text(arena *memory, const ir_type *type) {
    text_buffer text = {0};
    text_append(&text, "[");
    for (int i = 0; i < type->rank; i++)
        text_append(&text, "%s%lld", i ? ", " : "", (long long)type->dims[i]);
    text_append(&text, "]");
    const char *copy = arena_strdup(memory, text.data);
    text_free(&text);
    return copy;
}

const char *ir_type_text(arena *memory, const ir_type *type) {
    return arena_printf(memory, "%s%s", ir_dtype_name(type->dtype), ir_shape_text(memory, type));
}

ir_layout ir_layout_identity(void) {
    ir_layout layout;
    for (int i = 0; i < IR_MAX_RANK; i++)
        layout.axis[i] = (int8_t)i;
    return layout;
}

bool ir_layout_equal(const ir_layout *a, const ir_layout *b, int rank) {
    return memcmp(a->axis, b->axis, (size_t)rank) == 0;
}

int ir_long_axes(const ir_type *type, int8_t axes[IR_MAX_RANK]) {
    int count = 0;
    for (int axis = 0; axis < type->rank; axis++)
        if (type->dims[axis] > 1)
            axes[count++] = (int8_t)axis;
    return count;
}

bool ir_same_long_axes(const ir_type *a, const ir_type *b) {
    int8_t axes_a[IR_MAX_RANK], axes_b[IR_MAX_RANK];
    int count = ir_long_axes(a, axes_a);
    if (ir_long_axes(b, axes_b) != count)
        return false;
    for (int i = 0; i < count; i++)
        if (a->dims[axes_a[i]] != b->dims[axes_b[i]])
            return false;
    return true;
}

void ir_strides(const ir_type *type, const ir_layout *layout, int64_t strides[IR_MAX_RANK]) {
    int64_t stride = 1;
    for (int i = type->rank - 1; i >= 0; i--) {
        strides[layout->axis[i]] = stride;
        stride *= type->dims[layout->axis[i]];
    }
}
