/* Any bytes as JSON: a document or an error, and what was read can be walked. */
#include "runtime/json.h"

#include "input_file.h"

#include <string.h>

static int64_t walk(const rt_json *value) {
    int64_t sum = 0, whole;
    int count = 0;
    for (const rt_json *member = value->first; member; member = member->next, count++) {
        if (value->kind == RT_JSON_OBJECT && !rt_json_member(value, member->key))
            abort();
        sum += walk(member);
    }
    if (count != value->count)
        abort();
    return rt_json_whole(value, &whole) ? sum : sum + whole % 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rt_error error = {{0}};
    /* A copy of exactly this size, so that reading behind the end is found. */
    char *text = malloc(size ? size : 1);
    memcpy(text, data, size);
    rt_json *value = rt_json_parse(text, size, &error);
    if (value)
        walk(value);
    else if (!error.text[0])
        abort();
    rt_json_free(value);
    free(text);
    return 0;
}
