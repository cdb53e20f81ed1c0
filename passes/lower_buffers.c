/* Where values live while a function is lowered, and the launches that fill those places. */
#include "passes/lower.h"
#include "passes/lower_nest.h"

#include <assert.h>

ir_layout lower_channels_last(void) {
    return (ir_layout){.axis = {0, 2, 3, 1}};
}

ir_layout lower_conv_weight(void) {
    return (ir_layout){.axis = {2, 3, 1, 0}};
}

kir_element lower_element(ir_dtype dtype) {
    switch (dtype) {
    case IR_I32: return KIR_I32;
    case IR_BOOL: return KIR_BOOL;
    default: return KIR_F32;
    }
}

bool lower_same_memory(const ir_type *type, const ir_layout *a, const ir_layout *b) {
    int64_t strides_a[IR_MAX_RANK], strides_b[IR_MAX_RANK];
    ir_strides(type, a, strides_a);
    ir_strides(type, b, strides_b);
    for (int axis = 0; axis < type->rank; axis++)
        if (type->dims[axis] > 1 && strides_a[axis] != strides_b[axis])
            return false;
    return true;
}

static int buffer_add(lower_context *context, kir_buffer buffer) {
    kir_program *program = context->program;
    ARENA_PUSH(context->memory, program->buffers, program->buffer_count, program->buffer_capacity, buffer);
    return program->buffer_count - 1;
}

int lower_value_buffer(lower_context *context, const ir_value *value) {
    kir_element element = context->narrow[value->id] ? KIR_BF16 : lower_element(value->type.dtype);
    return buffer_add(context, (kir_buffer){.name = arena_printf(context->memory, "%%%d", value->id),
                                            .type = value->type,
                                            .region = KIR_ARENA,
                                            .element = element,
                                            .bytes = ir_type_elements(&value->type) * lower_element_bytes(element),
                                            .offset = -1,
                                            .span = value->span});
}

int lower_temporary(lower_context *context, const char *name, kir_element element, int64_t elements, source_span span) {
    return buffer_add(context, (kir_buffer){.name = arena_strdup(context->memory, name),
                                            .type = {.rank = 1, .dims = {elements}},
                                            .region = KIR_ARENA,
                                            .element = element,
                                            .bytes = elements * lower_element_bytes(element),
                                            .offset = -1,
                                            .span = span});
}

int64_t lower_element_bytes(kir_element element) {
    switch (element) {
    case KIR_BOOL: return 1;
    case KIR_BF16: return 2;
    case KIR_I64: return 8;
    default: return 4;
    }
}

int lower_buffer(lower_context *context, const ir_value *value) {
    int buffer = context->buffer_of[value->id];
    assert(buffer >= 0);
    return buffer;
}

int lower_buffer_in_layout(lower_context *context, const ir_value *value, ir_layout layout) {
    int buffer = lower_buffer(context, value);
    if (lower_same_memory(&value->type, &value->layout, &layout))
        return buffer;
    int copy = lower_value_buffer(context, value);
    lower_copy(context, &value->type, buffer, &value->layout, copy, &layout, value->span);
    return copy;
}

int lower_result_buffer(lower_context *context, const ir_value *value) {
    int *buffer = &context->buffer_of[value->id];
    if (*buffer < 0)
        *buffer = lower_value_buffer(context, value);
    return *buffer;
}

int lower_result_buffer_in_layout(lower_context *context, const ir_value *value, ir_layout layout) {
    if (lower_same_memory(&value->type, &value->layout, &layout))
        return lower_result_buffer(context, value);
    return lower_value_buffer(context, value);
}

void lower_finish_result(lower_context *context, const ir_value *value, ir_layout layout, int buffer) {
    int result = lower_result_buffer(context, value);
    if (result != buffer)
        lower_copy(context, &value->type, buffer, &layout, result, &value->layout, value->span);
}

bool lower_is_streamed(const lower_context *context, int buffer) {
    int64_t least = context->pass->streamed_bytes ? context->pass->streamed_bytes : STREAMED_BYTES;
    return context->program->buffers[buffer].bytes >= least;
}

static void grant_streams(const lower_context *context, kir_kernel *kernel, const int *buffers) {
    int position = 0;
    for (int i = 0; i < kernel->argument_count; i++) {
        kir_argument *argument = &kernel->arguments[i];
        if (argument->scratch)
            continue;
        bool large = lower_is_streamed(context, buffers[position++]);
        argument->streams &= argument->writes && !argument->reads && large;
    }
}

void lower_launch(lower_context *context, kir_kernel *kernel, int64_t extent, const int *buffers, source_span span) {
    lower_launch_rounds(context, kernel, extent, 1, buffers, span);
}

void lower_launch_rounds(lower_context *context, kir_kernel *kernel, int64_t extent, int64_t rounds, const int *buffers,
                         source_span span) {
    int count = kir_buffer_arguments(kernel);
    grant_streams(context, kernel, buffers);
    kir_launch launch = {
        .extent = extent,
        .rounds = rounds,
        .part_count = 1,
        .buffers = arena_alloc(context->memory, sizeof(int) * (size_t)(count + 1)),
        .byte_offsets = arena_alloc(context->memory, sizeof(int64_t) * (size_t)(count + 1)),
        .span = span,
    };
    for (int i = 0; i < count; i++)
        launch.buffers[i] = buffers[i];
    launch.kernel = kir_program_add_kernel(context->program, kernel);
    kir_function *function = context->function;
    ARENA_PUSH(context->memory, function->launches, function->launch_count, function->launch_capacity, launch);
}
