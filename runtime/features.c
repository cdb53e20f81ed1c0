#include "runtime/features.h"
#include "runtime/interrupt.h"
#include "runtime/random.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pass of items through a view into [N, C, H, W] or [N, W] memory with any strides. */
typedef struct {
    const rt_view *view;
    const rt_dataset *dataset;
    int64_t first; /* the data set's item that is the batch's number 0 */
    float *out;
    int64_t strides[4];
    int64_t workspace_bytes;
    int workers;
    char *workspaces; /* one for each worker */
    rt_augment_draw *draws;
    rt_picture_reader *readers; /* one for each worker, as the errors are */
    rt_error *errors;
} preparation;

static void prepare_items(void *context, int worker, int64_t begin, int64_t end) {
    preparation *p = context;
    rt_augment_draw *draws = p->draws + (int64_t)worker * p->view->op_count;
    for (int64_t i = begin; i < end; i++) {
        rt_size size;
        rt_augment_sides(p->view, p->dataset, p->first + i, &size.height, &size.width);
        rt_random_sequence random = rt_random_begin(0, (uint64_t)(p->first + i));
        for (int op = 0; op < p->view->op_count; op++) {
            draws[op] = rt_augment_draw_parameters(&p->view->ops[op], size.height, size.width, &random);
            size = rt_size_after(&p->view->ops[op], size);
        }
        if (rt_augment_item(p->view, draws, p->dataset, p->first + i, &p->readers[worker],
                            p->workspaces + worker * p->workspace_bytes, p->out + i * p->strides[0], p->strides + 1,
                            &p->errors[worker]))
            return;
    }
}

static int preparation_start(preparation *p, const rt_session *session, const rt_view *view, const rt_dataset *dataset,
                             rt_error *error) {
    int workers = rt_pool_size(session->frame.pool), max_height = 1, max_width = 1;
    *p = (preparation){.view = view, .dataset = dataset};
    const rt_dataset *source = rt_dataset_source(dataset, view->source);
    if (!source)
        return rt_fail(error, "internal error: the data has no source %d", view->source);
    rt_dataset_grow_sides(source, &max_height, &max_width);
    p->workspace_bytes = (rt_augment_workspace(p->view, max_height, max_width) + 63) / 64 * 64;
    p->workspaces = malloc((size_t)(p->workspace_bytes * workers) + 1);
    p->draws = calloc((size_t)(workers * p->view->op_count) + 1, sizeof *p->draws);
    p->errors = calloc((size_t)workers, sizeof *p->errors);
    p->readers = calloc((size_t)workers, sizeof *p->readers);
    if (!p->workspaces || !p->draws || !p->errors || !p->readers)
        return rt_fail(error, "no memory to prepare items");
    for (; p->workers < workers; p->workers++)
        if (rt_picture_reader_open(&p->readers[p->workers], dataset, error))
            return -1;
    return 0;
}

static void preparation_end(preparation *p) {
    free(p->workspaces);
    free(p->draws);
    free(p->errors);
    for (int i = 0; i < p->workers; i++)
        rt_picture_reader_close(&p->readers[i]);
    free(p->readers);
}

static int prepare_batch(preparation *p, rt_pool *pool, int64_t first, int64_t count, rt_error *error) {
    p->first = first;
    rt_pool_run(pool, count, prepare_items, p);
    for (int worker = 0; worker < rt_pool_size(pool); worker++) {
        if (*p->errors[worker].text)
            return rt_fail(error, "%s", p->errors[worker].text);
    }
    return rt_interrupted() ? rt_fail(error, "stopped before all features were there") : 0;
}

static int take_features(rt_features *features, const rt_dataset *dataset, int64_t width, rt_error *error) {
    *features = (rt_features){.count = dataset->count, .width = width, .labels = dataset->labels};
    features->values = malloc((size_t)(dataset->count * width) * sizeof(float) + 1);
    return features->values ? 0 : rt_fail(error, "no memory for the features");
}

/* `embed` with a preparation for each of its inputs. */
typedef struct {
    const rt_function_info *function;
    const rt_tensor *output;
    preparation *inputs;
    int64_t batch;
} embedding;

static int check_input(const rt_view *view, const rt_tensor *input, int64_t batch, rt_error *error) {
    if (!view)
        return rt_fail(error, "internal error: no view 'evaluate' gives embed its '%.100s'", input->name);
    const int64_t dims[] = {batch, view->channels, view->height, view->width};
    int rank = view->height ? 4 : 2;
    if (input->rank != rank || input->dtype != RT_F32 || memcmp(input->dims, dims, (size_t)rank * sizeof *dims))
        return rt_fail(error, "internal error: embed's '%.100s' is not of its view's shape", input->name);
    return 0;
}

