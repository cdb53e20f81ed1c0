#include "backend/code.h"

#include <stdlib.h>

const rt_program *backend_program(const backend_code *code) {
    return code->program;
}

void backend_free(backend_code *code) {
    if (!code)
        return;
    code->release(code->handle);
    free(code);
}
