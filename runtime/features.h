/* Frozen features of a data set: what the evaluation protocols work on. */
#ifndef RT_FEATURES_H
#define RT_FEATURES_H

#include "runtime/dataset.h"
#include "runtime/session.h"

typedef struct {
    int64_t count, width;
    float *values;         /* [count, width] */
    const int32_t *labels; /* [count], the data set's own */
} rt_features;

/* Sends every item through the views named "evaluate" and the function `embed`, without augmentation and in order.
 * Returns 0, or -1 with a message. */
int rt_features_encode(const rt_session *session, const rt_dataset *dataset, rt_features *features, rt_error *error);

/* The "evaluate" views' pixels or numbers themselves, row-major, side by side, as the baseline's features. */
int rt_features_pixels(const rt_session *session, const rt_dataset *dataset, rt_features *features, rt_error *error);

/* Scales every row to length 1; a row of zeros stays. */
void rt_features_normalise(rt_features *features);

/* Shifts and scales every column by the mean and standard deviation that it has in `train`, in both sets. */
int rt_features_standardise(rt_features *train, rt_features *test, rt_error *error);

void rt_features_free(rt_features *features);

#endif