static int embedding_start(embedding *e, const rt_session *session, const rt_dataset *dataset, rt_error *error) {
    const rt_function_info *function = rt_session_function(session, "embed", error);
    if (!function)
        return -1;
    *e = (embedding){.function = function, .output = rt_find_output(function, "features")};
    if (!e->output || e->output->rank != 2 || e->output->dtype != RT_F32 || function->input_count < 1)
        return rt_fail(error, "internal error: embed does not give [N, F]");
    e->batch = e->output->dims[0];
    e->inputs = calloc((size_t)function->input_count, sizeof *e->inputs);
    if (!e->inputs)
        return rt_fail(error, "no memory to prepare items");
    for (int i = 0; i < function->input_count; i++) {
        const rt_tensor *input = &function->inputs[i];
        const rt_view *view = rt_find_evaluation(session->manifest, input->name);
        preparation *p = &e->inputs[i];
        if (check_input(view, input, e->batch, error) || preparation_start(p, session, view, dataset, error))
            return -1;
        memcpy(p->strides, input->strides, (size_t)input->rank * sizeof *p->strides);
        p->out = (float *)(session->frame.arena + input->offset);
    }
    return 0;
}

static void embedding_end(embedding *e) {
    for (int i = 0; e->inputs && i < e->function->input_count; i++)
        preparation_end(&e->inputs[i]);
    free(e->inputs);
}

/* The last batch is filled up with zeros: each item's features are its own. */
static int fill_batch(embedding *e, const rt_session *session, int64_t first, int64_t count, rt_error *error) {
    for (int i = 0; i < e->function->input_count; i++) {
        const rt_tensor *input = &e->function->inputs[i];
        /* the arena is reused by the function itself: where the batch is not full, the rest must be numbers */
        if (count < e->batch)
            memset(session->frame.arena + input->offset, 0, (size_t)rt_tensor_extent(input) * sizeof(float));
        if (prepare_batch(&e->inputs[i], session->frame.pool, first, count, error))
            return -1;
    }
    return 0;
}

static int encode(embedding *e, const rt_session *session, rt_features *features, rt_error *error) {
    float *dense = malloc((size_t)rt_tensor_count(e->output) * sizeof *dense);
    if (!dense)
        return rt_fail(error, "no memory for the features");
    int result = 0;
    for (int64_t first = 0; first < features->count && result == 0; first += e->batch) {
        int64_t count = features->count - first < e->batch ? features->count - first : e->batch;
        result = fill_batch(e, session, first, count, error);
        if (result)
            break;
        rt_session_run(session, e->function);
        rt_tensor_gather(e->output, session->frame.arena, dense);
        memcpy(features->values + first * features->width, dense,
               (size_t)(count * features->width) * sizeof *features->values);
    }
    free(dense);
    return result;
}

int rt_features_encode(const rt_session *session, const rt_dataset *dataset, rt_features *features, rt_error *error) {
    embedding e = {0};
    *features = (rt_features){0};
    int result = embedding_start(&e, session, dataset, error);
    if (result == 0)
        result = take_features(features, dataset, e.output->dims[1], error);
    if (result == 0)
        result = encode(&e, session, features, error);
    embedding_end(&e);
    if (result)
        rt_features_free(features);
    return result;
}

static int64_t elements_of(const rt_view *view) {
    return view->height ? (int64_t)view->channels * view->height * view->width : view->channels;
}

/* One source's part of every row. The pictures come in the layout of embed's input, by way of its memory. */
static int take_source(const rt_session *session, const rt_tensor *input, const rt_view *view,
                       const rt_dataset *dataset, float *out, int64_t row_width, rt_error *error) {
    preparation p;
    int64_t batch = input->dims[0], elements = elements_of(view);
    float *dense = malloc((size_t)(batch * elements) * sizeof *dense);
    int result = preparation_start(&p, session, view, dataset, error);
    if (result == 0 && !dense)
        result = rt_fail(error, "no memory for the features");
    assert(dense || result);
    memcpy(p.strides, input->strides, (size_t)input->rank * sizeof *p.strides);
    p.out = (float *)(session->frame.arena + input->offset);
    for (int64_t first = 0; first < dataset->count && result == 0; first += batch) {
        int64_t count = dataset->count - first < batch ? dataset->count - first : batch;
        result = prepare_batch(&p, session->frame.pool, first, count, error);
        rt_tensor_gather(input, session->frame.arena, dense);
        for (int64_t i = 0; i < count; i++)
            memcpy(out + (first + i) * row_width, dense + i * elements, (size_t)elements * sizeof *dense);
    }
    preparation_end(&p);
    free(dense);
    return result;
}

int rt_features_pixels(const rt_session *session, const rt_dataset *dataset, rt_features *features, rt_error *error) {
    const rt_manifest *manifest = session->manifest;
    const rt_function_info *embed = rt_session_function(session, "embed", error);
    int64_t width = 0, begin = 0;
    *features = (rt_features){0};
    for (int i = 0; embed && i < embed->input_count; i++) {
        const rt_view *view = rt_find_evaluation(manifest, embed->inputs[i].name);
        if (!view)
            return rt_fail(error, "internal error: no view 'evaluate' gives embed its '%.100s'", embed->inputs[i].name);
        width += elements_of(view);
    }
    int result = embed ? take_features(features, dataset, width, error) : -1;
    for (int i = 0; result == 0 && i < embed->input_count; i++) {
        const rt_view *view = rt_find_evaluation(manifest, embed->inputs[i].name);
        result = take_source(session, &embed->inputs[i], view, dataset, features->values + begin, width, error);
        begin += elements_of(view);
    }
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
