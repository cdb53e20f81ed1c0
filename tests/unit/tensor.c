/* runtime/tensor.c: tensors whose axes lie in any order, copied to rows and back; every element at its place, and what
 * stands between them untouched. */
#include "runtime/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

enum { MOST = 4096, GUARD = -7 };

/* In memory the axes lie in `order`, outermost first, `gap` elements apart at the innermost. */
typedef struct {
    int rank;
    int64_t dims[4];
    int order[4];
    int64_t gap;
} case_shape;

static const case_shape shapes[] = {
    {0, {0}, {0}, 1},
    {1, {37}, {0}, 1},
    {1, {5}, {0}, 3},
    {2, {20, 7}, {0, 1}, 1},
    {2, {20, 7}, {1, 0}, 1},             /* a whole line of neighbours, and what is left of one */
    {2, {3, 40}, {1, 0}, 1},             /* less than a line */
    {4, {33, 5, 3, 2}, {2, 3, 1, 0}, 1}, /* weights of convolutions */
    {4, {18, 6, 1, 1}, {2, 3, 1, 0}, 1},
    {4, {2, 19, 4, 5}, {0, 2, 3, 1}, 1}, /* maps */
    {4, {2, 19, 4, 5}, {3, 1, 0, 2}, 2},
};

static rt_tensor tensor_of(const case_shape *shape, rt_dtype dtype) {
    rt_tensor tensor = {.dtype = dtype, .rank = shape->rank, .offset = 8};
    int64_t stride = shape->gap;
    for (int i = shape->rank - 1; i >= 0; i--) {
        int axis = shape->order[i];
        tensor.dims[axis] = shape->dims[axis];
        tensor.strides[axis] = stride;
        stride *= shape->dims[axis];
    }
    return tensor;
}

/* Where element `number` of the rows lies, in elements. */
static int64_t place_of(const rt_tensor *tensor, int64_t number) {
    int64_t place = 0;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        place += number % tensor->dims[axis] * tensor->strides[axis];
        number /= tensor->dims[axis];
    }
    return place;
}

static void check_numbers(const case_shape *shape) {
    static int32_t region[MOST], rows[MOST], back[MOST];
    rt_tensor tensor = tensor_of(shape, RT_I32);
    int64_t count = rt_tensor_count(&tensor), extent = rt_tensor_extent(&tensor), first = tensor.offset / 4;
    assert_true(extent + first < MOST);
    for (int64_t i = 0; i < MOST; i++)
        region[i] = back[i] = rows[i] = GUARD;
    for (int64_t i = 0; i < count; i++)
        region[first + place_of(&tensor, i)] = (int32_t)i;
    rt_tensor_gather(&tensor, (const char *)region, rows);
    for (int64_t i = 0; i < MOST; i++)
        assert_int_equal(rows[i], i < count ? i : GUARD);
    rt_tensor_scatter(&tensor, (char *)back, rows);
    assert_memory_equal(back, region, sizeof region);
}

static void check_bytes(const case_shape *shape) {
    static char region[MOST], rows[MOST], back[MOST];
    rt_tensor tensor = tensor_of(shape, RT_BOOL);
    int64_t count = rt_tensor_count(&tensor);
    memset(region, GUARD, MOST);
    memset(back, GUARD, MOST);
    for (int64_t i = 0; i < count; i++)
        region[tensor.offset + place_of(&tensor, i)] = i % 3 == 0;
    rt_tensor_gather(&tensor, region, rows);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(rows[i], i % 3 == 0);
    rt_tensor_scatter(&tensor, back, rows);
    assert_memory_equal(back, region, MOST);
}

static void axes_in_any_order(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_numbers(&shapes[i]);
        check_bytes(&shapes[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(axes_in_any_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
