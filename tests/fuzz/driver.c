/* Runs a fuzzer's entry point without libFuzzer: DRIVER RUNS SEED-FILE… tries every seed as it is and then RUNS
 * mutations of them, the same ones each time. The input in hand is written to the file that FUZZ_INPUT names, if any,
 * so that it is there when the process dies. */
#include "input_file.h"

#include <string.h>

enum { MOST_BYTES = 1 << 15 };

typedef struct {
    uint8_t *bytes;
    size_t size;
} sample;

static uint64_t state = 1;

static uint64_t draw(uint64_t below) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return below ? (mixed ^ mixed >> 31) % below : 0;
}

static sample read_sample(const char *path) {
    sample made = {malloc(MOST_BYTES), 0};
    FILE *file = fopen(path, "rb");
    if (!file || !made.bytes) {
        fprintf(stderr, "cannot read '%s'\n", path);
        exit(2);
    }
    made.size = fread(made.bytes, 1, MOST_BYTES, file);
    fclose(file);
    return made;
}

/* Replaces `length` bytes at `at` by others; what grows over the limit is cut off. */
static void splice(sample *changed, size_t at, size_t length, const void *with, size_t with_length) {
    uint8_t *copy = malloc(changed->size + with_length);
    size_t tail = changed->size - at - length;
    memcpy(copy, changed->bytes, at);
    if (with_length)
        memcpy(copy + at, with, with_length);
    memcpy(copy + at + with_length, changed->bytes + at + length, tail);
    changed->size = at + with_length + tail;
    if (changed->size > MOST_BYTES)
        changed->size = MOST_BYTES;
    memcpy(changed->bytes, copy, changed->size);
    free(copy);
}

static void change_number(sample *changed) {
    static const char *const numbers[] = {"0",          "-1",         "1",        "2147483647",           "2147483648",
                                          "4294967296", "1e308",      "1e-320",   "9223372036854775807",  "1000000",
                                          "0.5",        "-999999999", "99999999", "18446744073709551616", "7"};
    const char *number = numbers[draw(sizeof numbers / sizeof *numbers)];
    size_t at = draw(changed->size);
    while (at < changed->size && (changed->bytes[at] < '0' || changed->bytes[at] > '9'))
        at++;
    size_t end = at;
    while (end < changed->size && changed->bytes[end] >= '0' && changed->bytes[end] <= '9')
        end++;
    splice(changed, at, end - at, number, strlen(number));
}

static void mutate(sample *changed, const sample *seeds, int count) {
    size_t at = draw(changed->size), length = draw(changed->size - at + 1);
    if (draw(4))
        length = length < 12 ? length : draw(12);
    const sample *other = &seeds[draw((uint64_t)count)];
    size_t from = draw(other->size), piece = draw(other->size - from + 1);
    uint8_t byte = (uint8_t)draw(256), symbol = (uint8_t) " \n(){}[],=<>+-*/%^.:|\"#;@0"[draw(26)];
    switch (draw(7)) {
    case 0: splice(changed, at, length, NULL, 0); break;
    case 1: splice(changed, at, changed->size > at, &byte, 1); break;
    case 2: splice(changed, at, 0, &symbol, 1); break;
    case 3: splice(changed, at, length, other->bytes + from, draw(3) ? piece % 40 : piece); break;
    case 4: splice(changed, draw(changed->size), 0, changed->bytes + at, length); break;
    default: change_number(changed); break;
    }
}

static void try_one(const sample *input) {
    const char *path = getenv("FUZZ_INPUT");
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (file) {
        fwrite(input->bytes, 1, input->size, file);
        fclose(file);
    }
    LLVMFuzzerTestOneInput(input->bytes, input->size);
}

int main(int count, char **arguments) {
    int seeds_count = count - 2;
    if (seeds_count < 1) {
        fprintf(stderr, "usage: %s RUNS SEED-FILE...\n", arguments[0]);
        return 2;
    }
    sample *seeds = calloc((size_t)seeds_count, sizeof *seeds);
    for (int i = 0; i < seeds_count; i++) {
        seeds[i] = read_sample(arguments[i + 2]);
        try_one(&seeds[i]);
    }
    sample changed = {malloc(MOST_BYTES), 0};
    long runs = atol(arguments[1]);
    for (long run = 0; run < runs; run++) {
        const sample *seed = &seeds[draw((uint64_t)seeds_count)];
        memcpy(changed.bytes, seed->bytes, changed.size = seed->size);
        for (uint64_t change = 0, changes = 1 + draw(6); change < changes; change++)
            mutate(&changed, seeds, seeds_count);
        try_one(&changed);
    }
    free(changed.bytes);
    for (int i = 0; i < seeds_count; i++)
        free(seeds[i].bytes);
    free(seeds);
    printf("%d seeds and %ld mutations\n", seeds_count, runs);
    return 0;
}
