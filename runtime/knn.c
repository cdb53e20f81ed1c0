#include "runtime/knn.h"

#include "runtime/blas.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUERY_BLOCK = 64, TRAIN_BLOCK = 512 };

typedef struct {
    float similarity;
    int32_t row;
} neighbour;

/* What one worker needs for a block of queries. */
typedef struct {
    float scores[QUERY_BLOCK][TRAIN_BLOCK];
    int64_t kept[QUERY_BLOCK];
    neighbour *heaps; /* [QUERY_BLOCK][k], the worst on top */
    double *votes;    /* [class_count] */
} workspace;

typedef struct {
    const rt_features *train, *test;
    int class_count;
    int64_t k;
    double temperature;
    workspace **workspaces; /* one for each worker */
    uint8_t *correct;       /* [test->count] */
} search;

static int worse(neighbour a, neighbour b) {
    return a.similarity < b.similarity || (a.similarity == b.similarity && a.row > b.row);
}

static void sift_down(neighbour *heap, int64_t count) {
    neighbour moved = heap[0];
    int64_t at = 0;
    for (int64_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && worse(heap[child + 1], heap[child]))
            child++;
        if (!worse(heap[child], moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void sift_up(neighbour *heap, int64_t at) {
    neighbour moved = heap[at];
    for (; at > 0 && worse(moved, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = moved;
}

/* Keeps the k best of all candidates offered so far. */
static void offer(neighbour *heap, int64_t *kept, int64_t k, neighbour candidate) {
    if (*kept < k) {
        heap[*kept] = candidate;
        sift_up(heap, (*kept)++);
    } else if (worse(heap[0], candidate)) {
        heap[0] = candidate;
        sift_down(heap, k);
    }
}

static void scan_train(const search *s, workspace *w, int64_t first_query, int64_t queries) {
    int64_t width = s->test->width;
    for (int64_t first = 0; first < s->train->count; first += TRAIN_BLOCK) {
        int64_t rows = s->train->count - first < TRAIN_BLOCK ? s->train->count - first : TRAIN_BLOCK;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)queries, (blasint)rows, (blasint)width, 1,
                    s->test->values + first_query * width, (blasint)width, s->train->values + first * width,
                    (blasint)width, 0, w->scores[0], TRAIN_BLOCK);
        for (int64_t query = 0; query < queries; query++) {
            for (int64_t row = 0; row < rows; row++)
                offer(w->heaps + query * s->k, &w->kept[query], s->k,
                      (neighbour){w->scores[query][row], (int32_t)(first + row)});
        }
    }
}

static int by_rank(const void *left, const void *right) {
    return worse(*(const neighbour *)left, *(const neighbour *)right) ? 1 : -1;
}

/* Weights relative to the nearest row's: exp(1 / t) would overflow for a small temperature. */
static int vote(const search *s, workspace *w, int64_t query) {
    neighbour *nearest = w->heaps + query * s->k;
    qsort(nearest, (size_t)w->kept[query], sizeof *nearest, by_rank);
    memset(w->votes, 0, (size_t)s->class_count * sizeof *w->votes);
    for (int64_t i = 0; i < w->kept[query]; i++) {
        int32_t label = s->train->labels[nearest[i].row];
        double distance = (double)nearest[i].similarity - (double)nearest[0].similarity;
        if (label >= 0 && label < s->class_count)
            w->votes[label] += exp(distance / s->temperature);
    }
    int best = 0;
    for (int category = 1; category < s->class_count; category++)
        best = w->votes[category] > w->votes[best] ? category : best;
    return best;
}

static void search_blocks(void *context, int worker, int64_t begin, int64_t end) {
    search *s = context;
    workspace *w = s->workspaces[worker];
    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * QUERY_BLOCK;
        int64_t queries = s->test->count - first < QUERY_BLOCK ? s->test->count - first : QUERY_BLOCK;
        memset(w->kept, 0, sizeof w->kept);
        scan_train(s, w, first, queries);
        for (int64_t query = 0; query < queries; query++)
            s->correct[first + query] = vote(s, w, query) == s->test->labels[first + query];
    }
}

static workspace *make_workspace(const search *s) {
    workspace *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->heaps = malloc((size_t)(QUERY_BLOCK * s->k) * sizeof *w->heaps);
    w->votes = malloc((size_t)s->class_count * sizeof *w->votes + 1);
    return w;
}

static void free_workspace(workspace *w) {
    if (w) {
        free(w->heaps);
        free(w->votes);
        free(w);
    }
}

static double run_search(search *s, rt_pool *pool, rt_error *error) {
    int complete = s->workspaces && s->correct;
    for (int i = 0; complete && i < rt_pool_size(pool); i++) {
        s->workspaces[i] = make_workspace(s);
        complete = s->workspaces[i] && s->workspaces[i]->heaps && s->workspaces[i]->votes;
    }
    if (!complete)
        return rt_fail(error, "no memory for the nearest-neighbour search");
    if (rt_blas_reserve(rt_pool_size(pool), error))
        return -1;
    rt_pool_run(pool, (s->test->count + QUERY_BLOCK - 1) / QUERY_BLOCK, search_blocks, s);
    int64_t hits = 0;
    for (int64_t i = 0; i < s->test->count; i++)
        hits += s->correct[i];
    return (double)hits / (double)s->test->count;
}

double rt_knn_accuracy(rt_pool *pool, const rt_features *train, const rt_features *test, int class_count, int64_t k,
                       double temperature, rt_error *error) {
    search s = {.train = train, .test = test, .class_count = class_count, .temperature = temperature};
    s.k = k < train->count ? k : train->count;
    s.workspaces = calloc((size_t)rt_pool_size(pool), sizeof(workspace *));
    s.correct = calloc((size_t)test->count + 1, 1);
    double accuracy = run_search(&s, pool, error);
    for (int i = 0; s.workspaces && i < rt_pool_size(pool); i++)
        free_workspace(s.workspaces[i]);
    free(s.workspaces);
    free(s.correct);
    return accuracy;
}
