/* A pool of worker threads that runs the iterations of one parallel loop at a time. */
#ifndef RT_POOL_H
#define RT_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct rt_pool rt_pool;

/* Runs the iterations [begin, end) of a parallel loop. `worker` is the calling worker's number, 0 up to the
 * pool's size, constant for the duration of the call; it selects the worker's own scratch memory. */
typedef void (*rt_task)(void *context, int worker, int64_t begin, int64_t end);

/* Processors that the process may run on: at least 1. */
int rt_processors(void);

/* Creates a pool of `threads` workers, the caller's own thread being one of them; `threads` < 1 means one for each
 * processor that the process may run on. Returns NULL when threads or memory run out. */
rt_pool *rt_pool_create(int threads);
void rt_pool_destroy(rt_pool *pool);

int rt_pool_size(const rt_pool *pool);

/* Calls `task` until the iterations [0, extent) are all done, and returns then. Iterations must not depend on each
 * other; how they are grouped into calls varies, so a task may not let results depend on it. */
void rt_pool_run(rt_pool *pool, int64_t extent, rt_task task, void *context);

/* Whether all workers together do sooner what takes one thread about `nanoseconds`. That depends on how far from each
 * other their processors are, which is measured, for some microseconds, now and then, as it may change. Called by the
 * thread that calls rt_pool_run. */
int rt_pool_pays(rt_pool *pool, int64_t nanoseconds);

/* Memory private to worker `worker`, at least `size` bytes, 64-byte aligned, kept until the pool is destroyed.
 * rt_pool_reserve is called once at start-up with the largest size; it returns 0, or -1 without memory. */
int rt_pool_reserve(rt_pool *pool, size_t size);
void *rt_pool_scratch(rt_pool *pool, int worker);

#endif
