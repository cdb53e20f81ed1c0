/* The command line of the compiler: commands, their options, and the compilation that they share. */
#ifndef FRONTEND_DRIVER_DRIVER_H
#define FRONTEND_DRIVER_DRIVER_H

#include "backend/backend.h"
#include "frontend/frontend.h"
#include "passes/pass.h"

enum { STATUS_GOOD = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_INTERRUPTED = 130 };

typedef struct {
    const char **items;
    int count, capacity;
} driver_list;

typedef struct driver_command driver_command;

typedef struct {
    arena *memory; /* of the lists */
    const driver_command *command;
    driver_list inputs, definitions, folders, disabled, left, right, vary;
    const char *output, *emit, *backend, *target, *passes, *print_after, *out, *only, *against, *precision, *steps,
        *data, *plot, *memory_limit;
    bool no_cache, time_passes, remarks, verify, json, layers, all, dry_run, memory_view, clear;
    bool has_program_arguments; /* whether there was a -- */
    char **program_arguments;   /* after it */
    int program_argument_count;
} driver_options;

/* One compilation: what a command works with. */
typedef struct {
    arena *memory;
    source_table sources;
    diag_list diags;
    const driver_options *options;
    pass_context passes;
    backend_cache *cache;    /* of object code, or NULL */
    int64_t memory_limit;    /* bytes, or 0 for none */
    const char *memory_note; /* what --memory-limit cost, or NULL */
} driver_session;

struct driver_command {
    const char *name;    /* "explain"; "compile" is the one that is not named on the command line */
    const char *usage;   /* what follows "cslc " */
    const char *summary; /* one line */
    const char *doc;     /* more lines for `cslc NAME --help`, or NULL */
    int least_inputs, most_inputs;
    int (*run)(driver_session *work);
};

/* The commands, in the order of the help. */
extern const driver_command driver_commands[];
extern const int driver_command_count;

/* ---- options.c
 * ------------------------------------------------------------------------------------------------------------ */

/* Reads the command line. Returns -1 to go on with options->command, or the exit status when all is done or wrong. */
int driver_parse(driver_options *options, int count, char **arguments);
/* Says what is wrong with the command line; `detail` fills the one %s of the format. Returns STATUS_USAGE. */
int driver_usage_error(const char *format, const char *detail, const char *suggestion);

/* ---- session.c
 * ------------------------------------------------------------------------------------------------------------ */

bool driver_begin(driver_session *work, const driver_options *options);
/* Prints the diagnostics and frees everything; returns the exit status, a failure when standard output took no text. */
int driver_end(driver_session *work, int status);
int driver_finish(int status);
/* Writes to `path`, to standard output when it is NULL or "-". Returns the exit status. */
int driver_write(const char *path, const text_buffer *text);
void driver_print_ir(const pass_context *context, text_buffer *out);
/* The pass options that the command line asks for. */
pass_options driver_pass_options(const driver_options *options, const char *stop_before);
/* A spec to its module, under `definitions`; describes it as well when `description` is not NULL. */
ir_module *driver_compile(driver_session *work, const char *path, const driver_list *definitions,
                          fe_description *description);
/* The options' one spec to a planned program, stopping before a pass if asked to. */
bool driver_compile_program(driver_session *work, const char *stop_before);
/* The pass whose name is nearest, or NULL. */
const char *driver_nearest_pass(const char *name);
/* memory_limit.c: the bytes of --memory-limit ("1500000", "800M") into the session; the status for what is no number of
 * bytes or has no effect, or -1. */
int driver_choose_memory_limit(driver_session *work);
/* Runs the pipeline under --memory-limit, on a module that `make` gives anew for each attempt. Says
 * what it cost, or what the least is when the limit cannot be kept. */
bool driver_run_limited(driver_session *work, ir_module *(*make)(driver_session *work, void *user), void *user);
/* Adds to the diagnostics what the limit cost, if it cost something. */
void driver_note_memory(driver_session *work);
/* Whether the options name a pass that there is not, or that cannot be left out: the status, or -1. */
int driver_check_passes(const driver_options *options);
/* Whether the options name a precision that there is not: the status, or -1. */
int driver_check_precision(const driver_options *options);
/* The precision of products into the passes' context: the options', else the module's, else the target's. */
void driver_choose_precision(driver_session *work, const ir_module *module);

/* ---- backends.c: the back ends by name
 * ------------------------------------------------------------------------------------ */

/* The number of the one chosen, or -1 after saying what is wrong. */
int driver_choose_backend(const driver_options *options);
/* Compiles the program of `passes` into memory by LLVM, with the session's cache. */
backend_code *driver_compile_llvm(driver_session *work, const pass_context *passes);
/* Compiles into memory. */
backend_code *driver_compile_code(driver_session *work, int backend);
/* The kernels are lowered for the target "scalar", whatever --target says. */
bool driver_backend_is_scalar(int backend);
bool driver_backend_links(int backend);
bool driver_link(driver_session *work, int backend, const char *output);

/* ---- the commands: each returns an exit status
 * ------------------------------------------------------------------------------------ */

int driver_build(driver_session *work); /* compile and --emit */
int driver_run(driver_session *work);
int driver_opt(driver_session *work);
int driver_explain(driver_session *work);
int driver_diff(driver_session *work);
int driver_sweep(driver_session *work);
int driver_bench(driver_session *work);
int driver_profile(driver_session *work);
int driver_cache(driver_session *work);

#endif
