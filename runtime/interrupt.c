#include "runtime/interrupt.h"

#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FILES = 4 };

/* A signal handler can reach nothing but globals. */
static volatile sig_atomic_t interrupted;
static struct sigaction former[2];
static const int signals[2] = {SIGINT, SIGTERM};

/* Copies, so that a handler in another thread never reads a path that was freed. */
static struct {
    volatile sig_atomic_t is_unfinished;
    char path[PATH_MAX];
} files[MOST_FILES];

static void on_signal(int number) {
    if (!interrupted) {
        interrupted = 1;
        return;
    }
    for (int i = 0; i < MOST_FILES; i++)
        if (files[i].is_unfinished)
            unlink(files[i].path);
    signal(number, SIG_DFL);
    raise(number); /* held back until this handler returns */
}

void rt_interrupt_removes(const char *path) {
    size_t size = strlen(path) + 1;
    for (int i = 0; i < MOST_FILES && size <= sizeof files[i].path; i++)
        if (!files[i].is_unfinished) {
            memcpy(files[i].path, path, size);
            files[i].is_unfinished = 1;
            return;
        }
}

void rt_interrupt_keeps(const char *path) {
    for (int i = 0; i < MOST_FILES; i++)
        if (files[i].is_unfinished && strcmp(files[i].path, path) == 0)
            files[i].is_unfinished = 0;
}

void rt_interrupt_catch(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    for (int i = 0; i < 2; i++)
        sigaction(signals[i], &action, &former[i]);
}

void rt_interrupt_release(void) {
    for (int i = 0; i < 2; i++)
        sigaction(signals[i], &former[i], NULL);
    interrupted = 0;
}

int rt_interrupted(void) {
    return interrupted;
}
