/* Inside the lowering: iteration over a tensor's elements in memory order, and the code of an element of a fused group.
 */
#ifndef PASSES_LOWER_NEST_H
#define PASSES_LOWER_NEST_H

#include "passes/lower.h"

/* Where along an axis: base + lane * (number of the vector's lane). */
typedef struct {
    kir_index base;
    int64_t lane;
} lower_coordinate;

/* What becomes one kernel: a fusion group, or a value on its own. */
typedef struct {
    const ir_value *const *members; /* in order */
    int member_count;
    const ir_value *const *results; /* members that something outside needs: they are stored */
    int result_count;
} lower_group;

enum { LOWER_MAX_RESULTS = 16 };

/* Iterations that a launch is cut into where it can be: few processors share them evenly. */
enum { ENOUGH_ITERATIONS = 16 };

/* Elements of a value that a kernel has computed. */
typedef struct {
    const ir_value *value;
    int place, lanes;
    kir_reg element;
} lower_known;

/* A kernel under construction: which program buffer stands behind each of its arguments. */
typedef struct {
    lower_context *context;
    kir_kernel *kernel;
    kir_builder builder; /* where code goes now */
    int *buffers;        /* of each argument that is not scratch */
    int *arguments;      /* their numbers */
    int buffer_count, buffer_capacity, argument_capacity;
    const ir_value *root;   /* the kernel computes it and all members of its group; other values it reads */
    int place, place_count; /* number of the coordinates whose elements are computed now; 0: none */
    lower_known *known;     /* in `known_block`, at the place of each */
    const kir_block *known_block;
    int known_count, known_capacity;
    const struct score_reader *scores; /* in kernels of scores: where a product's elements are found; else NULL */
} lower_kernel;

kir_element lower_element(ir_dtype dtype);
int64_t lower_element_bytes(kir_element element);
/* Whether two layouts place all elements alike (axes of size 1 do not matter). */
bool lower_same_memory(const ir_type *type, const ir_layout *a, const ir_layout *b);
int lower_value_buffer(lower_context *context, const ir_value *value);
void lower_copy(lower_context *context, const ir_type *type, int from, const ir_layout *from_layout, int to,
                const ir_layout *to_layout, source_span span);

lower_kernel lower_kernel_begin(lower_context *context, const char *name, const ir_value *root);
/* The argument that reads (writes) a program buffer, added on first use. */
int lower_argument(lower_kernel *kernel, int buffer, bool writes);
/* Memory of the worker for `elements` f32 numbers; returns its argument. */
int lower_scratch(lower_kernel *kernel, const char *name, int64_t elements);
void lower_kernel_launch(lower_kernel *kernel, int64_t extent);
void lower_kernel_launch_rounds(lower_kernel *kernel, int64_t extent, int64_t rounds);

/* The innermost axis in memory that is longer than 1; -1 where there is none. */
int lower_innermost_axis(const ir_type *type, const ir_layout *layout);
/* The element at the coordinates, of the first lane where they have several. */
kir_index lower_place_at(const ir_type *type, const ir_layout *layout, const lower_coordinate *at);
/* lower_turned.c: the copy of lower_copy by a kernel just begun, and its launch, where the innermost axes of both
 * layouts differ and are whole vectors long. False, and nothing is emitted, elsewhere. */
bool lower_turned_copy(lower_kernel *kernel, const ir_type *type, int from, const ir_layout *from_layout, int to,
                       const ir_layout *to_layout);

/* Whether another member of the value's group uses it. */
bool lower_is_inlined(const ir_value *value);
/* Whether the kernel computes the value, rather than reads it. */
bool lower_is_computed(const lower_kernel *kernel, const ir_value *value);
/* What lower_element_at computes from now on is at new coordinates: every value once. */
void lower_begin_place(lower_kernel *kernel);
/* The element(s) of `value` at the coordinates of its axes: `lanes` of them, of which the first `count` are wanted. */
kir_reg lower_element_at(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes, int count);
/* The same, computed anew even if the kernel knows it already. */
kir_reg lower_fresh_element(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                            int count);
/* Elements of a buffer that holds `type` in `layout`. */
kir_reg lower_load_at(lower_kernel *kernel, int buffer, const ir_type *type, const ir_layout *layout,
                      const lower_coordinate *at, int lanes, int count);
void lower_store_at(lower_kernel *kernel, int buffer, const ir_type *type, const ir_layout *layout,
                    const lower_coordinate *at, kir_reg value, int count);

/* Splits the launch's iteration number into coordinates of the axes `axes[0 .. count)`, outermost first. */
void lower_split_iteration(lower_kernel *kernel, const ir_type *type, const int8_t *axes, int count,
                           lower_coordinate *at);

/* The larger (smaller) of two; NaN if either is. */
kir_reg lower_maximum(const kir_builder *builder, kir_reg x, kir_reg y);
kir_reg lower_minimum(const kir_builder *builder, kir_reg x, kir_reg y);
/* The largest lane, or NaN if any lane is. */
kir_reg lower_largest_lane(const kir_builder *builder, kir_reg x);
/* BOOL: in a search for the first maximum, whether `element` takes the place of `best`. The first NaN does for good. */
kir_reg lower_is_larger(const kir_builder *builder, kir_reg element, kir_reg best);
/* KIR_div or KIR_rem of whole numbers: by 0 both give 0; a quotient that does not fit wraps. */
kir_reg lower_whole_division(const kir_builder *builder, kir_opcode opcode, kir_reg x, kir_reg y);
/* F32 to I32, rounding toward zero: the nearest number where it does not fit, 0 for NaN. */
kir_reg lower_to_whole(const kir_builder *builder, kir_reg x);

/* One kernel each for all results of a group. They have the dims and layout of one space: results of a reduction group
 * are reductions of that space along the same axes, or its elements. */
bool lower_elementwise(lower_context *context, const lower_group *group);
bool lower_reduction(lower_context *context, const lower_group *group);
/* Sums and variations of which other kernels have left those of `count` parts: buffers [part][result], of the means,
 * too; each part has so many elements a result. Emits their joining. */
typedef struct {
    int64_t count;
    double elements;
    int sums, means, variations;
} reduction_parts;
void lower_reduction_of_parts(lower_context *context, const lower_group *group, const reduction_parts *parts);
bool lower_argmax(lower_context *context, const ir_value *value);
/* The same for a value on its own. */
bool lower_element_alone(lower_context *context, const ir_value *value);
bool lower_shape(lower_context *context, const ir_value *value);
/* Whether the value is a transpose or reshape whose operand has the same elements in the same order in memory: they
 * share a buffer. */
bool lower_is_alias(const ir_value *value);
/* Whether two values are equal but for axes of size 1, and their elements lie alike in memory. */
bool lower_same_places(const ir_value *x, const ir_value *y);
bool lower_window(lower_context *context, const ir_value *value);
/* lower_scores.c: a group of scores, all its results at once. */
bool lower_scores(lower_context *context, int group);
/* lower_drawn.c: whether the value gathers vectors that only products read, which find them where they lie. */
bool lower_is_read_in_place(const lower_context *context, const ir_value *value);
/* A product of such vectors; false for any other. */
bool lower_dot_in_place(lower_context *context, const ir_value *value);

#endif
