/* The worker pool. A launch is cut into chunks, of which each worker has a share: chunks first .. end, one atomic
 * number. Its worker takes them from the front; who has none left takes from the end of another's. Whoever holds a
 * chunk may read the launch's fields beside the share it came from, and the launch ends when every chunk has been
 * finished. So a worker that wakes too late costs the launch nothing: it finds its share empty and goes back to sleep.
 *
 * Between processors that share no cache a line takes as long as a short chunk does. So nothing but a share's line goes
 * to its worker and nothing but `finished` comes back, workers look at others' shares only once they have waited for a
 * while, and the caller begins with a chunk of its own before it waits for any line to arrive. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "runtime/pool.h"
#include "runtime/memory.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNKS_PER_WORKER = 4,
    SPINS_BEFORE_SLEEP = 1000, /* some tens of microseconds: longer than the gap between two launches of a step */
    SPINS_BEFORE_STEAL = 32,   /* about a microsecond: no chunk of a launch shorter than that is worth fetching */
    TIMED_LAUNCHES = 32,
    MOST_ABSENT = 3,          /* of them */
    NEAR_WORTH = 3600,        /* nanoseconds of one thread that near processors divide */
    NEAR_HANDOVER = 100,      /* nanoseconds of an empty launch where processors share a cache */
    MOST_HANDOVER = 10000,    /* where each worker runs at all */
    MEASURED_FOR = 200000000, /* nanoseconds */
    UNKNOWN_FOR = 10000000,   /* before the next try */
    LINE = 128,               /* bytes: processors fetch lines of 64 in pairs */
    SCRATCH_ALIGNMENT = 64,
};

/* A worker's share of the launch. The fields beside it are written only while nobody holds a chunk. */
typedef struct {
    _Alignas(LINE) _Atomic uint64_t chunks; /* those left: `first` in the upper half of the bits, `end` in the lower */
    rt_task task;
    void *context;
    int64_t extent, chunk_count;
} launch_share;

typedef struct {
    rt_pool *pool;
    int worker;
    pthread_t thread;
} pool_worker;

struct rt_pool {
    int size, started;
    int spins;
    pool_worker *workers; /* workers[0] is the caller's and has no thread */
    launch_share *shares;
    _Atomic int64_t *finished; /* chunks, by others than the caller, since the pool began; in a line of its own */
    _Atomic int *sleepers;     /* workers; in a line of its own, which is the caller's while none goes to sleep */
    _Atomic int caller_sleeps, stop;
    pthread_mutex_t mutex;
    pthread_cond_t work_arrived, work_finished;

    char *scratch;
    void *scratch_block;
    size_t scratch_stride;

    /* The caller's, far behind what workers read while they wait. */
    int64_t before;         /* how many chunks the others had finished before the launch */
    int64_t worth_dividing; /* nanoseconds of one thread */
    int64_t measured_until; /* of a monotonic clock */
};

static void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- shares --------------------------------------------------------------------------------------------------------
 */

static uint64_t chunks_of(int64_t first, int64_t end) {
    return (uint64_t)first << 32 | (uint64_t)end;
}

static int64_t first_of(uint64_t chunks) {
    return (int64_t)(chunks >> 32);
}

static int64_t end_of(uint64_t chunks) {
    return (int64_t)(chunks & UINT32_MAX);
}

static int is_empty(uint64_t chunks) {
    return first_of(chunks) >= end_of(chunks);
}

/* Takes a chunk of the share, the last one for another worker than its own; returns its number or -1. */
static int64_t claim_chunk(launch_share *share, int steal) {
    uint64_t left = atomic_load_explicit(&share->chunks, memory_order_relaxed);
    while (!is_empty(left)) {
        int64_t first = first_of(left), end = end_of(left);
        uint64_t rest = steal ? chunks_of(first, end - 1) : chunks_of(first + 1, end);
        if (atomic_compare_exchange_weak(&share->chunks, &left, rest)) {
            return steal ? end - 1 : first;
        }
    }
    return -1;
}

/* Chunk sizes differ by at most one iteration. */
static int64_t chunk_begin(const launch_share *launch, int64_t chunk) {
    int64_t each = launch->extent / launch->chunk_count, longer = launch->extent % launch->chunk_count;
    return chunk * each + (chunk < longer ? chunk : longer);
}

static void run_chunk(const launch_share *launch, int worker, int64_t chunk) {
    launch->task(launch->context, worker, chunk_begin(launch, chunk), chunk_begin(launch, chunk + 1));
}

/* Runs what is left of a share. Returns the number of chunks. */
static int64_t run_share(launch_share *share, int worker, int steal) {
    int64_t count = 0, chunk;
    while ((chunk = claim_chunk(share, steal)) >= 0) {
        run_chunk(share, worker, chunk);
        count++;
    }
    return count;
}

