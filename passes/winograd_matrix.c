/* The matrices of Winograd's method and their products with registers. */
#include "passes/winograd.h"

#include <assert.h>

/* Errors grow with the spread of the points' powers; among pairs of pairs these keep them smallest: about 2.5 times the
 * error of plain sums, where 1 and 2 give 5 times. Their powers are exact. */
static const double points[WINOGRAD_POINTS - 1] = {0, 0.625, -0.625, 1.5, -1.5};

/* The polynomial of x that is 0 at all points but one (-1: at all), by its coefficients. */
static void vanishing_polynomial(int but, double coefficients[WINOGRAD_POINTS]) {
    double polynomial[WINOGRAD_POINTS + 1] = {1};
    int degree = 0;
    for (int i = 0; i < WINOGRAD_POINTS - 1; i++)
        if (i != but) {
            double next[WINOGRAD_POINTS + 1] = {0};
            for (int d = 0; d <= degree; d++) {
                next[d + 1] += polynomial[d];
                next[d] -= points[i] * polynomial[d];
            }
            degree++;
            for (int d = 0; d <= degree; d++)
                polynomial[d] = next[d];
        }
    for (int d = 0; d < WINOGRAD_POINTS; d++)
        coefficients[d] = d <= degree ? polynomial[d] : 0;
}

winograd_matrices winograd_matrices_new(void) {
    enum { LAST = WINOGRAD_POINTS - 1 };
    winograd_matrices all = {.input = {.rows = WINOGRAD_POINTS, .columns = WINOGRAD_POINTS, .paired_rows = true},
                             .weight = {.rows = WINOGRAD_POINTS, .columns = WINOGRAD_TAPS, .paired_rows = true},
                             .output = {.rows = WINOGRAD_OUTPUTS, .columns = WINOGRAD_POINTS, .paired_columns = true}};
    for (int i = 0; i < LAST; i++) {
        vanishing_polynomial(i, all.input.at[i]);
        double scale = 1, power = 1;
        for (int j = 0; j < LAST; j++)
            if (j != i)
                scale *= points[i] - points[j];
        for (int k = 0; k < WINOGRAD_OUTPUTS; k++, power *= points[i]) {
            if (k < WINOGRAD_TAPS)
                all.weight.at[i][k] = power / scale;
            all.output.at[k][i] = power;
        }
    }
    vanishing_polynomial(-1, all.input.at[LAST]);
    all.weight.at[LAST][WINOGRAD_TAPS - 1] = 1;
    all.output.at[WINOGRAD_OUTPUTS - 1][LAST] = 1;
    return all;
}

winograd_matrix winograd_transposed(const winograd_matrix *matrix) {
    winograd_matrix result = {.rows = matrix->columns,
                              .columns = matrix->rows,
                              .paired_rows = matrix->paired_columns,
                              .paired_columns = matrix->paired_rows};
    for (int r = 0; r < result.rows; r++)
        for (int c = 0; c < result.columns; c++)
            result.at[r][c] = matrix->at[c][r];
    return result;
}

/* ---- products with registers ----------------------------------------------------------------------------------------
 */

/* A sum of registers times numbers under construction. */
typedef struct {
    int count;
    kir_reg x[WINOGRAD_POINTS];
    double factor[WINOGRAD_POINTS];
} linear_sum;

static void sum_add(linear_sum *sum, kir_reg x, double factor) {
    if (factor == 0)
        return;
    sum->x[sum->count] = x;
    sum->factor[sum->count++] = factor;
}

static kir_type type_of(const kir_builder *builder, kir_reg reg) {
    return builder->kernel->registers[reg];
}

static kir_reg times_plus(const kir_builder *builder, kir_reg x, double factor, kir_reg addend) {
    if (factor == 1)
        return kir_op2(builder, KIR_add, addend, x);
    if (factor == -1)
        return kir_op2(builder, KIR_sub, addend, x);
    return kir_op3(builder, KIR_fma, x, kir_number(builder, type_of(builder, x), factor), addend);
}

