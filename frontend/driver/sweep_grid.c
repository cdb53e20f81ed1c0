/* The cells of a sweep: every spec with every combination of the varied values. */
#include "frontend/driver/sweep.h"

#include "runtime/archive.h"
#include "runtime/evaluate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CELLS = 10000, LONGEST_NAME = 160 };

/* FNV-1a. */
static uint64_t hash_of(const char *text, size_t length) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

/* ---- axes ----------------------------------------------------------------------------------------------------------
 */

/* Where the value at `text` ends: at a comma outside of brackets and quotes, or at the end. */
static const char *value_end(const char *text) {
    int depth = 0;
    bool quoted = false;
    for (; *text; text++) {
        if (*text == '"')
            quoted = !quoted;
        else if (!quoted && strchr("([{", *text))
            depth++;
        else if (!quoted && strchr(")]}", *text))
            depth--;
        else if (*text == ',' && !quoted && depth <= 0)
            break;
    }
    return text;
}

static const char *trimmed(arena *memory, const char *begin, const char *end) {
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return arena_strndup(memory, begin, (size_t)(end - begin));
}

static bool contains(const driver_list *list, const char *text) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static int read_values(arena *memory, const char *text, sweep_axis *axis) {
    for (const char *at = strchr(text, '=') + 1, *end;; at = end + 1) {
        end = value_end(at);
        const char *value = trimmed(memory, at, end);
        if (!*value)
            return driver_usage_error("--vary %s: a value is missing", text, NULL);
        if (contains(&axis->values, value))
            return driver_usage_error("--vary %s: the same value twice", text, NULL);
        ARENA_PUSH(memory, axis->values.items, axis->values.count, axis->values.capacity, value);
        if (!*end)
            return -1;
    }
}

static bool is_defined(const driver_list *definitions, const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < definitions->count; i++)
        if (strncmp(definitions->items[i], name, length) == 0 && definitions->items[i][length] == '=')
            return true;
    return false;
}

static int read_axis(sweep_plan *plan, const char *text) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return driver_usage_error("--vary takes NAME=A,B, not '%s'", text, NULL);
    sweep_axis axis = {.name = trimmed(plan->memory, text, equals)};
    if (is_defined(&plan->work->options->definitions, axis.name))
        return driver_usage_error("'%s' has one value by -D and others by --vary", axis.name, NULL);
    for (int i = 0; i < plan->axis_count; i++)
        if (strcmp(plan->axes[i].name, axis.name) == 0)
            return driver_usage_error("'%s' is varied twice", axis.name, NULL);
    int status = read_values(plan->memory, text, &axis);
    ARENA_PUSH(plan->memory, plan->axes, plan->axis_count, plan->axis_capacity, axis);
    return status;
}

