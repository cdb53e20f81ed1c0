/* Inside the C back end. */
#ifndef BACKEND_CGEN_H
#define BACKEND_CGEN_H

#include "backend/backend.h"

/* What comes before the kernels: declarations and the helpers that their register types need. Scalar code stands alone,
 * for libtcc. */
void cgen_head(const kir_program *program, bool scalar, text_buffer *out);

/* One kernel as a static function k_NAME. */
void cgen_kernel(const kir_kernel *kernel, text_buffer *out);

/* An instruction: a store as a statement without its semicolon, anything else as the right side of an assignment. */
void cgen_instruction(const kir_kernel *kernel, const kir_node *node, text_buffer *out);

/* The C type of a register: float, f32x16, tile_bf16_16x32. Scalars of BOOL are int32_t 0 or 1, vectors of BOOL are i32
 * lanes of 0 or -1, BF16 is the number's upper 16 bits. */
void cgen_type(kir_type type, text_buffer *out);
/* The C type of an element in memory. */
const char *cgen_memory_type(kir_element element);
/* The element's name in those of vector types; BOOL vectors are i32. */
const char *cgen_prefix(kir_element element);
/* An argument's pointer: "p2_weights", whose number keeps it apart from all other names. */
void cgen_argument(const kir_kernel *kernel, int argument, text_buffer *out);
/* An affine index: "r1 * 64 + r2 + 3". */
void cgen_index(const kir_node_index *index, text_buffer *out);

#endif
