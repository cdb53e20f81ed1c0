/* Batches, augmented on threads of their own ahead of the training step.
 *
 * Three batches go round: the one that the step holds, and up to two that the threads fill. A thread takes one picture
 * at a time; everything random about it follows from the seed, the epoch and its position in the epoch. */
#include "runtime/loader.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3, MAX_VIEWS = 16 };

typedef struct {
    float *views[MAX_VIEWS];
    int32_t *labels;
    int64_t *indices;
    int64_t step;  /* whose batch this is */
    int64_t taken; /* pictures given to threads, and finished */
    int64_t done;
} slot;

struct rt_loader {
    rt_loader_options options;
    int64_t steps_per_epoch;
    slot slots[SLOTS];
    int64_t *orders[2]; /* permutations of the epochs order_epoch[] */
    int64_t order_epoch[2];
    int64_t next_step; /* the next that rt_loader_next gives */
    int max_height, max_width;
    pthread_t *threads;
    int thread_count;
    pthread_mutex_t lock;
    pthread_cond_t work_changed, batch_ready;
    int stopping;
    rt_error failure; /* the first one; "" while all is well */
};

/* Streams of random numbers: pictures use even ones, permutations odd ones. */
static uint64_t picture_stream(int64_t epoch, int64_t position, int draw) {
    return ((((uint64_t)epoch << 28) + (uint64_t)position) << 11 | (uint64_t)(draw & 1023) << 1);
}

static uint64_t order_stream(int64_t epoch) {
    return (uint64_t)epoch << 1 | 1;
}

/* ---- what a thread does
 * ---------------------------------------------------------------------------------------------------------------- */

static const int64_t *order_of(rt_loader *loader, int64_t epoch) {
    int which = (int)(epoch % 2);
    if (loader->order_epoch[which] != epoch) {
        int64_t count = loader->options.dataset->count;
        if (loader->options.shuffle) {
            rt_random_sequence random = rt_random_begin(loader->options.seed, order_stream(epoch));
            rt_random_permutation(&random, loader->orders[which], count);
        } else {
            for (int64_t i = 0; i < count; i++)
                loader->orders[which][i] = i;
        }
        loader->order_epoch[which] = epoch;
    }
    return loader->orders[which];
}

/* The slot of the lowest unfinished step that still has pictures to take; NULL when all are taken. */
static slot *slot_with_work(rt_loader *loader) {
    slot *found = NULL;
    for (int i = 0; i < SLOTS; i++) {
        slot *at = &loader->slots[i];
        if (at->taken < loader->options.batch && (!found || at->step < found->step))
            found = at;
    }
    return found;
}

/* What one thread works with. */
typedef struct {
    void *workspace;
    rt_augment_draw *draws; /* [views][RT_MOST_AUGMENTATIONS] */
    rt_picture_reader reader;
    int track; /* of the profile */
} worker;

static rt_augment_draw *draws_of(const worker *hand, int view) {
    return hand->draws + (int64_t)view * RT_MOST_AUGMENTATIONS;
}

/* Draws for all views of an item before any is made, so that its picture is decoded once and no more than they show. */
static int draw_views(const rt_loader *loader, int64_t index, int64_t epoch, int64_t position, worker *hand,
                      rt_error *error) {
    const rt_loader_options *options = &loader->options;
    for (int v = 0; v < options->view_count; v++) {
        const rt_view *view = &options->views[v];
        rt_augment_draw *draws = draws_of(hand, v);
        rt_size size;
        rt_augment_sides(view, options->dataset, index, &size.height, &size.width);
        for (int i = 0; i < view->op_count; i++) {
            rt_random_sequence random =
                rt_random_begin(options->seed, picture_stream(epoch, position, view->ops[i].draw));
            draws[i] = rt_augment_draw_parameters(&view->ops[i], size.height, size.width, &random);
            size = rt_size_after(&view->ops[i], size);
        }
    }
    const rt_dataset *source = options->dataset;
    for (int number = 0; source; source = source->next, number++) {
        rt_part part = {0};
        for (int v = 0; source->files && v < options->view_count; v++) {
            const rt_image *image = &source->images[index];
            if (options->views[v].source == number)
                part = rt_part_union(
                    part, rt_augment_part(&options->views[v], draws_of(hand, v), image->height, image->width));
        }
        if (part.height > 0 && !rt_picture_read(&hand->reader, source, index, part, error))
            return -1;
    }
    return 0;
}