/* Begins with a term that needs no multiplication if there is one. */
static kir_reg sum_emit(const kir_builder *builder, const linear_sum *sum) {
    int first = 0;
    assert(sum->count > 0);
    for (int i = sum->count - 1; i >= 0; i--)
        if (sum->factor[i] == 1)
            first = i;
    kir_reg result = sum->x[first];
    if (sum->factor[first] != 1)
        result = kir_op2(builder, KIR_mul, result, kir_number(builder, type_of(builder, result), sum->factor[first]));
    for (int i = 0; i < sum->count; i++)
        if (i != first)
            result = times_plus(builder, sum->x[i], sum->factor[i], result);
    return result;
}

/* Two rows for p and -p: e + o and e - o. The factor that all of o shares comes last. */
static void emit_row_pair(const kir_builder *builder, const winograd_matrix *matrix, int row, const kir_reg *x,
                          kir_reg *result) {
    linear_sum even = {0}, odd = {0};
    double shared = 0;
    for (int c = 0; c < matrix->columns; c++)
        if (matrix->at[row][c] != matrix->at[row + 1][c])
            shared = matrix->at[row][c];
    for (int c = 0; c < matrix->columns; c++) {
        double factor = matrix->at[row][c];
        if (factor == matrix->at[row + 1][c])
            sum_add(&even, x[c], factor);
        else
            sum_add(&odd, x[c], factor / shared);
    }
    kir_reg e = sum_emit(builder, &even), o = sum_emit(builder, &odd);
    result[row] = times_plus(builder, o, shared, e);
    result[row + 1] = times_plus(builder, o, -shared, e);
}

/* Columns for p and -p enter every row as their sum or their difference. */
static void emit_column_pairs(const kir_builder *builder, const winograd_matrix *matrix, const kir_reg *x,
                              kir_reg *result) {
    kir_reg sums[WINOGRAD_POINTS], differences[WINOGRAD_POINTS];
    for (int c = 1; c + 1 < matrix->columns; c += 2) {
        sums[c] = kir_op2(builder, KIR_add, x[c], x[c + 1]);
        differences[c] = kir_op2(builder, KIR_sub, x[c], x[c + 1]);
    }
    for (int r = 0; r < matrix->rows; r++) {
        linear_sum sum = {0};
        sum_add(&sum, x[0], matrix->at[r][0]);
        for (int c = 1; c + 1 < matrix->columns; c += 2)
            sum_add(&sum, matrix->at[r][c] == matrix->at[r][c + 1] ? sums[c] : differences[c], matrix->at[r][c]);
        sum_add(&sum, x[matrix->columns - 1], matrix->at[r][matrix->columns - 1]);
        result[r] = sum_emit(builder, &sum);
    }
}

/* matrix * x */
static void emit_product(const kir_builder *builder, const winograd_matrix *matrix, const kir_reg *x, kir_reg *result) {
    if (matrix->paired_columns) {
        emit_column_pairs(builder, matrix, x, result);
        return;
    }
    for (int r = 0; r < matrix->rows; r++) {
        if (r > 0 && r + 1 < matrix->rows) {
            emit_row_pair(builder, matrix, r++, x, result);
            continue;
        }
        linear_sum sum = {0};
        for (int c = 0; c < matrix->columns; c++)
            sum_add(&sum, x[c], matrix->at[r][c]);
        result[r] = sum_emit(builder, &sum);
    }
}

void winograd_transform(const kir_builder *builder, const winograd_matrix *matrix, winograd_load load,
                        winograd_store store, void *user) {
    kir_reg half[WINOGRAD_POINTS][WINOGRAD_POINTS]; /* matrix * x */
    for (int c = 0; c < matrix->columns; c++) {
        kir_reg column[WINOGRAD_POINTS], product[WINOGRAD_POINTS];
        for (int r = 0; r < matrix->columns; r++)
            column[r] = load(builder, r, c, user);
        emit_product(builder, matrix, column, product);
        for (int r = 0; r < matrix->rows; r++)
            half[r][c] = product[r];
    }
    for (int r = 0; r < matrix->rows; r++) {
        kir_reg row[WINOGRAD_POINTS];
        emit_product(builder, matrix, half[r], row);
        for (int c = 0; c < matrix->rows; c++)
            store(builder, r, c, row[c], user);
    }
}
