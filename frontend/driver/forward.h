/* What the tensor IR says of a method before any pass has run: which values the loss is computed from, which layers
 * and which products of activations are among them. */
#ifndef FRONTEND_DRIVER_FORWARD_H
#define FRONTEND_DRIVER_FORWARD_H

#include "frontend/frontend.h"

enum {
    FROM_WEIGHTS = 1, /* trained parameters, statistics and their moving averages */
    FROM_MEMORY = 2,  /* queues and banks */
    FROM_VIEWS = 4,
    FROM_OTHER = 8 /* labels, random numbers, … */
};

/* What is known of one value, at its `scratch`. */
typedef struct {
    unsigned kinds;
    uint64_t views; /* bit i: view i of the module */
    int state;      /* the only state with weights that it depends on; -1: none, or several */
    ir_value **users;
    int user_count, user_capacity;
} forward_facts;

/* The values that the loss is computed from, in order. */
typedef struct {
    arena *memory;
    const ir_module *module;
    int64_t batch;
    ir_value **values;
    int count, capacity;
} forward_graph;

/* Of the function train_step; the function must stay as it is while the graph is used. */
forward_graph forward_graph_of(arena *memory, ir_module *module);
const forward_facts *forward_facts_of(const ir_value *value);

/* ---- layers
 * ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;      /* "f.layer1.0.conv1" */
    const char *module;    /* "conv"; NULL for parameters outside of modules */
    const char *operation; /* "conv2d 3x3 stride 2", "dot", "elementwise" */
    const char *prefix;    /* the name up to the parameter's own */
    int state;             /* its first parameter */
    bool contracts;        /* multiplies and adds with it */
    bool average;          /* a moving-average twin: its parameters follow others' */
    ir_type output;        /* of one application */
    int64_t parameters;    /* 0 where a row above holds them */
    double multiply_adds;  /* of one application */
    int applications;      /* in the forward part of a step */
    source_span span;
} forward_layer;

typedef struct {
    forward_layer *layers;
    int count, capacity;
    int64_t parameters, average_parameters;
    double *view_multiply_adds;  /* of the values that depend on that view alone */
    double mixed_multiply_adds;  /* on several views or on none */
    double scores_multiply_adds; /* products of activations */
} forward_layers;

forward_layers forward_layers_of(const forward_graph *graph, const fe_facts *modules);

/* ---- scores
 * ---------------------------------------------------------------------------------------------------------- */

/* A product of activations with activations (or with a memory), or several equal ones. */
typedef struct {
    ir_type type;
    int64_t bytes; /* of one */
    int times;
    source_span span;
    double scale;             /* what multiplies it, 1 without anything; at the first step where it is learned */
    const char *learned;      /* the trained state that the scale comes from, or NULL */
    double clip;              /* c of c * tanh(s / c), 0 without */
    bool softmax;             /* a sum of exponentials over its rows follows; else the numbers below mean nothing */
    int64_t anchors;          /* rows */
    int64_t candidates;       /* of a row, the largest number that the mask leaves */
    int64_t least, most;      /* negatives of a row: candidates that are not its positive */
    bool depends_on_data;     /* mask or positives come from labels or the like: negatives are not known */
    const ir_value *power_of; /* what the exponential is taken of */
} forward_scores;

typedef struct {
    forward_scores *items;
    int count, capacity;
} forward_scores_list;

forward_scores_list forward_scores_of(const forward_graph *graph);

/* score_scale.c: follows the product as long as one thing alone happens to it; gives its scale, learned and clip. */
void forward_find_scale(const ir_module *module, const ir_value *value, forward_scores *scores);
/* Whether the operation leaves the elements as they are. */
bool forward_moves(const ir_value *value);

#endif
