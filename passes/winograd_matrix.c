/* The matrices of Winograd's method and their products with registers. */
#include "passes/winograd.h"

#include <assert.h>

/* The polynomial of x that is 0 at all of `count` points but one (-1: at all), by its coefficients. */
static void vanishing_polynomial(const double *points, int count, int but, double coefficients[WINOGRAD_MOST]) {
    double polynomial[WINOGRAD_MOST + 1] = {1};
    int degree = 0;
    for (int i = 0; i < count; i++)
        if (i != but) {
            degree++;
            for (int d = degree; d >= 0; d--)
                polynomial[d] = (d > 0 ? polynomial[d - 1] : 0) - points[i] * (d < degree ? polynomial[d] : 0);
        }
    for (int d = 0; d <= degree; d++)
        coefficients[d] = polynomial[d];
}

/* The method of Toom and Cook for one axis: the points given and infinity, outputs + taps - 1 in all. */
static winograd_method evaluate_at(const double *points, int outputs, int taps) {
    int last = outputs + taps - 2;
    winograd_method method = {.points = last + 1,
                              .outputs = outputs,
                              .step = outputs,
                              .input = {.rows = last + 1, .columns = last + 1},
                              .weight = {.rows = last + 1, .columns = taps},
                              .output = {.rows = outputs, .columns = last + 1}};
    for (int i = 0; i < last; i++) {
        vanishing_polynomial(points, last, i, method.input.at[i]);
        double scale = 1, power = 1;
        for (int j = 0; j < last; j++)
            if (j != i)
                scale *= points[i] - points[j];
        for (int k = 0; k < outputs || k < taps; k++) {
            if (k < taps)
                method.weight.at[i][k] = power / scale;
            if (k < outputs)
                method.output.at[k][i] = power;
            power *= points[i];
        }
    }
    vanishing_polynomial(points, last, -1, method.input.at[last]);
    method.weight.at[last][taps - 1] = 1;
    method.output.at[outputs - 1][last] = 1;
    return method;
}

/* Errors grow with the spread of the points' powers; points of these magnitudes keep them smallest, at about 2.5 times
 * (stride 2: 1.2 times) the error of plain sums, where 0, 1 and 2 give 5 times. Their powers are exact. */
winograd_method winograd_stride_1(void) {
    static const double points[] = {0, 0.625, -0.625, 1.5, -1.5};
    return evaluate_at(points, 4, WINOGRAD_TAPS);
}

/* Two of the three taps. */
static winograd_method outer_taps(void) {
    static const double points[] = {0.5, -0.5, 1.25, -1.25};
    return evaluate_at(points, 4, 2);
}

/* The weights' matrix: the outer taps' points, and the middle tap. */
static winograd_matrix stride_2_weights(const winograd_method *outer) {
    winograd_matrix weight = {.rows = WINOGRAD_WEIGHTS, .columns = WINOGRAD_TAPS};
    for (int r = 0; r < outer->points; r++)
        for (int c = 0; c < 2; c++)
            weight.at[r][2 * c] = outer->weight.at[r][c];
    weight.at[outer->points][1] = 1;
    return weight;
}

winograd_method winograd_stride_2(void) {
    winograd_method outer = outer_taps();
    winograd_method method = {.points = WINOGRAD_MOST,
                              .outputs = outer.outputs,
                              .step = 2 * outer.outputs,
                              .input = {.rows = WINOGRAD_MOST, .columns = 2 * outer.outputs + 1},
                              .weight = stride_2_weights(&outer),
                              .output = {.rows = outer.outputs, .columns = WINOGRAD_MOST}};
    for (int r = 0; r < outer.points; r++)
        for (int c = 0; c < outer.points; c++)
            method.input.at[r][2 * c] = outer.input.at[r][c];
    for (int i = 0; i < outer.outputs; i++) {
        method.input.at[outer.points + i][2 * i + 1] = 1;
        for (int c = 0; c < outer.points; c++)
            method.output.at[i][c] = outer.output.at[i][c];
        method.output.at[i][outer.points + i] = 1;
    }
    return method;
}

