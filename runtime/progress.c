#include "runtime/progress.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static const double terminal_pause = 0.1, pipe_pause = 10;

double rt_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

rt_progress rt_progress_begin(FILE *stream, int64_t batch) {
    return (rt_progress){
        .stream = stream, .terminal = isatty(fileno(stream)), .batch = batch, .shown_at = rt_seconds()};
}

static void show(rt_progress *progress, const rt_training_position *position, const char *what, double loss,
                 double rate) {
    int64_t per_epoch = position->steps_per_epoch;
    int64_t epoch = (position->step + per_epoch - 1) / per_epoch;
    int64_t epochs = (position->total_steps + per_epoch - 1) / per_epoch;
    double a_step = progress->seconds_run / (double)progress->steps_run;
    int64_t left = (int64_t)(a_step * (double)(position->total_steps - position->step) + 0.5);
    fprintf(progress->stream,
            "%sepoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64 "  %s %.4f  lr %.3g  %.0f images/s  %" PRId64
            ":%02d:%02d left%s",
            progress->terminal ? "\r" : "", epoch, epochs, position->step, position->total_steps, what, loss, rate,
            (double)progress->batch / a_step, left / 3600, (int)(left / 60 % 60), (int)(left % 60),
            progress->terminal ? "\033[K" : "\n");
    fflush(progress->stream);
    progress->line_open = progress->terminal;
}

void rt_progress_step(rt_progress *progress, const rt_training_position *position, double loss, double rate,
                      double seconds) {
    double now = rt_seconds();
    progress->steps_run++;
    progress->seconds_run += seconds;
    progress->epoch_loss += loss;
    progress->epoch_steps++;
    int epoch_ends = position->step % position->steps_per_epoch == 0 || position->step == position->total_steps;
    if (epoch_ends) {
        show(progress, position, "mean loss", progress->epoch_loss / (double)progress->epoch_steps, rate);
        rt_progress_break(progress);
        progress->epoch_loss = 0;
        progress->epoch_steps = 0;
    } else if (now - progress->shown_at >= (progress->terminal ? terminal_pause : pipe_pause)) {
        show(progress, position, "loss", loss, rate);
    } else {
        return;
    }
    progress->shown_at = now;
}

void rt_progress_break(rt_progress *progress) {
    if (progress->line_open)
        fputc('\n', progress->stream);
    progress->line_open = 0;
}
