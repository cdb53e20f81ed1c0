/* Every operation's derivative against differences of its values, and the derivatives' own derivatives likewise, in
 * double precision. The operations come from the table: one without a case fails. */
#include "ir_case.h"

#include <math.h>

/* ---- cases -------------------------------------------------------------------------------------------------------
 */

typedef enum {
    ANY,      /* -1 .. 1 */
    POSITIVE, /* 0.5 .. 2 */
    NONZERO,  /* that, of either sign */
    APART,    /* all such elements of a case differ by at least 0.05, and by 0.025 from every whole number */
    ROW,      /* whole numbers below `rows` */
    COIN      /* 0 or 1 */
} domain;

typedef struct {
    const char *type;
    domain domain;
    int rows;
} input_case;

enum { MAX_INPUTS = 4 };

typedef struct {
    const char *op;
    input_case inputs[MAX_INPUTS];
    const char *attrs, *result;
    bool once; /* the derivative has none itself */
} grad_case;

#define UNARY(op, domain)                                                                                              \
    {op, {{"f32[3,5]", domain, 0}}, "", "f32[3,5]", false}, {                                                          \
        op, {{"f32[]", domain, 0}}, "", "f32[]", false                                                                 \
    }
#define BINARY(op, left, right)                                                                                        \
    {op, {{"f32[2,1,5]", left, 0}, {"f32[2,1,5]", right, 0}}, "", "f32[2,1,5]", false}, {                              \
        op, {{"f32[]", left, 0}, {"f32[]", right, 0}}, "", "f32[]", false                                              \
    }
#define ONE(op, type, attrs, result)                                                                                   \
    { op, {{type, ANY, 0}}, attrs, result, false }
#define TWO(op, left, right, attrs, result)                                                                            \
    { op, {{left, ANY, 0}, {right, ANY, 0}}, attrs, result, false }

