/* cslc: the command line of the compiler. */
#include "backend/backend.h"
#include "frontend/frontend.h"
#include "passes/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_GOOD = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, MAX_LIST = 256 };

static const char help[] = "usage: cslc SPEC [options] -o PROGRAM         compile to an executable\n"
                           "       cslc run SPEC [options] -- ARGUMENTS   compile in memory and run its command line\n"
                           "       cslc SPEC [options] --emit=KIND        print a stage (see --emit below)\n"
                           "       cslc opt --passes=A,B FILE [-o FILE]   read IR, run passes, print it\n"
                           "\n"
                           "options\n"
                           "  -D NAME=VALUE         set a parameter of the method\n"
                           "  -I FOLDER             look for libraries there too\n"
                           "  -o FILE               where the output goes (- is standard output)\n"
                           "  --emit=KIND           ast, ir, dot, kernels, c, llvm, asm or obj\n"
                           "  --backend=NAME        llvm or c; for run also tcc or interp (default llvm)\n"
                           "  --target=NAME         amx, avx512, avx2, portable or scalar (default: this machine)\n"
                           "  --print-after=PASS    print the IR after a pass, or after all\n"
                           "  --disable-pass=PASS   leave a pass out\n"
                           "  --list-passes         list the passes\n"
                           "  --time-passes         print the time of each pass\n"
                           "  --remarks             say which scores were fused, and why others were not\n"
                           "  --verify              check the IR after every pass\n"
                           "  --version             print the compiler's version\n"
                           "  -h, --help            this text\n";

typedef struct {
    const char *command; /* "compile", "run", "opt" */
    const char *input, *output, *emit, *backend, *target, *passes, *print_after;
    const char *definitions[MAX_LIST], *folders[MAX_LIST], *disabled[MAX_LIST];
    int definition_count, folder_count, disabled_count;
    bool time_passes, remarks, verify, list_passes;
    char **program_arguments; /* after -- */
    int program_argument_count;
} options;

typedef struct {
    arena *memory;
    source_table sources;
    diag_list diags;
    const options *options;
    pass_context passes;
} session;

static int usage_error(const char *format, const char *detail, const char *suggestion) {
    fprintf(stderr, "cslc: ");
    fprintf(stderr, format, detail);
    if (suggestion)
        fprintf(stderr, "; did you mean '%s'?", suggestion);
    fprintf(stderr, "\ncslc: 'cslc --help' lists the options\n");
    return STATUS_USAGE;
}

/* ---- options
 * ---------------------------------------------------------------------------------------------------------------------
 */

static bool append(const char **list, int *count, const char *value) {
    if (*count == MAX_LIST)
        return false;
    list[(*count)++] = value;
    return true;
}

/* --name=value or --name value */
static const char *long_value(const char *argument, const char *name, int *at, int count, char **arguments) {
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return NULL;
    if (argument[length] == '=')
        return argument + length + 1;
    if (argument[length] == 0 && *at + 1 < count)
        return arguments[++*at];
    return NULL;
}

/* -Dvalue or -D value; NULL when the argument is another. */
static const char *short_value(const char *argument, char letter, int *at, int count, char **arguments) {
    if (argument[0] != '-' || argument[1] != letter)
        return NULL;
    if (argument[2])
        return argument + 2;
    return *at + 1 < count ? arguments[++*at] : NULL;
}

static bool take_named(options *chosen, int *at, int count, char **arguments) {
    const struct {
        const char *name;
        const char **place;
    } named[] = {{"--emit", &chosen->emit},
                 {"--backend", &chosen->backend},
                 {"--target", &chosen->target},
                 {"--passes", &chosen->passes},
                 {"--print-after", &chosen->print_after}};
    const char *argument = arguments[*at], *value;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if ((value = long_value(argument, named[i].name, at, count, arguments))) {
            *named[i].place = value;
            return true;
        }
    if ((value = short_value(argument, 'o', at, count, arguments))) {
        chosen->output = value;
        return true;
    }
    if ((value = short_value(argument, 'D', at, count, arguments)))
        return append(chosen->definitions, &chosen->definition_count, value);
    if ((value = short_value(argument, 'I', at, count, arguments)))
        return append(chosen->folders, &chosen->folder_count, value);
    if ((value = long_value(argument, "--disable-pass", at, count, arguments)))
        return append(chosen->disabled, &chosen->disabled_count, value);
    return false;
}

static bool take_flag(options *chosen, const char *argument) {
    const struct {
        const char *name;
        bool *place;
    } flags[] = {{"--time-passes", &chosen->time_passes},
                 {"--remarks", &chosen->remarks},
                 {"--verify", &chosen->verify},
                 {"--list-passes", &chosen->list_passes}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(argument, flags[i].name) == 0)
            return *flags[i].place = true;
    return false;
}

