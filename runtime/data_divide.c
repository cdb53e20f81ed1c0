/* Setting a validation split apart, the same share of every class. */
#include "runtime/data.h"
#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beside those of the loader, which are even for items and odd for orders of epochs. */
#define DIVISION_STREAM (~(uint64_t)0)

double rt_data_validation(const rt_manifest *manifest, const char *flag, rt_error *error) {
    const char *text = flag != NULL ? flag : rt_setting_text(manifest, "validation");
    if (text == NULL)
        return 0;
    char *end;
    double amount = strtod(text, &end);
    if (end == text || *end != 0 || !(amount >= 0 && amount <= INT32_MAX) || (amount >= 1 && amount != floor(amount)))
        return rt_fail(error, "--validation wants a fraction below 1 or a number of items, not '%.100s'", text);
    return amount;
}

/* ---- how many of each class ---- */

typedef struct {
    int64_t size, taken;
    double rest; /* of its share, behind the point */
} group;

/* Groups are the classes, or all items where none has a label. Rounds shares down, then gives what is missing to the
 * largest rests, lower classes first. */
static void share_out(group *groups, int count, int64_t available, int64_t wanted) {
    int64_t given = 0;
    for (int i = 0; i < count; i++) {
        double share = (double)wanted * (double)groups[i].size / (double)available;
        groups[i].taken = (int64_t)share;
        groups[i].rest = share - (double)groups[i].taken;
        given += groups[i].taken;
    }
    for (; given < wanted; given++) {
        int best = 0;
        for (int i = 1; i < count; i++)
            best = groups[i].rest > groups[best].rest ? i : best;
        groups[best].taken++;
        groups[best].rest = -1;
    }
}

typedef struct {
    const rt_dataset *dataset;
    int group_count;
    group *groups;
    int64_t available; /* items that may be drawn */
    char *chosen;      /* [count] */
    int64_t *order, *indices;
} division;

/* The group of an item, or -1. */
static int group_of(const division *d, int64_t item) {
    return d->dataset->class_count > 0 ? d->dataset->labels[item] : 0;
}

static int division_start(division *d, const rt_dataset *dataset, rt_error *error) {
    size_t count = (size_t)dataset->count + 1;
    *d = (division){.dataset = dataset, .group_count = dataset->class_count > 0 ? dataset->class_count : 1};
    d->groups = calloc((size_t)d->group_count, sizeof *d->groups);
    d->chosen = calloc(count, 1);
    d->order = malloc(count * sizeof *d->order);
    d->indices = malloc(count * sizeof *d->indices);
    if (d->groups == NULL || d->chosen == NULL || d->order == NULL || d->indices == NULL)
        return rt_fail(error, "no memory to divide the training split");
    for (int64_t i = 0; i < dataset->count; i++)
        if (group_of(d, i) >= 0) {
            d->groups[group_of(d, i)].size++;
            d->available++;
        }
    return 0;
}

static void division_end(division *d) {
    free(d->groups);
    free(d->chosen);
    free(d->order);
    free(d->indices);
}

/* The first of each group in a random order of the items that may be drawn. */
static void choose(division *d, int64_t wanted, uint64_t seed) {
    share_out(d->groups, d->group_count, d->available, wanted);
    int64_t *items = d->indices, count = 0;
    for (int64_t i = 0; i < d->dataset->count; i++)
        if (group_of(d, i) >= 0)
            items[count++] = i;
    rt_random_sequence random = rt_random_begin(seed, DIVISION_STREAM);
    rt_random_permutation(&random, d->order, count);
    for (int64_t i = 0; i < count; i++) {
        int64_t item = items[d->order[i]];
        if (d->groups[group_of(d, item)].taken > 0) {
            d->groups[group_of(d, item)].taken--;
            d->chosen[item] = 1;
        }
    }
}

/* Those that were chosen, or those that were not, in their order in the set. */
static rt_dataset *part(division *d, int chosen, rt_error *error) {
    int64_t count = 0;
    for (int64_t i = 0; i < d->dataset->count; i++)
        if (d->chosen[i] == chosen)
            d->indices[count++] = i;
    return rt_dataset_select(d->dataset, d->indices, count, error);
}

static int set_apart(rt_training_data *data, double amount, uint64_t seed, rt_error *error) {
    division d;
    int result = division_start(&d, data->whole, error);
    int64_t wanted = result == 0 ? llrint(amount < 1 ? amount * (double)d.available : amount) : 0;
    if (result == 0 && (wanted < 1 || wanted >= d.available))
        result = rt_fail(error, "%s: cannot set %lld of %lld items apart for validation", data->whole->description,
                         (long long)wanted, (long long)d.available);
    if (result == 0) {
        choose(&d, wanted, seed);
        data->validation = part(&d, 1, error);
        data->train = data->validation != NULL ? part(&d, 0, error) : NULL;
        result = data->train != NULL ? 0 : -1;
    }
    division_end(&d);
    return result;
}

/* ---- items with labels ---- */

static int find_labelled(rt_training_data *data, rt_error *error) {
    const rt_dataset *train = data->train;
    int64_t count = 0, *indices = malloc(((size_t)train->count + 1) * sizeof *indices);
    if (indices == NULL)
        return rt_fail(error, "no memory to divide the training split");
    for (int64_t i = 0; i < train->count; i++)
        if (train->labels[i] >= 0)
            indices[count++] = i;
    data->labelled =
        count == train->count || count == 0 ? data->train : rt_dataset_select(train, indices, count, error);
    free(indices);
    return data->labelled != NULL ? 0 : -1;
}

int rt_data_divide(rt_training_data *data, double amount, uint64_t seed, rt_error *error) {
    data->train = data->whole;
    if (amount > 0 && set_apart(data, amount, seed, error) != 0)
        return -1;
    return find_labelled(data, error);
}

void rt_data_free(rt_training_data *data) {
    if (data->labelled != data->train)
        rt_dataset_free(data->labelled);
    if (data->train != data->whole)
        rt_dataset_free(data->train);
    rt_dataset_free(data->validation);
    rt_dataset_free(data->whole);
    *data = (rt_training_data){0};
}