winograd_method winograd_stride_2_gradient(bool odd) {
    winograd_method outer = outer_taps();
    winograd_method method = {.points = WINOGRAD_MOST,
                              .outputs = 2 * outer.outputs,
                              .step = outer.outputs,
                              .input = {.rows = WINOGRAD_MOST, .columns = outer.points},
                              .weight = stride_2_weights(&outer),
                              .output = {.rows = 2 * outer.outputs, .columns = WINOGRAD_MOST}};
    for (int r = 0; r < outer.points; r++)
        for (int c = 0; c < outer.points; c++)
            method.input.at[r][c] = outer.input.at[r][c];
    for (int i = 0; i < outer.outputs; i++) {
        method.input.at[outer.points + i][odd ? i : i + 1] = 1;
        for (int c = 0; c < outer.points; c++)
            method.output.at[2 * i + odd][c] = outer.output.at[i][c];
        method.output.at[2 * i + !odd][outer.points + i] = 1;
    }
    return method;
}

kir_index winograd_weight_point(const kir_builder *builder, const winograd_method *method, kir_reg point) {
    if (method->points == WINOGRAD_WEIGHTS)
        return kir_plus(kir_at(0), 1, point);
    kir_reg points = kir_value(builder, kir_at(method->points)),
            last = kir_value(builder, kir_at(WINOGRAD_WEIGHTS - 1));
    kir_reg row = kir_op2(builder, KIR_min, kir_op2(builder, KIR_div, point, points), last);
    kir_reg column = kir_op2(builder, KIR_min, kir_op2(builder, KIR_rem, point, points), last);
    return kir_plus(kir_plus(kir_at(0), WINOGRAD_WEIGHTS, row), 1, column);
}