static int unknown_option(const char *argument) {
    static const char *const known[] = {"--emit",        "--backend",      "--target",      "--passes",
                                        "--print-after", "--disable-pass", "--list-passes", "--time-passes",
                                        "--remarks",     "--verify",       "--version",     "--help"};
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument, "="), argument);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0)
            return usage_error("option '%s' is used wrongly", argument, NULL);
    return usage_error("unknown option '%s'", argument, diag_suggest(name, known, sizeof known / sizeof *known));
}

/* Returns -1 to go on, or an exit status. */
static int parse_options(options *chosen, int count, char **arguments) {
    int at = 1;
    chosen->command = "compile";
    if (count > 1 && (strcmp(arguments[1], "run") == 0 || strcmp(arguments[1], "opt") == 0))
        chosen->command = arguments[at++];
    for (; at < count; at++) {
        const char *argument = arguments[at];
        if (strcmp(argument, "--") == 0) {
            chosen->program_arguments = arguments + at + 1;
            chosen->program_argument_count = count - at - 1;
            break;
        }
        if (strcmp(argument, "-h") == 0 || strcmp(argument, "--help") == 0) {
            fputs(help, stdout);
            return STATUS_GOOD;
        }
        if (strcmp(argument, "--version") == 0) {
            puts("cslc " CSL_VERSION);
            return STATUS_GOOD;
        }
        if (take_flag(chosen, argument) || take_named(chosen, &at, count, arguments))
            continue;
        if (argument[0] == '-' && argument[1])
            return unknown_option(argument);
        if (chosen->input)
            return usage_error("a second input '%s'", argument, NULL);
        chosen->input = argument;
    }
    return -1;
}

static int check_pass_names(const options *chosen) {
    int count;
    const pass_info *const *all = pass_list(&count);
    const char *names[64];
    for (int i = 0; i < count; i++)
        names[i] = all[i]->name;
    for (int i = 0; i < chosen->disabled_count; i++) {
        const pass_info *pass = pass_find(chosen->disabled[i]);
        if (!pass)
            return usage_error("no pass '%s'", chosen->disabled[i], diag_suggest(chosen->disabled[i], names, count));
        if (pass->required)
            return usage_error("the pass '%s' cannot be left out", pass->name, NULL);
    }
    if (chosen->print_after && strcmp(chosen->print_after, "all") != 0 && !pass_find(chosen->print_after))
        return usage_error("no pass '%s'", chosen->print_after, diag_suggest(chosen->print_after, names, count));
    return -1;
}

static int list_passes(void) {
    int count;
    const pass_info *const *all = pass_list(&count);
    for (int i = 0; i < count; i++)
        printf("%-24s %s%s\n", all[i]->name, all[i]->doc, all[i]->required ? " (always runs)" : "");
    return STATUS_GOOD;
}

/* ---- sessions
 * ---------------------------------------------------------------------------------------------------------------------
 */

static bool session_begin(session *work, const options *chosen) {
    *work = (session){.memory = arena_new(), .options = chosen};
    if (!work->memory) {
        fprintf(stderr, "cslc: error: out of memory\n");
        return false;
    }
    work->sources.memory = work->memory;
    work->diags = (diag_list){.memory = work->memory, .sources = &work->sources};
    work->passes = (pass_context){.memory = work->memory, .diags = &work->diags, .target = kir_target_host()};
    work->passes.remarks = chosen->remarks;
    return true;
}

/* Text that standard output did not take makes a good status a failure. */
static int finish(int status) {
    if ((fflush(stdout) || ferror(stdout)) && status == STATUS_GOOD) {
        fprintf(stderr, "cslc: error: cannot write 'standard output': %s\n", strerror(errno));
        return STATUS_FAILED;
    }
    return status;
}

static int session_end(session *work, int status) {
    if (work->diags.count > 0) {
        text_buffer text = {0};
        diag_render(&work->diags, &text, isatty(STDERR_FILENO));
        fputs(text.data, stderr);
        text_free(&text);
    }
    arena_free(work->memory);
    return finish(status);
}

static int write_output(const char *path, const text_buffer *text) {
    if (text_write_file(path ? path : "-", text->data ? text->data : "", text->length) == 0)
        return STATUS_GOOD;
    fprintf(stderr, "cslc: error: cannot write '%s': %s\n", path ? path : "standard output", strerror(errno));
    return STATUS_FAILED;
}

