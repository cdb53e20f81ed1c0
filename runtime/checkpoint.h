/* Checkpoints: all states of a program and where its training stands, in one safetensors file. */
#ifndef RT_CHECKPOINT_H
#define RT_CHECKPOINT_H

#include "runtime/safetensors.h"
#include "runtime/session.h"

/* Where a training run stands. A resumed run continues from exactly this. */
typedef struct {
    int64_t step; /* steps done, so also the number of the next one */
    int64_t steps_per_epoch, total_steps;
    int64_t seed;
} rt_training_position;

/* Writes every state under its name, row-major, with the position, method, spec, fingerprint and precision as metadata.
 * Returns 0, or -1 with a message; the file that was at `path` is then as before. */
int rt_checkpoint_save(const rt_session *session, const char *path, const rt_training_position *position,
                       rt_error *error);

/* Fills the session's states and the position from a checkpoint of the same program. Returns 0, or -1 with a message
 * (which state is missing or of another shape); the states are then as before. */
int rt_checkpoint_load(const rt_session *session, const char *path, rt_training_position *position, rt_error *error);

#endif
