#include "passes/kernel_math.h"

#include <math.h>

static kir_type type_of(const kir_builder *builder, kir_reg x) {
    return builder->kernel->registers[x];
}

static kir_reg number(const kir_builder *builder, kir_reg like, double value) {
    return kir_number(builder, type_of(builder, like), value);
}

static kir_reg whole(const kir_builder *builder, kir_reg like, double value) {
    kir_type type = type_of(builder, like);
    type.element = KIR_I32;
    return kir_number(builder, type, value);
}

/* c[0] + x (c[1] + x (…)) */
static kir_reg polynomial(const kir_builder *builder, kir_reg x, const double *coefficients, int count) {
    kir_reg sum = number(builder, x, coefficients[count - 1]);
    for (int i = count - 2; i >= 0; i--)
        sum = kir_op3(builder, KIR_fma, sum, x, number(builder, x, coefficients[i]));
    return sum;
}

/* Polynomials for e^x on |x| <= ln 2 / 2, and bits that bound their relative error: two of the least largest error, and
 * one by weighted least squares on Chebyshev points. */
static const struct {
    int bits, count;
    double coefficients[7];
} exponentials[] = {
    {13, 4, {0.999928045410806, 1.0001642515000326, 0.5049642484489163, 0.16566822120276817}},
    {18, 5, {0.9999992610042764, 0.999963390409114, 0.5000436040625292, 0.16790931886702654, 0.04145856616328566}},
    {28,
     7,
     {1, 1, 0.49999993450967717, 0.1666652067900138, 0.04166838749127552, 0.008368711136718533, 0.0013814610386348528}},
};

/* e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2, ln 2 in two parts (Cody and Waite) where that tells.
 * Adding 1.5 * 2^23 rounds to n and leaves n in the low bits, from where it moves into the exponent of e^r, or with few
 * bits, and the bias added, into that of a factor. */
kir_reg math_exp_falling(const kir_builder *builder, kir_reg x, int bits) {
    int i = bits <= exponentials[0].bits ? 0 : bits <= exponentials[1].bits ? 1 : 2;
    bool exact = i == 2;
    kir_reg magic = number(builder, x, exact ? 12582912 : 12582912 + 127);
    kir_reg rounded = kir_op3(builder, KIR_fma, x, number(builder, x, 1.44269504088896341), magic);
    kir_reg n = kir_op2(builder, KIR_sub, rounded, magic);
    kir_reg r = kir_op3(builder, KIR_fma, n, number(builder, x, i > 0 ? -0.693145751953125 : -0.69314718056), x);
    if (i > 0)
        r = kir_op3(builder, KIR_fma, n, number(builder, x, -1.428606765330187e-06), r);
    kir_reg power = polynomial(builder, r, exponentials[i].coefficients, exponentials[i].count);
    kir_reg exponent = kir_op2(builder, KIR_shift_left, kir_op1(builder, KIR_bitcast, rounded), whole(builder, x, 23));
    if (exact)
        power =
            kir_op1(builder, KIR_bitcast, kir_op2(builder, KIR_add, kir_op1(builder, KIR_bitcast, power), exponent));
    else
        power = kir_op2(builder, KIR_mul, power, kir_op1(builder, KIR_bitcast, exponent));
    kir_reg low = kir_op2(builder, KIR_less, x, number(builder, x, -87.33654));
    return kir_op3(builder, KIR_select, low, number(builder, x, 0), power);
}

/* Too large gives infinity, and NaN stays. With few bits n = 128 makes the factor infinite. */
kir_reg math_exp_within(const kir_builder *builder, kir_reg x, int bits) {
    if (bits <= exponentials[1].bits)
        return math_exp_falling(builder, kir_op2(builder, KIR_min, number(builder, x, 88.8), x), bits);
    kir_reg power = math_exp_falling(builder, x, bits);
    kir_reg fits = kir_op2(builder, KIR_less_equal, x, number(builder, x, 88.7228391));
    return kir_op3(builder, KIR_select, fits, power, kir_op2(builder, KIR_mul, x, number(builder, x, INFINITY)));
}

kir_reg math_exp(const kir_builder *builder, kir_reg x) {
    return math_exp_within(builder, x, 24);
}

