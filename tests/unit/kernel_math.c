/* exp, log, tanh and 1 / sqrt as kernel IR: their error over dense samples of the whole range, and every special value,
 * in scalar code by libtcc and in vectors by cc. */
#include "kernel_case.h"
#include "passes/kernel_math.h"

#include <math.h>

enum { SAMPLES = 1 << 16 };

typedef kir_reg (*function_builder)(const kir_builder *builder, kir_reg x);

typedef struct {
    const char *name;
    function_builder build;
    double (*exact)(double x);
    double low, high; /* of the samples; both positive: spaced by ratio */
    double ulps;      /* the stated error */
    double flush;     /* results below this may be 0 */
} function_case;

static double exact_rsqrt(double x) {
    return 1 / sqrt(x);
}

static kir_reg exp_to_18(const kir_builder *builder, kir_reg x) {
    return math_exp_within(builder, x, 18);
}

static kir_reg exp_to_13(const kir_builder *builder, kir_reg x) {
    return math_exp_within(builder, x, 13);
}

static kir_reg exp_falling(const kir_builder *builder, kir_reg x) {
    return math_exp_falling(builder, x, 24);
}

static const function_case functions[] = {
    {"exp", math_exp, exp, -104, 89, 2, 1.1754943508222875e-38},
    {"exp_near_0", math_exp, exp, -1e-3, 1e-3, 2, 0},
    {"exp_to_18", exp_to_18, exp, -104, 88.37, 64, 1.1754943508222875e-38},
    {"exp_to_13", exp_to_13, exp, -104, 88.37, 2048, 1.1754943508222875e-38},
    {"exp_falling", exp_falling, exp, -104, 0, 2, 1.1754943508222875e-38},
    {"log", math_log, log, 1e-44, 3.4e38, 3, 0},
    {"log_near_1", math_log, log, 0.5, 2, 3, 0},
    {"tanh", math_tanh, tanh, -12, 12, 4, 0},
    {"tanh_small", math_tanh, tanh, 1e-38, 1, 4, 0},
    {"rsqrt", math_rsqrt, exact_rsqrt, 1e-38, 3.4e38, 1.5, 0},
};

/* y[i] = f(x[i]), a vector an iteration. */
static kernel_case *build(const function_case *function, int lanes) {
    kernel_case *this = case_new(function->name);
    int x = case_argument(this, "x", KIR_F32, SAMPLES, false), y = case_argument(this, "y", KIR_F32, SAMPLES, true);
    kir_index at = kir_plus(kir_at(0), lanes, 0);
    kir_reg result = function->build(&this->builder, kir_load(&this->builder, x, at, lanes, lanes));
    kir_store(&this->builder, y, at, result, lanes);
    case_finish(this, SAMPLES / lanes);
    return this;
}

static float sample(const function_case *function, int i) {
    double part = (double)i / (SAMPLES - 1);
    if (function->low > 0)
        return (float)(function->low * pow(function->high / function->low, part));
    return (float)(function->low + (function->high - function->low) * part);
}

/* The distance in units of the last place of the exact value. */
static double error_in_ulps(double value, double exact) {
    if (isnan(exact) || isnan(value))
        return isnan(exact) && isnan(value) ? 0 : INFINITY;
    float nearest = (float)exact;
    if (isinf(nearest) || isinf(value))
        return (double)nearest == value ? 0 : INFINITY;
    int exponent;
    frexp(exact, &exponent);
    double unit = ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
    return fabs(value - exact) / unit;
}

static void check_samples(const function_case *function, const float *x, const float *y) {
    double worst = 0, at = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double exact = function->exact((double)x[i]), error = error_in_ulps((double)y[i], exact);
        if (y[i] == 0 && fabs(exact) < function->flush)
            continue;
        if (error > worst) {
            worst = error;
            at = (double)x[i];
        }
    }
    if (worst > function->ulps)
        fail_msg("%s(%.9g) is off by %.2f units in the last place", function->name, at, worst);
}