static void print_module_or_program(const pass_context *context, text_buffer *out) {
    if (context->program)
        kir_print(context->program, out);
    else
        ir_print(context->module, out);
}

static void after_pass(void *user, const pass_info *pass, const pass_context *context, double seconds) {
    const options *chosen = user;
    if (chosen->time_passes)
        fprintf(stderr, "%-24s %8.2f ms\n", pass->name, 1e3 * seconds);
    if (!chosen->print_after ||
        (strcmp(chosen->print_after, "all") != 0 && strcmp(chosen->print_after, pass->name) != 0))
        return;
    text_buffer text = {0};
    print_module_or_program(context, &text);
    printf("; after %s\n%s", pass->name, text.data ? text.data : "");
    text_free(&text);
}

static pass_options pass_options_of(const options *chosen, const char *stop_before) {
    return (pass_options){.disabled = chosen->disabled,
                          .disabled_count = chosen->disabled_count,
                          .verify = chosen->verify,
                          .stop_before = stop_before,
                          .after = after_pass,
                          .user = (void *)(uintptr_t)chosen};
}

/* The library path: -I folders, then the libraries that come with the compiler. */
static ir_module *compile_spec(session *work) {
    const options *chosen = work->options;
    const char **folders = arena_alloc(work->memory, (size_t)(chosen->folder_count + 1) * sizeof *folders);
    for (int i = 0; i < chosen->folder_count; i++)
        folders[i] = chosen->folders[i];
    folders[chosen->folder_count] = CSL_LIBRARY_FOLDER;
    fe_options front = {chosen->definitions, chosen->definition_count, folders, chosen->folder_count + 1};
    return fe_compile(work->memory, &work->diags, chosen->input, &front);
}

/* Spec to planned program, stopping before a pass if asked to. */
static bool compile_program(session *work, const char *stop_before) {
    work->passes.module = compile_spec(work);
    pass_options passes = pass_options_of(work->options, stop_before);
    return work->passes.module && pass_run_pipeline(&work->passes, &passes);
}

/* ---- commands
 * ---------------------------------------------------------------------------------------------------------------------
 */

static int emit_ast(session *work) {
    fe_file *file = fe_load(work->memory, &work->diags, work->options->input);
    if (!file)
        return STATUS_FAILED;
    text_buffer text = {0};
    fe_print(file, &text);
    int status = write_output(work->options->output, &text);
    text_free(&text);
    return status;
}

static int emit(session *work) {
    const char *kind = work->options->emit;
    static const char *const kinds[] = {"ast", "ir", "dot", "kernels", "c", "llvm", "asm", "obj"};
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        known |= strcmp(kind, kinds[i]) == 0;
    if (!known)
        return usage_error("nothing to emit called '%s'", kind,
                           diag_suggest(kind, kinds, sizeof kinds / sizeof *kinds));
    if (strcmp(kind, "ast") == 0)
        return emit_ast(work);
    bool module_only = strcmp(kind, "ir") == 0 || strcmp(kind, "dot") == 0;
    if (!compile_program(work, module_only ? "lower" : NULL))
        return STATUS_FAILED;
    text_buffer text = {0};
    bool good = true;
    if (strcmp(kind, "ir") == 0)
        ir_print(work->passes.module, &text);
    else if (strcmp(kind, "dot") == 0)
        ir_print_dot(work->passes.module, &text);
    else if (strcmp(kind, "kernels") == 0)
        kir_print(work->passes.program, &text);
    else if (strcmp(kind, "c") == 0)
        good = cgen_emit(work->passes.program, &work->passes.target, &text, &work->diags);
    else
        good = llvm_emit(work->passes.program, &work->passes.target,
                         kind[0] == 'l'   ? LLVM_TEXT
                         : kind[0] == 'a' ? LLVM_ASSEMBLY
                                          : LLVM_OBJECT,
                         &text, &work->diags);
    int status = good ? write_output(work->options->output, &text) : STATUS_FAILED;
    text_free(&text);
    return status;
}

/* The back ends: in memory for `run`, and those that make executables. */
typedef backend_code *compile_function(session *work);
typedef bool link_function(const kir_program *program, const kir_target *target, const char *runtime_library,
                           const char *output_path, diag_list *diags);

static backend_code *run_llvm(session *work) {
    return llvm_compile(work->passes.program, &work->passes.target, &work->diags);
}

static backend_code *run_c(session *work) {
    return cgen_compile(work->passes.program, &work->passes.target, &work->diags);
}

static backend_code *run_tcc(session *work) {
    return tcc_compile(work->passes.program, &work->diags);
}

