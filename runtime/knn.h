/* Weighted nearest-neighbour classification by cosine similarity. */
#ifndef RT_KNN_H
#define RT_KNN_H

#include "runtime/features.h"

/* The share of test rows whose class wins the vote of the k most similar training rows, each with weight
 * exp(similarity / temperature). Both sets are normalised rows; k is cut to the training set's size. Equal
 * similarities prefer the earlier row, equal votes the lower class. Memory stays O(k) a test row. Returns -1 with a
 * message without memory. */
double rt_knn_accuracy(rt_pool *pool, const rt_features *train, const rt_features *test, int class_count, int64_t k,
                       double temperature, rt_error *error);

#endif
