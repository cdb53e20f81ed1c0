/* A program's object files: units of a few kernels each, made on all processors, or taken from the cache. */
#include "backend/llvm.h"

#include "backend/cache.h"
#include "runtime/pool.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAX_THREADS = 16, UNIT_WORK = 400 /* kernel IR nodes; less is not worth an object file */ };

typedef struct {
    int first, count; /* kernels of the program; none: its functions and tables */
    cache_key key;
    LLVMMemoryBufferRef object;
    bool failed;
    llvm_unit unit; /* while it is being made, and after it failed */
} unit_job;

/* Jobs that several threads take one after the other. */
typedef struct {
    llvm_source source;
    const backend_cache *cache; /* or NULL */
    unit_job *jobs;
    int count;
    atomic_int next;
} unit_queue;

/* ---- division into units ---------------------------------------------------------------------------------------- */

static int block_work(const kir_block *block) {
    int work = 0;
    for (const kir_node *node = block->first; node; node = node->next)
        work += 1 + (node->kind == KIR_INSTRUCTION ? 0 : block_work(&node->body) + block_work(&node->otherwise));
    return work;
}

/* Units end where they have work enough, and after one in eight kernels anyway, chosen by its own structure: so a
 * kernel that is new moves no ends but those beside it, and the cache knows the other units again. */
static void divide(const kir_program *program, unit_queue *queue) {
    queue->jobs = arena_alloc(program->memory, (size_t)(program->kernel_count + 1) * sizeof *queue->jobs);
    queue->jobs[queue->count++] = (unit_job){0};
    int work = 0;
    for (int i = 0; i < program->kernel_count; i++) {
        if (work == 0)
            queue->jobs[queue->count++] = (unit_job){.first = i};
        queue->jobs[queue->count - 1].count++;
        work += 1 + block_work(&program->kernels[i]->body);
        if (work >= UNIT_WORK || program->kernels[i]->hash % 8 == 0)
            work = 0;
    }
}

/* ---- the cache -------------------------------------------------------------------------------------------------- */

static cache_key job_key(const llvm_source *source, const unit_job *job, const text_buffer *build) {
    text_buffer key = {0};
    text_append_bytes(&key, build->data, build->length);
    llvm_append_machine(source->target, &key);
    for (int i = 0; i < job->count; i++)
        llvm_append_kernel_key(source, source->program->kernels[job->first + i], &key);
    if (job->count == 0)
        llvm_append_program_key(source, &key);
    cache_key result = cache_key_of(key.data, key.length);
    text_free(&key);
    return result;
}

/* Takes from the cache what it has; without an identifier of the compiler there is none. */
static void look_up(unit_queue *queue, backend_cache *cache) {
    text_buffer build = {0};
    if (cache && cache_append_build(&build))
        queue->cache = cache;
    for (int i = 0; i < queue->count && queue->cache; i++) {
        unit_job *job = &queue->jobs[i];
        text_buffer object = {0};
        job->key = job_key(&queue->source, job, &build);
        bool found = cache_load(cache, job->key, &object);
        if (found)
            job->object = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.data, object.length, "cached");
        cache->found += found;
        cache->made += !found;
        text_free(&object);
    }
    text_free(&build);
}

/* ---- work on several threads ------------------------------------------------------------------------------------ */

static bool compile(const llvm_source *source, unit_job *job) {
    llvm_unit *unit = &job->unit;
    /* The program itself is tables, of which no optimisation makes less. */
    if (!llvm_unit_begin(unit, source, job->count > 0 ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelNone))
        return false;
    for (int i = 0; i < job->count; i++)
        llvm_write_kernel(unit, source->program->kernels[job->first + i]);
    if (job->count == 0)
        llvm_write_program(unit, source->with_main);
    if (!llvm_unit_optimize(unit))
        return false;
    job->object = llvm_unit_code(unit, LLVMObjectFile);
    return job->object != NULL;
}

static void *work_off(void *argument) {
    unit_queue *queue = argument;
    int taken;
    while ((taken = atomic_fetch_add(&queue->next, 1)) < queue->count) {
        unit_job *job = &queue->jobs[taken];
        if (job->object)
            continue;
        job->failed = !compile(&queue->source, job);
        if (job->failed)
            continue;
        llvm_unit_end(&job->unit);
        if (queue->cache)
            cache_store(queue->cache, job->key, LLVMGetBufferStart(job->object), LLVMGetBufferSize(job->object));
    }
    return NULL;
}

static void run_jobs(unit_queue *queue) {
    pthread_t threads[MAX_THREADS];
    int wanted = 0, started = 0;
    for (int i = 0; i < queue->count; i++)
        wanted += !queue->jobs[i].object;
    wanted = wanted > rt_processors() ? rt_processors() : wanted;
    wanted = wanted > MAX_THREADS ? MAX_THREADS : wanted;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, work_off, queue) == 0)
        started++;
    work_off(queue);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

/* The objects of all jobs, or none when one failed. */
static llvm_objects collect(unit_queue *queue, diag_list *diags) {
    llvm_objects objects = {.count = queue->count};
    objects.items = arena_alloc(queue->source.program->memory, (size_t)queue->count * sizeof *objects.items);
    for (int i = 0; i < queue->count; i++) {
        unit_job *job = &queue->jobs[i];
        objects.items[i] = job->object;
        if (!job->failed)
            continue;
        llvm_unit_report(&job->unit, diags);
        llvm_unit_end(&job->unit);
        objects.count = 0;
    }
    for (int i = 0; i < queue->count && objects.count == 0; i++)
        if (queue->jobs[i].object)
            LLVMDisposeMemoryBuffer(queue->jobs[i].object);
    return objects;
}

llvm_objects llvm_make_objects(const kir_program *program, const kir_target *target, bool with_main,
                               backend_cache *cache, diag_list *diags) {
    llvm_start();
    unit_queue queue = {.source = llvm_source_of(program, target, with_main)};
    if (cache)
        cache->found = cache->made = 0;
    divide(program, &queue);
    look_up(&queue, cache);
    run_jobs(&queue);
    if (queue.cache && queue.cache->made > 0)
        cache_trim(cache);
    return collect(&queue, diags);
}
