/* The verifier of kernels finds what is read or written beyond an argument, and complains of nothing else. */
#include "tests/unit/kernel_case.h"

enum { EXTENT = 6, LANES = 16 };

typedef enum { GUARDED_BY_NOTHING, GUARDED_BY_PLACE, GUARDED_BY_NUMBER } guard;

static kir_reg condition(const kir_builder *builder, int argument, guard by, kir_reg place) {
    if (by == GUARDED_BY_PLACE)
        return kir_op2(builder, KIR_less, place, kir_value(builder, kir_at(1)));
    kir_reg number = kir_load(builder, argument, kir_at(0), 1, 1);
    return kir_op2(builder, KIR_less, number, kir_number(builder, kir_scalar_type(KIR_F32), 1));
}

/* Iteration g reads and writes `count` rows in vectors, from `rows` times g div 3 (or rem 3) on. */
static bool is_accepted(int64_t rows, int64_t count, int64_t elements, kir_opcode opcode, guard by) {
    kernel_case *this = case_new("rows");
    int argument = case_argument(this, "totals", KIR_F32, elements, true);
    kir_builder *builder = &this->builder;
    kir_builder within = *builder, body;
    kir_reg block = kir_op2(builder, opcode, 0, kir_value(builder, kir_at(EXTENT / 2)));
    if (by != GUARDED_BY_NOTHING)
        kir_if(builder, condition(builder, argument, by, block), &within, NULL);
    kir_reg row = kir_loop(&within, kir_at(0), kir_at(count), LANES, &body);
    kir_index at = kir_plus(kir_plus(kir_at(0), rows, block), 1, row);
    kir_store(&body, argument, at, kir_load(&body, argument, at, LANES, LANES), LANES);
    case_finish(this, EXTENT);
    bool accepted = kir_verify(&this->program, &this->diags);
    assert_int_equal(this->diags.error_count, !accepted);
    if (!accepted)
        assert_non_null(strstr(this->diags.entries[0].message, "of argument totals, which has"));
    case_free(this);
    return accepted;
}

static void blocks_of_rows_stay_inside(void **state) {
    (void)state;
    assert_true(is_accepted(48, 48, 96, KIR_div, GUARDED_BY_NOTHING));
    assert_true(is_accepted(32, 32, 96, KIR_rem, GUARDED_BY_NOTHING));
    /* A buffer has room for whole vectors. */
    assert_true(is_accepted(48, 40, 88, KIR_div, GUARDED_BY_NOTHING));
}

static void what_is_beyond_is_found(void **state) {
    (void)state;
    assert_false(is_accepted(40, 40, 80, KIR_div, GUARDED_BY_NOTHING));
    assert_false(is_accepted(48, 48, 80, KIR_div, GUARDED_BY_NOTHING));
    assert_false(is_accepted(32, 32, 80, KIR_rem, GUARDED_BY_NOTHING));
    assert_false(is_accepted(-16, 48, 96, KIR_div, GUARDED_BY_NOTHING));
    assert_false(is_accepted(40, 40, 80, KIR_div, GUARDED_BY_NUMBER));
}

static void conditions_on_places_are_trusted(void **state) {
    (void)state;
    assert_true(is_accepted(40, 40, 80, KIR_div, GUARDED_BY_PLACE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_rows_stay_inside),
        cmocka_unit_test(what_is_beyond_is_found),
        cmocka_unit_test(conditions_on_places_are_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