static const grad_case cases[] = {
    UNARY("neg", ANY),
    UNARY("abs", NONZERO),
    UNARY("exp", ANY),
    UNARY("log", POSITIVE),
    UNARY("sqrt", POSITIVE),
    UNARY("rsqrt", POSITIVE),
    UNARY("tanh", ANY),
    UNARY("sin", ANY),
    UNARY("cos", ANY),
    UNARY("relu", NONZERO),
    UNARY("convert", ANY),
    BINARY("add", ANY, ANY),
    BINARY("sub", ANY, ANY),
    BINARY("mul", ANY, ANY),
    BINARY("div", ANY, NONZERO),
    BINARY("rem", APART, POSITIVE),
    BINARY("rem", APART, NONZERO),
    BINARY("pow", POSITIVE, ANY),
    BINARY("pow", POSITIVE, NONZERO),
    BINARY("max", APART, APART),
    BINARY("min", APART, APART),
    {"select", {{"bool[3,5]", COIN, 0}, {"f32[3,5]", ANY, 0}, {"f32[3,5]", ANY, 0}}, "", "f32[3,5]", false},
    {"select", {{"bool[]", COIN, 0}, {"f32[]", ANY, 0}, {"f32[]", ANY, 0}}, "", "f32[]", false},

    ONE("broadcast", "f32[]", "{axes=[]}", "f32[3,2]"),
    ONE("broadcast", "f32[3]", "{axes=[0]}", "f32[3,2]"),
    ONE("broadcast", "f32[3]", "{axes=[1]}", "f32[2,3]"),
    ONE("broadcast", "f32[2,5]", "{axes=[1,3]}", "f32[3,2,4,5,1]"),
    ONE("broadcast", "f32[1,3]", "{axes=[0,1]}", "f32[1,3]"),
    ONE("reshape", "f32[2,3,5]", "", "f32[5,6]"),
    ONE("reshape", "f32[1]", "", "f32[]"),
    ONE("reshape", "f32[3,5]", "", "f32[1,3,1,5]"),
    ONE("transpose", "f32[3,5]", "{axes=[1,0]}", "f32[5,3]"),
    ONE("transpose", "f32[2,3,5]", "{axes=[1,2,0]}", "f32[3,5,2]"),
    ONE("transpose", "f32[2,3,1,5]", "{axes=[3,0,2,1]}", "f32[5,2,1,3]"),
    ONE("transpose", "f32[]", "{axes=[]}", "f32[]"),
    ONE("slice", "f32[7]", "{start=[0], limit=[7], stride=[1]}", "f32[7]"),
    ONE("slice", "f32[7]", "{start=[1], limit=[6], stride=[2]}", "f32[3]"),
    ONE("slice", "f32[7,5]", "{start=[2,0], limit=[7,4], stride=[3,3]}", "f32[2,2]"),
    ONE("slice", "f32[4,3,5]", "{start=[3,1,4], limit=[4,2,5], stride=[5,1,1]}", "f32[1,1,1]"),
    ONE("pad", "f32[3]", "{low=[1], high=[2], interior=[0], value=0}", "f32[6]"),
    ONE("pad", "f32[3,2]", "{low=[0,2], high=[1,0], interior=[2,1], value=1.5}", "f32[8,5]"),
    ONE("pad", "f32[1,4]", "{low=[0,0], high=[0,0], interior=[3,0], value=7}", "f32[1,4]"),
    ONE("concat", "f32[3,2]", "{axis=1}", "f32[3,2]"),
    TWO("concat", "f32[3,2]", "f32[5,2]", "{axis=0}", "f32[8,2]"),
    {"concat",
     {{"f32[2,3,2]", ANY, 0}, {"f32[2,1,2]", ANY, 0}, {"f32[2,4,2]", ANY, 0}},
     "{axis=1}",
     "f32[2,8,2]",
     false},
    {"gather", {{"f32[5]", ANY, 0}, {"i32[]", ROW, 5}}, "{axis=0, batch=0}", "f32[]", false},
    {"gather", {{"f32[5,3]", ANY, 0}, {"i32[7]", ROW, 5}}, "{axis=0, batch=0}", "f32[7,3]", false},
    {"gather", {{"f32[2,5,3]", ANY, 0}, {"i32[4,2]", ROW, 5}}, "{axis=1, batch=0}", "f32[2,4,2,3]", false},
    {"gather", {{"f32[3,5]", ANY, 0}, {"i32[3]", ROW, 5}}, "{axis=1, batch=1}", "f32[3]", false},
    {"gather", {{"f32[2,3,5,2]", ANY, 0}, {"i32[2,4]", ROW, 5}}, "{axis=2, batch=1}", "f32[2,3,4,2]", false},
    {"gather", {{"f32[2,3,5]", ANY, 0}, {"i32[2,3,2]", ROW, 5}}, "{axis=2, batch=2}", "f32[2,3,2]", false},
    {"scatter_add", {{"f32[7,3]", ANY, 0}, {"i32[7]", ROW, 5}}, "{axis=0, batch=0}", "f32[5,3]", false},
    {"scatter_add", {{"f32[2,4,2,3]", ANY, 0}, {"i32[4,2]", ROW, 5}}, "{axis=1, batch=0}", "f32[2,5,3]", false},
    {"scatter_add", {{"f32[2,3,4,2]", ANY, 0}, {"i32[2,4]", ROW, 5}}, "{axis=2, batch=1}", "f32[2,3,5,2]", false},
    {"scatter_add", {{"f32[]", ANY, 0}, {"i32[]", ROW, 3}}, "{axis=0, batch=0}", "f32[3]", false},

    ONE("reduce_sum", "f32[5]", "{axes=[0]}", "f32[]"),
    ONE("reduce_sum", "f32[3,5]", "{axes=[0]}", "f32[5]"),
    ONE("reduce_sum", "f32[2,3,5]", "{axes=[2,0]}", "f32[3]"),
    ONE("reduce_sum", "f32[2,3,1]", "{axes=[]}", "f32[2,3,1]"),
    ONE("reduce_variation", "f32[5]", "{axes=[0]}", "f32[]"),
    ONE("reduce_variation", "f32[2,3,5]", "{axes=[2,0]}", "f32[3]"),
    ONE("reduce_logsumexp", "f32[5]", "{axes=[0]}", "f32[]"),
    ONE("reduce_logsumexp", "f32[2,3,5]", "{axes=[2,0]}", "f32[3]"),
    {"reduce_max", {{"f32[5]", APART, 0}}, "{axes=[0]}", "f32[]", false},
    {"reduce_max", {{"f32[3,5]", APART, 0}}, "{axes=[1]}", "f32[3]", false},
    {"reduce_max", {{"f32[2,3,5]", APART, 0}}, "{axes=[0,2]}", "f32[3]", false},
    {"reduce_max", {{"f32[2,1]", APART, 0}}, "{axes=[1]}", "f32[2]", false},

    TWO("dot", "f32[5]", "f32[5]", "{lhs_batch=[], rhs_batch=[], lhs_contract=[0], rhs_contract=[0]}", "f32[]"),
    TWO("dot", "f32[3,5]", "f32[5,2]", "{lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0]}", "f32[3,2]"),
    TWO("dot", "f32[5,3]", "f32[2,5]", "{lhs_batch=[], rhs_batch=[], lhs_contract=[0], rhs_contract=[1]}", "f32[3,2]"),
    TWO("dot", "f32[3]", "f32[2]", "{lhs_batch=[], rhs_batch=[], lhs_contract=[], rhs_contract=[]}", "f32[3,2]"),
    TWO("dot", "f32[4,3,5]", "f32[4,5,2]", "{lhs_batch=[0], rhs_batch=[0], lhs_contract=[2], rhs_contract=[1]}",
        "f32[4,3,2]"),
    TWO("dot", "f32[3,4,5]", "f32[5,2,4]", "{lhs_batch=[1], rhs_batch=[2], lhs_contract=[2], rhs_contract=[0]}",
        "f32[4,3,2]"),
    TWO("dot", "f32[2,3,4]", "f32[4,2,5]", "{lhs_batch=[], rhs_batch=[], lhs_contract=[0,2], rhs_contract=[1,0]}",
        "f32[3,5]"),
    TWO("dot", "f32[3,2,4,2]", "f32[2,5,4,3]", "{lhs_batch=[3,0], rhs_batch=[0,3], lhs_contract=[2], rhs_contract=[2]}",
        "f32[2,3,2,5]"),
    TWO("dot", "f32[2,3]", "f32[2,3]", "{lhs_batch=[0,1], rhs_batch=[0,1], lhs_contract=[], rhs_contract=[]}",
        "f32[2,3]"),
    TWO("dot", "f32[2,3,4]", "f32[3,4]", "{lhs_batch=[], rhs_batch=[], lhs_contract=[2,1], rhs_contract=[1,0]}",
        "f32[2]"),
#define CONVOLUTION(x, w, y, attrs)                                                                                    \
    TWO("conv2d", x, w, attrs, y), TWO("conv2d_input_grad", y, w, attrs, x), TWO("conv2d_weight_grad", x, y, attrs, w)
    CONVOLUTION("f32[2,3,5,4]", "f32[2,3,1,1]", "f32[2,2,5,4]",
                "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}"),
    CONVOLUTION("f32[1,2,5,5]", "f32[3,2,3,3]", "f32[1,3,5,5]",
                "{stride=[1,1], padding=[1,1,1,1], dilation=[1,1], groups=1}"),
    CONVOLUTION("f32[2,1,7,6]", "f32[1,1,3,2]", "f32[2,1,3,3]",
                "{stride=[2,2], padding=[0,1,1,0], dilation=[1,1], groups=1}"),
    CONVOLUTION("f32[1,2,6,7]", "f32[2,2,2,3]", "f32[1,2,2,3]",
                "{stride=[3,2], padding=[2,0,0,2], dilation=[2,2], groups=1}"),
    CONVOLUTION("f32[1,4,4,5]", "f32[6,2,3,1]", "f32[1,6,2,5]",
                "{stride=[1,1], padding=[0,0,0,0], dilation=[1,3], groups=2}"),
    CONVOLUTION("f32[2,3,4,4]", "f32[3,1,3,3]", "f32[2,3,2,2]",
                "{stride=[2,2], padding=[1,1,1,1], dilation=[1,1], groups=3}"),
    CONVOLUTION("f32[1,1,2,2]", "f32[1,1,2,2]", "f32[1,1,4,4]",
                "{stride=[1,2], padding=[2,1,3,3], dilation=[1,1], groups=1}"),

#define POOL(x, y, attrs)                                                                                              \
    {"max_pool2d", {{x, APART, 0}}, attrs, y, true}, ONE("avg_pool2d", x, attrs, y), ONE("avg_pool2d_grad", y, attrs, x)
    POOL("f32[1,2,4,6]", "f32[1,2,2,3]", "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}"),
    POOL("f32[2,1,5,5]", "f32[2,1,3,3]", "{kernel=[3,3], stride=[2,2], padding=[1,1,1,1]}"),
    POOL("f32[1,1,5,7]", "f32[1,1,4,3]", "{kernel=[2,3], stride=[1,2], padding=[0,0,0,1]}"),
    POOL("f32[1,3,1,4]", "f32[1,3,1,1]", "{kernel=[2,4], stride=[3,3], padding=[1,0,1,1]}"),
};
enum { CASES = sizeof cases / sizeof *cases };

