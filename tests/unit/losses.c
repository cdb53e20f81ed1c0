/* Every spec's whole loss in double precision: its derivatives by all parameters against differences of its values. The
 * specs come from the folder: one without a case fails. */
#include "spec_case.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>

/* ---- cases ------------------------------------------------------------------------------------------------------- */

/* A network of one block a stage, for methods that leave the choice of the encoder open. */
#define SMALL_NETWORK "encoder=resnet(block=basic_block,blocks=[1,1,1,1]) width=2 size=16 "

typedef struct {
    const char *spec, *settings;
    int steps;     /* of training before the loss is taken, for what only the first step does otherwise */
    bool together; /* along directions of all parameters at once only: the network is large */
} loss_case;

/* Every choice of a spec that changes its loss. */
static const loss_case cases[] = {
    {"amdim", "batch=3 width=4 encoder=amdim_encoder(depth=2)", 0, false},
    {"amdim", SMALL_NETWORK "batch=3 clip=10", 0, false},
    {"amdim", SMALL_NETWORK "batch=3 extract=last", 0, false},
    {"barlow_twins", SMALL_NETWORK "batch=4 hidden=8", 0, false},
    {"byol", SMALL_NETWORK "batch=4 hidden=8 features=6", 0, false},
    {"byol", SMALL_NETWORK "batch=4 hidden=8 features=6 distance=squared", 0, false},
    {"clip", "batch=6 image_width=10 text_width=8 features=5", 0, false},
    {"clip", "batch=6 image_width=10 text_width=8 features=5 head=projector", 0, false},
    {"cmc", SMALL_NETWORK "batch=4 images=32 negatives=6 features=8", 0, false},
    {"cmc", SMALL_NETWORK "batch=4 images=32 negatives=6 features=8 form=nce", 0, false},
    {"cmc", SMALL_NETWORK "batch=4 images=32 negatives=6 features=8 form=nce space=luma", 1, false},
    {"cpc", SMALL_NETWORK "batch=2 context=6 features=5 blocks=1", 0, false},
    {"cpc", SMALL_NETWORK "batch=2 context=6 features=5 blocks=1 weights=implemented border=1", 0, false},
    {"cpc", "encoder=cpc_resnet50 width=2 size=16 batch=2 context=6 features=5 blocks=1", 0, true},
    {"dcl", SMALL_NETWORK "batch=4", 0, false},
    {"moco", SMALL_NETWORK "batch=4 negatives=10 features=8", 0, false},
    {"moco", SMALL_NETWORK "batch=4 negatives=10 features=8 head=linear key_head=fixed temperature=0.07", 1, false},
    {"nnclr", SMALL_NETWORK "batch=4 hidden=8 features=6 support=10", 0, false},
    {"siglip", "batch=6 image_width=10 text_width=8 features=5", 0, false},
    {"siglip", "batch=6 image_width=10 text_width=8 features=5 head=projector", 0, false},
    {"simclr", SMALL_NETWORK "batch=4", 0, false},
    {"simclr", SMALL_NETWORK "batch=4 denominator=subtracted", 0, false},
    {"simclr", "encoder=resnet18 width=2 size=16 batch=4", 0, true},
    {"simsiam", SMALL_NETWORK "batch=4 hidden=8 bottleneck=4", 0, false},
    {"supcon", SMALL_NETWORK "batch=4", 0, false},
    {"swav", SMALL_NETWORK "batch=4 hidden=8 features=6 prototypes=5 small=8", 0, false},
    {"vectors", "batch=6 width=10 hidden=8 features=5", 0, false},
    {"vicreg", SMALL_NETWORK "batch=4 hidden=8", 0, false},
    {"yadim", SMALL_NETWORK "batch=3", 0, false},
    {"yadim", SMALL_NETWORK "batch=3 source=all clip=0", 0, false},
    {"yadim", SMALL_NETWORK "batch=3 extract=multiscale regulariser=0", 0, false},
    {"yadim", SMALL_NETWORK "batch=2 patch=8 source=all", 0, false},
    {"yadim", "encoder=wide_resnet34 width=2 widen=1 size=16 batch=2", 0, true},
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- the loss as a function of the parameters ---------------------------------------------------------------------
 */

typedef struct {
    const loss_case *of;
    ir_case *derived; /* `gradients` gives the loss, all gradients, and what stop_gradient held */
    ir_case *plain;   /* `gradients` gives the loss alone, and takes what stop_gradient held as inputs */
    tensor_list given, gradients;
    double loss;
} whole_loss;

/* Differences see through stop_gradient where derivatives do not. What it holds therefore leaves the one module, and
 * comes into the other as an input that stays while the parameters move. */
static void hold(ir_case *built, bool leave) {
    ir_function *function = ir_function_find(built->module, "gradients");
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        const char *output = value->opcode == IR_OP_output ? ir_symbol(value, IR_ATTR_symbol) : "";
        if (!leave && strncmp(output, "grad.", 5) == 0)
            ir_remove(function, value);
        if (value->opcode != IR_OP_stop_gradient)
            continue;
        const char *name = arena_printf(built->memory, "held.%d", value->id);
        ir_builder builder = {function, leave ? NULL : value, value->span};
        if (leave)
            ir_output(&builder, name, value);
        else
            ir_replace_uses(value, ir_input(&builder, name, &value->type));
    }
    ir_case_pass(built, "hold", "dead-code");
}

