/* cslc opt: runs the named passes, in order, on a module read from its text. */
#include "frontend/driver/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_module(driver_session *work) {
    const char *path = work->options->inputs.items[0];
    size_t length = 0;
    char *text = text_read_file(path, &length);
    if (!text) {
        fprintf(stderr, "cslc: error: cannot read '%s': %s\n", path, strerror(errno));
        return false;
    }
    const char *kept = arena_strndup(work->memory, text, length);
    free(text);
    work->passes.module = ir_parse(work->memory, &work->diags, path, kept, length);
    return work->passes.module && ir_verify(work->passes.module, &work->diags);
}

int driver_opt(driver_session *work) {
    const driver_options *options = work->options;
    if (!read_module(work))
        return STATUS_FAILED;
    pass_options passes = driver_pass_options(options, NULL);
    passes.verify = true;
    char *names = arena_strdup(work->memory, options->passes ? options->passes : "");
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        const pass_info *pass = pass_find(name);
        if (!pass)
            return driver_usage_error("no pass '%s'", name, NULL);
        if (!pass_run(&work->passes, pass, &passes))
            return STATUS_FAILED;
    }
    text_buffer out = {0};
    driver_print_ir(&work->passes, &out);
    int status = driver_write(options->output, &out);
    text_free(&out);
    return status;
}
