/* Classifiers on frozen features: softmax regression, and one hidden layer with batch norm, ReLU and dropout. */
#ifndef RT_PROBE_H
#define RT_PROBE_H

#include "runtime/features.h"

typedef struct {
    int64_t hidden; /* units of the hidden layer; 0 for the linear probe */
    double dropout; /* of the hidden units, while training */
    int64_t epochs, batch;
    double rate, weight_decay; /* SGD with momentum 0.9; the rate falls to 0 by a cosine over all steps */
    uint64_t seed;
} rt_probe_options;

/* Trains on standardised `train` features and returns the share of `test` rows classified rightly after the last
 * epoch. The result does not depend on the pool's size. Returns -1 with a message without memory or when stopped. */
double rt_probe_accuracy(rt_pool *pool, const rt_features *train, const rt_features *test, int class_count,
                         const rt_probe_options *options, rt_error *error);

#endif
