/* Any bytes as the text of a module: errors, or a module that prints, reads back and, if valid, goes through all
 * passes. */
#include "compiler.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    compilation work;
    compilation_begin(&work);
    char *text = malloc(size ? size : 1);
    memcpy(text, data, size);
    ir_module *module = ir_parse(work.memory, &work.diags, "input", text, size);
    if (!module && work.diags.error_count == 0)
        compilation_broken(&work, "no module and no error");
    if (module && ir_verify(module, &work.diags)) {
        check_module(&work, module);
        check_passes(&work, module);
    }
    compilation_end(&work);
    free(text);
    return 0;
}
