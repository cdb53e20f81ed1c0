#include "runtime/evaluate.h"
#include "runtime/knn.h"
#include "runtime/options.h"
#include "runtime/probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const protocol_names[] = {[RT_KNN] = "knn", [RT_LINEAR] = "linear", [RT_MLP] = "mlp"};
static const char *const encoder_names[] = {
    [RT_TRAINED] = "trained", [RT_UNTRAINED] = "untrained", [RT_PIXELS] = "pixels"};

const char *rt_protocol_name(rt_protocol protocol) {
    return protocol_names[protocol];
}

const char *rt_encoder_name(rt_encoder encoder) {
    return encoder_names[encoder];
}

static const char *protocol_name(int protocol) {
    return protocol_names[protocol];
}

int rt_protocols_read(const char *list, unsigned *protocols, rt_error *error) {
    return rt_options_list("--protocol", list, protocol_name, RT_PROTOCOL_COUNT, protocols, error);
}

unsigned rt_protocols_of(const rt_manifest *manifest) {
    unsigned protocols = 0;
    for (int i = 0; i < manifest->setting_count; i++) {
        const char *key = manifest->settings[i].key;
        size_t length = strcspn(key, ".");
        for (int protocol = 0; protocol < RT_PROTOCOL_COUNT; protocol++) {
            const char *name = protocol_names[protocol];
            if (strlen(name) == length && !memcmp(key, name, length))
                protocols |= 1u << protocol;
        }
    }
    return protocols;
}

/* The setting PROTOCOL.NAME. */
static double setting(const rt_manifest *manifest, rt_protocol protocol, const char *name, double otherwise) {
    char key[64];
    snprintf(key, sizeof key, "%s.%s", protocol_names[protocol], name);
    return rt_setting_number(manifest, key, otherwise);
}

static void fill_record(rt_evaluation_record *record, const rt_manifest *manifest, rt_protocol protocol,
                        const rt_evaluation_options *options) {
    record->protocol = protocol;
    if (protocol == RT_KNN) {
        record->k = options->k > 0 ? options->k : (int64_t)setting(manifest, RT_KNN, "k", 200);
        record->temperature = options->temperature > 0 ? options->temperature : setting(manifest, RT_KNN, "t", 0.1);
        record->k = record->k < options->train->count ? record->k : options->train->count;
        return;
    }
    record->epochs = (int64_t)setting(manifest, protocol, "epochs", 100);
    record->rate = setting(manifest, protocol, "lr", 0.1);
    record->weight_decay = setting(manifest, protocol, "weight_decay", 1e-6);
    record->batch = (int64_t)setting(manifest, protocol, "batch", 256);
    if (protocol == RT_MLP) {
        record->hidden = (int64_t)setting(manifest, protocol, "hidden", 1024);
        record->dropout = setting(manifest, protocol, "dropout", 0.2);
    }
}

static int check_record(const rt_evaluation_record *record, rt_error *error) {
    const char *name = protocol_names[record->protocol];
    if (record->protocol == RT_KNN)
        return record->k > 0 && record->temperature > 0 ? 0 : rt_fail(error, "knn needs k and t above 0");
    if (record->epochs < 1 || record->batch < 1 || !(record->rate > 0) || !(record->weight_decay >= 0) ||
        record->hidden < 0 || !(record->dropout >= 0 && record->dropout < 1))
        return rt_fail(error, "the settings of the protocol '%s' are out of range", name);
    return 0;
}

static int copy_features(const rt_features *from, rt_features *to, rt_error *error) {
    size_t size = (size_t)(from->count * from->width) * sizeof *from->values;
    *to = *from;
    to->values = malloc(size + 1);
    if (!to->values)
        return rt_fail(error, "no memory for the features");
    memcpy(to->values, from->values, size);
    return 0;
}

/* Cosine similarity is the product of rows of length 1; the probes need the features as they are, so these are copies.
 */
static double measure_knn(rt_pool *pool, const rt_features *train, const rt_features *test, int class_count,
                          const rt_evaluation_record *record, rt_error *error) {
    rt_features train_rows = {0}, test_rows = {0};
    double accuracy = -1;
    if (copy_features(train, &train_rows, error) == 0 && copy_features(test, &test_rows, error) == 0) {
        rt_features_normalise(&train_rows);
        rt_features_normalise(&test_rows);
        accuracy = rt_knn_accuracy(pool, &train_rows, &test_rows, class_count, record->k, record->temperature, error);
    }
    rt_features_free(&train_rows);
    rt_features_free(&test_rows);
    return accuracy;
}

static double measure_probe(rt_pool *pool, const rt_features *train, const rt_features *test, int class_count,
                            uint64_t seed, const rt_evaluation_record *record, rt_error *error) {
    const rt_probe_options options = {
        .hidden = record->hidden,
        .dropout = record->dropout,
        .epochs = record->epochs,
        .batch = record->batch,
        .rate = record->rate,
        .weight_decay = record->weight_decay,
        .seed = seed,
    };
    return rt_probe_accuracy(pool, train, test, class_count, &options, error);
}

