/* runtime/pool.c and launch.c: every iteration runs once, at any size of pool and loop. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "runtime/pool.h"
#include "runtime/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ITERATIONS = 1000 };

typedef struct {
    rt_pool *pool;
    int visits[MOST_ITERATIONS]; /* plain: the thread sanitizer sees it if two workers share an iteration */
    _Atomic int calls, wrong_worker;
    _Atomic int inside[64];
} visit_record;

static void visit(void *context, int worker, int64_t begin, int64_t end) {
    visit_record *record = context;
    if (worker < 0 || worker >= rt_pool_size(record->pool) || atomic_fetch_add(&record->inside[worker], 1) != 0) {
        atomic_fetch_add(&record->wrong_worker, 1);
    }
    for (int64_t i = begin; i < end; i++) {
        record->visits[i]++;
    }
    atomic_fetch_add(&record->calls, 1);
    atomic_fetch_sub(&record->inside[worker], 1);
}

static void check_extents(int threads) {
    static const int extents[] = {0, 1, 2, 3, 7, 8, 9, 63, 1000};
    rt_pool *pool = rt_pool_create(threads);
    assert_non_null(pool);
    assert_int_equal(rt_pool_size(pool), threads);
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) {
        visit_record *record = calloc(1, sizeof *record);
        record->pool = pool;
        rt_pool_run(pool, extents[i], visit, record);
        for (int iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
            assert_int_equal(record->visits[iteration], iteration < extents[i]);
        }
        assert_int_equal(record->wrong_worker, 0);
        assert_true(extents[i] == 0 ? record->calls == 0 : record->calls > 0);
        free(record);
    }
    rt_pool_destroy(pool);
}

static void test_every_iteration_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        check_extents(threads);
    }
}

static void add_one(void *context, int worker, int64_t begin, int64_t end) {
    (void)worker;
    int *numbers = context;
    for (int64_t i = begin; i < end; i++) {
        numbers[i]++;
    }
}

/* Launches in quick succession and after pauses long enough for the workers to sleep. */
static void test_many_launches(void **state) {
    (void)state;
    for (int threads = 2; threads <= 4; threads++) {
        rt_pool *pool = rt_pool_create(threads);
        int numbers[50] = {0};
        for (int launch = 0; launch < 3000; launch++) {
            rt_pool_run(pool, 1 + launch % 50, add_one, numbers);
            if (launch % 500 == 0) {
                usleep(2000);
            }
        }
        for (int i = 0; i < 50; i++) {
            assert_int_equal(numbers[i], 3000 / 50 * (50 - i));
        }
        rt_pool_destroy(pool);
    }
}

static void test_default_size(void **state) {
    (void)state;
    rt_pool *pool = rt_pool_create(0);
    assert_non_null(pool);
    assert_true(rt_pool_size(pool) >= 1 && rt_pool_size(pool) <= (int)sysconf(_SC_NPROCESSORS_ONLN));
    rt_pool_destroy(pool);
    cpu_set_t before, one;
    CPU_ZERO(&one);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    pool = rt_pool_create(0);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_non_null(pool);
    assert_int_equal(rt_pool_size(pool), 1);
    rt_pool_destroy(pool);
    rt_pool_destroy(NULL);
}

/* Whatever the processors are like, a nanosecond is not worth dividing and a second is; and asking does no harm between
 * launches, nor while workers sleep. */
static void test_what_pays(void **state) {
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        rt_pool *pool = rt_pool_create(threads);
        int numbers[50] = {0};
        for (int launch = 0; launch < 300; launch++) {
            assert_int_equal(rt_pool_pays(pool, 1), 0);
            assert_int_equal(rt_pool_pays(pool, 1000000000), threads > 1);
            rt_pool_run(pool, 50, add_one, numbers);
            if (launch % 100 == 0) {
                usleep(250000); /* until the distance is measured again */
            }
        }
        for (int i = 0; i < 50; i++) {
            assert_int_equal(numbers[i], 300);
        }
        rt_pool_destroy(pool);
    }
}

static void test_scratch(void **state) {
    (void)state;
    rt_pool *pool = rt_pool_create(3);
    assert_null(rt_pool_scratch(pool, 0));
    assert_int_equal(rt_pool_reserve(pool, SIZE_MAX / 2), -1);
    assert_int_equal(rt_pool_reserve(pool, 1000), 0);
    char *areas[3];
    for (int worker = 0; worker < 3; worker++) {
        areas[worker] = rt_pool_scratch(pool, worker);
        assert_int_equal((uintptr_t)areas[worker] % 64, 0);
        memset(areas[worker], worker + 1, 1000);
    }
    for (int worker = 0; worker < 3; worker++) {
        assert_int_equal(areas[worker][0], worker + 1);
        assert_int_equal(areas[worker][999], worker + 1);
        assert_ptr_equal(areas[worker], rt_pool_scratch(pool, worker));
    }
    assert_int_equal(rt_pool_reserve(pool, 0), 0);
    rt_pool_destroy(pool);
}

