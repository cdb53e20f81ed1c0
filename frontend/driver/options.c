/* The command line: one table of options, from which parsing, messages and help come. */
#include "frontend/driver/driver.h"

#include <stddef.h>
#include <string.h>

typedef enum { OPTION_FLAG, OPTION_TEXT, OPTION_LIST } option_kind;

typedef struct {
    const char *name; /* "-D" or "--emit" */
    const char *argument, *help;
    const char *commands; /* the names of those that take it, each followed by a space */
    option_kind kind;
    size_t offset;
} option;

#define AT(field) offsetof(driver_options, field)
static const option options_table[] = {
    {"-D", "NAME=VALUE", "set a parameter of the method", "compile run explain diff sweep bench profile ", OPTION_LIST,
     AT(definitions)},
    {"-I", "FOLDER", "look for libraries there too", "compile run explain diff sweep bench profile ", OPTION_LIST,
     AT(folders)},
    {"-o", "FILE", "where the output goes (- is standard output)", "compile opt explain diff bench profile ",
     OPTION_TEXT, AT(output)},
    {"--emit", "KIND", "ast, ir, dot, kernels, c, llvm, asm or obj", "compile ", OPTION_TEXT, AT(emit)},
    {"--backend", "NAME", "llvm or c; for run and sweep also tcc or interp (default llvm)", "compile run sweep ",
     OPTION_TEXT, AT(backend)},
    {"--target", "NAME", "native (the default), amx, avx512-bf16, avx512, avx2, portable (any x86-64) or scalar",
     "compile run opt explain sweep bench profile ", OPTION_TEXT, AT(target)},
    {"--target-cpu", "NAME", "the same", "compile run opt explain sweep bench profile ", OPTION_TEXT, AT(target)},
    {"--precision", "NAME",
     "of products: f32, f32x3, f32x2 or bf16 (default: the spec's, else f32x2 on amx, f32 elsewhere)",
     "compile run opt explain sweep bench profile ", OPTION_TEXT, AT(precision)},
    {"--passes", "A,B", "the passes to run, in order", "opt ", OPTION_TEXT, AT(passes)},
    {"--print-after", "PASS", "print the IR after a pass, or after all", "compile run opt ", OPTION_TEXT,
     AT(print_after)},
    {"--disable-pass", "PASS", "leave a pass out", "compile run opt explain sweep profile ", OPTION_LIST, AT(disabled)},
    {"--remarks", NULL, "say which scores were fused, and why others were not", "compile run opt ", OPTION_FLAG,
     AT(remarks)},
    {"--time-passes", NULL, "print the time of each pass", "compile run opt explain profile ", OPTION_FLAG,
     AT(time_passes)},
    {"--no-cache", NULL, "make all object code anew and keep none", "compile run bench profile sweep ", OPTION_FLAG,
     AT(no_cache)},
    {"--clear", NULL, "remove what is kept", "cache ", OPTION_FLAG, AT(clear)},
    {"--verify", NULL, "check the IR after every pass", "compile run opt explain bench profile ", OPTION_FLAG,
     AT(verify)},
    {"--json", NULL, "the same as JSON", "explain diff bench profile ", OPTION_FLAG, AT(json)},
    {"--only", "SIDE", "measure fused or unfused alone", "bench ", OPTION_TEXT, AT(only)},
    {"--against", "PEER", "pytorch: measure it in the same run", "bench ", OPTION_TEXT, AT(against)},
    {"--memory-limit", "BYTES", "compute values anew to fit a step into so much; K, M, G are 1000 times the last",
     "compile run opt explain sweep profile ", OPTION_TEXT, AT(memory_limit)},
    {"--memory", NULL, "what holds the memory of a step at its peak", "explain ", OPTION_FLAG, AT(memory_view)},
    {"--steps", "N", "measure N steps after a warm-up (default 5)", "profile ", OPTION_TEXT, AT(steps)},
    {"--data", "PATH", "data for the steps, as train takes it (default: made-up items)", "profile ", OPTION_TEXT,
     AT(data)},
    {"--all", NULL, "every kernel and spec line", "profile ", OPTION_FLAG, AT(all)},
    {"--plot", "FILE.svg", "draw time and memory against the spec's parameter n", "bench ", OPTION_TEXT, AT(plot)},
    {"--layers", NULL, "one row a layer, however many there are", "explain ", OPTION_FLAG, AT(layers)},
    {"--left", "NAME=VALUE", "set a parameter of the first spec alone", "diff ", OPTION_LIST, AT(left)},
    {"--right", "NAME=VALUE", "set a parameter of the second spec alone", "diff ", OPTION_LIST, AT(right)},
    {"--vary", "NAME=A,B", "a parameter and the values that it takes in turn", "sweep ", OPTION_LIST, AT(vary)},
    {"--out", "FOLDER", "where runs and results go (default: sweep)", "sweep ", OPTION_TEXT, AT(out)},
    {"--dry-run", NULL, "list the runs and how far they are, and run nothing", "sweep ", OPTION_FLAG, AT(dry_run)},
};
#undef AT
enum { OPTION_COUNT = sizeof options_table / sizeof *options_table };

