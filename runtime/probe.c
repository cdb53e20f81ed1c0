#include "runtime/probe.h"
#include "runtime/blas.h"
#include "runtime/interrupt.h"
#include "runtime/matmul.h"
#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float momentum = 0.9f, norm_epsilon = 1e-5f, norm_momentum = 0.1f;

/* One trained tensor with its gradient and velocity. */
typedef struct {
    int64_t count;
    float *value, *gradient, *velocity;
    int decays;
} weights;

enum { HIDDEN, GAMMA, BETA, OUT, BIAS, WEIGHT_COUNT };

typedef struct {
    rt_pool *pool;
    const rt_probe_options *options;
    int64_t width, inner, classes, batch; /* inner: the last layer's inputs, `hidden` or the features' width */
    weights weights[WEIGHT_COUNT];
    float *input;             /* [batch, width] */
    int32_t *labels;          /* [batch] */
    float *hidden, *d_hidden; /* [batch, hidden]: after the linear layer, later normalised; its gradient */
    float *active;            /* [batch, hidden] */
    float *keep;              /* [batch, hidden]: 0, or what dropout multiplies by */
    float *mean, *inverse;    /* [hidden], of the batch: mean, 1 / standard deviation */
    float *running_mean, *running_variance;
    float *logits; /* [batch, classes], later their gradient */
    char *memory;
} probe;

/* ---- memory: one block, carved twice the same way (once to count) ---- */

static void *carve(probe *p, size_t *used, int64_t count) {
    void *at = p->memory ? p->memory + *used : NULL;
    *used += ((size_t)count * 4 + 63) / 64 * 64;
    return at;
}

static size_t lay_out(probe *p) {
    const rt_probe_options *o = p->options;
    const int64_t counts[WEIGHT_COUNT] = {p->width * o->hidden, o->hidden, o->hidden, p->inner * p->classes,
                                          p->classes};
    size_t used = 0;
    for (int i = 0; i < WEIGHT_COUNT; i++) {
        weights *w = &p->weights[i];
        w->count = counts[i];
        w->decays = i == HIDDEN || i == OUT;
        w->value = carve(p, &used, w->count);
        w->gradient = carve(p, &used, w->count);
        w->velocity = carve(p, &used, w->count);
    }
    p->input = carve(p, &used, p->batch * p->width);
    p->labels = carve(p, &used, p->batch);
    float **hidden_arrays[] = {&p->hidden, &p->d_hidden, &p->active, &p->keep};
    for (int i = 0; i < 4; i++)
        *hidden_arrays[i] = carve(p, &used, p->batch * o->hidden);
    float **unit_arrays[] = {&p->mean, &p->inverse, &p->running_mean, &p->running_variance};
    for (int i = 0; i < 4; i++)
        *unit_arrays[i] = carve(p, &used, o->hidden);
    p->logits = carve(p, &used, p->batch * p->classes);
    return used;
}

static int create(probe *p) {
    size_t size = lay_out(p);
    p->memory = calloc(size, 1);
    if (!p->memory)
        return -1;
    lay_out(p);
    rt_random_sequence random = rt_random_begin(p->options->seed, 0);
    double bounds[WEIGHT_COUNT] = {[HIDDEN] = 1 / sqrt((double)p->width), [OUT] = 1 / sqrt((double)p->inner)};
    for (int i = 0; i < WEIGHT_COUNT; i++) {
        for (int64_t j = 0; bounds[i] > 0 && j < p->weights[i].count; j++)
            p->weights[i].value[j] = (float)rt_random_range(&random, -bounds[i], bounds[i]);
    }
    for (int64_t i = 0; i < p->options->hidden; i++) {
        p->weights[GAMMA].value[i] = 1;
        p->running_variance[i] = 1;
    }
    return 0;
}

static rt_matrix plain(const float *values, int64_t stride) {
    return (rt_matrix){values, stride, 0};
}

static rt_matrix transposed(const float *values, int64_t stride) {
    return (rt_matrix){values, stride, 1};
}

/* ---- forward ---- */