static backend_code *run_interp(session *work) {
    return interp_compile(work->passes.module, work->passes.program, &work->diags);
}

enum { BACKEND_COUNT = 4 };
static const char *const backend_names[BACKEND_COUNT] = {"llvm", "c", "tcc", "interp"};
static compile_function *const backend_compilers[BACKEND_COUNT] = {run_llvm, run_c, run_tcc, run_interp};
static link_function *const backend_linkers[BACKEND_COUNT] = {llvm_link, cgen_link, NULL, NULL};

/* The chosen one, or -1 after saying what is wrong. */
static int choose_backend(const options *chosen) {
    if (!chosen->backend)
        return 0;
    for (int i = 0; i < BACKEND_COUNT; i++)
        if (strcmp(chosen->backend, backend_names[i]) == 0)
            return i;
    usage_error("no back end '%s'", chosen->backend, diag_suggest(chosen->backend, backend_names, BACKEND_COUNT));
    return -1;
}

static int build(session *work) {
    int backend = choose_backend(work->options);
    if (backend < 0)
        return STATUS_USAGE;
    if (!work->options->output)
        return usage_error("compiling '%s' needs -o PROGRAM or --emit=KIND", work->options->input, NULL);
    if (!backend_linkers[backend])
        return usage_error("the back end '%s' makes no executables; use it with run", work->options->backend, NULL);
    bool good = compile_program(work, NULL) &&
                backend_linkers[backend](work->passes.program, &work->passes.target, CSL_RUNTIME_LIBRARY,
                                         work->options->output, &work->diags);
    return good ? STATUS_GOOD : STATUS_FAILED;
}

static int run(session *work) {
    const options *chosen = work->options;
    int backend = choose_backend(chosen);
    if (backend < 0)
        return STATUS_USAGE;
    if (backend_compilers[backend] == run_tcc)
        kir_target_named("scalar", &work->passes.target); /* all that libtcc can compile */
    if (!compile_program(work, NULL))
        return STATUS_FAILED;
    backend_code *code = backend_compilers[backend](work);
    if (!code)
        return STATUS_FAILED;
    int count = chosen->program_argument_count + 1;
    char **arguments = arena_alloc(work->memory, (size_t)(count + 1) * sizeof *arguments);
    arguments[0] = arena_strdup(work->memory, work->passes.module->name);
    for (int i = 1; i < count; i++)
        arguments[i] = chosen->program_arguments[i - 1];
    int status = rt_main(count, arguments, backend_program(code));
    backend_free(code);
    return status;
}

/* Runs the named passes, in order, on a module read from its text. */
static int optimize(session *work) {
    const options *chosen = work->options;
    size_t length = 0;
    char *text = text_read_file(chosen->input, &length);
    if (!text) {
        fprintf(stderr, "cslc: error: cannot read '%s': %s\n", chosen->input, strerror(errno));
        return STATUS_FAILED;
    }
    const char *kept = arena_strndup(work->memory, text, length);
    free(text);
    work->passes.module = ir_parse(work->memory, &work->diags, chosen->input, kept, length);
    if (!work->passes.module || !ir_verify(work->passes.module, &work->diags))
        return STATUS_FAILED;
    pass_options passes = pass_options_of(chosen, NULL);
    passes.verify = true;
    char *names = arena_strdup(work->memory, chosen->passes ? chosen->passes : "");
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        const pass_info *pass = pass_find(name);
        if (!pass)
            return usage_error("no pass '%s'", name, NULL);
        if (!pass_run(&work->passes, pass, &passes))
            return STATUS_FAILED;
    }
    text_buffer out = {0};
    print_module_or_program(&work->passes, &out);
    int status = write_output(chosen->output, &out);
    text_free(&out);
    return status;
}

int main(int count, char **arguments) {
    static options chosen;
    session work;
    int status = parse_options(&chosen, count, arguments);
    if (status >= 0)
        return finish(status);
    if (chosen.list_passes)
        return finish(list_passes());
    if (!chosen.input) {
        fputs(help, stderr);
        return STATUS_USAGE;
    }
    if ((status = check_pass_names(&chosen)) >= 0)
        return status;
    if (!session_begin(&work, &chosen))
        return STATUS_FAILED;
    if (chosen.target && !kir_target_named(chosen.target, &work.passes.target))
        return session_end(&work, usage_error("no target '%s'", chosen.target, NULL));
    if (strcmp(chosen.command, "opt") == 0)
        status = optimize(&work);
    else if (strcmp(chosen.command, "run") == 0)
        status = run(&work);
    else if (chosen.emit)
        status = emit(&work);
    else
        status = build(&work);
    return session_end(&work, status);
}
