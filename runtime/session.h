/* A program that is loaded and has its memory: manifest, state, arena and threads. */
#ifndef RT_SESSION_H
#define RT_SESSION_H

#include "runtime/tensor.h"

typedef struct {
    const rt_program *program;
    rt_manifest *manifest;
    rt_frame frame;
    void *blocks[2]; /* that state and arena lie in */
} rt_session;

/* Parses the manifest, takes the memory (zeroed) and starts `threads` workers (< 1: one a processor). Returns 0, or -1
 * with a message; the session then needs no closing. */
int rt_session_open(rt_session *session, const rt_program *program, int threads, rt_error *error);
void rt_session_close(rt_session *session);

/* The function of that name, or NULL with a message. */
const rt_function_info *rt_session_function(const rt_session *session, const char *name, rt_error *error);

/* Runs the function on what lies in its inputs. */
void rt_session_run(const rt_session *session, const rt_function_info *function);

/* Fills all states as the spec's `init` does for this seed. Returns 0, or -1 with a message. */
int rt_session_init(const rt_session *session, int32_t seed, rt_error *error);

/* By name; NULL where there is none. */
const rt_tensor *rt_find_input(const rt_function_info *function, const char *name);
const rt_tensor *rt_find_output(const rt_function_info *function, const char *name);
const rt_tensor *rt_find_state(const rt_manifest *manifest, const char *name);
const rt_view *rt_find_view(const rt_manifest *manifest, const char *name);
/* The "evaluate" view of the source that an input of `embed` is named after. */
const rt_view *rt_find_evaluation(const rt_manifest *manifest, const char *input);

/* A setting's text, or NULL; its number, or `otherwise` where there is none. */
const char *rt_setting_text(const rt_manifest *manifest, const char *key);
double rt_setting_number(const rt_manifest *manifest, const char *key, double otherwise);

#endif