int driver_usage_error(const char *format, const char *detail, const char *suggestion) {
    fprintf(stderr, "cslc: ");
    fprintf(stderr, format, detail);
    if (suggestion)
        fprintf(stderr, "; did you mean '%s'?", suggestion);
    fprintf(stderr, "\ncslc: 'cslc --help' lists the options\n");
    return STATUS_USAGE;
}

static bool takes(const driver_command *command, const option *choice) {
    size_t length = strlen(command->name);
    for (const char *at = choice->commands; *at; at = strchr(at, ' ') + 1)
        if (strncmp(at, command->name, length) == 0 && at[length] == ' ')
            return true;
    return false;
}

/* ---- help
 * ----------------------------------------------------------------------------------------------------------------- */

static void print_option(const option *choice, FILE *stream) {
    char usage[64];
    bool is_short = choice->name[1] != '-';
    snprintf(usage, sizeof usage, "%s%s%s", choice->name, choice->argument ? is_short ? " " : "=" : "",
             choice->argument ? choice->argument : "");
    fprintf(stream, "  %-22s%s\n", usage, choice->help);
}

static void print_help(FILE *stream) {
    for (int i = 0; i < driver_command_count; i++)
        fprintf(stream, "%s cslc %-42s %s\n", i ? "      " : "usage:", driver_commands[i].usage,
                driver_commands[i].summary);
    fprintf(stream, "'cslc COMMAND --help' tells more of a command.\n\noptions\n");
    for (int i = 0; i < OPTION_COUNT; i++)
        print_option(&options_table[i], stream);
    fprintf(stream, "  %-22s%s\n  %-22s%s\n  %-22s%s\n", "--list-passes", "list the passes", "--version",
            "print the compiler's version", "-h, --help", "this text, or that of a command");
}

static void print_command_help(const driver_command *command, FILE *stream) {
    fprintf(stream, "usage: cslc %s\n%s\n%s\noptions\n", command->usage, command->summary,
            command->doc ? command->doc : "");
    for (int i = 0; i < OPTION_COUNT; i++)
        if (takes(command, &options_table[i]))
            print_option(&options_table[i], stream);
}

static int list_passes(void) {
    const pass_info *pass;
    for (int i = 0; (pass = pass_distinct(i)); i++)
        printf("%-24s %s%s\n", pass->name, pass->doc, pass->required ? " (always runs)" : "");
    return STATUS_GOOD;
}

/* ---- parsing
 * -------------------------------------------------------------------------------------------------------------- */

/* The option is this command's, but its value is missing, or it has one where it takes none. */
static int used_wrongly(const option *choice) {
    fprintf(stderr, "cslc: option '%s' ", choice->name);
    if (choice->argument)
        fprintf(stderr, "needs a value: %s%s%s\n", choice->name, choice->name[1] == '-' ? "=" : " ", choice->argument);
    else
        fprintf(stderr, "takes no value\n");
    fprintf(stderr, "cslc: 'cslc --help' lists the options\n");
    return STATUS_USAGE;
}

static int unknown_option(const driver_command *command, const char *argument) {
    const char *known[OPTION_COUNT + 3] = {"--list-passes", "--version", "--help"};
    int count = 3;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument, "="), argument);
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options_table[i].name, name) == 0 && !takes(command, &options_table[i])) {
            fprintf(stderr, "cslc: '%s' takes no option '%s'\ncslc: 'cslc --help' lists the options\n", command->name,
                    name);
            return STATUS_USAGE;
        }
        if (strcmp(options_table[i].name, name) == 0)
            return used_wrongly(&options_table[i]);
        if (takes(command, &options_table[i]))
            known[count++] = options_table[i].name;
    }
    return driver_usage_error("unknown option '%s'", argument, diag_suggest(name, known, count));
}

