/* The worker pool. One atomic number, `unclaimed`, is the whole protocol: a worker takes a chunk by decrementing it
 * and may read the launch's fields only while it holds a chunk; the launch ends when every chunk has been finished.
 * So a worker that wakes too late costs the launch nothing: it finds 0 and goes back to sleep. */
#include "runtime/pool.h"
#include "runtime/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNKS_PER_WORKER = 4,
    SPINS_BEFORE_SLEEP = 1000, /* some tens of microseconds: longer than the gap between two launches of a step */
    SCRATCH_ALIGNMENT = 64,
};

typedef struct {
    rt_pool *pool;
    int worker;
    pthread_t thread;
} pool_worker;

struct rt_pool {
    int size, started;
    int spins;
    pool_worker *workers; /* workers[0] is the caller's and has no thread */

    /* The launch: written only while no chunk is claimed or unclaimed. */
    rt_task task;
    void *context;
    int64_t extent, chunk_count;

    _Atomic int64_t unclaimed, finished;
    _Atomic int sleepers, caller_sleeps, stop;
    pthread_mutex_t mutex;
    pthread_cond_t work_arrived, work_finished;

    char *scratch;
    void *scratch_block;
    size_t scratch_stride;
};

static void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes one chunk if there is any; returns its number or -1. */
static int64_t claim_chunk(rt_pool *pool) {
    int64_t left = atomic_load(&pool->unclaimed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&pool->unclaimed, &left, left - 1)) {
            return pool->chunk_count - left;
        }
    }
    return -1;
}

static void wake_caller(rt_pool *pool) {
    if (atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_signal(&pool->work_finished);
        pthread_mutex_unlock(&pool->mutex);
    }
}

/* Chunk sizes differ by at most one iteration. */
static int64_t chunk_begin(const rt_pool *pool, int64_t chunk) {
    int64_t each = pool->extent / pool->chunk_count, longer = pool->extent % pool->chunk_count;
    return chunk * each + (chunk < longer ? chunk : longer);
}

static void run_chunks(rt_pool *pool, int worker) {
    int64_t chunk;
    while ((chunk = claim_chunk(pool)) >= 0) {
        int64_t chunk_count = pool->chunk_count; /* after the last chunk is finished the next launch may change it */
        pool->task(pool->context, worker, chunk_begin(pool, chunk), chunk_begin(pool, chunk + 1));
        /* On x86 this locked addition also finishes stores past the caches, before others may read. */
        if (atomic_fetch_add(&pool->finished, 1) + 1 == chunk_count && worker != 0) {
            wake_caller(pool);
        }
    }
}

static int work_waits(rt_pool *pool) {
    return atomic_load(&pool->unclaimed) > 0 || atomic_load(&pool->stop);
}

static void wait_for_work(rt_pool *pool) {
    for (int spin = 0; spin < pool->spins; spin++) {
        if (work_waits(pool)) {
            return;
        }
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!work_waits(pool)) {
        pthread_cond_wait(&pool->work_arrived, &pool->mutex);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
    pool_worker *self = argument;
    while (!atomic_load(&self->pool->stop)) {
        run_chunks(self->pool, self->worker);
        wait_for_work(self->pool);
    }
    return NULL;
}

static void wait_for_chunks(rt_pool *pool) {
    for (int spin = 0; spin < pool->spins; spin++) {
        if (atomic_load(&pool->finished) == pool->chunk_count) {
            return;
        }
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, 1);
    while (atomic_load(&pool->finished) != pool->chunk_count) {
        pthread_cond_wait(&pool->work_finished, &pool->mutex);
    }
    atomic_store(&pool->caller_sleeps, 0);
    pthread_mutex_unlock(&pool->mutex);
}

static void wake_workers(rt_pool *pool) {
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->work_arrived);
        pthread_mutex_unlock(&pool->mutex);
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
    pool->task = task;
    pool->context = context;
    pool->extent = extent;
    pool->chunk_count = extent < most ? extent : most;
    atomic_store(&pool->finished, 0);
    atomic_store(&pool->unclaimed, pool->chunk_count);
    wake_workers(pool);
    run_chunks(pool, 0);
    wait_for_chunks(pool);
}

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

rt_pool *rt_pool_create(int threads) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    rt_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->size = threads >= 1 ? threads : processors >= 1 ? (int)processors : 1;
    /* Spinning helps only where every worker has a processor to itself. */
    pool->spins = pool->size <= processors ? SPINS_BEFORE_SLEEP : 0;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work_arrived, NULL);
    pthread_cond_init(&pool->work_finished, NULL);
    pool->workers = calloc((size_t)pool->size, sizeof *pool->workers);
    if (pool->workers == NULL || start_workers(pool) != 0) {
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
