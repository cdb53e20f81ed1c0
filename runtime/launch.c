/* Compiled kernels on the pool. */
#include "runtime/profile.h"

typedef struct {
    rt_pool *pool;
    rt_kernel kernel;
    void *const *args;
    int64_t first; /* iteration of the round */
} launch;

static void run_kernel(void *context, int worker, int64_t begin, int64_t end) {
    const launch *self = context;
    self->kernel(self->args, rt_pool_scratch(self->pool, worker), self->first + begin, self->first + end);
}

void rt_launch(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t extent, int64_t rounds) {
    launch self = {frame->pool, kernel, args, 0};
    int64_t start = rt_profile_now(frame->profile);
    for (int64_t round = 0; round < rounds; round++, self.first += extent)
        rt_pool_run(frame->pool, extent, run_kernel, &self);
    if (frame->profile)
        rt_profile_launched(frame->profile, start);
}
