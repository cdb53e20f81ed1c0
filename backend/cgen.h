/* Inside the C back end. */
#ifndef BACKEND_CGEN_H
#define BACKEND_CGEN_H

#include "backend/backend.h"

/* The head of the file: what kernels of these lanes need. Scalar code (lanes 1) stands alone, for libtcc. */
void cgen_head(const kir_program *program, int lanes, text_buffer *out);
/* One kernel as a static function k_NAME. */
void cgen_kernel(const kir_kernel *kernel, text_buffer *out);

#endif
