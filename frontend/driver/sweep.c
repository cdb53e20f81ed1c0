/* cslc sweep: specs under all combinations of settings, each trained and evaluated in its own process. */
#include "frontend/driver/sweep.h"

#include "runtime/interrupt.h"
#include "runtime/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The flags of `train` that a sweep gives itself, or that make no run. */
static int check_arguments(const driver_options *options) {
    static const char *const own[] = {"--out", "--resume", "--dump-step"};
    if (options->program_argument_count == 0 || strcmp(options->program_arguments[0], "train") != 0)
        return driver_usage_error("sweep needs -- train ARGUMENTS%s at its end",
                                  options->program_argument_count ? ", not another command," : "", NULL);
    for (size_t k = 0; k < sizeof own / sizeof *own; k++)
        if (sweep_is_given(options, own[k]))
            return driver_usage_error("a sweep gives its runs no '%s': every cell has its own folder", own[k], NULL);
    return -1;
}

/* The folder, locked against a second sweep as long as the descriptor is open, here or in a run that outlives this
 * process; -1 after saying what is wrong. */
static int open_folder(const char *folder) {
    rt_error error;
    if (rt_make_folders(folder, &error)) {
        fprintf(stderr, "cslc: error: %s\n", error.text);
        return -1;
    }
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY);
    if (descriptor < 0) {
        fprintf(stderr, "cslc: error: cannot open the folder %s: %s\n", folder, strerror(errno));
    } else if (flock(descriptor, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        fprintf(stderr, "cslc: error: another sweep is at work in %s\n", folder);
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static void print_cells(const sweep_plan *plan) {
    for (int i = 0; i < plan->cell_count; i++) {
        const sweep_cell *cell = &plan->cells[i];
        printf("%-11s  %s\n", cell->known ? "done" : cell->begun ? "to continue" : "to run", cell->name);
    }
}

static void show(const sweep_plan *plan, int number, const char *text, const char *end) {
    bool terminal = isatty(STDERR_FILENO);
    fprintf(stderr, "%s[%d/%d] %s  %s%s%s", terminal ? "\r" : "", number + 1, plan->cell_count,
            plan->cells[number].name, text, terminal ? "\033[K" : "", end);
    fflush(stderr);
}

/* Runs what is not done yet; the status so far. The tables are up to date after every cell. */
static int run_cells(sweep_plan *plan) {
    int status = STATUS_GOOD;
    for (int i = 0; i < plan->cell_count; i++)
        if (plan->cells[i].known)
            sweep_read_results(plan->memory, &plan->cells[i]);
    for (int i = 0; i < plan->cell_count && !rt_interrupted(); i++) {
        sweep_cell *cell = &plan->cells[i];
        if (isatty(STDERR_FILENO))
            show(plan, i, cell->begun ? "continues …" : "runs …", "");
        int ended = cell->known ? -1 : sweep_run_cell(plan, cell);
        if (ended >= 0)
            return ended;
        if (cell->state == SWEEP_DONE && !cell->known)
            sweep_read_results(plan->memory, cell);
        show(plan, i, sweep_summary(plan->memory, cell), cell->known ? "  (done before)\n" : "\n");
        if (cell->state == SWEEP_FAILED)
            status = STATUS_FAILED;
        plan->written = sweep_write_tables(plan);
        if (!plan->written)
            return STATUS_FAILED;
    }
    if (!rt_interrupted())
        return status;
    fprintf(stderr, "stopped; the same command goes on from here\n");
    return STATUS_INTERRUPTED;
}

static int run_in_folder(sweep_plan *plan) {
    int lock = open_folder(plan->folder);
    if (lock < 0)
        return STATUS_FAILED;
    rt_interrupt_catch();
    int status = run_cells(plan);
    rt_interrupt_release();
    close(lock);
    if (plan->written)
        printf("%s/table.md, table.csv and plot.svg are written\n", plan->folder);
    return status;
}

int driver_sweep(driver_session *work) {
    sweep_plan plan = {.work = work, .memory = work->memory};
    plan.folder = work->options->out ? work->options->out : "sweep";
    int status = check_arguments(work->options);
    if (status < 0 && driver_choose_backend(work->options) < 0)
        status = STATUS_USAGE;
    if (status < 0)
        status = sweep_make_grid(&plan);
    if (status < 0)
        status = sweep_check_cells(&plan);
    if (status < 0)
        status = sweep_read_records(&plan);
    if (status >= 0)
        return status;
    if (work->options->dry_run) {
        print_cells(&plan);
        return STATUS_GOOD;
    }
    return run_in_folder(&plan);
}
