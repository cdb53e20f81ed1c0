/* What the log of a cell's run says of loss, time and accuracy. */
#include "frontend/driver/sweep.h"

#include "runtime/archive.h"
#include "runtime/evaluate.h"
#include "runtime/json.h"

#include <math.h>
#include <string.h>

typedef struct {
    sweep_results *results;
    arena *memory;
    double epoch, loss_sum;
    int64_t steps; /* of the last epoch */
} reading;

static double number_member(const rt_json *object, const char *key) {
    const rt_json *member = rt_json_member(object, key);
    return member && member->kind == RT_JSON_NUMBER ? member->number : NAN;
}

static bool text_is(const rt_json *object, const char *key, const char *wanted) {
    const rt_json *member = rt_json_member(object, key);
    return member && member->kind == RT_JSON_TEXT && strcmp(member->text, wanted) == 0;
}

static void read_step(reading *state, const rt_json *line) {
    double epoch = number_member(line, "epoch"), seconds = number_member(line, "seconds");
    if (isnan(epoch))
        return;
    if (!(epoch <= state->epoch)) {
        state->epoch = epoch;
        state->loss_sum = 0;
        state->steps = 0;
    }
    state->loss_sum += number_member(line, "loss");
    state->steps++;
    state->results->seconds += isnan(seconds) ? 0 : seconds;
}

/* "k 200, t 0.1, 1000 test items" or "100 epochs, lr 0.1, 1000 test items". */
static const char *how_measured(arena *memory, const rt_json *line) {
    const char *how = !isnan(number_member(line, "k"))
                          ? arena_printf(memory, "k %g, t %g", number_member(line, "k"), number_member(line, "t"))
                          : arena_printf(memory, "%g epochs, lr %g, batch %g", number_member(line, "epochs"),
                                         number_member(line, "lr"), number_member(line, "batch"));
    return arena_printf(memory, "%s, %.0f training and %.0f test items", how, number_member(line, "train_images"),
                        number_member(line, "test_images"));
}

static void read_evaluation(reading *state, const rt_json *line) {
    if (!text_is(line, "encoder", "trained") || !text_is(line, "tested_on", "test"))
        return;
    static const rt_protocol protocols[] = {[SWEEP_KNN] = RT_KNN, [SWEEP_LINEAR] = RT_LINEAR, [SWEEP_MLP] = RT_MLP};
    for (int i = 0; i < SWEEP_PROTOCOL_COUNT; i++)
        if (text_is(line, "protocol", rt_protocol_name(protocols[i]))) {
            state->results->accuracy[i] = number_member(line, "accuracy");
            state->results->how[i] = how_measured(state->memory, line);
        }
}

static void read_line(reading *state, const char *text, size_t length) {
    rt_error unused;
    rt_json *line = rt_json_parse(text, length, &unused);
    if (rt_json_member(line, "protocol"))
        read_evaluation(state, line);
    else
        read_step(state, line);
    rt_json_free(line);
}

void sweep_read_results(arena *memory, sweep_cell *cell) {
    sweep_results *results = &cell->results;
    *results = (sweep_results){.loss = NAN, .accuracy = {NAN, NAN, NAN}};
    const char *path = arena_printf(memory, "%s/metrics.jsonl", cell->folder);
    rt_error error;
    rt_file file;
    if (rt_file_read(path, &file, &error)) {
        cell->state = SWEEP_FAILED;
        cell->message = arena_strdup(memory, error.text);
        return;
    }
    reading state = {.results = results, .memory = memory, .epoch = -1};
    for (const char *at = (const char *)file.bytes, *end; (end = strchr(at, '\n')); at = end + 1)
        read_line(&state, at, (size_t)(end - at));
    rt_file_free(&file);
    if (state.steps > 0)
        results->loss = state.loss_sum / (double)state.steps;
}