/* The value of `choice` at arguments[*at]: --name=value, --name value, -Nvalue or -N value. NULL when it is another
 * option, or when there is no value. */
static const char *value_of(const option *choice, int *at, int count, char **arguments) {
    const char *argument = arguments[*at];
    size_t length = strlen(choice->name);
    if (strncmp(argument, choice->name, length) != 0)
        return NULL;
    bool is_short = choice->name[1] != '-';
    if (is_short && argument[length])
        return argument + length;
    if (argument[length] == '=')
        return argument + length + 1;
    return argument[length] == 0 && *at + 1 < count ? arguments[++*at] : NULL;
}

static bool take(driver_options *options, const option *choice, int *at, int count, char **arguments) {
    void *place = (char *)options + choice->offset;
    if (choice->kind == OPTION_FLAG)
        return strcmp(arguments[*at], choice->name) == 0 && (*(bool *)place = true);
    const char *value = value_of(choice, at, count, arguments);
    if (!value)
        return false;
    driver_list *list = place;
    if (choice->kind == OPTION_TEXT)
        *(const char **)place = value;
    else
        ARENA_PUSH(options->memory, list->items, list->count, list->capacity, value);
    return true;
}

static bool take_option(driver_options *options, int *at, int count, char **arguments) {
    for (int i = 0; i < OPTION_COUNT; i++)
        if (takes(options->command, &options_table[i]) && take(options, &options_table[i], at, count, arguments))
            return true;
    return false;
}

/* --help, --version and --list-passes are done at once: their exit status, or -1 for another option. */
static int take_question(const driver_options *options, const char *argument, bool named) {
    if (strcmp(argument, "-h") == 0 || strcmp(argument, "--help") == 0) {
        if (named)
            print_command_help(options->command, stdout);
        else
            print_help(stdout);
        return STATUS_GOOD;
    }
    if (strcmp(argument, "--version") == 0)
        return puts("cslc " CSL_VERSION) < 0 ? STATUS_FAILED : STATUS_GOOD;
    return strcmp(argument, "--list-passes") == 0 ? list_passes() : -1;
}

/* `cslc rnu spec.csl`: the first of two words for one input is a misspelt command rather than a file. */
static const char *meant_command(const driver_options *options) {
    const char *names[16];
    for (int i = 1; i < driver_command_count; i++)
        names[i - 1] = driver_commands[i].name;
    bool plain = options->command == &driver_commands[0] && options->inputs.count > 1;
    return plain ? diag_suggest(options->inputs.items[0], names, driver_command_count - 1) : NULL;
}

static int check_inputs(const driver_options *options) {
    const driver_command *command = options->command;
    const char *meant = meant_command(options);
    if (meant)
        return driver_usage_error("no command '%s'", options->inputs.items[0], meant);
    if (options->inputs.count > command->most_inputs)
        return command->most_inputs == 1
                   ? driver_usage_error("a second input '%s'", options->inputs.items[1], NULL)
                   : driver_usage_error("an input too many: '%s'", options->inputs.items[command->most_inputs], NULL);
    if (options->inputs.count >= command->least_inputs)
        return -1;
    if (strcmp(command->name, "compile") == 0)
        print_help(stderr);
    else
        fprintf(stderr, "cslc: usage: cslc %s\ncslc: 'cslc %s --help' tells more\n", command->usage, command->name);
    return STATUS_USAGE;
}

static const driver_command *find_command(const char *name) {
    for (int i = 0; i < driver_command_count; i++)
        if (strcmp(driver_commands[i].name, name) == 0 && i > 0)
            return &driver_commands[i];
    return NULL;
}

int driver_parse(driver_options *options, int count, char **arguments) {
    const driver_command *named = count > 1 ? find_command(arguments[1]) : NULL;
    options->command = named ? named : &driver_commands[0];
    for (int at = named ? 2 : 1; at < count; at++) {
        const char *argument = arguments[at];
        if (strcmp(argument, "--") == 0) {
            options->has_program_arguments = true;
            options->program_arguments = arguments + at + 1;
            options->program_argument_count = count - at - 1;
            break;
        }
        int status = take_question(options, argument, named != NULL);
        if (status >= 0)
            return status;
        if (take_option(options, &at, count, arguments))
            continue;
        if (argument[0] == '-' && argument[1])
            return unknown_option(options->command, argument);
        ARENA_PUSH(options->memory, options->inputs.items, options->inputs.count, options->inputs.capacity, argument);
    }
    return check_inputs(options);
}
