/* Running the system's C compiler: executables from C or object files, and shared objects for this process. */
#include "backend/code.h"
#include "runtime/cpu.h"
#include "runtime/interrupt.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 24 /* beside the inputs */, MESSAGE_BYTES = 4096 };

#ifdef CSL_SANITIZE /* the runtime library is instrumented: so must the programs be that link it */
#define SANITIZER_FLAG "-fsanitize=" CSL_SANITIZE,
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
    source_span nowhere = {0};
    rt_interrupt_catch(); /* what was begun is cleared away */
    int status = run_command(arguments, message);
    bool stopped = rt_interrupted();
    rt_interrupt_release();
    if (stopped)
        return diag_error(diags, nowhere, "%s was stopped", what), false;
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

/* A temporary folder and the files in it. */
typedef struct {
    arena *memory;
    char *path;
    const char **files;
    int file_count, file_capacity;
} work_folder;

static bool folder_open(work_folder *folder, diag_list *diags) {
    const char *base = getenv("TMPDIR");
    *folder = (work_folder){.memory = arena_new()};
    folder->path = arena_printf(folder->memory, "%s/cslc-XXXXXX", base && *base ? base : "/tmp");
    if (mkdtemp(folder->path))
        return true;
    diag_error(diags, (source_span){0}, "cannot make a temporary folder '%s': %s", folder->path, strerror(errno));
    arena_free(folder->memory);
    return false;
}

/* The path of a file in it, which goes with the folder. */
static const char *folder_file(work_folder *folder, const char *name) {
    const char *path = arena_printf(folder->memory, "%s/%s", folder->path, name);
    ARENA_PUSH(folder->memory, folder->files, folder->file_count, folder->file_capacity, path);
    return path;
}

static bool folder_write(const char *path, const char *data, size_t length, diag_list *diags) {
    if (text_write_file(path, data, length) == 0)
        return true;
    diag_error(diags, (source_span){0}, "cannot write '%s': %s", path, strerror(errno));
    return false;
}

static void folder_close(work_folder *folder) {
    for (int i = 0; i < folder->file_count; i++)
        unlink(folder->files[i]);
    rmdir(folder->path);
    arena_free(folder->memory);
}

/* ---- executables ----------------------------------------------------------------------------------------------- */

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

/* Runs the compiler on `inputs` with `options` before them; the executable appears under its name when complete. */
static bool make_executable(arena *memory, const char *const *options, const char *const *inputs, int input_count,
                            const char *runtime_library, const char *output_path, const char *what, diag_list *diags) {
    static const char *const libraries[] = {"-lopenblas", "-ljpeg", "-lpng", "-lz", "-lpthread", "-lm"};
    source_span nowhere = {0};
    char temporary[4096];
    if (!open_temporary(output_path, temporary, sizeof temporary, diags))
        return false;
    const char **arguments = arena_alloc(memory, (size_t)(input_count + MAX_ARGUMENTS) * sizeof *arguments);
    int count = 0;
    arguments[count++] = compiler();
    arguments[count++] = "-o";
    arguments[count++] = temporary;
    for (; *options; options++)
        arguments[count++] = *options;
    for (int i = 0; i < input_count; i++)
        arguments[count++] = inputs[i];
    arguments[count++] = runtime_library;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        arguments[count++] = libraries[i];
    arguments[count] = NULL;
    rt_interrupt_removes(temporary);
    bool good = compile(arguments, diags, what);
    if (good && rename(temporary, output_path) != 0) {
        diag_error(diags, nowhere, "cannot write '%s': %s", output_path, strerror(errno));
        good = false;
    }
    if (!good)
        unlink(temporary);
    rt_interrupt_keeps(temporary);
    return good;
}

bool backend_link(const backend_bytes *objects, int count, const char *runtime_library, const char *output_path,
                  diag_list *diags) {
    static const char *const options[] = {SANITIZER_FLAG NULL};
    work_folder folder;
    if (!folder_open(&folder, diags))
        return false;
    const char **paths = arena_alloc(folder.memory, (size_t)count * sizeof *paths);
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        char name[32];
        snprintf(name, sizeof name, "part%d.o", i);
        paths[i] = folder_file(&folder, name);
        good = folder_write(paths[i], objects[i].data, objects[i].length, diags);
    }
    good =
        good && make_executable(folder.memory, options, paths, count, runtime_library, output_path, "linking", diags);
    folder_close(&folder);
    return good;
}

bool cgen_link(const kir_program *program, const kir_target *target, const char *runtime_library,
               const char *output_path, diag_list *diags) {
    const char *const options[] = {
        "-O3", backend_compiler_flag(target), "-fno-math-errno", "-w", SANITIZER_FLAG "-I", CSL_INCLUDE_FOLDER, NULL};
    text_buffer text = {0};
    work_folder folder;
    bool good = cgen_emit(program, target, &text, diags) && folder_open(&folder, diags);
    if (good) {
        const char *source = folder_file(&folder, "program.c");
        good = folder_write(source, text.data, text.length, diags) &&
               make_executable(folder.memory, options, &source, 1, runtime_library, output_path,
                               "compiling the program's C", diags);
        folder_close(&folder);
    }
    text_free(&text);
    return good;
}

/* ---- in memory ------------------------------------------------------------------------------------------------- */

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
    text_buffer text = {0};
    work_folder folder;
    backend_code *code = NULL;
    if (cgen_emit(program, target, &text, diags) && folder_open(&folder, diags)) {
        const char *source = folder_file(&folder, "program.c"), *object = folder_file(&folder, "program.so");
        rt_error lacking = {{0}}; /* vectors wider than this processor's are taken apart */
        bool whole = rt_cpu_check(backend_c_processor(target), &lacking) == 0;
        const char *arguments[MAX_ARGUMENTS] = {compiler(),
                                                "-O3",
                                                whole ? backend_compiler_flag(target) : "-march=native",
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
        if (folder_write(source, text.data, text.length, diags) &&
            compile(arguments, diags, "compiling the program's C"))
            code = load(object, diags);
        folder_close(&folder);
    }
    text_free(&text);
    return code;
}
