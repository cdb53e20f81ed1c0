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

static int is_one_threads(const rt_frame *frame, int64_t nanoseconds) {
    return nanoseconds > 0 && !rt_pool_pays(frame->pool, nanoseconds);
}

void rt_launch(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t extent, int64_t rounds,
               int64_t nanoseconds) {
    launch self = {frame->pool, kernel, args, 0};
    int64_t start = rt_profile_now(frame->profile);
    if (extent == 1 || is_one_threads(frame, nanoseconds))
        run_kernel(&self, 0, 0, extent * rounds); /* one after the other, on this thread */
    else
        for (int64_t round = 0; round < rounds; round++, self.first += extent)
            rt_pool_run(frame->pool, extent, run_kernel, &self);
    if (frame->profile)
        rt_profile_launched(frame->profile, start);
}

typedef struct {
    rt_pool *pool;
    rt_kernel kernel;
    void *const *args; /* part after part */
    int64_t arg_count, part_count;
    const int64_t *ends;
} launch_in_parts;

/* The part of an iteration: the first that ends after it. */
static int64_t part_at(const launch_in_parts *self, int64_t iteration) {
    int64_t low = 0, high = self->part_count - 1;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (self->ends[middle] > iteration)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void run_parts(void *context, int worker, int64_t begin, int64_t end) {
    const launch_in_parts *self = context;
    char *scratch = rt_pool_scratch(self->pool, worker);
    for (int64_t part = part_at(self, begin); begin < end; part++) {
        int64_t first = part ? self->ends[part - 1] : 0;
        int64_t stop = self->ends[part] < end ? self->ends[part] : end;
        self->kernel(self->args + part * self->arg_count, scratch, begin - first, stop - first);
        begin = stop;
    }
}

void rt_launch_parts(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t arg_count, const int64_t *ends,
                     int64_t part_count, int64_t nanoseconds) {
    launch_in_parts self = {frame->pool, kernel, args, arg_count, part_count, ends};
    int64_t start = rt_profile_now(frame->profile);
    if (is_one_threads(frame, nanoseconds))
        run_parts(&self, 0, 0, ends[part_count - 1]);
    else
        rt_pool_run(frame->pool, ends[part_count - 1], run_parts, &self);
    if (frame->profile)
        rt_profile_launched(frame->profile, start);
}

/* ---- launches as data ------------------------------------------------------------------------------------------- */

static void *pointer_to(const rt_frame *frame, int64_t place) {
    return (place & 1 ? frame->arena : frame->state) + (place >> 1);
}

void rt_run_launches(const rt_frame *frame, void *list) {
    const rt_launch_list *self = list;
    void *arguments[self->most_places + 1];
    const int64_t *next = self->numbers;
    for (int64_t i = 0; i < self->launch_count; i++) {
        rt_kernel kernel = self->kernels[*next++];
        int64_t part_arguments = *next++, part_count = *next++, extent = *next++, rounds = *next++,
                nanoseconds = *next++;
        const int64_t *ends = next;
        next += part_count > 1 ? part_count : 0;
        for (int64_t place = 0; place < part_arguments * part_count; place++)
            arguments[place] = pointer_to(frame, *next++);
        if (part_count > 1)
            rt_launch_parts(frame, kernel, arguments, part_arguments, ends, part_count, nanoseconds);
        else
            rt_launch(frame, kernel, arguments, extent, rounds, nanoseconds);
    }
}
