/* What the commands share: one compilation from its options to its diagnostics. */
#include "frontend/driver/driver.h"

#include "runtime/output_file.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool driver_begin(driver_session *work, const driver_options *options) {
    *work = (driver_session){.memory = arena_new(), .options = options};
    if (!work->memory) {
        fprintf(stderr, "cslc: error: out of memory\n");
        return false;
    }
    work->sources.memory = work->memory;
    work->diags = (diag_list){.memory = work->memory, .sources = &work->sources};
    work->passes = (pass_context){.memory = work->memory, .diags = &work->diags, .target = backend_target_host()};
    work->passes.remarks = options->remarks;
    backend_cache *cache = arena_alloc(work->memory, sizeof *cache);
    work->cache = !options->no_cache && backend_cache_choose(work->memory, cache) ? cache : NULL;
    return true;
}

/* Text that standard output did not take makes a good status a failure. */
int driver_finish(int status) {
    rt_error error = {{0}};
    if (rt_flush_standard_output(&error) && status == STATUS_GOOD) {
        fprintf(stderr, "cslc: error: %s\n", error.text);
        return STATUS_FAILED;
    }
    return status;
}

int driver_end(driver_session *work, int status) {
    if (work->diags.count > 0) {
        text_buffer text = {0};
        diag_render(&work->diags, &text, isatty(STDERR_FILENO));
        fputs(text.data, stderr);
        text_free(&text);
    }
    arena_free(work->memory);
    return driver_finish(status);
}

int driver_write(const char *path, const text_buffer *text) {
    if (text_write_file(path ? path : "-", text->data ? text->data : "", text->length) == 0)
        return STATUS_GOOD;
    fprintf(stderr, "cslc: error: cannot write '%s': %s\n", path ? path : "standard output", strerror(errno));
    return STATUS_FAILED;
}

void driver_print_ir(const pass_context *context, text_buffer *out) {
    if (context->program)
        kir_print(context->program, out);
    else
        ir_print(context->module, out);
}

static void after_pass(void *user, const pass_info *pass, const pass_context *context, double seconds) {
    const driver_options *options = user;
    if (options->time_passes)
        fprintf(stderr, "%-24s %8.2f ms\n", pass->name, 1e3 * seconds);
    if (!options->print_after ||
        (strcmp(options->print_after, "all") != 0 && strcmp(options->print_after, pass->name) != 0))
        return;
    text_buffer text = {0};
    driver_print_ir(context, &text);
    printf("; after %s\n%s", pass->name, text.data ? text.data : "");
    text_free(&text);
}

pass_options driver_pass_options(const driver_options *options, const char *stop_before) {
    return (pass_options){.disabled = options->disabled.items,
                          .disabled_count = options->disabled.count,
                          .verify = options->verify,
                          .stop_before = stop_before,
                          .after = after_pass,
                          .user = (void *)(uintptr_t)options};
}

const char *driver_nearest_pass(const char *name) {
    int count;
    const pass_info *const *pipeline = pass_pipeline(&count);
    const char *names[64];
    assert(count <= 64);
    for (int i = 0; i < count; i++)
        names[i] = pipeline[i]->name;
    return diag_suggest(name, names, count);
}

int driver_check_passes(const driver_options *options) {
    for (int i = 0; i < options->disabled.count; i++) {
        const char *name = options->disabled.items[i];
        const pass_info *pass = pass_find(name);
        if (!pass)
            return driver_usage_error("no pass '%s'", name, driver_nearest_pass(name));
        if (pass->required)
            return driver_usage_error("the pass '%s' cannot be left out", pass->name, NULL);
    }
    if (options->print_after && strcmp(options->print_after, "all") != 0 && !pass_find(options->print_after))
        return driver_usage_error("no pass '%s'", options->print_after, driver_nearest_pass(options->print_after));
    return -1;
}

int driver_check_precision(const driver_options *options) {
    const char *wanted = options->precision;
    if (!wanted || kir_precision_parts(wanted) >= 0)
        return -1;
    return driver_usage_error("no precision '%s'", wanted, diag_suggest(wanted, kir_precisions, KIR_PRECISIONS));
}

void driver_choose_precision(driver_session *work, const ir_module *module) {
    const char *wanted = work->options->precision;
    if (!wanted)
        wanted = ir_setting_find(module, "precision");
    int parts = wanted ? kir_precision_parts(wanted) : -1;
    work->passes.product_parts = parts >= 0 ? parts : kir_default_parts(&work->passes.target);
}

/* The library path: -I folders, then the libraries that come with the compiler. */
ir_module *driver_compile(driver_session *work, const char *path, const driver_list *definitions,
                          fe_description *description) {
    const driver_list *own = &work->options->folders;
    const char **folders = arena_alloc(work->memory, (size_t)(own->count + 1) * sizeof *folders);
    for (int i = 0; i < own->count; i++) {
        folders[i] = own->items[i];
        struct stat there;
        if (stat(folders[i], &there) != 0 || !S_ISDIR(there.st_mode)) {
            diag_error(&work->diags, (source_span){0}, "-I takes a folder, and '%s' is none", folders[i]);
            return NULL;
        }
    }
    folders[own->count] = CSL_LIBRARY_FOLDER;
    fe_options front = {definitions->items, definitions->count, folders, own->count + 1, description};
    ir_module *module = fe_compile(work->memory, &work->diags, path, &front);
    if (module)
        driver_choose_precision(work, module);
    return module;
}

static ir_module *compile_input(driver_session *work, void *user) {
    (void)user;
    return driver_compile(work, work->options->inputs.items[0], &work->options->definitions, NULL);
}

bool driver_compile_program(driver_session *work, const char *stop_before) {
    if (work->memory_limit && !stop_before) {
        bool good = driver_run_limited(work, compile_input, NULL);
        driver_note_memory(work);
        return good;
    }
    work->passes.module = compile_input(work, NULL);
    pass_options passes = driver_pass_options(work->options, stop_before);
    return work->passes.module && pass_run_pipeline(&work->passes, &passes);
}
