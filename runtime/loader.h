/* Loads and augments batches on threads of its own beside the training step. */
#ifndef RT_LOADER_H
#define RT_LOADER_H

#include "runtime/augment.h"
#include "runtime/dataset.h"
#include "runtime/profile.h"

typedef struct rt_loader rt_loader;

typedef struct {
    const rt_dataset *dataset; /* with as many sources as the views name */
    int view_count;
    const rt_view *views;
    const int64_t (*strides)[4]; /* per view: element strides of n, c, h, w in the batch buffer */
    int64_t batch;               /* items a step */
    uint64_t seed;
    int64_t first_step;  /* resume: the first step that will be asked for */
    int threads;         /* loading threads, at least 1 */
    rt_profile *profile; /* where each augmented view is recorded, or NULL */
    int shuffle;         /* 1: a new seeded permutation each epoch, last partial batch dropped */
} rt_loader_options;

/* Steps are numbered from 0; epoch = step / (count / batch). Which images a step sees and every draw for them is a
 * function of (seed, epoch, position) alone. Fails when the set holds less than one batch. */
rt_loader *rt_loader_create(const rt_loader_options *options, rt_error *error);
void rt_loader_destroy(rt_loader *loader);

int64_t rt_loader_steps_per_epoch(const rt_loader *loader);

/* Waits for the next step's batch; views[i] points to view i's floats, valid until the next call. `labels` and
 * `indices` receive [batch] values. NULL result pointers may be passed. Returns -1 when loading failed. */
int rt_loader_next(rt_loader *loader, const float *const **views, const int32_t **labels, const int64_t **indices,
                   rt_error *error);

/* Waits until all batches that are loaded ahead are there, so that no thread works until the next is asked for. Returns
 * -1 when loading failed. */
int rt_loader_settle(rt_loader *loader, rt_error *error);

#endif
