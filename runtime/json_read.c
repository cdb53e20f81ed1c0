/* A recursive-descent JSON parser. */
#include "runtime/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

typedef struct {
    const char *start, *at, *end;
    rt_error *error;
} reader;

static rt_json *parse_value(reader *r, int depth);

static int wrong(reader *r, const char *expected) {
    return rt_fail(r->error, "invalid JSON at byte %td: expected %s", r->at - r->start, expected);
}

static void skip_space(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

/* Steps over `character` where it comes next, after white space. */
static int accept(reader *r, char character) {
    skip_space(r);
    if (r->at == r->end || *r->at != character)
        return 0;
    r->at++;
    return 1;
}

static int hex_digits(reader *r, unsigned *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char *digits = "0123456789abcdef";
        const char *found = r->at < r->end && *r->at ? strchr(digits, *r->at | 0x20) : NULL;
        if (!found)
            return wrong(r, "four hexadecimal digits");
        *code = *code * 16 + (unsigned)(found - digits);
    }
    return 0;
}

static char *put_utf8(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *out++ = (char)((0xff00 >> (extra + 1) & 0xff) | code >> 6 * extra);
    while (extra-- > 0)
        *out++ = (char)(0x80 | (code >> 6 * extra & 0x3f));
    return out;
}

/* The code point after `\u`, two halves of a surrogate pair joined. */
static int unicode_escape(reader *r, unsigned *code) {
    unsigned low;
    if (hex_digits(r, code))
        return -1;
    if (*code < 0xd800 || *code > 0xdfff)
        return *code ? 0 : wrong(r, "a character other than NUL");
    if (*code > 0xdbff || r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
        return wrong(r, "a surrogate pair");
    r->at += 2;
    if (hex_digits(r, &low))
        return -1;
    if (low < 0xdc00 || low > 0xdfff)
        return wrong(r, "the second half of a surrogate pair");
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

/* One escape after its backslash; returns where the next character goes, NULL on failure. */
static char *escape(reader *r, char *out) {
    static const char written[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char letter = r->at < r->end ? *r->at : 0;
    const char *found = letter ? strchr(written, letter) : NULL;
    if (found) {
        r->at++;
        *out++ = meant[found - written];
        return out;
    }
    if (letter != 'u') {
        wrong(r, "an escape such as \\n");
        return NULL;
    }
    r->at++;
    unsigned code;
    return unicode_escape(r, &code) ? NULL : put_utf8(out, code);
}

/* The string whose opening quote has been read. An escape is never shorter than what it stands for, so the text up to
 * the closing quote bounds the result. */
static char *parse_text(reader *r) {
    const char *close = r->at;
    while (close < r->end && *close != '"')
        close += *close == '\\' && close + 1 < r->end ? 2 : 1;
    char *text = malloc((size_t)(close - r->at) + 2), *out = text;
    if (!text) {
        rt_fail(r->error, "no memory to read JSON");
        return NULL;
    }
    while (out && r->at < r->end && *r->at != '"') {
        if ((unsigned char)*r->at < 0x20) {
            wrong(r, "no control character in a string");
            out = NULL;
        } else if (*r->at == '\\') {
            r->at++;
            out = escape(r, out);
        } else {
            *out++ = *r->at++;
        }
    }
    if (out && r->at == r->end) {
        wrong(r, "the string's closing quote");
        out = NULL;
    }
    if (!out) {
        free(text);
        return NULL;
    }
    r->at++;
    *out = 0;
    return text;
}

static void digits(const char **at, const char *end) {
    while (*at < end && **at >= '0' && **at <= '9')
        ++*at;
}

/* JSON's number grammar is narrower than strtod's: it is walked first, then converted. */
static int parse_number(reader *r, double *number) {
    const char *at = r->at;
    at += at < r->end && *at == '-';
    const char *whole = at;
    digits(&at, r->end);
    if (at == whole || (*whole == '0' && at - whole > 1))
        return wrong(r, "a value");
    if (at < r->end && *at == '.') {
        const char *fraction = ++at;
        digits(&at, r->end);
        if (at == fraction)
            return wrong(r, "digits after the point");
    }
    if (at < r->end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < r->end && (*at == '+' || *at == '-');
        const char *exponent = at;
        digits(&at, r->end);
        if (at == exponent)
            return wrong(r, "digits of an exponent");
    }
    char copy[64];
    if (at - r->at >= (ptrdiff_t)sizeof copy)
        return wrong(r, "a shorter number");
    memcpy(copy, r->at, (size_t)(at - r->at));
    copy[at - r->at] = 0;
    *number = strtod(copy, NULL);
    r->at = at;
    return 0;
}

static int parse_word(reader *r, rt_json *value) {
    static const struct {
        const char *word;
        rt_json_kind kind;
        int number;
    } words[] = {{"null", RT_JSON_NULL, 0}, {"true", RT_JSON_BOOLEAN, 1}, {"false", RT_JSON_BOOLEAN, 0}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if ((size_t)(r->end - r->at) >= length && !memcmp(r->at, words[i].word, length)) {
            r->at += length;
            value->kind = words[i].kind;
            value->number = words[i].number;
            return 0;
        }
    }
    value->kind = RT_JSON_NUMBER;
    return parse_number(r, &value->number);
}

static rt_json *parse_member(reader *r, int is_object, int depth) {
    char *key = NULL;
    if (is_object) {
        if (!accept(r, '"')) {
            wrong(r, "a key in quotes");
            return NULL;
        }
        key = parse_text(r);
        if (!key)
            return NULL;
        if (!accept(r, ':')) {
            wrong(r, "':'");
            free(key);
            return NULL;
        }
    }
    rt_json *member = parse_value(r, depth);
    if (member)
        member->key = key;
    else
        free(key);
    return member;
}

static int parse_members(reader *r, rt_json *value, char close, int depth) {
    rt_json **last = &value->first;
    if (accept(r, close))
        return 0;
    do {
        rt_json *member = parse_member(r, close == '}', depth);
        if (!member)
            return -1;
        *last = member;
        last = &member->next;
        value->count++;
    } while (accept(r, ','));
    return accept(r, close) ? 0 : wrong(r, close == '}' ? "',' or '}'" : "',' or ']'");
}

static rt_json *parse_value(reader *r, int depth) {
    rt_json *value = calloc(1, sizeof *value);
    int failed = 0;
    if (!value)
        failed = rt_fail(r->error, "no memory to read JSON");
    else if (depth > MAX_DEPTH)
        failed = rt_fail(r->error, "invalid JSON: nested deeper than %d levels", MAX_DEPTH);
    else if (accept(r, '{')) {
        value->kind = RT_JSON_OBJECT;
        failed = parse_members(r, value, '}', depth + 1);
    } else if (accept(r, '[')) {
        value->kind = RT_JSON_ARRAY;
        failed = parse_members(r, value, ']', depth + 1);
    } else if (accept(r, '"')) {
        value->kind = RT_JSON_TEXT;
        value->text = parse_text(r);
        failed = !value->text;
    } else {
        failed = parse_word(r, value);
    }
    if (failed) {
        rt_json_free(value);
        return NULL;
    }
    return value;
}

rt_json *rt_json_parse(const char *text, size_t size, rt_error *error) {
    reader r = {.start = text, .at = text, .end = text + size, .error = error};
    rt_json *value = parse_value(&r, 0);
    skip_space(&r);
    if (value && r.at != r.end) {
        wrong(&r, "the end");
        rt_json_free(value);
        return NULL;
    }
    return value;
}

void rt_json_free(rt_json *value) {
    while (value) {
        rt_json *next = value->next;
        rt_json_free(value->first);
        free(value->key);
        free(value->text);
        free(value);
        value = next;
    }
}

const rt_json *rt_json_member(const rt_json *object, const char *key) {
    if (!object || object->kind != RT_JSON_OBJECT)
        return NULL;
    const rt_json *member = object->first;
    while (member && strcmp(member->key, key))
        member = member->next;
    return member;
}

int rt_json_whole(const rt_json *value, int64_t *whole) {
    if (!value || value->kind != RT_JSON_NUMBER || !(value->number >= 0 && value->number <= 9007199254740992.0) ||
        value->number != floor(value->number))
        return -1;
    *whole = (int64_t)value->number;
    return 0;
}