/* The same of all others' shares. */
static int64_t steal_chunks(rt_pool *pool, int worker) {
    int64_t count = 0;
    for (int i = 1; i < pool->size; i++) {
        count += run_share(&pool->shares[(worker + i) % pool->size], worker, 1);
    }
    return count;
}

/* ---- workers -------------------------------------------------------------------------------------------------------
 */

static void report_finished(rt_pool *pool, int64_t count) {
    if (count == 0) {
        return;
    }
    /* On x86 this locked addition also finishes stores past the caches, before others may read. */
    atomic_fetch_add(pool->finished, count);
    if (atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_signal(&pool->work_finished);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static int work_waits(rt_pool *pool, int worker) {
    return !is_empty(atomic_load(&pool->shares[worker].chunks)) || atomic_load(&pool->stop);
}

static void wait_for_work(rt_pool *pool, int worker) {
    for (int spin = 1; spin < pool->spins; spin++) {
        if (work_waits(pool, worker)) {
            return;
        }
        if (spin % SPINS_BEFORE_STEAL == 0) {
            report_finished(pool, steal_chunks(pool, worker));
        }
        spin_pause();
    }
    report_finished(pool, steal_chunks(pool, worker));
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(pool->sleepers, 1);
    while (!work_waits(pool, worker)) {
        pthread_cond_wait(&pool->work_arrived, &pool->mutex);
    }
    atomic_fetch_sub(pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
    pool_worker *self = argument;
    rt_pool *pool = self->pool;
    while (!atomic_load(&pool->stop)) {
        report_finished(pool, run_share(&pool->shares[self->worker], self->worker, 0));
        wait_for_work(pool, self->worker);
    }
    return NULL;
}

/* ---- launches ------------------------------------------------------------------------------------------------------
 */

static void wait_for_chunks(rt_pool *pool, int64_t finished) {
    for (int spin = 0; spin < pool->spins; spin++) {
        if (atomic_load(pool->finished) == finished) {
            return;
        }
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, 1);
    while (atomic_load(pool->finished) != finished) {
        pthread_cond_wait(&pool->work_finished, &pool->mutex);
    }
    atomic_store(&pool->caller_sleeps, 0);
    pthread_mutex_unlock(&pool->mutex);
}

/* As a locked addition it also finishes what this thread has stored past the caches before, and brings about that a
 * worker who is not seen to sleep sees the shares given out before. */
static int someone_sleeps(rt_pool *pool) {
    return atomic_fetch_add(pool->sleepers, 0) > 0;
}

static void wake_workers(rt_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work_arrived);
    pthread_mutex_unlock(&pool->mutex);
}

/* Gives every worker its share. The caller keeps its first chunk, number 0, which nobody else may take. */
static void divide_launch(rt_pool *pool, const launch_share *launch) {
    int64_t count = launch->chunk_count, size = pool->size;
    for (int64_t worker = size - 1; worker >= 0; worker--) {
        launch_share *share = &pool->shares[worker];
        share->task = launch->task;
        share->context = launch->context;
        share->extent = launch->extent;
        share->chunk_count = count;
        int64_t first = worker == 0 ? 1 : (worker * count + size - 1) / size;
        uint64_t chunks = chunks_of(first, ((worker + 1) * count + size - 1) / size);
        atomic_store_explicit(&share->chunks, chunks, memory_order_release);
    }
}

void rt_pool_run(rt_pool *pool, int64_t extent, rt_task task, void *context) {
    if (extent <= 0) {
        return;
    }
    if (pool->size == 1 || extent == 1) {
        task(context, 0, 0, extent);
        return;
    }
    int64_t most = (int64_t)pool->size * CHUNKS_PER_WORKER;
    launch_share launch = {.task = task, .context = context, .extent = extent};
    launch.chunk_count = extent < most ? extent : most;
    int asleep = someone_sleeps(pool);
    divide_launch(pool, &launch);
    if (asleep) {
        wake_workers(pool);
    }
    run_chunk(&launch, 0, 0);
    /* One that went to sleep while the shares were on their way had not seen its own. */
    if (someone_sleeps(pool)) {
        wake_workers(pool);
    }
    int64_t own = 1 + run_share(&pool->shares[0], 0, 0);
    own += steal_chunks(pool, 0);
    pool->before += launch.chunk_count - own;
    wait_for_chunks(pool, pool->before);
}

/* ---- what dividing costs -------------------------------------------------------------------------------------------
 */

static int64_t nanoseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void do_nothing(void *context, int worker, int64_t begin, int64_t end) {
    (void)context, (void)worker, (void)begin, (void)end;
}

/* Nanoseconds until every worker has taken a chunk and said so, or -1 if one does not come. */
static int64_t time_launch(rt_pool *pool) {
    int64_t start = nanoseconds_now(), others = pool->size - 1;
    divide_launch(pool, &(launch_share){.task = do_nothing, .extent = pool->size, .chunk_count = pool->size});
    if (someone_sleeps(pool)) {
        wake_workers(pool);
    }
    for (int spin = 0; spin < pool->spins; spin++) {
        if (atomic_load(pool->finished) == pool->before + others) {
            pool->before += others;
            return nanoseconds_now() - start;
        }
        spin_pause();
    }
    pool->before += others - steal_chunks(pool, 0);
    wait_for_chunks(pool, pool->before);
    return -1;
}

/* Near processors lose little by dividing even short launches. Between those that share no cache, five times as far, a
 * launch costs as little more, but the data that it moves take longer: measured on scores of 64 to 512 vectors and on
 * small networks on two processors, about ten times as much work has to be divided before it pays. Of several workers,
 * which answer one after the other, it is their mean distance that counts. Returns 0, or -1 where the workers had no
 * processors of their own, as it is for some milliseconds after they woke. */
static int measure_worth(rt_pool *pool) {
    int64_t least = INT64_MAX;
    for (int i = 0, absent = 0; i < TIMED_LAUNCHES && absent < MOST_ABSENT; i++) {
        int64_t time = time_launch(pool);
        least = time >= 0 && time < least ? time : least;
        absent += time < 0;
    }
    int64_t distance = least / (pool->size - 1);
    if (distance > MOST_HANDOVER) {
        return -1;
    }
    double apart = distance > NEAR_HANDOVER ? (double)distance / NEAR_HANDOVER : 1;
    double moving = NEAR_WORTH * apart * sqrt(apart), waiting = 2 * (double)least;
    pool->worth_dividing = (int64_t)(moving > waiting ? moving : waiting);
    return 0;
}

int rt_pool_pays(rt_pool *pool, int64_t nanoseconds) {
    if (pool->size == 1) {
        return 0;
    }
    if (pool->spins > 0 && nanoseconds_now() > pool->measured_until) {
        int measured = measure_worth(pool) == 0;
        pool->measured_until = nanoseconds_now() + (measured ? MEASURED_FOR : UNKNOWN_FOR);
    }
    return nanoseconds > pool->worth_dividing;
}

/* ---- the pool ------------------------------------------------------------------------------------------------------
 */

static int start_workers(rt_pool *pool) {
    for (pool->started = 1; pool->started < pool->size; pool->started++) {
        pool_worker *self = &pool->workers[pool->started];
        *self = (pool_worker){.pool = pool, .worker = pool->started};
        if (pthread_create(&self->thread, NULL, worker_main, self) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Zeros in lines of their own, or NULL. */
static void *take_lines(size_t size) {
    void *lines = aligned_alloc(LINE, size);
    return lines == NULL ? NULL : memset(lines, 0, size);
}

int rt_processors(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        return CPU_COUNT(&allowed);
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN); /* more than a set holds */
    return processors >= 1 ? (int)processors : 1;
}

rt_pool *rt_pool_create(int threads) {
    int processors = rt_processors();
    rt_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->size = threads >= 1 ? threads : processors;
    /* Spinning helps only where every worker has a processor to itself. */
    pool->spins = pool->size <= processors ? SPINS_BEFORE_SLEEP : 0;
    pool->worth_dividing = NEAR_WORTH;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work_arrived, NULL);
    pthread_cond_init(&pool->work_finished, NULL);
    pool->workers = calloc((size_t)pool->size, sizeof *pool->workers);
    pool->shares = take_lines((size_t)pool->size * sizeof *pool->shares);
    pool->finished = take_lines(LINE);
    pool->sleepers = take_lines(LINE);
    if (pool->workers == NULL || pool->shares == NULL || pool->finished == NULL || pool->sleepers == NULL ||
        start_workers(pool) != 0) {
        rt_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

void rt_pool_destroy(rt_pool *pool) {
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->work_arrived);
    pthread_mutex_unlock(&pool->mutex);
    for (int worker = 1; worker < pool->started; worker++) {
        pthread_join(pool->workers[worker].thread, NULL);
    }
    pthread_cond_destroy(&pool->work_finished);
    pthread_cond_destroy(&pool->work_arrived);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool->shares);
    free(pool->finished);
    free(pool->sleepers);
    free(pool->scratch_block);
    free(pool);
}

int rt_pool_size(const rt_pool *pool) {
    return pool->size;
}

int rt_pool_reserve(rt_pool *pool, size_t size) {
    if (size > (SIZE_MAX / 2) / (size_t)pool->size) {
        return -1;
    }
    size_t stride = (size / SCRATCH_ALIGNMENT + 1) * SCRATCH_ALIGNMENT;
    void *block;
    char *scratch = rt_memory_take((int64_t)(stride * (size_t)pool->size), &block);
    if (scratch == NULL) {
        return -1;
    }
    free(pool->scratch_block);
    pool->scratch_block = block;
    pool->scratch = scratch;
    pool->scratch_stride = stride;
    return 0;
}

void *rt_pool_scratch(rt_pool *pool, int worker) {
    return pool->scratch == NULL ? NULL : pool->scratch + (size_t)worker * pool->scratch_stride;
}