static int augment_views(const rt_loader *loader, const slot *batch, int64_t place, int64_t index, worker *hand,
                         rt_error *error) {
    const rt_loader_options *options = &loader->options;
    for (int v = 0; v < options->view_count; v++) {
        const int64_t *strides = options->strides[v];
        int64_t begin = rt_profile_now(options->profile);
        if (rt_augment_item(&options->views[v], draws_of(hand, v), options->dataset, index, &hand->reader,
                            hand->workspace, batch->views[v] + place * strides[0], strides + 1, error) != 0)
            return -1;
        rt_profile_add(options->profile, hand->track, RT_SPAN_VIEW, v, begin);
    }
    return 0;
}

/* Fills one picture's place; the lock is held on entry and exit, not in between. */
static void fill_one(rt_loader *loader, slot *batch, worker *hand) {
    int64_t place = batch->taken++, step = batch->step;
    int64_t epoch = step / loader->steps_per_epoch,
            position = step % loader->steps_per_epoch * loader->options.batch + place;
    int64_t index = order_of(loader, epoch)[position];
    pthread_mutex_unlock(&loader->lock);
    batch->labels[place] = loader->options.dataset->labels ? loader->options.dataset->labels[index] : -1;
    batch->indices[place] = index;
    rt_error error = {{0}};
    int status = draw_views(loader, index, epoch, position, hand, &error);
    if (status == 0)
        status = augment_views(loader, batch, place, index, hand, &error);
    pthread_mutex_lock(&loader->lock);
    if (status != 0 && !loader->failure.text[0])
        loader->failure = error;
    if (++batch->done == loader->options.batch || status != 0)
        pthread_cond_broadcast(&loader->batch_ready);
}

static int open_worker(const rt_loader *loader, worker *hand, rt_error *error) {
    const rt_loader_options *options = &loader->options;
    int64_t bytes = 64;
    for (int v = 0; v < options->view_count; v++) {
        int64_t needed = rt_augment_workspace(&options->views[v], loader->max_height, loader->max_width);
        bytes = needed > bytes ? needed : bytes;
    }
    hand->workspace = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    hand->draws = malloc((size_t)options->view_count * RT_MOST_AUGMENTATIONS * sizeof *hand->draws + 1);
    if (!hand->workspace || !hand->draws)
        return rt_fail(error, "out of memory for augmenting items");
    return rt_picture_reader_open(&hand->reader, options->dataset, error);
}

static void close_worker(worker *hand) {
    free(hand->workspace);
    free(hand->draws);
    rt_picture_reader_close(&hand->reader);
}

static void *fill_batches(void *context) {
    rt_loader *loader = context;
    worker hand = {.track = rt_profile_take_track(loader->options.profile)};
    rt_error error;
    int status = open_worker(loader, &hand, &error);
    pthread_mutex_lock(&loader->lock);
    if (status != 0 && !loader->failure.text[0]) {
        loader->failure = error;
        pthread_cond_broadcast(&loader->batch_ready);
    }
    while (!loader->stopping && !loader->failure.text[0]) {
        slot *batch = slot_with_work(loader);
        if (batch)
            fill_one(loader, batch, &hand);
        else
            pthread_cond_wait(&loader->work_changed, &loader->lock);
    }
    pthread_mutex_unlock(&loader->lock);
    close_worker(&hand);
    return NULL;
}

/* ---- creation
 * --------------------------------------------------------------------------------------------------------------------------
 */

static int64_t view_elements(const rt_loader_options *options, int v) {
    const rt_view *view = &options->views[v];
    const int64_t *stride = options->strides[v];
    int64_t last = (options->batch - 1) * stride[0] + (view->channels - 1) * stride[1];
    return view->height == 0 ? last + 1 : last + (view->height - 1) * stride[2] + (view->width - 1) * stride[3] + 1;
}

static int allocate_slots(rt_loader *loader) {
    const rt_loader_options *options = &loader->options;
    int good = 1;
    for (int i = 0; i < SLOTS; i++) {
        slot *at = &loader->slots[i];
        at->labels = calloc((size_t)options->batch, sizeof *at->labels);
        at->indices = calloc((size_t)options->batch, sizeof *at->indices);
        good = good && at->labels && at->indices;
        for (int v = 0; v < options->view_count; v++)
            good = (at->views[v] = calloc((size_t)view_elements(options, v), sizeof(float))) && good;
        at->step = options->first_step + i;
    }
    for (int i = 0; i < 2; i++) {
        good = (loader->orders[i] = calloc((size_t)options->dataset->count, sizeof(int64_t))) && good;
        loader->order_epoch[i] = -1;
    }
    return good;
}