static double loss_now(const whole_loss *this) {
    tensor_list results = {.memory = arena_new()};
    ir_case_interpret(this->plain, "gradients", &this->given, &results);
    double loss = *tensor_elements(&results, false, "loss");
    arena_free(results.memory);
    return loss;
}

/* Training steps of the spec itself, which move all its states. */
static void train(whole_loss *this) {
    for (int step = 0; step < this->of->steps; step++) {
        spec_case_inputs(this->derived, "train_step", &this->given);
        tensor_list moved = {.memory = arena_new()};
        ir_case_interpret(this->derived, "train_step", &this->given, &moved);
        for (int t = 0; t < moved.count; t++)
            if (moved.items[t].state)
                memcpy(tensor_find(&this->given, true, moved.items[t].name)->elements, moved.items[t].elements,
                       (size_t)ir_type_elements(&moved.items[t].type) * sizeof(double));
        arena_free(moved.memory);
    }
}

static whole_loss open_loss(const loss_case *of) {
    whole_loss this = {.of = of};
    char path[256];
    snprintf(path, sizeof path, SOURCE_DIR "/specs/%s.csl", of->spec);
    this.derived = spec_case_compile(path, of->settings);
    this.plain = spec_case_compile(path, of->settings);
    this.given.memory = this.gradients.memory = this.derived->memory;
    hold(this.derived, true);
    hold(this.plain, false);
    ir_case_pass(this.derived, of->spec, "differentiate");
    spec_case_start(this.derived, &this.given);
    train(&this);
    spec_case_inputs(this.derived, "gradients", &this.given);
    ir_case_interpret(this.derived, "gradients", &this.given, &this.gradients);
    for (int t = 0; t < this.gradients.count; t++) {
        const tensor *result = &this.gradients.items[t];
        if (strncmp(result->name, "held.", 5) == 0)
            memcpy(tensor_add(&this.given, false, result->name, &result->type), result->elements,
                   (size_t)ir_type_elements(&result->type) * sizeof(double));
    }
    this.loss = *tensor_elements(&this.gradients, false, "loss");
    return this;
}

static void close_loss(whole_loss *this) {
    ir_case_free(this->derived);
    ir_case_free(this->plain);
}

/* ---- derivatives against differences ------------------------------------------------------------------------------
 */

/* A parameter and its gradient. */
typedef struct {
    const char *name;
    double *elements;
    const double *gradient;
    int64_t count;
} parameter;

/* The parameter of the gradients' output number t; false for another output. */
static bool parameter_of(const whole_loss *this, int t, parameter *found) {
    const tensor *gradient = &this->gradients.items[t];
    if (strncmp(gradient->name, "grad.", 5) != 0)
        return false;
    const char *name = gradient->name + 5;
    *found = (parameter){name, tensor_find(&this->given, true, name)->elements, gradient->elements,
                         ir_type_elements(&gradient->type)};
    return true;
}