/* Operations through which no gradient flows: their f32 operands' gradients are 0. The values do not change near the
 * point, stop_gradient's excepted. */
static const grad_case flat_cases[] = {
    UNARY("sign", NONZERO),
    UNARY("floor", APART),
    UNARY("stop_gradient", ANY),
    {"equal", {{"f32[3,5]", APART, 0}, {"f32[3,5]", APART, 0}}, "", "bool[3,5]", true},
    {"less", {{"f32[3,5]", APART, 0}, {"f32[3,5]", APART, 0}}, "", "bool[3,5]", true},
    {"less_equal", {{"f32[3,5]", APART, 0}, {"f32[3,5]", APART, 0}}, "", "bool[3,5]", true},
    {"argmax", {{"f32[3,5]", APART, 0}}, "{axis=1}", "i32[3]", true},
    {"convert", {{"f32[3,5]", APART, 0}}, "", "i32[3,5]", true},
    /* whose operands are never f32 */
    {"not", {{"bool[3]", COIN, 0}}, "", "bool[3]", true},
    {"and", {{"bool[3]", COIN, 0}, {"bool[3]", COIN, 0}}, "", "bool[3]", true},
    {"or", {{"bool[3]", COIN, 0}, {"bool[3]", COIN, 0}}, "", "bool[3]", true},
    {"random_uniform", {{"i32[]", ROW, 9}, {"i32[]", ROW, 9}}, "{stream=1}", "f32[3]", true},
    {"random_normal", {{"i32[]", ROW, 9}, {"i32[]", ROW, 9}}, "{stream=1}", "f32[3]", true},
};
enum { FLAT_CASES = sizeof flat_cases / sizeof *flat_cases };

