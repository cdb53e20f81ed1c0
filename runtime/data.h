/* What --data names: one set for each source of the spec's data section, item by item, cut into the parts that
 * training and evaluation need. */
#ifndef RT_DATA_H
#define RT_DATA_H

#include "runtime/dataset.h"
#include "runtime/session.h"

/* Opens a split of the data. `text` is the path of the only source, or `image=PATH,text=PATH`, or a folder that holds
 * each source as NAME or NAME.npy. With a `reader`, such as `embed`, only the sources among its inputs are needed.
 * Checks kinds, widths and that all sources have as many items. NULL with a message. */
rt_dataset *rt_data_open(const rt_manifest *manifest, const rt_function_info *reader, const char *text, rt_split split,
                         rt_error *error);

/* Items that no file holds: of each source pictures of its size or vectors of its width. NULL with a message. */
rt_dataset *rt_data_generate(const rt_manifest *manifest, int64_t count, rt_error *error);

typedef struct {
    rt_dataset *whole;      /* the training split as it was read: the others may lie in it */
    rt_dataset *train;      /* what the encoder trains on: whole, or what validation leaves of it */
    rt_dataset *labelled;   /* what classifiers train on: train, or those of its items that have a label */
    rt_dataset *validation; /* set apart from the training split, or NULL */
} rt_training_data;

/* Sets `amount` items of data->whole apart, below 1 a fraction of them, drawn by the seed: of every class the same
 * share, of items without label only where none has one. Fills all fields. Returns 0, or -1 with a message. */
int rt_data_divide(rt_training_data *data, double amount, uint64_t seed, rt_error *error);
void rt_data_free(rt_training_data *data);

/* The amount that the flag --validation or, without it (NULL), the spec asks for; 0 for none, -1 with a message. */
double rt_data_validation(const rt_manifest *manifest, const char *flag, rt_error *error);

#endif
