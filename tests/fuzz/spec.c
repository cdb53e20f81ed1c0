/* Any bytes as a spec: errors, or a valid module that prints, reads back and goes through all passes. */
#include "compiler.h"
#include "frontend/frontend.h"

enum { MOST_VALUES = 3000 }; /* larger modules take the passes longer than a fuzzer has time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    compilation work;
    compilation_begin(&work);
    const char *folders[] = {SOURCE_DIR "/specs/lib"};
    fe_options options = {.folders = folders, .folder_count = 1};
    ir_module *module = fe_compile(work.memory, &work.diags, input_file(data, size), &options);
    if (!module && work.diags.error_count == 0)
        compilation_broken(&work, "no module and no error");
    if (module) {
        check_module(&work, module);
        if (module_values(module) <= MOST_VALUES)
            check_passes(&work, module);
    }
    compilation_end(&work);
    return 0;
}