/* Operations that `differentiate` refuses, and why it may. */
static const struct {
    const char *op, *reason;
} refused[] = {
    {"write", "has no result"},
    {"output", "has no result"},
    {"gradient", "is gone before a gradient of it is taken"},
    {"max_pool2d_grad", "second derivatives through a maximum of a window: tested below to be an error"},
};

/* ---- a case's module --------------------------------------------------------------------------------------------- */

static int input_count(const grad_case *this) {
    int count = 0;
    while (count < MAX_INPUTS && this->inputs[count].type)
        count++;
    return count;
}

static bool is_float(const char *type) {
    return type[0] == 'f';
}

static int rank_of(const char *type) {
    int commas = 0;
    for (const char *c = type; *c; c++)
        commas += *c == ',';
    return strstr(type, "[]") ? 0 : commas + 1;
}

/* Appends the sum of %value times %weights, and returns its number. */
static int append_weighted_sum(text_buffer *text, int next, int value, int weights, const char *type) {
    text_append(text, "  %%%d = mul %%%d, %%%d : %s\n", next, value, weights, type);
    text_append(text, "  %%%d = reduce_sum %%%d {axes=[", next + 1, next);
    for (int axis = 0; axis < rank_of(type); axis++)
        text_append(text, axis ? ",%d" : "%d", axis);
    text_append(text, "]} : f32[]\n");
    return next + 1;
}