/* "mine" of "specs/mine.csl". */
static const char *spec_name(arena *memory, const char *path) {
    const char *base = rt_base_name(path), *dot = strrchr(base, '.');
    return arena_strndup(memory, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

static int make_axes(sweep_plan *plan) {
    const driver_options *options = plan->work->options;
    if (options->inputs.count > 1) {
        sweep_axis specs = {.name = "spec"};
        for (int i = 0; i < options->inputs.count; i++) {
            const char *name = spec_name(plan->memory, options->inputs.items[i]);
            if (contains(&specs.values, name))
                return driver_usage_error("two specs are called '%s'", name, NULL);
            ARENA_PUSH(plan->memory, specs.values.items, specs.values.count, specs.values.capacity, name);
        }
        ARENA_PUSH(plan->memory, plan->axes, plan->axis_count, plan->axis_capacity, specs);
    }
    int status = -1;
    for (int i = 0; i < options->vary.count && status < 0; i++)
        status = read_axis(plan, options->vary.items[i]);
    if (status < 0 && plan->axis_count == 0)
        return driver_usage_error("sweep needs %s or several specs", "--vary NAME=A,B", NULL);
    return status;
}

/* ---- cells ---------------------------------------------------------------------------------------------------------
 */

/* A name for a folder: what a file name should not hold is replaced, and a hash then tells apart what became equal. */
static const char *folder_name(arena *memory, const char *text) {
    char *name = arena_strdup(memory, text);
    bool changed = strlen(text) > LONGEST_NAME;
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-=+", *at)) {
            *at = '_';
            changed = true;
        }
    return changed ? arena_printf(memory, "%.*s-%08x", LONGEST_NAME, name, (unsigned)hash_of(text, strlen(text)))
                   : name;
}

/* The cell whose value on axis a is number chosen[a]. */
static sweep_cell make_cell(const sweep_plan *plan, const int *chosen) {
    const driver_options *options = plan->work->options;
    arena *memory = plan->memory;
    bool several = options->inputs.count > 1;
    sweep_cell cell = {.spec = options->inputs.items[several ? chosen[0] : 0], .method = ""};
    cell.values = arena_alloc(memory, (size_t)plan->axis_count * sizeof *cell.values);
    driver_list *own = &cell.definitions;
    for (int i = 0; i < options->definitions.count; i++)
        ARENA_PUSH(memory, own->items, own->count, own->capacity, options->definitions.items[i]);
    const char *name = spec_name(memory, cell.spec);
    for (int a = 0; a < plan->axis_count; a++) {
        cell.values[a] = plan->axes[a].values.items[chosen[a]];
        if (several && a == 0)
            continue;
        const char *setting = arena_printf(memory, "%s=%s", plan->axes[a].name, cell.values[a]);
        ARENA_PUSH(memory, own->items, own->count, own->capacity, setting);
        name = arena_printf(memory, "%s-%s", name, setting);
    }
    cell.name = folder_name(memory, name);
    cell.folder = arena_printf(memory, "%s/%s", plan->folder, cell.name);
    return cell;
}

int sweep_make_grid(sweep_plan *plan) {
    int status = make_axes(plan);
    if (status >= 0)
        return status;
    int *chosen = arena_alloc(plan->memory, (size_t)plan->axis_count * sizeof *chosen);
    for (int a = plan->axis_count - 1; a >= 0;) {
        if (plan->cell_count == MOST_CELLS)
            return driver_usage_error("these are more than %s cells", "10000", NULL);
        ARENA_PUSH(plan->memory, plan->cells, plan->cell_count, plan->cell_capacity, make_cell(plan, chosen));
        for (a = plan->axis_count - 1; a >= 0 && ++chosen[a] == plan->axes[a].values.count; a--)
            chosen[a] = 0;
    }
    return -1;
}

/* ---- checks --------------------------------------------------------------------------------------------------------
 */

static bool has_protocol(const ir_module *module) {
    for (int i = 0; i < module->setting_count; i++)
        for (int protocol = 0; protocol < RT_PROTOCOL_COUNT; protocol++) {
            const char *key = module->settings[i].key, *name = rt_protocol_name((rt_protocol)protocol);
            if (strncmp(key, name, strlen(name)) == 0 && key[strlen(name)] == '.')
                return true;
        }
    return false;
}

/* A line of printed IR without the places in sources, which are not part of what it says. */
static void append_bare(text_buffer *out, const char *line, size_t length) {
    static const char place[] = " at ";
    if (strncmp(line, "source ", 7) == 0)
        return;
    for (size_t i = 0; i < length;) {
        bool found = length - i > sizeof place && memcmp(line + i, place, sizeof place - 1) == 0;
        if (found)
            i += sizeof place - 1 + strspn(line + i + sizeof place - 1, "0123456789:");
        else
            text_append_bytes(out, line + i++, 1);
    }
}

/* Equal for specs that evaluate to the same, however they say it and wherever they lie. */
static const char *method_fingerprint(arena *memory, const ir_module *module) {
    text_buffer text = {0}, bare = {0};
    ir_print(module, &text);
    for (const char *line = text.data, *end; (end = strchr(line, '\n')); line = end + 1)
        append_bare(&bare, line, (size_t)(end + 1 - line));
    const char *fingerprint = arena_printf(memory, "%016llx", (unsigned long long)hash_of(bare.data, bare.length));
    text_free(&text);
    text_free(&bare);
    return fingerprint;
}

/* Whether a message is about the command line: it has no place, or one in the text of a -D. */
static bool is_of_command_line(const diag_list *diags) {
    for (int i = 0; i < diags->count; i++) {
        const diag_entry *entry = &diags->entries[i];
        if (entry->severity == DIAG_ERROR &&
            (entry->span.line <= 0 || strncmp(diags->sources->files[entry->span.file].path, "-D ", 3) == 0))
            return true;
    }
    return false;
}

/* Evaluates one cell's spec. Returns STATUS_GOOD, STATUS_FAILED for one that does not compile, or STATUS_USAGE after
 * saying what is wrong with the command line. */
static int check_cell(const sweep_plan *plan, sweep_cell *cell, bool report) {
    driver_session one;
    if (!driver_begin(&one, plan->work->options))
        return STATUS_USAGE;
    ir_module *module = driver_compile(&one, cell->spec, &cell->definitions, NULL);
    int status = module ? STATUS_GOOD : report || is_of_command_line(&one.diags) ? STATUS_USAGE : STATUS_FAILED;
    if (module) {
        cell->method = method_fingerprint(plan->memory, module);
        cell->evaluates = has_protocol(module);
    }
    if (status != STATUS_USAGE)
        one.diags.count = 0;
    driver_end(&one, status);
    return status;
}

int sweep_check_cells(sweep_plan *plan) {
    int good = 0;
    for (int i = 0; i < plan->cell_count; i++) {
        int status = check_cell(plan, &plan->cells[i], false);
        if (status == STATUS_USAGE)
            return STATUS_FAILED;
        good += status == STATUS_GOOD;
    }
    if (good > 0)
        return -1;
    check_cell(plan, &plan->cells[0], true);
    fprintf(stderr, "cslc: error: no cell of the sweep compiles\n");
    return STATUS_FAILED;
}
