#include "runtime/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 40, MOST_FLAGS = 32 };

static int least_of(int a, int b) {
    return a < b ? a : b;
}

/* Levenshtein's distance, one row at a time. */
static int edit_distance(const char *a, const char *b) {
    int row[LONGEST_NAME + 1];
    int columns = (int)strlen(b);
    if (columns > LONGEST_NAME || strlen(a) > LONGEST_NAME)
        return LONGEST_NAME;
    for (int j = 0; j <= columns; j++)
        row[j] = j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < columns; j++) {
            int replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least_of(replaced, 1 + least_of(row[j], row[j + 1]));
        }
    }
    return row[columns];
}

const char *rt_nearest_name(const char *word, const void *names, int count, size_t stride) {
    const char *nearest = NULL;
    int best = 1 + (int)strlen(word) / 3;
    for (int i = 0; i < count; i++) {
        const char *name = *(const char *const *)((const char *)names + (size_t)i * stride);
        int distance = edit_distance(word, name);
        if (distance <= best) {
            best = distance - 1;
            nearest = name;
        }
    }
    return nearest;
}

typedef struct {
    char **words;
    int count, at;
    const char *attached; /* the value in --flag=value, or NULL */
    rt_options *options;
    rt_error *error;
} parser;

static int parse_integer(const rt_flag *flag, const char *word, int64_t *value, rt_error *error) {
    char *end;
    errno = 0;
    long long number = strtoll(word, &end, 10);
    if (errno || end == word || *end || number < flag->least || number > flag->most)
        return rt_fail(error, "%s wants a whole number from %" PRId64 " to %" PRId64 ", not '%.100s'", flag->name,
                       flag->least, flag->most, word);
    *value = number;
    return 0;
}

static int parse_real(const rt_flag *flag, const char *word, double *value, rt_error *error) {
    char *end;
    double number = strtod(word, &end);
    if (end == word || *end || !isfinite(number) || number <= 0)
        return rt_fail(error, "%s wants a number above 0, not '%.100s'", flag->name, word);
    *value = number;
    return 0;
}

/* What stands behind --flag=, or the next word, which must not look like a flag (a lone "-" or a negative number may).
 */
static const char *next_value(parser *p) {
    const char *attached = p->attached;
    p->attached = NULL;
    if (attached)
        return attached;
    if (p->at >= p->count || (p->words[p->at][0] == '-' && p->words[p->at][1] == '-'))
        return NULL;
    return p->words[p->at++];
}

static int parse_value(parser *p, const rt_flag *flag) {
    void *target = (char *)p->options + flag->offset;
    if (flag->kind == RT_FLAG_SWITCH) {
        *(int64_t *)target = 1;
        return 0;
    }
    const char *word = next_value(p);
    if (flag->kind == RT_FLAG_OPTIONAL_TEXT) {
        *(const char **)target = word ? word : "";
        return 0;
    }
    if (!word || !*word)
        return rt_fail(p->error, "%s wants an argument: %s", flag->name, flag->argument);
    switch (flag->kind) {
    case RT_FLAG_INTEGER: return parse_integer(flag, word, target, p->error);
    case RT_FLAG_REAL: return parse_real(flag, word, target, p->error);
    case RT_FLAG_STEP_AND_FILE:
        if (parse_integer(flag, word, target, p->error))
            return -1;
        p->options->dump_file = next_value(p);
        return p->options->dump_file && *p->options->dump_file
                   ? 0
                   : rt_fail(p->error, "%s wants two arguments: %s", flag->name, flag->argument);
    case RT_FLAG_TEXT:
    case RT_FLAG_SWITCH:
    case RT_FLAG_OPTIONAL_TEXT: break;
    }
    *(const char **)target = word;
    return 0;
}

static int parse_flag(parser *p, const rt_flag *flags, int flag_count, int *given) {
    const char *word = p->words[p->at++], *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    p->attached = equals ? equals + 1 : NULL;
    for (int i = 0; i < flag_count; i++) {
        if (strncmp(word, flags[i].name, length) || flags[i].name[length])
            continue;
        if (given[i]++)
            return rt_fail(p->error, "%s is given twice", flags[i].name);
        if (equals && flags[i].kind == RT_FLAG_SWITCH)
            return rt_fail(p->error, "%s takes no argument", flags[i].name);
        return parse_value(p, &flags[i]);
    }
    char name[101]; /* without =value */
    snprintf(name, sizeof name, "%.*s", (int)(length < 100 ? length : 100), word);
    const char *nearest = rt_nearest_name(name, &flags[0].name, flag_count, sizeof *flags);
    if (nearest)
        return rt_fail(p->error, "unknown flag '%.100s'; did you mean '%s'?", word, nearest);
    return rt_fail(p->error, "unknown flag '%.100s'", word);
}

int rt_options_parse(const rt_flag *flags, int flag_count, int takes_input, int argc, char **argv, rt_options *options,
                     int *help, rt_error *error) {
    parser p = {.words = argv, .count = argc, .options = options, .error = error};
    int given[MOST_FLAGS] = {0};
    *help = 0;
    while (p.at < p.count) {
        const char *word = p.words[p.at];
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            *help = 1;
            return 0;
        }
        if (word[0] == '-' && word[1]) {
            if (parse_flag(&p, flags, flag_count, given))
                return -1;
        } else if (!takes_input) {
            return rt_fail(error, "unexpected argument '%.100s'", word);
        } else if (options->input) {
            return rt_fail(error, "one input is enough, but there is also '%.100s'", word);
        } else {
            options->input = p.words[p.at++];
        }
    }
    return 0;
}

static int unknown_item(const char *flag, const char *item, int length, const char *(*name_of)(int), int name_count,
                        rt_error *error) {
    char names[128] = "";
    size_t used = 0;
    for (int i = 0; i < name_count; i++)
        if (name_of(i) && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name_of(i));
    return rt_fail(error, "%s does not know '%.*s'; it takes %s", flag, length, item, names);
}

int rt_options_list(const char *flag, const char *list, const char *(*name_of)(int), int name_count, unsigned *bits,
                    rt_error *error) {
    if (!*list)
        return rt_fail(error, "%s names none", flag);
    while (*list) {
        size_t length = strcspn(list, ",");
        int found = 0;
        for (int i = 0; i < name_count && !found; i++) {
            found = name_of(i) && strlen(name_of(i)) == length && !memcmp(list, name_of(i), length);
            *bits |= found ? 1u << i : 0;
        }
        if (!found)
            return unknown_item(flag, list, (int)length, name_of, name_count, error);
        list += length + (list[length] == ',');
    }
    return 0;
}
