#include "runtime/interrupt.h"

#include <signal.h>
#include <stddef.h>

/* A signal handler can reach nothing but globals. */
static volatile sig_atomic_t interrupted;
static struct sigaction former[2];
static const int signals[2] = {SIGINT, SIGTERM};

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
    for (int i = 0; i < 2; i++)
        signal(signals[i], SIG_DFL);
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