static void batch_moments(probe *p, int64_t rows) {
    int64_t units = p->options->hidden;
    for (int64_t unit = 0; unit < units; unit++) {
        double sum = 0, square = 0;
        for (int64_t row = 0; row < rows; row++)
            sum += (double)p->hidden[row * units + unit];
        double mean = sum / (double)rows;
        for (int64_t row = 0; row < rows; row++) {
            double distance = (double)p->hidden[row * units + unit] - mean;
            square += distance * distance;
        }
        p->mean[unit] = (float)mean;
        p->inverse[unit] = 1 / sqrtf((float)(square / (double)rows) + norm_epsilon);
        float unbiased = (float)(square / (double)(rows > 1 ? rows - 1 : 1));
        p->running_mean[unit] += norm_momentum * (p->mean[unit] - p->running_mean[unit]);
        p->running_variance[unit] += norm_momentum * (unbiased - p->running_variance[unit]);
    }
}

static void running_moments(probe *p) {
    for (int64_t unit = 0; unit < p->options->hidden; unit++) {
        p->mean[unit] = p->running_mean[unit];
        p->inverse[unit] = 1 / sqrtf(p->running_variance[unit] + norm_epsilon);
    }
}

/* Leaves the normalised values in `hidden` (the backward pass needs them) and the layer's result in `active`. */
static void activate(probe *p, int64_t rows, rt_random_sequence *random) {
    int64_t units = p->options->hidden;
    float scale = (float)(1 / (1 - p->options->dropout));
    for (int64_t i = 0; i < rows * units; i++) {
        int64_t unit = i % units;
        p->hidden[i] = (p->hidden[i] - p->mean[unit]) * p->inverse[unit];
        float value = p->hidden[i] * p->weights[GAMMA].value[unit] + p->weights[BETA].value[unit];
        p->keep[i] = value <= 0 ? 0 : !random ? 1 : rt_random_range(random, 0, 1) < p->options->dropout ? 0 : scale;
        p->active[i] = value * p->keep[i];
    }
}

/* `random` is NULL when testing: running statistics, no dropout. Returns the last layer's input. */
static const float *forward(probe *p, const float *input, int64_t rows, rt_random_sequence *random) {
    int64_t units = p->options->hidden;
    if (units > 0) {
        rt_matmul(p->pool, rows, units, p->width, plain(input, p->width), plain(p->weights[HIDDEN].value, units), 0,
                  p->hidden);
        if (random)
            batch_moments(p, rows);
        else
            running_moments(p);
        activate(p, rows, random);
        input = p->active;
    }
    for (int64_t row = 0; row < rows; row++)
        memcpy(p->logits + row * p->classes, p->weights[BIAS].value, (size_t)p->classes * sizeof(float));
    rt_matmul(p->pool, rows, p->classes, p->inner, plain(input, p->inner), plain(p->weights[OUT].value, p->classes), 1,
              p->logits);
    return input;
}

/* ---- backward ---- */

/* Turns logits into the mean cross-entropy's gradient. */
static void softmax_gradient(probe *p, int64_t rows) {
    for (int64_t row = 0; row < rows; row++) {
        float *logits = p->logits + row * p->classes, largest = logits[0];
        double sum = 0;
        for (int64_t category = 1; category < p->classes; category++)
            largest = fmaxf(largest, logits[category]);
        for (int64_t category = 0; category < p->classes; category++)
            sum += exp((double)(logits[category] - largest));
        for (int64_t category = 0; category < p->classes; category++) {
            double probability = exp((double)(logits[category] - largest)) / sum;
            logits[category] = (float)((probability - (category == p->labels[row])) / (double)rows);
        }
    }
}

/* From the gradient of `active` in d_hidden to that of the linear layer's result, through dropout, ReLU and norm. */
static void norm_gradient(probe *p, int64_t rows) {
    int64_t units = p->options->hidden;
    for (int64_t unit = 0; unit < units; unit++) {
        double sum = 0, weighted = 0;
        for (int64_t i = unit; i < rows * units; i += units) {
            p->d_hidden[i] *= p->keep[i];
            sum += (double)p->d_hidden[i];
            weighted += (double)p->d_hidden[i] * (double)p->hidden[i];
        }
        p->weights[BETA].gradient[unit] = (float)sum;
        p->weights[GAMMA].gradient[unit] = (float)weighted;
        float scale = p->weights[GAMMA].value[unit] * p->inverse[unit];
        float mean = (float)(sum / (double)rows), slope = (float)(weighted / (double)rows);
        for (int64_t i = unit; i < rows * units; i += units)
            p->d_hidden[i] = scale * (p->d_hidden[i] - mean - p->hidden[i] * slope);
    }
}

