/* Shared by the files of the `lower` pass: how a tensor value becomes buffers, kernels and launches. */
#ifndef PASSES_LOWER_H
#define PASSES_LOWER_H

#include "passes/pass.h"

typedef struct {
    pass_context *pass;
    arena *memory;
    kir_program *program;
    kir_function *function;
    const ir_function *source;   /* the function being lowered */
    int *buffer_of;              /* by value id: index of the program buffer that holds the value, -1 before that */
    int unit;                    /* number of the unit being lowered: those that run last have the highest */
    struct pair_operands *pairs; /* pair_forms.h */
    struct channel_statistics **statistics; /* by value id: those of its channels, or NULL (channel_statistics.h) */
    const bool *narrow;                     /* by value id: it lies in memory as bf16 numbers (narrow_maps.h) */
} lower_context;

/* The buffer that holds a value already lowered (an operand), dense in the value's own layout. */
int lower_buffer(lower_context *context, const ir_value *value);
/* The same elements dense in `layout`: the value's own buffer, or a copy made by a launch emitted now. */
int lower_buffer_in_layout(lower_context *context, const ir_value *value, ir_layout layout);
/* The buffer that the value is to be written to, dense in the value's own layout (made on first use). */
int lower_result_buffer(lower_context *context, const ir_value *value);
/* For operations whose kernels write another layout than the value's: a buffer to write in `layout`, and afterwards
 * lower_finish_result emits the copy into the value's own, if they differ. */
int lower_result_buffer_in_layout(lower_context *context, const ir_value *value, ir_layout layout);
void lower_finish_result(lower_context *context, const ir_value *value, ir_layout layout, int buffer);
/* An arena buffer for partial sums, transposed weights and the like, alive between the launches that name it. */
int lower_temporary(lower_context *context, const char *name, kir_element element, int64_t elements, source_span span);

/* Whether lower_launch grants streams (kir_stream) into the buffer, for its size. */
bool lower_is_streamed(const lower_context *context, int buffer);
/* Adds the kernel to the program (sharing an equal one) and appends a launch of it; `buffers` are the program buffers
 * of the kernel's arguments in order, scratch arguments left out. */
void lower_launch(lower_context *context, kir_kernel *kernel, int64_t extent, const int *buffers, source_span span);
/* The same, `rounds` times one after the other: iterations 0 .. extent-1, then extent .. 2 extent-1, and so on. */
void lower_launch_rounds(lower_context *context, kir_kernel *kernel, int64_t extent, int64_t rounds, const int *buffers,
                         source_span span);

/* lower_contraction.c, lower_conv*.c: emits the kernels of one dot, conv2d, conv2d_input_grad or conv2d_weight_grad
 * into the value's result buffer. Returns false after adding a diagnostic. */
bool lower_contraction(lower_context *context, const ir_value *value);

/* The layouts that the convolution kernels work in: activations N, H, W, C; weights KH, KW, I, O. */
ir_layout lower_channels_last(void);
ir_layout lower_conv_weight(void);

#endif
