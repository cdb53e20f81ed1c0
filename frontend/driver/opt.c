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
    if (!work->passes.module)
        return false;
    driver_choose_precision(work, work->passes.module);
    return ir_verify(work->passes.module, &work->diags);
}

/* The passes that --passes names, in order, with NULL at the end; NULL after reporting one that there is not. */
static const pass_info **named_passes(driver_session *work, int *status) {
    char *names = arena_strdup(work->memory, work->options->passes ? work->options->passes : "");
    const pass_info **passes = arena_alloc(work->memory, (strlen(names) / 2 + 2) * sizeof *passes);
    int count = 0;
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        passes[count] = pass_find(name);
        if (!passes[count++]) {
            *status = driver_usage_error("no pass '%s'", name, driver_nearest_pass(name));
            return NULL;
        }
    }
    return passes;
}

int driver_opt(driver_session *work) {
    int status = STATUS_FAILED;
    const pass_info **wanted = named_passes(work, &status);
    if (!wanted || !read_module(work))
        return status;
    pass_options passes = driver_pass_options(work->options, NULL);
    passes.verify = true;
    work->passes.memory_limit = work->memory_limit;
    for (; *wanted; wanted++)
        if (!pass_run(&work->passes, *wanted, &passes))
            return STATUS_FAILED;
    text_buffer out = {0};
    driver_print_ir(&work->passes, &out);
    status = driver_write(work->options->output, &out);
    text_free(&out);
    return status;
}
