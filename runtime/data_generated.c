/* Made-up items of the kinds that a program reads, for measurements that ask for none in particular. */
#include "runtime/data.h"
#include "runtime/dataset_sources.h"
#include "runtime/random.h"

#include <stdio.h>
#include <string.h>

static rt_dataset *make_vectors(int64_t count, int64_t width, rt_error *error) {
    rt_dataset *dataset = rt_dataset_allocate("generated vectors", RT_VECTORS, count, 0, error);
    if (!dataset)
        return NULL;
    dataset->width = width;
    if (rt_dataset_allocate_storage(dataset, "generated vectors", count * width * (int64_t)sizeof(float), error) ||
        rt_dataset_describe(dataset, error, "%lld generated vectors of %lld", (long long)count, (long long)width)) {
        rt_dataset_free(dataset);
        return NULL;
    }
    float *numbers = dataset->storage;
    rt_random_sequence random = rt_random_begin(1, 0);
    for (int64_t i = 0; i < count * width; i++)
        numbers[i] = (float)rt_random_range(&random, -1, 1);
    for (int64_t i = 0; i < count; i++)
        dataset->vectors[i] = numbers + i * width;
    return dataset;
}

static rt_dataset *make_source(const rt_view *view, int64_t count, rt_error *error) {
    enum { LEAST_SIDE = 8, MOST_SIDE = 1024 }; /* of shapes */
    if (view->height == 0)
        return make_vectors(count, view->channels, error);
    int side = view->height > view->width ? view->height : view->width;
    side = side < LEAST_SIDE ? LEAST_SIDE : side > MOST_SIDE ? MOST_SIDE : side;
    char path[64];
    snprintf(path, sizeof path, "shapes:train=%lld,test=1,size=%d", (long long)count, side);
    return rt_dataset_open(path, RT_SPLIT_TRAIN, error);
}

rt_dataset *rt_data_generate(const rt_manifest *manifest, int64_t count, rt_error *error) {
    rt_dataset *first = NULL, **end = &first;
    for (int i = 0; i < manifest->view_count; i++) {
        if (strcmp(manifest->views[i].name, "evaluate"))
            continue;
        *end = make_source(&manifest->views[i], count, error);
        if (!*end) {
            rt_dataset_free(first);
            return NULL;
        }
        end = &(*end)->next;
    }
    if (!first)
        rt_fail(error, "internal error: the program reads no source");
    return first;
}