/* The function "loss" (order 0), "first" or "second": the loss is the sum of the result times @upstream; the
 * first-order scalar the sum of all its gradients times fixed weights. */
static void append_function(const grad_case *this, int order, text_buffer *text) {
    static const char *const names[] = {"loss", "first", "second"};
    int inputs = input_count(this), next = 0;
    char type[64]; /* of the result as f32 */
    snprintf(type, sizeof type, "f32%s", strchr(this->result, '['));
    text_append(text, "func @%s {\n", names[order]);
    for (; next < inputs; next++)
        text_append(text, "  %%%d = input @x%d : %s\n", next, next, this->inputs[next].type);
    int upstream = next++;
    text_append(text, "  %%%d = input @upstream : %s\n  %%%d = %s ", upstream, type, next, this->op);
    for (int i = 0; i < inputs; i++)
        text_append(text, i ? ", %%%d" : "%%%d", i);
    text_append(text, " %s : %s\n", this->attrs, this->result);
    if (!is_float(this->result)) {
        text_append(text, "  %%%d = convert %%%d : %s\n", next + 1, next, type);
        next++;
    }
    int loss = append_weighted_sum(text, next + 1, next, upstream, type), scalar = loss, gradient[MAX_INPUTS];
    next = loss + 1;
    for (int i = 0; order > 0 && i < inputs; i++) {
        if (!is_float(this->inputs[i].type))
            continue;
        int weights = next;
        gradient[i] = next + 1;
        text_append(text, "  %%%d = input @v%d : %s\n  %%%d = gradient %%%d, %%%d : %s\n", weights, i,
                    this->inputs[i].type, gradient[i], loss, i, this->inputs[i].type);
        int sum = append_weighted_sum(text, next + 2, gradient[i], weights, this->inputs[i].type);
        next = sum + 1;
        if (scalar != loss)
            text_append(text, "  %%%d = add %%%d, %%%d : f32[]\n", next++, scalar, sum);
        scalar = next - 1;
    }
    if (order == 2) {
        for (int i = 0; i < inputs; i++)
            if (is_float(this->inputs[i].type)) {
                text_append(text, "  %%%d = gradient %%%d, %%%d : %s\n", next, scalar, i, this->inputs[i].type);
                gradient[i] = next++;
            }
        text_append(text, "  %%%d = gradient %%%d, %%%d : %s\n  output @upstream, %%%d\n", next, scalar, upstream, type,
                    next);
    }
    for (int i = 0; order > 0 && i < inputs; i++)
        if (is_float(this->inputs[i].type))
            text_append(text, "  output @x%d, %%%d\n", i, gradient[i]);
    text_append(text, "  output @scalar, %%%d\n}\n", scalar);
}

