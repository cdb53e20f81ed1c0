/* Running the system's C compiler: executables from C or object files, and shared objects for this process. */
#include "backend/code.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 32, MESSAGE_BYTES = 4096 };

#ifdef CSL_SANITIZE /* the runtime library is instrumented: so must the programs be that link it */
#define SANITIZER_FLAG "-fsanitize=address,undefined",
#else
#define SANITIZER_FLAG
#endif

/* Runs a command with its messages collected; 0 when it succeeded. */
static int run_command(const char *const *arguments, char *message) {
    int pipes[2];
    if (pipe(pipes) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(pipes[1]);
    size_t length = 0;
    char rest[512];
    ssize_t got;
    while (child > 0 && (got = read(pipes[0], rest, sizeof rest)) > 0) {
        size_t room = MESSAGE_BYTES - 1 - length, keep = (size_t)got < room ? (size_t)got : room;
        memcpy(message + length, rest, keep);
        length += keep;
    }
    message[length] = 0;
    close(pipes[0]);
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool compile(const char *const *arguments, diag_list *diags, const char *what) {
    char message[MESSAGE_BYTES] = "";
    int status = run_command(arguments, message);
    source_span nowhere = {0};
    if (status == 127)
        diag_error(diags, nowhere, "%s needs the C compiler '%s', which cannot be run", what, arguments[0]);
    else if (status != 0)
        diag_error(diags, nowhere, "%s failed: %s", what, message);
    return status == 0;
}

static const char *compiler(void) {
    const char *named = getenv("CC");
    return named && *named ? named : "cc";
}

static void remove_folder(char *folder) {
    char path[512];
    static const char *const names[] = {"program.c", "program.so"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static bool make_folder(char *folder, size_t size, diag_list *diags) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, size, "%s/cslc-XXXXXX", base && *base ? base : "/tmp");
    if (mkdtemp(folder))
        return true;
    source_span nowhere = {0};
    diag_error(diags, nowhere, "cannot make a temporary folder '%s': %s", folder, strerror(errno));
    return false;
}

/* `output`.tmp, where the linker writes: known to be writable before any work is done, and empty. */
static bool open_temporary(const char *output, char *temporary, size_t size, diag_list *diags) {
    source_span nowhere = {0};
    struct stat there;
    if (snprintf(temporary, size, "%s.tmp", output) >= (int)size)
        return diag_error(diags, nowhere, "the output path is too long"), false;
    if (stat(output, &there) == 0 && !S_ISREG(there.st_mode))
        return diag_error(diags, nowhere, "cannot write '%s': it is no regular file", output), false;
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0 || close(file) != 0)
        return diag_error(diags, nowhere, "cannot write '%s': %s", output, strerror(errno)), false;
    return true;
}

bool backend_link(const char *object_path, const char *runtime_library, const char *output_path, diag_list *diags) {
    char temporary[4096];
    if (!open_temporary(output_path, temporary, sizeof temporary, diags))
        return false;
    const char *arguments[MAX_ARGUMENTS] = {compiler(),      SANITIZER_FLAG "-o", temporary, object_path,
                                            runtime_library, "-lopenblas",        "-ljpeg",  "-lpng",
                                            "-lz",           "-lpthread",         "-lm",     NULL};
    bool good = compile(arguments, diags, "linking");
    if (good && rename(temporary, output_path) != 0) {
        source_span nowhere = {0};
        diag_error(diags, nowhere, "cannot write '%s': %s", output_path, strerror(errno));
        good = false;
    }
    if (!good)
        unlink(temporary);
    return good;
}

static void close_library(void *handle) {
    dlclose(handle);
}

/* Loads the shared object and looks up the program in it. */
static backend_code *load(const char *path, diag_list *diags) {
    source_span nowhere = {0};
    int count;
    backend_runtime_symbols(&count); /* keeps them in the executable, where the library finds them */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const rt_program *program = library ? dlsym(library, "csl_program") : NULL;
    backend_code *code = program ? calloc(1, sizeof *code) : NULL;
    if (!code) {
        diag_error(diags, nowhere, "cannot load the compiled program: %s", dlerror());
        if (library)
            dlclose(library);
        return NULL;
    }
    *code = (backend_code){program, library, close_library};
    return code;
}

backend_code *cgen_compile(const kir_program *program, const kir_target *target, diag_list *diags) {
    char folder[256], source[300], object[300];
    text_buffer text = {0};
    if (!cgen_emit(program, target, &text, diags) || !make_folder(folder, sizeof folder, diags)) {
        text_free(&text);
        return NULL;
    }
    snprintf(source, sizeof source, "%s/program.c", folder);
    snprintf(object, sizeof object, "%s/program.so", folder);
    backend_code *code = NULL;
    const char *arguments[MAX_ARGUMENTS] = {compiler(),
                                            "-O3",
                                            "-march=native",
                                            "-fno-math-errno",
                                            "-w",
                                            "-shared",
                                            "-fPIC",
                                            "-DCSL_NO_MAIN",
                                            "-I",
                                            CSL_INCLUDE_FOLDER,
                                            "-o",
                                            object,
                                            source,
                                            NULL};
    if (text_write_file(source, text.data, text.length) != 0) {
        source_span nowhere = {0};
        diag_error(diags, nowhere, "cannot write '%s': %s", source, strerror(errno));
    } else if (compile(arguments, diags, "compiling the program's C")) {
        code = load(object, diags);
    }
    text_free(&text);
    remove_folder(folder);
    return code;
}

bool cgen_link(const kir_program *program, const kir_target *target, const char *runtime_library,
               const char *output_path, diag_list *diags) {
    char folder[256], source[300], temporary[4096];
    text_buffer text = {0};
    source_span nowhere = {0};
    if (!open_temporary(output_path, temporary, sizeof temporary, diags))
        return false;
    if (!cgen_emit(program, target, &text, diags) || !make_folder(folder, sizeof folder, diags)) {
        unlink(temporary);
        text_free(&text);
        return false;
    }
    snprintf(source, sizeof source, "%s/program.c", folder);
    const char *arguments[MAX_ARGUMENTS] = {compiler(),
                                            "-O3",
                                            "-march=native",
                                            "-fno-math-errno",
                                            "-w",
                                            SANITIZER_FLAG "-I",
                                            CSL_INCLUDE_FOLDER,
                                            "-o",
                                            temporary,
                                            source,
                                            runtime_library,
                                            "-lopenblas",
                                            "-ljpeg",
                                            "-lpng",
                                            "-lz",
                                            "-lpthread",
                                            "-lm",
                                            NULL};
    bool good = text_write_file(source, text.data, text.length) == 0;
    if (!good)
        diag_error(diags, nowhere, "cannot write '%s': %s", source, strerror(errno));
    good = good && compile(arguments, diags, "compiling the program");
    if (good && rename(temporary, output_path) != 0) {
        diag_error(diags, nowhere, "cannot write '%s': %s", output_path, strerror(errno));
        good = false;
    }
    if (!good)
        unlink(temporary);
    text_free(&text);
    remove_folder(folder);
    return good;
}