static void backward(probe *p, const float *last_input, int64_t rows) {
    int64_t units = p->options->hidden, classes = p->classes;
    softmax_gradient(p, rows);
    memset(p->weights[BIAS].gradient, 0, (size_t)classes * sizeof(float));
    for (int64_t i = 0; i < rows * classes; i++)
        p->weights[BIAS].gradient[i % classes] += p->logits[i];
    rt_matmul(p->pool, p->inner, classes, rows, transposed(last_input, p->inner), plain(p->logits, classes), 0,
              p->weights[OUT].gradient);
    if (units == 0)
        return;
    rt_matmul(p->pool, rows, units, classes, plain(p->logits, classes), transposed(p->weights[OUT].value, classes), 0,
              p->d_hidden);
    norm_gradient(p, rows);
    rt_matmul(p->pool, p->width, units, rows, transposed(p->input, p->width), plain(p->d_hidden, units), 0,
              p->weights[HIDDEN].gradient);
}

static void update(probe *p, float rate) {
    for (int i = 0; i < WEIGHT_COUNT; i++) {
        weights *w = &p->weights[i];
        float decay = w->decays ? (float)p->options->weight_decay : 0;
        for (int64_t j = 0; j < w->count; j++) {
            w->velocity[j] = momentum * w->velocity[j] + w->gradient[j] + decay * w->value[j];
            w->value[j] -= rate * w->velocity[j];
        }
    }
}

/* ---- training and testing ---- */

static void train_step(probe *p, const rt_features *train, const int64_t *rows, int64_t count, float rate,
                       rt_random_sequence *random) {
    for (int64_t i = 0; i < count; i++) {
        memcpy(p->input + i * p->width, train->values + rows[i] * p->width, (size_t)p->width * sizeof(float));
        p->labels[i] = train->labels[rows[i]];
    }
    const float *last_input = forward(p, p->input, count, random);
    backward(p, last_input, count);
    update(p, rate);
}

static int train_all(probe *p, const rt_features *train, rt_error *error) {
    const rt_probe_options *o = p->options;
    int64_t *order = malloc((size_t)train->count * sizeof *order + 1);
    if (!order)
        return rt_fail(error, "no memory for the probe");
    rt_random_sequence random = rt_random_begin(o->seed, 1);
    int64_t steps = (train->count + p->batch - 1) / p->batch, step = 0;
    for (int64_t epoch = 0; epoch < o->epochs && !rt_interrupted(); epoch++) {
        rt_random_permutation(&random, order, train->count);
        for (int64_t first = 0; first < train->count; first += p->batch, step++) {
            int64_t count = train->count - first < p->batch ? train->count - first : p->batch;
            double phase = (double)step / (double)(steps * o->epochs);
            train_step(p, train, order + first, count, (float)(o->rate * 0.5 * (1 + cos(acos(-1.0) * phase))), &random);
        }
    }
    free(order);
    return rt_interrupted() ? rt_fail(error, "stopped during the evaluation") : 0;
}

static double test_all(probe *p, const rt_features *test) {
    int64_t hits = 0;
    for (int64_t first = 0; first < test->count; first += p->batch) {
        int64_t count = test->count - first < p->batch ? test->count - first : p->batch;
        forward(p, test->values + first * p->width, count, NULL);
        for (int64_t row = 0; row < count; row++) {
            const float *logits = p->logits + row * p->classes;
            int64_t best = 0;
            for (int64_t category = 1; category < p->classes; category++)
                best = logits[category] > logits[best] ? category : best;
            hits += best == test->labels[first + row];
        }
    }
    return (double)hits / (double)test->count;
}

double rt_probe_accuracy(rt_pool *pool, const rt_features *train, const rt_features *test, int class_count,
                         const rt_probe_options *options, rt_error *error) {
    probe p = {.pool = pool, .options = options, .width = train->width, .classes = class_count};
    p.inner = options->hidden > 0 ? options->hidden : train->width;
    p.batch = options->batch < train->count ? options->batch : train->count;
    if (rt_blas_reserve(rt_pool_size(pool), error))
        return -1;
    if (create(&p))
        return rt_fail(error, "no memory for the probe");
    double accuracy = train_all(&p, train, error) ? -1 : test_all(&p, test);
    free(p.memory);
    return accuracy;
}
