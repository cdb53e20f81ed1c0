/* cell.json: what a cell's folder was made with, and whether it is done. */
#include "frontend/driver/sweep.h"

#include "runtime/archive.h"
#include "runtime/json.h"
#include "runtime/output_file.h"

#include <string.h>
#include <unistd.h>

/* What must not change while a run goes on. */
typedef struct {
    const char *settings, *method, *compiler, *arguments;
} record;

static const char *joined(arena *memory, const char *const *words, int count) {
    const char *text = "";
    for (int i = 0; i < count; i++)
        text = arena_printf(memory, "%s%s%s", text, i ? " " : "", words[i]);
    return text;
}

static const char *compiler_text(const sweep_plan *plan) {
    sweep_choices choices = sweep_compiler_choices(plan);
    const char *text = choices.items[0].words; /* the back end's, always there */
    for (int i = 1; i < choices.count; i++)
        text = arena_printf(plan->memory, "%s, %s", text, choices.items[i].words);
    return text;
}

static record record_of(const sweep_plan *plan, const sweep_cell *cell) {
    const driver_options *options = plan->work->options;
    return (record){
        .settings = joined(plan->memory, cell->definitions.items, cell->definitions.count),
        .method = cell->method,
        .compiler = compiler_text(plan),
        .arguments =
            joined(plan->memory, (const char *const *)options->program_arguments, options->program_argument_count),
    };
}

static bool write_record(const char *path, const sweep_cell *cell, const record *now, bool done, rt_error *error) {
    rt_output_file output;
    if (rt_output_open(&output, path, error))
        return false;
    rt_json_writer json = rt_json_to(output.stream);
    rt_json_open(&json, NULL, '{');
    rt_json_text(&json, "spec", cell->spec);
    rt_json_text(&json, "settings", now->settings);
    rt_json_text(&json, "method", now->method);
    rt_json_text(&json, "compiler", now->compiler);
    rt_json_text(&json, "arguments", now->arguments);
    rt_json_boolean(&json, "done", done);
    rt_json_close(&json, '}');
    fputc('\n', output.stream);
    return rt_output_commit(&output, error) == 0;
}

bool sweep_write_record(const sweep_plan *plan, const sweep_cell *cell, bool done) {
    rt_error error;
    record now = record_of(plan, cell);
    if (rt_make_folders(cell->folder, &error) == 0 &&
        write_record(arena_printf(plan->memory, "%s/cell.json", cell->folder), cell, &now, done, &error))
        return true;
    fprintf(stderr, "cslc: error: %s\n", error.text);
    return false;
}

static const char *text_member(arena *memory, const rt_json *object, const char *key) {
    const rt_json *member = rt_json_member(object, key);
    return member && member->kind == RT_JSON_TEXT ? arena_strdup(memory, member->text) : "";
}

/* Reads the cell's record; false where there is none that can be read. */
static bool read_record(const sweep_plan *plan, const sweep_cell *cell, record *then, bool *done) {
    rt_error error;
    rt_file file;
    const char *path = arena_printf(plan->memory, "%s/cell.json", cell->folder);
    if (access(path, F_OK) || rt_file_read(path, &file, &error))
        return false;
    rt_json *object = rt_json_parse((const char *)file.bytes, file.size, &error);
    rt_file_free(&file);
    if (!object)
        return false;
    const rt_json *flag = rt_json_member(object, "done");
    *done = flag && flag->kind == RT_JSON_BOOLEAN && flag->number != 0;
    *then = (record){text_member(plan->memory, object, "settings"), text_member(plan->memory, object, "method"),
                     text_member(plan->memory, object, "compiler"), text_member(plan->memory, object, "arguments")};
    rt_json_free(object);
    return true;
}

/* What is another now, or NULL. Settings written otherwise that come to the same method are no change. */
static const char *difference(arena *memory, const record *then, const record *now) {
    if (strcmp(then->method, now->method) != 0)
        return strcmp(then->settings, now->settings) != 0
                   ? arena_printf(memory, "settings '%s', not '%s'", then->settings, now->settings)
                   : "another text of the spec";
    if (strcmp(then->compiler, now->compiler) != 0)
        return arena_printf(memory, "%s, not %s", then->compiler, now->compiler);
    if (strcmp(then->arguments, now->arguments) != 0)
        return arena_printf(memory, "'%s', not '%s'", then->arguments, now->arguments);
    return NULL;
}

/* A run that is done stays so without its checkpoint. One that is not, and has none, holds nothing that a new run could
 * be mistaken for. */
static bool check_folder(const sweep_plan *plan, sweep_cell *cell) {
    bool checkpoint = access(arena_printf(plan->memory, "%s/last.safetensors", cell->folder), F_OK) == 0;
    record then, now = record_of(plan, cell);
    bool done = false, recorded = read_record(plan, cell, &then, &done);
    if (!checkpoint && !done)
        return true;
    if (!recorded) {
        fprintf(stderr, "cslc: error: %s holds a run that no sweep began\n", cell->folder);
        return false;
    }
    const char *what = difference(plan->memory, &then, &now);
    if (what) {
        fprintf(stderr, "cslc: error: %s holds a run with %s\n", cell->folder, what);
        return false;
    }
    cell->known = done;
    cell->begun = !done;
    cell->state = done ? SWEEP_DONE : SWEEP_WAITING;
    return true;
}

int sweep_read_records(sweep_plan *plan) {
    bool good = true;
    for (int i = 0; i < plan->cell_count; i++)
        good &= check_folder(plan, &plan->cells[i]);
    if (good)
        return -1;
    fprintf(stderr, "cslc: remove what shall be run anew, or choose another folder with --out\n");
    return STATUS_FAILED;
}
