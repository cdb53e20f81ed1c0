/* The table of augmentations and the reader of their text form. */
#include "runtime/augment.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { KEY_INT, KEY_DOUBLE, KEY_WORD } key_type;

typedef struct {
    const char *name;
    size_t offset;
    key_type type;
    int count;
    double low, high; /* what is allowed */
} key_info;

#define AT(field) offsetof(rt_augment_op, field)
static const key_info keys[] = {
    {"draw", AT(draw), KEY_INT, 1, 0, 1 << 20},
    {"p", AT(p), KEY_DOUBLE, 1, 0, 1},
    {"size", AT(size), KEY_INT, 2, 1, 1 << 14},
    {"scale", AT(scale), KEY_DOUBLE, 2, 1e-6, 1},
    {"ratio", AT(ratio), KEY_DOUBLE, 2, 1e-3, 1e3},
    {"sigma", AT(sigma), KEY_DOUBLE, 2, 1e-3, 1e3},
    {"interpolation", AT(interpolation), KEY_WORD, 1, 0, 0},
    {"reach", AT(reach), KEY_INT, 1, 0, 1 << 14},
    {"pad", AT(reach), KEY_INT, 1, 0, 1 << 14},
    {"kernel", AT(kernel), KEY_INT, 1, 1, 511},
    {"brightness", AT(brightness), KEY_DOUBLE, 1, 0, 100},
    {"contrast", AT(contrast), KEY_DOUBLE, 1, 0, 100},
    {"saturation", AT(saturation), KEY_DOUBLE, 1, 0, 100},
    {"hue", AT(hue), KEY_DOUBLE, 1, 0, 0.5},
    {"mean", AT(mean), KEY_DOUBLE, 3, -100, 100},
    {"std", AT(std), KEY_DOUBLE, 3, 1e-6, 100},
    {"share", AT(share), KEY_DOUBLE, 1, 0, 1},
    {"range", AT(range), KEY_DOUBLE, 2, -1e6, 1e6},
};
#undef AT
enum { KEY_COUNT = sizeof keys / sizeof *keys };

static const struct {
    const char *name, *allowed; /* keys besides draw, in words */
    const char *required;
} operations[RT_AUGMENT_KIND_COUNT] = {
    [RT_RESIZE] = {"resize", "size interpolation", "size"},
    [RT_CENTER_CROP] = {"center_crop", "size", "size"},
    [RT_RANDOM_RESIZED_CROP] = {"random_resized_crop", "size scale ratio interpolation", "size"},
    [RT_RANDOM_CROP] = {"random_crop", "size pad", "size"},
    [RT_RANDOM_TRANSLATE] = {"random_translate", "reach p", "reach"},
    [RT_HORIZONTAL_FLIP] = {"horizontal_flip", "p", ""},
    [RT_COLOR_JITTER] = {"color_jitter", "brightness contrast saturation hue p", ""},
    [RT_GRAYSCALE] = {"grayscale", "p", ""},
    [RT_GAUSSIAN_BLUR] = {"gaussian_blur", "kernel sigma p", "kernel"},
    [RT_NORMALIZE] = {"normalize", "mean std p", "mean std"},
    [RT_GAUSSIAN_NOISE] = {"gaussian_noise", "sigma p", "sigma"},
    [RT_RANDOM_MASK] = {"random_mask", "share p", "share"},
    [RT_RANDOM_SCALE] = {"random_scale", "range p", "range"},
};

int rt_augment_of_vectors(rt_augment_kind kind) {
    return kind == RT_GAUSSIAN_NOISE || kind == RT_RANDOM_MASK || kind == RT_RANDOM_SCALE;
}

static int holds_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == 0 || at[length] == ' '))
            return 1;
    return 0;
}

static int parse_numbers(const key_info *key, const char *text, rt_augment_op *op, const char *operation,
                         rt_error *error) {
    char *place = (char *)op + key->offset;
    for (int i = 0; i < key->count; i++) {
        char *end;
        double number = strtod(text, &end);
        if (end == text || *end != (i + 1 < key->count ? ',' : 0))
            return rt_fail(error, "%s: '%s' takes %d number%s", operation, key->name, key->count,
                           key->count == 1 ? "" : "s");
        if (!(number >= key->low && number <= key->high))
            return rt_fail(error, "%s: '%s' must lie in %g .. %g, not %g", operation, key->name, key->low, key->high,
                           number);
        if (key->type == KEY_INT && number != (double)(int)number)
            return rt_fail(error, "%s: '%s' must be a whole number, not %g", operation, key->name, number);
        if (key->type == KEY_INT)
            ((int *)(void *)place)[i] = (int)number;
        else
            ((double *)(void *)place)[i] = number;
        text = end + 1;
    }
    return 0;
}