static void scale_kernel(void *const *args, char *scratch, int64_t begin, int64_t end) {
    const float *from = args[0];
    float *to = args[1], *staging = (float *)(void *)scratch;
    for (int64_t i = begin; i < end; i++) {
        staging[0] = from[i] * 2.0f;
        to[i] = staging[0];
    }
}

static void test_launch(void **state) {
    (void)state;
    rt_pool *pool = rt_pool_create(3);
    assert_int_equal(rt_pool_reserve(pool, 64), 0);
    float from[300], to[300] = {0};
    for (int i = 0; i < 300; i++) {
        from[i] = (float)i;
    }
    void *args[2] = {from, to};
    rt_frame frame = {.pool = pool};
    static const int64_t times[] = {0, 1, 1000000000}; /* divided, one thread's, divided */
    for (int time = 0; time < 3; time++) {
        memset(to, 0, sizeof to);
        rt_launch(&frame, scale_kernel, args, 150, 2, times[time]);
        for (int i = 0; i < 300; i++) {
            assert_true(to[i] == 2.0f * (float)i);
        }
    }
    rt_pool_destroy(pool);
}

/* Each part counts from 0 and has buffers of its own, wherever the threads' shares end. */
static void test_launch_in_parts(void **state) {
    (void)state;
    enum { PARTS = 5 };
    static const int64_t ends[PARTS] = {1, 1, 60, 63, 300}; /* the second part has no iterations */
    for (int threads = 1; threads <= 4; threads++) {
        rt_pool *pool = rt_pool_create(threads);
        assert_int_equal(rt_pool_reserve(pool, 64), 0);
        float from[PARTS][300], to[PARTS][300] = {0};
        void *args[2 * PARTS];
        for (int part = 0; part < PARTS; part++) {
            args[2 * part] = from[part];
            args[2 * part + 1] = to[part];
            for (int i = 0; i < 300; i++)
                from[part][i] = (float)(1000 * part + i + 1);
        }
        rt_frame frame = {.pool = pool};
        rt_launch_parts(&frame, scale_kernel, args, 2, ends, PARTS, threads == 4);
        for (int part = 0; part < PARTS; part++)
            for (int i = 0; i < 300; i++) {
                int64_t count = ends[part] - (part ? ends[part - 1] : 0);
                assert_true(to[part][i] == (i < count ? 2.0f * from[part][i] : 0.0f));
            }
        rt_pool_destroy(pool);
    }
}

/* Three launches from numbers: rounds that count on, parts, and one over both regions. */
static void test_launch_list(void **unused) {
    (void)unused;
    float state[8] = {1, 2, 3, 4, 5, 6, 7, 8}, arena[16] = {0};
#define STATE(index) (2 * 4 * (index))
#define ARENA(index) (2 * 4 * (index) + 1)
    /* clang-format off */
    static const int64_t numbers[] = {
        0, 2, 1, 3, 2, 9000, STATE(0), ARENA(0),                              /* arena[0..5] = 2 state[0..5] */
        0, 2, 2, 0, 1, 0, 1, 3, STATE(6), ARENA(6), ARENA(0), ARENA(8),    /* arena[6] = 2 state[6], arena[8..9] = … */
        0, 2, 1, 1, 1, 0, ARENA(9), STATE(7),                              /* state[7] = 2 arena[9] */
    };
    /* clang-format on */
    rt_pool *pool = rt_pool_create(2);
    assert_int_equal(rt_pool_reserve(pool, 64), 0);
    rt_frame frame = {.state = (char *)state, .arena = (char *)arena, .pool = pool};
    rt_launch_list list = {(const rt_kernel[]){scale_kernel}, numbers, 3, 4};
    rt_run_launches(&frame, &list);
    static const float expected[16] = {2, 4, 6, 8, 10, 12, 14, 0, 4, 8};
    for (int i = 0; i < 16; i++)
        assert_true(arena[i] == expected[i]);
    assert_true(state[7] == 16.0f && state[6] == 7.0f);
    rt_pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_iteration_once),
        cmocka_unit_test(test_many_launches),
        cmocka_unit_test(test_default_size),
        cmocka_unit_test(test_what_pays),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_launch_in_parts),
        cmocka_unit_test(test_launch_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