winograd_matrix winograd_transposed(const winograd_matrix *matrix) {
    winograd_matrix result = {.rows = matrix->columns, .columns = matrix->rows};
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
    kir_reg x[WINOGRAD_MOST];
    double factor[WINOGRAD_MOST];
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

/* Whether two rows (columns) are for p and -p: they differ in the signs of some elements, not of all. */
static bool are_paired(const winograd_matrix *matrix, bool columns, int first) {
    int same = 0, negated = 0;
    if (first + 1 >= (columns ? matrix->columns : matrix->rows))
        return false;
    for (int i = 0; i < (columns ? matrix->rows : matrix->columns); i++) {
        double a = columns ? matrix->at[i][first] : matrix->at[first][i];
        double b = columns ? matrix->at[i][first + 1] : matrix->at[first + 1][i];
        if (a != b && a != -b)
            return false;
        same += a == b && a != 0;
        negated += a == -b && a != 0;
    }
    return same > 0 && negated > 0;
}

/* Columns for p and -p enter every row as their sum or their difference. */
static void emit_column_pairs(const kir_builder *builder, const winograd_matrix *matrix, const kir_reg *x,
                              kir_reg *result) {
    kir_reg sums[WINOGRAD_MOST], differences[WINOGRAD_MOST];
    bool paired[WINOGRAD_MOST] = {false};
    for (int c = 0; c < matrix->columns; c++)
        if (are_paired(matrix, true, c)) {
            paired[c] = true;
            sums[c] = kir_op2(builder, KIR_add, x[c], x[c + 1]);
            differences[c] = kir_op2(builder, KIR_sub, x[c], x[c + 1]);
            c++;
        }
    for (int r = 0; r < matrix->rows; r++) {
        linear_sum sum = {0};
        for (int c = 0; c < matrix->columns; c++) {
            double factor = matrix->at[r][c];
            if (paired[c])
                sum_add(&sum, factor == matrix->at[r][c + 1] ? sums[c] : differences[c], factor);
            else
                sum_add(&sum, x[c], factor);
            c += paired[c];
        }
        result[r] = sum_emit(builder, &sum);
    }
}

/* matrix * x */
static void emit_product(const kir_builder *builder, const winograd_matrix *matrix, const kir_reg *x, kir_reg *result) {
    bool row_pairs = false;
    for (int r = 0; r < matrix->rows; r++)
        row_pairs |= are_paired(matrix, false, r);
    if (!row_pairs) {
        emit_column_pairs(builder, matrix, x, result);
        return;
    }
    for (int r = 0; r < matrix->rows; r++) {
        if (are_paired(matrix, false, r)) {
            emit_row_pair(builder, matrix, r++, x, result);
            continue;
        }
        linear_sum sum = {0};
        for (int c = 0; c < matrix->columns; c++)
            sum_add(&sum, x[c], matrix->at[r][c]);
        result[r] = sum_emit(builder, &sum);
    }
}

/* ---- transformations ------------------------------------------------------------------------------------------------
 */

/* matrix * x */
typedef struct {
    kir_reg at[WINOGRAD_MOST][WINOGRAD_MOST];
} half_product;

static void load_column(const kir_builder *builder, const winograd_matrix *matrix, winograd_load load, kir_index column,
                        void *user, kir_reg *x) {
    for (int r = 0; r < matrix->columns; r++)
        x[r] = load(builder, r, column, user);
}

static half_product emit_half(const kir_builder *builder, const winograd_matrix *matrix, winograd_load load,
                              void *user) {
    half_product half = {{{0}}};
    for (int c = 0; c < matrix->columns; c++) {
        kir_reg column[WINOGRAD_MOST] = {0}, product[WINOGRAD_MOST];
        load_column(builder, matrix, load, kir_at(c), user, column);
        emit_product(builder, matrix, column, product);
        for (int r = 0; r < matrix->rows; r++)
            half.at[r][c] = product[r];
    }
    return half;
}

void winograd_transform(const kir_builder *builder, const winograd_matrix *matrix, winograd_load load,
                        winograd_store store, void *user) {
    half_product half = emit_half(builder, matrix, load, user);
    for (int r = 0; r < matrix->rows; r++) {
        kir_reg row[WINOGRAD_MOST];
        emit_product(builder, matrix, half.at[r], row);
        for (int c = 0; c < matrix->rows; c++)
            store(builder, kir_at(r), c, row[c], user);
    }
}

int winograd_half(arena *memory, kir_kernel *kernel, const winograd_matrix *matrix, int numbers, int lanes) {
    return kir_scratch_add(memory, kernel, "half", KIR_F32, (int64_t)numbers * matrix->rows * matrix->columns * lanes);
}

/* matrix * x of number `which`, a column at a time, into the scratch as [number][row][column]. */
static void emit_half_loop(const kir_builder *builder, const winograd_matrix *matrix, int half, int which, int lanes,
                           winograd_load load, void *user) {
    kir_builder body;
    kir_reg number = kir_loop(builder, kir_at(0), kir_at(matrix->columns), 1, &body);
    kir_index column = kir_plus(kir_at(0), 1, number);
    kir_reg x[WINOGRAD_MOST] = {0}, product[WINOGRAD_MOST] = {0};
    load_column(&body, matrix, load, column, user, x);
    emit_product(&body, matrix, x, product);
    for (int r = 0; r < matrix->rows; r++) {
        kir_index at =
            kir_plus_index(kir_at((int64_t)(which * matrix->rows + r) * matrix->columns * lanes), lanes, column);
        kir_store(&body, half, at, product[r], lanes);
    }
}

/* A row of number `which`, times the transposed matrix. */
static void emit_row(const kir_builder *builder, const winograd_matrix *matrix, int half, int which, kir_index row,
                     int lanes, kir_reg *result) {
    kir_reg x[WINOGRAD_MOST] = {0};
    for (int c = 0; c < matrix->columns; c++) {
        kir_index at = kir_plus_index(kir_at(((int64_t)which * matrix->rows * matrix->columns + c) * lanes),
                                      (int64_t)matrix->columns * lanes, row);
        x[c] = kir_load(builder, half, at, lanes, lanes);
    }
    emit_product(builder, matrix, x, result);
}

void winograd_transform_rows(const kir_builder *builder, const winograd_matrix *matrix, int half, int lanes,
                             winograd_load load, winograd_store store, void *user) {
    emit_half_loop(builder, matrix, half, 0, lanes, load, user);
    kir_builder body;
    kir_index row = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(matrix->rows), 1, &body));
    kir_reg results[WINOGRAD_MOST];
    emit_row(&body, matrix, half, 0, row, lanes, results);
    for (int c = 0; c < matrix->rows; c++)
        store(&body, row, c, results[c], user);
}

void winograd_transform_pair(const kir_builder *builder, const winograd_matrix *matrix, int half, int lanes,
                             winograd_load load, void *const users[2], winograd_store_pair store) {
    kir_builder body;
    kir_reg results[2][WINOGRAD_MOST];
    for (int i = 0; i < 2; i++)
        emit_half_loop(builder, matrix, half, i, lanes, load, users[i]);
    kir_index row = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(matrix->rows), 1, &body));
    for (int i = 0; i < 2; i++)
        emit_row(&body, matrix, half, i, row, lanes, results[i]);
    for (int c = 0; c < matrix->rows; c++)
        store(&body, row, c, results[0][c], results[1][c], users[0]);
}