static void functions_keep_their_error(const case_way *way) {
    int lanes = way->lanes;
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        kernel_case *this = build(&functions[f], lanes);
        backend_code *code = case_compile(this, way);
        char *memory = case_arena(this);
        float *x = (float *)(memory + this->offsets[0]), *y = (float *)(memory + this->offsets[1]);
        for (int i = 0; i < SAMPLES; i++)
            x[i] = sample(&functions[f], i);
        case_run(this, code, memory);
        check_samples(&functions[f], x, y);
        free(memory);
        backend_free(code);
        case_free(this);
    }
}

static const struct {
    function_builder build;
    const char *name;
    float x, result;
} specials[] = {
    {math_exp, "exp", INFINITY, INFINITY},
    {math_exp, "exp", -INFINITY, 0},
    {math_exp, "exp", NAN, NAN},
    {math_exp, "exp", 0.0f, 1},
    {math_exp, "exp", -0.0f, 1},
    {math_exp, "exp", 88.8f, INFINITY},
    {math_exp, "exp", 1e30f, INFINITY},
    {math_exp, "exp", -1e30f, 0},
    {exp_to_18, "exp", -INFINITY, 0},
    {exp_to_13, "exp", -INFINITY, 0},
    {exp_to_18, "exp", INFINITY, INFINITY},
    {exp_to_18, "exp", 88.4f, INFINITY},
    {exp_to_13, "exp", 88.4f, INFINITY},
    {exp_to_13, "exp", NAN, NAN},
    {exp_falling, "exp", -INFINITY, 0},
    {exp_falling, "exp", 0.0f, 1},
    {math_log, "log", INFINITY, INFINITY},
    {math_log, "log", -INFINITY, NAN},
    {math_log, "log", NAN, NAN},
    {math_log, "log", 0.0f, -INFINITY},
    {math_log, "log", -0.0f, -INFINITY},
    {math_log, "log", -1.0f, NAN},
    {math_log, "log", -1e-40f, NAN},
    {math_log, "log", 1.0f, 0},
    {math_tanh, "tanh", INFINITY, 1},
    {math_tanh, "tanh", -INFINITY, -1},
    {math_tanh, "tanh", NAN, NAN},
    {math_tanh, "tanh", 0.0f, 0.0f},
    {math_tanh, "tanh", -0.0f, -0.0f},
    {math_tanh, "tanh", 1e30f, 1},
    {math_rsqrt, "rsqrt", INFINITY, 0},
    {math_rsqrt, "rsqrt", 0.0f, INFINITY},
    {math_rsqrt, "rsqrt", -1.0f, NAN},
    {math_rsqrt, "rsqrt", NAN, NAN},
    {math_rsqrt, "rsqrt", 0.25f, 2},
};
enum { SPECIALS = sizeof specials / sizeof *specials };

static bool same_number(float a, float b) {
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

/* All of them in one kernel: value i goes through its own function in all lanes. */
static void special_values_keep_their_meaning(const case_way *way) {
    int lanes = way->lanes;
    kernel_case *this = case_new("specials");
    int x = case_argument(this, "x", KIR_F32, SPECIALS, false);
    int y = case_argument(this, "y", KIR_F32, SPECIALS * lanes, true);
    for (int i = 0; i < SPECIALS; i++) {
        kir_reg value = kir_splat(&this->builder, kir_load(&this->builder, x, kir_at(i), 1, 1), lanes);
        kir_store(&this->builder, y, kir_at(i * lanes), specials[i].build(&this->builder, value), lanes);
    }
    case_finish(this, 1);
    backend_code *code = case_compile(this, way);
    char *memory = case_arena(this);
    for (int i = 0; i < SPECIALS; i++)
        ((float *)(memory + this->offsets[0]))[i] = specials[i].x;
    case_run(this, code, memory);
    const float *results = (const float *)(memory + this->offsets[1]);
    for (int i = 0; i < SPECIALS * lanes; i++)
        if (!same_number(results[i], specials[i / lanes].result))
            fail_msg("%s(%g) is %g in place of %g", specials[i / lanes].name, (double)specials[i / lanes].x,
                     (double)results[i], (double)specials[i / lanes].result);
    free(memory);
    backend_free(code);
    case_free(this);
}

static void every_way(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof case_ways / sizeof *case_ways; i++) {
        if (!case_runs_here(&case_ways[i]))
            continue;
        functions_keep_their_error(&case_ways[i]);
        special_values_keep_their_meaning(&case_ways[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