/* Moves along a direction of the parameters: ±1 for every element of one of them or of all, or one element. */
typedef struct {
    const char *parameter; /* NULL: all of them */
    int64_t element;       /* -1: all of its elements */
    uint64_t seed;         /* of the signs */
} direction;

/* Moves the parameters; gives the derivative along the direction in *slope, and the gradient's length in *size. */
static void move(whole_loss *this, const direction *along, double distance, double *slope, double *size) {
    rt_random_sequence random = rt_random_begin(along->seed, 3);
    double squares = 0;
    *slope = 0;
    parameter p;
    for (int t = 0; t < this->gradients.count; t++) {
        if (!parameter_of(this, t, &p) || (along->parameter && strcmp(along->parameter, p.name) != 0))
            continue;
        for (int64_t i = along->element < 0 ? 0 : along->element; i < p.count; i++) {
            double sign = rt_random_below(&random, 2) ? 1 : -1;
            p.elements[i] += sign * distance;
            *slope += sign * p.gradient[i];
            squares += p.gradient[i] * p.gradient[i];
            if (along->element >= 0)
                break;
        }
    }
    *size = sqrt(squares);
}

/* The central difference quotient of the loss. */
static double quotient(whole_loss *this, const direction *along, double distance, double *slope, double *size) {
    move(this, along, distance, slope, size);
    double above = loss_now(this);
    move(this, along, -2 * distance, slope, size);
    double below = loss_now(this);
    move(this, along, distance, slope, size);
    return (above - below) / (2 * distance);
}

/* Where a kink of a relu or of a maximum lies between two points, their difference is no derivative. The step then
 * shrinks, as long as the error that double precision leaves in the loss stays below what is asked. A wrong derivative
 * agrees at no step. */
static void check(whole_loss *this, const direction *along) {
    enum { STEPS = 4 };
    static const double steps[STEPS] = {1e-5, 1e-6, 1e-7, 1e-8};
    double slope = 0, size = 0, got[STEPS] = {0};
    for (int i = 0; i < STEPS; i++) {
        double rounding = 4e-15 * fmax(1, fabs(this->loss)) / steps[i];
        if (i > 0 && rounding > 1e-5 * size)
            break;
        got[i] = quotient(this, along, steps[i], &slope, &size);
        if (fabs(got[i] - slope) <= 1e-5 * fmax(size, fabs(slope)) + rounding)
            return;
    }
    fail_msg(
        "%s %s: along %s, element %lld, the derivative is %.12g (of %.3g), differences say %.12g, %.12g, %.12g, %.12g",
        this->of->spec, this->of->settings, along->parameter ? along->parameter : "all parameters",
        (long long)along->element, slope, size, got[0], got[1], got[2], got[3]);
}

static int64_t largest(const parameter *of) {
    int64_t best = 0;
    for (int64_t i = 1; i < of->count; i++)
        if (fabs(of->gradient[i]) > fabs(of->gradient[best]))
            best = i;
    return best;
}

static void check_parameters(whole_loss *this) {
    parameter p;
    for (int t = 0; t < this->gradients.count; t++)
        if (parameter_of(this, t, &p)) {
            check(this, &(direction){p.name, -1, 1});
            check(this, &(direction){p.name, largest(&p), 1});
        }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static bool has_case(const char *file) {
    for (int i = 0; i < CASES; i++)
        if (strncmp(cases[i].spec, file, strlen(file) - 4) == 0 && strlen(cases[i].spec) == strlen(file) - 4)
            return true;
    return false;
}

static void every_spec_has_a_case(void **state) {
    (void)state;
    DIR *folder = opendir(SOURCE_DIR "/specs");
    assert_non_null(folder);
    int specs = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length <= 4 || strcmp(entry->d_name + length - 4, ".csl") != 0)
            continue;
        specs++;
        if (!has_case(entry->d_name))
            fail_msg("specs/%s has no case here", entry->d_name);
    }
    closedir(folder);
    assert_true(specs > 0);
}

static void derivatives_equal_differences(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        whole_loss this = open_loss(&cases[i]);
        for (uint64_t seed = 1; seed <= 3; seed++)
            check(&this, &(direction){NULL, -1, seed});
        if (!cases[i].together)
            check_parameters(&this);
        close_loss(&this);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spec_has_a_case),
        cmocka_unit_test(derivatives_equal_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
