/* One cell of a sweep: `cslc run … -- train …` in a process of its own, whose output goes to CELL/log.txt. */
#include "frontend/driver/sweep.h"

#include "runtime/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the command ---------------------------------------------------------------------------------------------------
 */

typedef struct {
    arena *memory;
    driver_list words;
} command_line;

static void add(command_line *line, const char *word) {
    ARENA_PUSH(line->memory, line->words.items, line->words.count, line->words.capacity, word);
}

static void add_pair(command_line *line, const char *name, const char *value) {
    if (value) {
        add(line, name);
        add(line, value);
    }
}

bool sweep_is_given(const driver_options *options, const char *flag) {
    size_t length = strlen(flag);
    for (int i = 0; i < options->program_argument_count; i++) {
        const char *word = options->program_arguments[i];
        if (strncmp(word, flag, length) == 0 && (word[length] == 0 || word[length] == '='))
            return true;
    }
    return false;
}

/* `otherwise`: what is so without the option; NULL is not worth a word. */
static void add_choice(arena *memory, sweep_choices *choices, const char *option, const char *words, const char *value,
                       const char *otherwise) {
    if (!value && !otherwise)
        return;
    sweep_choice choice = {
        .flag = value ? arena_printf(memory, "--%s=%s", option, value) : NULL,
        .words = arena_printf(memory, "%s %s", words, value ? value : otherwise),
    };
    ARENA_PUSH(memory, choices->items, choices->count, choices->capacity, choice);
}

sweep_choices sweep_compiler_choices(const sweep_plan *plan) {
    const driver_options *options = plan->work->options;
    sweep_choices choices = {0};
    add_choice(plan->memory, &choices, "backend", "backend", options->backend, "llvm");
    add_choice(plan->memory, &choices, "target", "target", options->target, "of the machine");
    add_choice(plan->memory, &choices, "precision", "precision", options->precision, NULL);
    add_choice(plan->memory, &choices, "memory-limit", "memory limit", options->memory_limit, NULL);
    for (int i = 0; i < options->disabled.count; i++)
        add_choice(plan->memory, &choices, "disable-pass", "without", options->disabled.items[i], NULL);
    return choices;
}

const char **sweep_arguments(const sweep_plan *plan, const sweep_cell *cell, int *count) {
    const driver_options *options = plan->work->options;
    command_line line = {.memory = plan->memory};
    add(&line, "cslc");
    add(&line, "run");
    add(&line, cell->spec);
    for (int i = 0; i < cell->definitions.count; i++)
        add_pair(&line, "-D", cell->definitions.items[i]);
    for (int i = 0; i < options->folders.count; i++)
        add_pair(&line, "-I", options->folders.items[i]);
    sweep_choices choices = sweep_compiler_choices(plan);
    for (int i = 0; i < choices.count; i++)
        if (choices.items[i].flag)
            add(&line, choices.items[i].flag);
    add(&line, "--");
    for (int i = 0; i < options->program_argument_count; i++)
        add(&line, options->program_arguments[i]);
    if (cell->evaluates && !sweep_is_given(options, "--test"))
        add(&line, "--test");
    add_pair(&line, "--out", cell->folder);
    if (cell->begun)
        add(&line, "--resume");
    *count = line.words.count;
    add(&line, NULL);
    return line.words.items;
}

/* The command as one would type it. */
static void write_command(FILE *stream, const char *const *words, int count) {
    fputc('$', stream);
    for (int i = 0; i < count; i++) {
        bool plain = strspn(words[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-=+./,:@%") ==
                         strlen(words[i]) &&
                     *words[i];
        fputs(plain ? " " : " '", stream);
        for (const char *at = words[i]; *at; at++)
            fputs(*at == '\'' ? "'\\''" : (char[]){*at, 0}, stream);
        fputs(plain ? "" : "'", stream);
    }
    fputc('\n', stream);
}

/* ---- the process ---------------------------------------------------------------------------------------------------
 */

/* In the child: a group of its own, so that Ctrl-C at a terminal reaches it once, through its parent; and an end when
 * the parent ends otherwise. */
static void become(const char *const *words, int log, pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int nothing = open("/dev/null", O_RDONLY);
    if (getppid() != parent || nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(STATUS_FAILED);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    execv("/proc/self/exe", (char *const *)(uintptr_t)words);
    fprintf(stderr, "error: cannot start the compiler again: %s\n", strerror(errno));
    _exit(STATUS_FAILED);
}

/* Waits for the child, passing on the first interrupt; its wait status. */
static int wait_for(pid_t child) {
    const struct timespec pause = {.tv_nsec = 20000000};
    bool told = false;
    int status;
    for (;;) {
        pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child)
            return status;
        if (got < 0 && errno != EINTR)
            return STATUS_FAILED << 8;
        if (rt_interrupted() && !told) {
            kill(child, SIGINT);
            told = true;
        }
        nanosleep(&pause, NULL);
    }
}

/* ---- what came of it -----------------------------------------------------------------------------------------------
 */

static bool is_error(const char *line) {
    return strncmp(line, "error: ", 7) == 0 || strstr(line, ": error: ") != NULL;
}

/* The first error that the log holds from `begin` on, else its last line. */
static const char *log_message(arena *memory, const char *path, long begin) {
    FILE *log = fopen(path, "r");
    char line[1024], *message = NULL;
    bool found = false;
    if (log && fseek(log, begin, SEEK_SET) == 0)
        while (!found && fgets(line, sizeof line, log)) {
            line[strcspn(line, "\n")] = 0;
            found = is_error(line);
            if (*line)
                message = arena_strdup(memory, strncmp(line, "error: ", 7) == 0 ? line + 7 : line);
        }
    if (log)
        fclose(log);
    return message ? message : "no message";
}

/* The child's first interrupt may come before it listens: then the signal itself ends it. */
static bool was_stopped(int status) {
    return rt_interrupted() && ((WIFEXITED(status) && WEXITSTATUS(status) == STATUS_INTERRUPTED) ||
                                (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT));
}

static int conclude(const sweep_plan *plan, sweep_cell *cell, int status, const char *log, long begin) {
    cell->state = SWEEP_FAILED;
    if (was_stopped(status)) {
        cell->state = SWEEP_STOPPED;
    } else if (WIFSIGNALED(status)) {
        cell->message =
            arena_printf(plan->memory, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) == STATUS_GOOD) {
        cell->state = SWEEP_DONE;
        return sweep_write_record(plan, cell, true) ? -1 : STATUS_FAILED;
    } else {
        cell->message = log_message(plan->memory, log, begin);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS_USAGE)
        return -1;
    fprintf(stderr, "%scslc: error: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", cell->message);
    return STATUS_USAGE;
}

int sweep_run_cell(const sweep_plan *plan, sweep_cell *cell) {
    if (!sweep_write_record(plan, cell, false))
        return STATUS_FAILED;
    const char *path = arena_printf(plan->memory, "%s/log.txt", cell->folder);
    FILE *log = fopen(path, "ae");
    if (!log) {
        fprintf(stderr, "cslc: error: cannot write %s: %s\n", path, strerror(errno));
        return STATUS_FAILED;
    }
    int count;
    const char **words = sweep_arguments(plan, cell, &count);
    write_command(log, words, count);
    fflush(log);
    long begin = ftell(log);
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        become(words, fileno(log), parent);
    fclose(log);
    if (child < 0) {
        fprintf(stderr, "cslc: error: cannot start a process: %s\n", strerror(errno));
        return STATUS_FAILED;
    }
    return conclude(plan, cell, wait_for(child), path, begin);
}
