#include "runtime/features.h"
#include "runtime/interrupt.h"
#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pass of images through a view into [N, C, H, W] memory with any strides. */
typedef struct {
    const rt_view *view;
    const rt_dataset *dataset;
    int64_t first; /* the data set's image that is the batch's number 0 */
    float *out;
    int64_t strides[4];
    int64_t workspace_bytes;
    char *workspaces; /* one for each worker */
    rt_augment_draw *draws;
    rt_error *errors; /* one for each worker */
} preparation;

static void prepare_images(void *context, int worker, int64_t begin, int64_t end) {
    preparation *p = context;
    rt_augment_draw *draws = p->draws + (int64_t)worker * p->view->op_count;
    for (int64_t i = begin; i < end; i++) {
        const rt_image *image = &p->dataset->images[p->first + i];
        rt_random_sequence random = rt_random_begin(0, (uint64_t)(p->first + i));
        for (int op = 0; op < p->view->op_count; op++)
            draws[op] = rt_augment_draw_parameters(&p->view->ops[op], image->height, image->width, &random);
        if (rt_augment_apply(p->view, draws, image, p->workspaces + worker * p->workspace_bytes,
                             p->out + i * p->strides[0], p->strides + 1, &p->errors[worker]))
            return;
    }
}

static int preparation_start(preparation *p, const rt_session *session, const rt_dataset *dataset, rt_error *error) {
    int workers = rt_pool_size(session->frame.pool), max_height = 1, max_width = 1;
    *p = (preparation){.view = rt_find_view(session->manifest, "evaluate"), .dataset = dataset};
    if (!p->view)
        return rt_fail(error, "this program has no view 'evaluate'");
    for (int64_t i = 0; i < dataset->count; i++) {
        max_height = dataset->images[i].height > max_height ? dataset->images[i].height : max_height;
        max_width = dataset->images[i].width > max_width ? dataset->images[i].width : max_width;
    }
    p->workspace_bytes = (rt_augment_workspace(p->view, max_height, max_width) + 63) / 64 * 64;
    p->workspaces = malloc((size_t)(p->workspace_bytes * workers) + 1);
    p->draws = calloc((size_t)(workers * p->view->op_count) + 1, sizeof *p->draws);
    p->errors = calloc((size_t)workers, sizeof *p->errors);
    return p->workspaces && p->draws && p->errors ? 0 : rt_fail(error, "no memory to prepare images");
}

static void preparation_end(preparation *p) {
    free(p->workspaces);
    free(p->draws);
    free(p->errors);
}

static int prepare_batch(preparation *p, rt_pool *pool, int64_t first, int64_t count, rt_error *error) {
    p->first = first;
    rt_pool_run(pool, count, prepare_images, p);
    for (int worker = 0; worker < rt_pool_size(pool); worker++) {
        if (*p->errors[worker].text)
            return rt_fail(error, "%s", p->errors[worker].text);
    }
    return rt_interrupted() ? rt_fail(error, "stopped during the evaluation") : 0;
}

static int take_features(rt_features *features, const rt_dataset *dataset, int64_t width, rt_error *error) {
    *features = (rt_features){.count = dataset->count, .width = width, .labels = dataset->labels};
    features->values = malloc((size_t)(dataset->count * width) * sizeof(float) + 1);
    return features->values ? 0 : rt_fail(error, "no memory for the features");
}

static int check_embed(const preparation *p, const rt_tensor *image, const rt_tensor *output, rt_error *error) {
    if (!image || !output || image->rank != 4 || output->rank != 2 || image->dtype != RT_F32 ||
        output->dtype != RT_F32 || image->dims[0] != output->dims[0])
        return rt_fail(error, "internal error: embed is not [N, C, H, W] to [N, F]");
    if (image->dims[1] != p->view->channels || image->dims[2] != p->view->height || image->dims[3] != p->view->width)
        return rt_fail(error, "internal error: the view 'evaluate' has another size than embed's images");
    return 0;
}