/* A name for messages: the operation and its types. */
static const char *describe(const grad_case *this) {
    static char text[256];
    int length = snprintf(text, sizeof text, "%s ", this->op);
    for (int i = 0; i < input_count(this); i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s ", this->inputs[i].type);
    snprintf(text + length, sizeof text - (size_t)length, "%s -> %s", this->attrs, this->result);
    return text;
}

static ir_case *build(const grad_case *this, int orders) {
    text_buffer text = {0};
    text_append(&text, "module @grad\n");
    for (int order = 0; order <= orders; order++)
        append_function(this, order, &text);
    ir_case *built = ir_case_parse(describe(this), &text);
    ir_case_pass(built, describe(this), "differentiate");
    text_free(&text);
    return built;
}

/* ---- a case's numbers ---------------------------------------------------------------------------------------------
 */

static double draw(const input_case *input, rt_random_sequence *random, const int64_t *places, int *place) {
    switch (input->domain) {
    case ROW: return (double)rt_random_below(random, input->rows);
    case COIN: return (double)rt_random_below(random, 2);
    case POSITIVE: return rt_random_range(random, 0.5, 2);
    case NONZERO: return rt_random_range(random, 0.5, 2) * (rt_random_below(random, 2) ? 1 : -1);
    case APART: return ((double)places[(*place)++] + 0.5) * 0.05;
    default: return rt_random_range(random, -1, 1);
    }
}

/* Values for every input of the module's last function. */
static void fill_inputs(const grad_case *this, const ir_case *built, tensor_list *given, rt_random_sequence *random) {
    enum { PLACES = 256 };
    int64_t places[PLACES];
    int place = 0;
    rt_random_permutation(random, places, PLACES);
    for (int i = 0; i < PLACES; i++)
        places[i] -= PLACES / 2;
    const ir_function *function = built->module->functions[built->module->function_count - 1];
    for (const ir_value *value = function->first; value; value = value->next) {
        if (value->opcode != IR_OP_input)
            continue;
        const char *name = ir_symbol(value, IR_ATTR_symbol);
        input_case other = {"", ANY, 0};
        const input_case *input = name[0] == 'x' ? &this->inputs[name[1] - '0'] : &other;
        double *elements = tensor_add(given, false, name, &value->type);
        for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
            elements[i] = draw(input, random, places, &place);
        assert_true(place <= PLACES);
    }
}

static double scalar_of(ir_case *built, const char *function, const tensor_list *given) {
    tensor_list results = {.memory = arena_new()};
    ir_case_interpret(built, function, given, &results);
    double scalar = *tensor_elements(&results, false, "scalar");
    arena_free(results.memory);
    return scalar;
}

/* The derivative by one element from four values around it, with an error of the fourth order in the step. */
static double difference(ir_case *built, const char *function, const tensor_list *given, double *element) {
    const double step = 1e-3, center = *element;
    double values[4];
    static const int steps[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *element = center + steps[i] * step;
        values[i] = scalar_of(built, function, given);
    }
    *element = center;
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step);
}

/* The outputs of `derived`, gradients by the inputs of their names, against differences of the scalar of `function`. */
static void compare(const grad_case *this, ir_case *built, const char *function, const char *derived,
                    const tensor_list *given) {
    tensor_list gradients = {.memory = arena_new()};
    ir_case_interpret(built, derived, given, &gradients);
    double floor_error = 1e-10 * (1 + fabs(scalar_of(built, function, given)));
    for (int g = 0; g < gradients.count; g++) {
        const tensor *gradient = &gradients.items[g];
        const tensor *input = tensor_find(given, false, gradient->name);
        if (!input) /* the scalar itself */
            continue;
        for (int64_t i = 0, count = ir_type_elements(&gradient->type); i < count; i++) {
            double got = gradient->elements[i], wanted = difference(built, function, given, &input->elements[i]);
            if (!(fabs(got - wanted) <= 1e-6 * fmax(fabs(got), fabs(wanted)) + floor_error))
                fail_msg("%s: the %s derivative by element %lld of %s is %.12g, differences say %.12g", describe(this),
                         derived, (long long)i, gradient->name, got, wanted);
        }
    }
    arena_free(gradients.memory);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const char *const derivatives[] = {
#define OP(name, operands, class_, shape, derivative, ...) #derivative,
#include "ir/ops.def"
};

static bool has_case(const grad_case *list, int count, const char *op) {
    for (int i = 0; i < count; i++)
        if (strcmp(list[i].op, op) == 0)
            return true;
    return false;
}

static bool is_refused(const char *op) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].op, op) == 0)
            return true;
    return false;
}