/* kNN comes first: standardising, which the probes want, changes the features. */
static int measure_all(const rt_session *session, rt_encoder encoder, const rt_evaluation_options *options,
                       rt_features *train, rt_features *test, rt_evaluation_record *records, rt_error *error) {
    int count = 0, class_count = options->train->class_count, standardised = 0;
    rt_pool *pool = session->frame.pool;
    for (int protocol = 0; protocol < RT_PROTOCOL_COUNT; protocol++) {
        if (!(options->protocols & 1u << protocol))
            continue;
        rt_evaluation_record *record = &records[count++];
        *record = (rt_evaluation_record){
            .encoder = encoder, .width = train->width, .train_count = train->count, .test_count = test->count};
        record->tested_on = options->tested_on;
        fill_record(record, session->manifest, (rt_protocol)protocol, options);
        if (check_record(record, error))
            return -1;
        if (protocol != RT_KNN && !standardised++ && rt_features_standardise(train, test, error))
            return -1;
        record->accuracy = protocol == RT_KNN
                               ? measure_knn(pool, train, test, class_count, record, error)
                               : measure_probe(pool, train, test, class_count, options->seed, record, error);
        if (record->accuracy < 0)
            return -1;
    }
    return count;
}

static int lacks_labels(const rt_dataset *dataset) {
    for (int64_t i = 0; i < dataset->count; i++)
        if (dataset->labels[i] < 0)
            return 1;
    return 0;
}

int rt_evaluation_possible(const rt_dataset *train, const rt_dataset *test, rt_error *reason) {
    if (train->count < 1 || test->count < 1)
        rt_fail(reason, "evaluation needs two splits, but here is %s",
                train->count < 1 ? train->description : test->description);
    else if (train->class_count == 0 || lacks_labels(train))
        rt_fail(reason, "evaluation needs labels of all its items; this has none or not of all: %s",
                train->description);
    else if (test->class_count == 0 || lacks_labels(test))
        rt_fail(reason, "evaluation needs labels of all its items; this has none or not of all: %s", test->description);
    else if (train->class_count < 2 || train->class_count != test->class_count)
        rt_fail(reason, "evaluation needs the same classes, at least 2, in both splits; train has %d, test %d",
                train->class_count, test->class_count);
    else
        return 1;
    return 0;
}

int rt_evaluate(const rt_session *session, rt_encoder encoder, const rt_evaluation_options *options,
                rt_evaluation_record *records, rt_error *error) {
    if (!rt_evaluation_possible(options->train, options->test, error))
        return -1;
    rt_features train = {0}, test = {0};
    int (*take)(const rt_session *, const rt_dataset *, rt_features *, rt_error *) =
        encoder == RT_PIXELS ? rt_features_pixels : rt_features_encode;
    int count = take(session, options->train, &train, error) || take(session, options->test, &test, error)
                    ? -1
                    : measure_all(session, encoder, options, &train, &test, records, error);
    rt_features_free(&train);
    rt_features_free(&test);
    return count;
}

void rt_evaluation_write(rt_json_writer *json, const rt_manifest *manifest, const rt_evaluation_record *record,
                         int64_t epoch, int64_t step) {
    rt_json_open(json, NULL, '{');
    rt_json_text(json, "protocol", protocol_names[record->protocol]);
    rt_json_text(json, "encoder", encoder_names[record->encoder]);
    rt_json_real(json, "accuracy", record->accuracy);
    if (record->protocol == RT_KNN) {
        rt_json_integer(json, "k", record->k);
        rt_json_real(json, "t", record->temperature);
    } else {
        rt_json_integer(json, "epochs", record->epochs);
        rt_json_real(json, "lr", record->rate);
        rt_json_real(json, "weight_decay", record->weight_decay);
        rt_json_integer(json, "batch", record->batch);
    }
    if (record->protocol == RT_MLP) {
        rt_json_integer(json, "hidden", record->hidden);
        rt_json_real(json, "dropout", record->dropout);
    }
    if (record->encoder == RT_TRAINED) {
        rt_json_integer(json, "epoch", epoch);
        rt_json_integer(json, "step", step);
        rt_json_text(json, "epoch_choice", "last");
    }
    rt_json_text(json, "trained_on", "train");
    rt_json_text(json, "tested_on", record->tested_on);
    rt_json_integer(json, "train_images", record->train_count);
    rt_json_integer(json, "test_images", record->test_count);
    rt_json_integer(json, "dimension", record->width);
    rt_json_boolean(json, "augmentation", 0);
    rt_json_text(json, "method", manifest->method);
    rt_json_text(json, "precision", manifest->precision);
    rt_json_close(json, '}');
}

void rt_evaluation_print(FILE *stream, const rt_evaluation_record *record) {
    fprintf(stream, "%-10s %-7s %6.2f %%  ", encoder_names[record->encoder], protocol_names[record->protocol],
            100 * record->accuracy);
    if (record->protocol == RT_KNN)
        fprintf(stream, "(k %" PRId64 ", t %g)\n", record->k, record->temperature);
    else
        fprintf(stream, "(%" PRId64 " epochs, lr %g)\n", record->epochs, record->rate);
}
