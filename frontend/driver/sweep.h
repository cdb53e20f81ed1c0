/* What `cslc sweep` runs and finds: one cell for each spec and each combination of values. */
#ifndef FRONTEND_DRIVER_SWEEP_H
#define FRONTEND_DRIVER_SWEEP_H

#include "frontend/driver/driver.h"

/* What is varied: a parameter and its values; of several specs, "spec" and their names. */
typedef struct {
    const char *name;
    driver_list values;
} sweep_axis;

typedef enum { SWEEP_KNN, SWEEP_LINEAR, SWEEP_MLP, SWEEP_PROTOCOL_COUNT } sweep_protocol;

/* Read from a run's log. */
typedef struct {
    double loss;                           /* mean of the last epoch; NaN where no step was made */
    double seconds;                        /* in training steps, over all calls */
    double accuracy[SWEEP_PROTOCOL_COUNT]; /* share of the test split; NaN where not measured */
    const char *how[SWEEP_PROTOCOL_COUNT]; /* "k 200, t 0.1, 1000 test items"; NULL where not measured */
} sweep_results;

typedef enum { SWEEP_WAITING, SWEEP_DONE, SWEEP_FAILED, SWEEP_STOPPED } sweep_state;

typedef struct {
    const char *spec;        /* its path */
    const char *name;        /* of the cell and its folder: "mine-encoder=resnet18" */
    const char *folder;      /* OUT/name */
    const char **values;     /* one for each axis */
    driver_list definitions; /* those for all cells, then its own */
    const char *method;      /* fingerprint of what the spec evaluates to; "" where it does not compile */
    bool evaluates;          /* the spec's evaluate section names a protocol */
    bool known;              /* it was done by an earlier call */
    bool begun;              /* there is a checkpoint to go on from */
    sweep_state state;
    const char *message; /* why it failed */
    sweep_results results;
} sweep_cell;

typedef struct {
    driver_session *work;
    arena *memory;
    const char *folder; /* OUT */
    sweep_axis *axes;
    int axis_count, axis_capacity;
    sweep_cell *cells;
    int cell_count, cell_capacity;
    bool written; /* its tables, in this run */
} sweep_plan;

/* ---- sweep_grid.c: the cells that the command line asks for. Each returns -1 to go on, or the exit status. ---- */

int sweep_make_grid(sweep_plan *plan);
/* Evaluates every cell's spec: what is wrong on the command line is said before anything runs. A cell whose settings do
 * not fit together fails by itself when its turn comes, but one cell must compile. */
int sweep_check_cells(sweep_plan *plan);

/* ---- sweep_record.c: CELL/cell.json, what a folder was made with ---- */

/* Finds which cells are done and which have begun; a folder that holds a run with other settings is an error. Returns
 * -1 to go on, or the exit status. */
int sweep_read_records(sweep_plan *plan);
/* Writes the record; false after saying why not. */
bool sweep_write_record(const sweep_plan *plan, const sweep_cell *cell, bool done);

/* ---- sweep_run.c: one cell in its own process ---- */

/* Runs the cell and waits; an interrupt is passed on and waited for. Sets state and message. Returns -1 to go on with
 * other cells, or the exit status after saying why that makes no sense. */
int sweep_run_cell(const sweep_plan *plan, sweep_cell *cell);
/* Whether the program's arguments hold --flag or --flag=value. */
bool sweep_is_given(const driver_options *options, const char *flag);
/* How every cell is compiled. */
typedef struct {
    const char *flag;  /* "--precision=bf16"; NULL for what is so without a flag */
    const char *words; /* "precision bf16", for records */
} sweep_choice;
typedef struct {
    sweep_choice *items;
    int count, capacity;
} sweep_choices;
sweep_choices sweep_compiler_choices(const sweep_plan *plan);
/* The arguments of that process, ending with NULL. */
const char **sweep_arguments(const sweep_plan *plan, const sweep_cell *cell, int *count);

/* ---- sweep_results.c ---- */

/* Reads CELL/metrics.jsonl; NaN and NULL for what is not there. */
void sweep_read_results(arena *memory, sweep_cell *cell);

/* ---- sweep_write.c: table.md, table.csv and plot.svg ---- */

/* Writes all three into the folder; false after saying why not. */
bool sweep_write_tables(const sweep_plan *plan);
/* "loss 4.1234  knn 41.20 %  12.3 s", or what failed. */
const char *sweep_summary(arena *memory, const sweep_cell *cell);

#endif