static void every_operation_has_a_case(void **state) {
    (void)state;
    for (int opcode = 0; opcode < IR_OP_COUNT; opcode++) {
        const ir_op_info *op = ir_op((ir_opcode)opcode);
        bool covered = strcmp(derivatives[opcode], "never") == 0 ? is_refused(op->name)
                       : strcmp(derivatives[opcode], "none") == 0
                           ? !op->operand_count || has_case(flat_cases, FLAT_CASES, op->name)
                           : has_case(cases, CASES, op->name);
        if (!covered)
            fail_msg("operation '%s' (derivative '%s') has no case here", op->name, derivatives[opcode]);
    }
}

static void derivatives_equal_differences(void **state) {
    (void)state;
    for (int c = 0; c < CASES; c++) {
        const grad_case *this = &cases[c];
        ir_case *built = build(this, this->once ? 1 : 2);
        tensor_list given = {.memory = built->memory};
        rt_random_sequence random = rt_random_begin(1, (uint64_t)c);
        fill_inputs(this, built, &given, &random);
        compare(this, built, "loss", "first", &given);
        if (!this->once)
            compare(this, built, "first", "second", &given);
        ir_case_free(built);
    }
}

static bool has_float_input(const grad_case *this) {
    bool found = false;
    for (int i = 0; i < input_count(this); i++)
        found |= is_float(this->inputs[i].type);
    return found;
}

/* The case with all its operands f32 must not even be a module. */
static void check_refuses_float(const grad_case *this) {
    grad_case other = *this;
    char types[MAX_INPUTS][32];
    for (int i = 0; i < input_count(this); i++) {
        snprintf(types[i], sizeof types[i], "f32%s", strchr(this->inputs[i].type, '['));
        other.inputs[i].type = types[i];
    }
    text_buffer text = {0};
    text_append(&text, "module @grad\n");
    append_function(&other, 0, &text);
    ir_case *built = ir_case_new();
    if (ir_parse(built->memory, &built->diags, "case.ir", text.data, text.length))
        fail_msg("%s works on f32 but has no case for it", this->op);
    text_free(&text);
    ir_case_free(built);
}

static void no_gradient_flows_through_steps(void **state) {
    (void)state;
    for (int c = 0; c < FLAT_CASES; c++) {
        const grad_case *this = &flat_cases[c];
        if (!has_float_input(this)) {
            check_refuses_float(this);
            continue;
        }
        ir_case *built = build(this, 1);
        tensor_list given = {.memory = built->memory}, gradients = {.memory = built->memory};
        rt_random_sequence random = rt_random_begin(2, (uint64_t)c);
        fill_inputs(this, built, &given, &random);
        if (strcmp(this->op, "stop_gradient") != 0)
            compare(this, built, "loss", "first", &given);
        ir_case_interpret(built, "first", &given, &gradients);
        for (int i = 0; i < input_count(this); i++) {
            const tensor *gradient = tensor_find(&gradients, false, i == 0 ? "x0" : "x1");
            for (int64_t e = 0; e < ir_type_elements(&gradient->type); e++)
                if (gradient->elements[e] != 0)
                    fail_msg("%s: a gradient flows", describe(this));
        }
        ir_case_free(built);
    }
}

/* What `differentiate` cannot do is an error that names the operation. */
static void second_derivatives_of_max_pool_are_refused(void **state) {
    (void)state;
    const grad_case this = {"max_pool2d",
                            {{"f32[1,1,4,4]", APART, 0}},
                            "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}",
                            "f32[1,1,2,2]",
                            false};
    text_buffer text = {0}, messages = {0};
    text_append(&text, "module @grad\n");
    append_function(&this, 2, &text);
    ir_case *built = ir_case_parse("max_pool2d twice", &text);
    pass_context context = {.memory = built->memory, .diags = &built->diags, .module = built->module};
    assert_false(pass_differentiate(&context));
    diag_render(&built->diags, &messages, false);
    assert_non_null(strstr(messages.data, "cannot differentiate through 'max_pool2d_grad'"));
    text_free(&messages);
    text_free(&text);
    ir_case_free(built);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_a_case),
        cmocka_unit_test(derivatives_equal_differences),
        cmocka_unit_test(no_gradient_flows_through_steps),
        cmocka_unit_test(second_derivatives_of_max_pool_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
