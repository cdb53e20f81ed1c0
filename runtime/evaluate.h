/* The evaluation protocols on frozen features, and the record of each result. */
#ifndef RT_EVALUATE_H
#define RT_EVALUATE_H

#include "runtime/dataset.h"
#include "runtime/json.h"
#include "runtime/session.h"

typedef enum { RT_KNN, RT_LINEAR, RT_MLP, RT_PROTOCOL_COUNT } rt_protocol;

/* What the features come from. */
typedef enum { RT_TRAINED, RT_UNTRAINED, RT_PIXELS, RT_ENCODER_COUNT } rt_encoder;

typedef struct {
    unsigned protocols; /* bit 1 << rt_protocol for each */
    int64_t k;          /* 0: the spec's knn.k */
    double temperature; /* 0: the spec's knn.t */
    uint64_t seed;      /* of the probes */
    const rt_dataset *train, *test;
    const char *tested_on; /* what `test` is called: test or validation */
} rt_evaluation_options;

/* One result with everything needed to repeat it. */
typedef struct {
    rt_protocol protocol;
    rt_encoder encoder;
    int64_t k;
    double temperature;
    int64_t epochs, batch, hidden;
    double rate, weight_decay, dropout;
    int64_t width, train_count, test_count;
    const char *tested_on;
    double accuracy; /* share of the test split */
} rt_evaluation_record;

const char *rt_protocol_name(rt_protocol protocol);
const char *rt_encoder_name(rt_encoder encoder);

/* The protocols whose settings the spec names, as bits. */
unsigned rt_protocols_of(const rt_manifest *manifest);

/* The protocols of --protocol's list, as bits. Returns 0, or -1 with a message. */
int rt_protocols_read(const char *list, unsigned *protocols, rt_error *error);

/* Why these splits cannot be evaluated, as a message that names them; returns whether they can. */
int rt_evaluation_possible(const rt_dataset *train, const rt_dataset *test, rt_error *reason);

/* Runs the protocols on one encoder as the session's states stand; fills records[RT_PROTOCOL_COUNT] in the protocols'
 * order. Returns the number of records, or -1 with a message. */
int rt_evaluate(const rt_session *session, rt_encoder encoder, const rt_evaluation_options *options,
                rt_evaluation_record *records, rt_error *error);

/* Writes the record as one JSON object; epoch and step are the checkpoint's, -1 where there is none. */
void rt_evaluation_write(rt_json_writer *json, const rt_manifest *manifest, const rt_evaluation_record *record,
                         int64_t epoch, int64_t step);

/* Writes a line such as "trained     knn     37.80 %  (k 200, t 0.1)". */
void rt_evaluation_print(FILE *stream, const rt_evaluation_record *record);

#endif