static int start_threads(rt_loader *loader) {
    int wanted = loader->options.threads < 1 ? 1 : loader->options.threads;
    loader->threads = calloc((size_t)wanted, sizeof *loader->threads);
    while (loader->threads && loader->thread_count < wanted &&
           pthread_create(&loader->threads[loader->thread_count], NULL, fill_batches, loader) == 0)
        loader->thread_count++;
    return loader->thread_count > 0;
}

rt_loader *rt_loader_create(const rt_loader_options *options, rt_error *error) {
    if (options->dataset->count < options->batch || options->batch < 1) {
        rt_fail(error, "%s: fewer items than one batch of %lld", options->dataset->description,
                (long long)options->batch);
        return NULL;
    }
    if (options->view_count > MAX_VIEWS) {
        rt_fail(error, "at most %d views", MAX_VIEWS);
        return NULL;
    }
    for (int v = 0; v < options->view_count; v++)
        if (options->views[v].op_count > RT_MOST_AUGMENTATIONS) {
            rt_fail(error, "view '%s' has more than 64 augmentations", options->views[v].name);
            return NULL;
        }
    rt_loader *loader = calloc(1, sizeof *loader);
    if (!loader) {
        rt_fail(error, "out of memory for batches");
        return NULL;
    }
    loader->options = *options;
    loader->steps_per_epoch = options->dataset->count / options->batch;
    loader->next_step = options->first_step;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work_changed, NULL);
    pthread_cond_init(&loader->batch_ready, NULL);
    for (const rt_dataset *source = options->dataset; source; source = source->next)
        rt_dataset_grow_sides(source, &loader->max_height, &loader->max_width);
    if (!allocate_slots(loader) || !start_threads(loader)) {
        rt_loader_destroy(loader);
        rt_fail(error, "out of memory or threads for loading batches");
        return NULL;
    }
    return loader;
}

void rt_loader_destroy(rt_loader *loader) {
    if (!loader)
        return;
    pthread_mutex_lock(&loader->lock);
    loader->stopping = 1;
    pthread_cond_broadcast(&loader->work_changed);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->thread_count; i++)
        pthread_join(loader->threads[i], NULL);
    for (int i = 0; i < SLOTS; i++) {
        for (int v = 0; v < MAX_VIEWS; v++)
            free(loader->slots[i].views[v]);
        free(loader->slots[i].labels);
        free(loader->slots[i].indices);
    }
    free(loader->orders[0]);
    free(loader->orders[1]);
    free(loader->threads);
    pthread_cond_destroy(&loader->work_changed);
    pthread_cond_destroy(&loader->batch_ready);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}

int64_t rt_loader_steps_per_epoch(const rt_loader *loader) {
    return loader->steps_per_epoch;
}

/* The slot that the step held before is free again: it becomes the batch after the others. */
static void recycle(rt_loader *loader) {
    for (int i = 0; i < SLOTS; i++)
        if (loader->slots[i].step < loader->next_step) {
            loader->slots[i].step += SLOTS;
            loader->slots[i].taken = loader->slots[i].done = 0;
            pthread_cond_broadcast(&loader->work_changed);
        }
}

static int filled(const rt_loader *loader) {
    for (int i = 0; i < SLOTS; i++)
        if (loader->slots[i].done < loader->options.batch)
            return 0;
    return 1;
}

int rt_loader_settle(rt_loader *loader, rt_error *error) {
    pthread_mutex_lock(&loader->lock);
    while (!loader->failure.text[0] && !filled(loader))
        pthread_cond_wait(&loader->batch_ready, &loader->lock);
    int status = loader->failure.text[0] ? -1 : 0;
    if (status != 0)
        *error = loader->failure;
    pthread_mutex_unlock(&loader->lock);
    return status;
}

int rt_loader_next(rt_loader *loader, const float *const **views, const int32_t **labels, const int64_t **indices,
                   rt_error *error) {
    pthread_mutex_lock(&loader->lock);
    recycle(loader);
    slot *batch = NULL;
    for (int i = 0; i < SLOTS; i++)
        if (loader->slots[i].step == loader->next_step)
            batch = &loader->slots[i];
    assert(batch);
    while (!loader->failure.text[0] && batch->done < loader->options.batch)
        pthread_cond_wait(&loader->batch_ready, &loader->lock);
    int status = 0;
    if (loader->failure.text[0]) {
        *error = loader->failure;
        status = -1;
    } else {
        loader->next_step++;
        if (views)
            *views = (const float *const *)batch->views;
        if (labels)
            *labels = batch->labels;
        if (indices)
            *indices = batch->indices;
    }
    pthread_mutex_unlock(&loader->lock);
    return status;
}