/* The last batch is filled up with whatever the one before left: each image's features are its own. */
static int encode(preparation *p, const rt_session *session, rt_features *features, rt_error *error) {
    const rt_function_info *embed = rt_session_function(session, "embed", error);
    if (!embed)
        return -1;
    const rt_tensor *image = rt_find_input(embed, "image"), *output = rt_find_output(embed, "features");
    if (check_embed(p, image, output, error) || take_features(features, p->dataset, output->dims[1], error))
        return -1;
    char *arena = session->frame.arena;
    int64_t batch = image->dims[0];
    memcpy(p->strides, image->strides, sizeof p->strides);
    float *dense = malloc((size_t)rt_tensor_count(output) * sizeof *dense);
    if (!dense)
        return rt_fail(error, "no memory for the features");
    int result = 0;
    for (int64_t first = 0; first < p->dataset->count && result == 0; first += batch) {
        int64_t count = p->dataset->count - first < batch ? p->dataset->count - first : batch;
        /* the arena is reused by the function itself: where the batch is not full, the rest must be numbers */
        if (count < batch)
            memset(arena + image->offset, 0, (size_t)rt_tensor_extent(image) * sizeof(float));
        p->out = (float *)(arena + image->offset);
        result = prepare_batch(p, session->frame.pool, first, count, error);
        if (result)
            break;
        rt_session_run(session, embed);
        rt_tensor_gather(output, arena, dense);
        memcpy(features->values + first * features->width, dense,
               (size_t)(count * features->width) * sizeof *features->values);
    }
    free(dense);
    return result;
}

int rt_features_encode(const rt_session *session, const rt_dataset *dataset, rt_features *features, rt_error *error) {
    preparation p;
    *features = (rt_features){0};
    int result = preparation_start(&p, session, dataset, error);
    if (result == 0)
        result = encode(&p, session, features, error);
    preparation_end(&p);
    if (result)
        rt_features_free(features);
    return result;
}

int rt_features_pixels(const rt_session *session, const rt_dataset *dataset, rt_features *features, rt_error *error) {
    preparation p;
    *features = (rt_features){0};
    int result = preparation_start(&p, session, dataset, error);
    if (result == 0) {
        int64_t width = p.view->width, plane = p.view->height * width;
        result = take_features(features, dataset, p.view->channels * plane, error);
        p.out = features->values;
        memcpy(p.strides, (int64_t[]){features->width, plane, width, 1}, sizeof p.strides);
    }
    if (result == 0)
        result = prepare_batch(&p, session->frame.pool, 0, dataset->count, error);
    preparation_end(&p);
    if (result)
        rt_features_free(features);
    return result;
}

void rt_features_normalise(rt_features *features) {
    for (int64_t i = 0; i < features->count; i++) {
        float *row = features->values + i * features->width;
        double square = 0;
        for (int64_t j = 0; j < features->width; j++)
            square += (double)row[j] * (double)row[j];
        float scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
        for (int64_t j = 0; j < features->width; j++)
            row[j] *= scale;
    }
}

static void column_moments(const rt_features *features, double *mean, double *deviation) {
    int64_t width = features->width;
    for (int64_t i = 0; i < features->count; i++) {
        for (int64_t j = 0; j < width; j++)
            mean[j] += (double)features->values[i * width + j] / (double)features->count;
    }
    for (int64_t i = 0; i < features->count; i++) {
        for (int64_t j = 0; j < width; j++) {
            double distance = (double)features->values[i * width + j] - mean[j];
            deviation[j] += distance * distance / (double)features->count;
        }
    }
    for (int64_t j = 0; j < width; j++)
        deviation[j] = sqrt(deviation[j]);
}

static void rescale(rt_features *features, const double *mean, const double *deviation) {
    int64_t width = features->width;
    for (int64_t i = 0; i < features->count; i++) {
        for (int64_t j = 0; j < width; j++) {
            float *value = &features->values[i * width + j];
            /* a feature that is constant in the training split says nothing */
            *value = deviation[j] > 1e-8 ? (float)(((double)*value - mean[j]) / deviation[j]) : 0;
        }
    }
}

int rt_features_standardise(rt_features *train, rt_features *test, rt_error *error) {
    double *moments = calloc((size_t)train->width * 2 + 1, sizeof *moments);
    if (!moments)
        return rt_fail(error, "no memory to standardise features");
    column_moments(train, moments, moments + train->width);
    rescale(train, moments, moments + train->width);
    rescale(test, moments, moments + train->width);
    free(moments);
    return 0;
}

void rt_features_free(rt_features *features) {
    free(features->values);
    *features = (rt_features){0};
}