/* x = 2^n m with m in sqrt(1/2) .. sqrt(2); log m = 2 artanh(s), s = (m - 1) / (m + 1), by its odd series up to s^9,
 * whose next term is below 2^-27. */
kir_reg math_log(const kir_builder *builder, kir_reg x) {
    static const double series[] = {2, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11};
    /* Denormal numbers are scaled up by 2^25 first. */
    kir_reg tiny = kir_op2(builder, KIR_less, x, number(builder, x, 1.1754944e-38));
    kir_reg scaled = kir_op3(builder, KIR_select, tiny, kir_op2(builder, KIR_mul, x, number(builder, x, 33554432)), x);
    kir_reg bits = kir_op1(builder, KIR_bitcast, scaled);
    /* The bits of sqrt(1/2) as origin put m's range around 1. */
    kir_reg moved = kir_op2(builder, KIR_sub, bits, whole(builder, x, 0x3f3504f3));
    kir_reg exponent = kir_op2(builder, KIR_shift_right, moved, whole(builder, x, 23));
    kir_reg mantissa =
        kir_op2(builder, KIR_sub, bits, kir_op2(builder, KIR_shift_left, exponent, whole(builder, x, 23)));
    kir_reg m = kir_op1(builder, KIR_bitcast, mantissa), one = number(builder, x, 1);
    kir_reg n = kir_convert(builder, exponent, KIR_F32);
    n = kir_op3(builder, KIR_select, tiny, kir_op2(builder, KIR_sub, n, number(builder, x, 25)), n);
    kir_reg s = kir_op2(builder, KIR_div, kir_op2(builder, KIR_sub, m, one), kir_op2(builder, KIR_add, m, one));
    kir_reg logarithm = kir_op2(builder, KIR_mul, s, polynomial(builder, kir_op2(builder, KIR_mul, s, s), series, 6));
    logarithm = kir_op3(builder, KIR_fma, n, number(builder, x, 1.428606765330187e-06), logarithm);
    logarithm = kir_op3(builder, KIR_fma, n, number(builder, x, 0.693145751953125), logarithm);
    kir_reg zero = number(builder, x, 0);
    logarithm = kir_op3(builder, KIR_select, kir_op2(builder, KIR_less, x, number(builder, x, INFINITY)), logarithm, x);
    logarithm =
        kir_op3(builder, KIR_select, kir_op2(builder, KIR_equal, x, zero), number(builder, x, -INFINITY), logarithm);
    return kir_op3(builder, KIR_select, kir_op2(builder, KIR_less, x, zero), number(builder, x, NAN), logarithm);
}

/* Near 0 by the odd Taylor series, else sign(x) (1 - 2 / (e^(2|x|) + 1)). */
kir_reg math_tanh(const kir_builder *builder, kir_reg x) {
    static const double series[] = {1,           -1.0 / 3,         2.0 / 15,         -17.0 / 315,
                                    62.0 / 2835, -1382.0 / 155925, 21844.0 / 6081075};
    kir_reg one = number(builder, x, 1), two = number(builder, x, 2), size = kir_op1(builder, KIR_abs, x);
    kir_reg power = math_exp(builder, kir_op2(builder, KIR_mul, two, size));
    kir_reg far = kir_op2(builder, KIR_sub, one, kir_op2(builder, KIR_div, two, kir_op2(builder, KIR_add, power, one)));
    kir_reg negative = kir_op2(builder, KIR_less, x, number(builder, x, 0));
    far = kir_op3(builder, KIR_select, negative, kir_op1(builder, KIR_neg, far), far);
    kir_reg near = kir_op2(builder, KIR_mul, x, polynomial(builder, kir_op2(builder, KIR_mul, x, x), series, 7));
    kir_reg small = kir_op2(builder, KIR_less, size, number(builder, x, 0.35));
    kir_reg result = kir_op3(builder, KIR_select, small, near, far);
    return kir_op3(builder, KIR_select, kir_op2(builder, KIR_equal, x, x), result, x);
}

kir_reg math_rsqrt(const kir_builder *builder, kir_reg x) {
    return kir_op2(builder, KIR_div, number(builder, x, 1), kir_op1(builder, KIR_sqrt, x));
}