static int parse_interpolation(const char *text, rt_augment_op *op, const char *operation, rt_error *error) {
    if (strcmp(text, "bilinear") == 0)
        op->interpolation = RT_BILINEAR;
    else if (strcmp(text, "bicubic") == 0)
        op->interpolation = RT_BICUBIC;
    else
        return rt_fail(error, "%s: interpolation is bilinear or bicubic, not '%s'", operation, text);
    return 0;
}

static int parse_key(char *word, rt_augment_op *op, char *given, rt_error *error) {
    const char *operation = operations[op->kind].name;
    char *equals = strchr(word, '=');
    if (!equals)
        return rt_fail(error, "%s: expected key=value, found '%s'", operation, word);
    *equals = 0;
    for (int i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, word) != 0)
            continue;
        if (strcmp(word, "draw") != 0 && !holds_word(operations[op->kind].allowed, word))
            break;
        if (given[i]++)
            return rt_fail(error, "%s: '%s' is given twice", operation, word);
        return keys[i].type == KEY_WORD ? parse_interpolation(equals + 1, op, operation, error)
                                        : parse_numbers(&keys[i], equals + 1, op, operation, error);
    }
    return rt_fail(error, "%s: no setting '%s'", operation, word);
}

static int check(const rt_augment_op *op, const char *given, rt_error *error) {
    const char *operation = operations[op->kind].name;
    for (int i = 0; i < KEY_COUNT; i++)
        if (!given[i] && holds_word(operations[op->kind].required, keys[i].name))
            return rt_fail(error, "%s: '%s' is missing", operation, keys[i].name);
    if (op->scale[0] > op->scale[1] || op->ratio[0] > op->ratio[1] || op->sigma[0] > op->sigma[1] ||
        op->range[0] > op->range[1])
        return rt_fail(error, "%s: a range goes from the smaller number to the larger", operation);
    if (op->kind == RT_GAUSSIAN_BLUR && op->kernel % 2 == 0)
        return rt_fail(error, "%s: the kernel's size must be odd", operation);
    return 0;
}

int rt_augment_parse(const char *line, rt_augment_op *op, rt_error *error) {
    char text[1024], given[KEY_COUNT] = {0}, *rest = NULL;
    if (snprintf(text, sizeof text, "%s", line) >= (int)sizeof text)
        return rt_fail(error, "this augmentation's text is too long");
    *op = (rt_augment_op){.p = 1, .scale = {0.08, 1}, .ratio = {3.0 / 4, 4.0 / 3}, .sigma = {0.1, 2}};
    char *name = strtok_r(text, " ", &rest);
    int kind = 0;
    while (name && kind < RT_AUGMENT_KIND_COUNT && strcmp(operations[kind].name, name) != 0)
        kind++;
    if (!name || kind == RT_AUGMENT_KIND_COUNT)
        return rt_fail(error, "no augmentation '%s'", name ? name : "");
    op->kind = (rt_augment_kind)kind;
    for (char *word; (word = strtok_r(NULL, " ", &rest));)
        if (parse_key(word, op, given, error) != 0)
            return -1;
    return check(op, given, error);
}

static int print_key(const key_info *key, const rt_augment_op *op, char *text, size_t size) {
    const char *place = (const char *)op + key->offset;
    if (key->type == KEY_WORD)
        return snprintf(text, size, "%s=%s", key->name, op->interpolation == RT_BICUBIC ? "bicubic" : "bilinear");
    int length = snprintf(text, size, "%s=", key->name);
    for (int i = 0; i < key->count; i++) {
        double number =
            key->type == KEY_INT ? ((const int *)(const void *)place)[i] : ((const double *)(const void *)place)[i];
        size_t used = (size_t)length < size ? (size_t)length : size;
        length += snprintf(text + used, size - used, "%s%.9g", i ? "," : "", number);
    }
    return length;
}

int rt_augment_settings(const rt_augment_op *op, char *text, size_t size) {
    int length = 0;
    for (int i = 0; i < KEY_COUNT; i++) {
        if (!holds_word(operations[op->kind].allowed, keys[i].name) || (strcmp(keys[i].name, "p") == 0 && op->p == 1))
            continue;
        size_t used = (size_t)length < size ? (size_t)length : size;
        if (length > 0)
            length += snprintf(text + used, size - used, " ");
        used = (size_t)length < size ? (size_t)length : size;
        length += print_key(&keys[i], op, text + used, size - used);
    }
    return length;
}
