#include "runtime/commands.h"
#include "runtime/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One line for each role that occurs, in the order of its first state. */
static void print_states(const rt_manifest *manifest) {
    for (int i = 0; i < manifest->state_count; i++) {
        const char *role = manifest->states[i].role;
        int tensors = 0, seen = 0;
        int64_t elements = 0;
        for (int j = 0; j < i; j++)
            seen |= !strcmp(manifest->states[j].role, role);
        for (int j = i; j < manifest->state_count && !seen; j++) {
            if (strcmp(manifest->states[j].role, role))
                continue;
            tensors++;
            elements += rt_tensor_count(&manifest->states[j]);
        }
        if (!seen)
            printf("  %-11s %6d tensors  %12" PRId64 " elements\n", role, tensors, elements);
    }
}

/* The manifest's own lines say it best: they are shown as they stand. */
static void print_lines(const char *text, const char *first, const char *second) {
    while (text && *text) {
        size_t length = strcspn(text, "\n");
        const char *words[] = {first, second};
        for (int i = 0; i < 2; i++) {
            size_t prefix = words[i] ? strlen(words[i]) : 0;
            if (prefix && length > prefix && !memcmp(text, words[i], prefix) && text[prefix] == ' ')
                printf("  %s%.*s\n", i ? "  " : "", (int)(length - prefix - 1), text + prefix + 1);
        }
        text += length + (text[length] == '\n');
    }
}

static int print_checkpoint(const rt_manifest *manifest, const char *path, rt_error *error) {
    rt_safetensors *file = rt_safetensors_load(path, error);
    if (!file)
        return -1;
    const char *fingerprint = rt_safetensors_metadata(file, "fingerprint");
    int same = fingerprint && !strcmp(fingerprint, manifest->fingerprint);
    printf("checkpoint %s (%s)\n", path, same ? "of this program" : "of another program");
    for (int i = 0; i < file->metadata_count; i++)
        printf("  %-16s %s\n", file->metadata[i].key, file->metadata[i].value);
    rt_safetensors_free(file);
    return 0;
}

static void print_program(const rt_program *program, const rt_manifest *manifest) {
    printf("method       %s\nspec         %s\nfingerprint  %s\nprecision    %s\n", manifest->method, manifest->spec,
           manifest->fingerprint, manifest->precision);
    printf("memory       %.1f MB state, %.1f MB arena, %.1f MB scratch a thread\n", (double)manifest->state_bytes / 1e6,
           (double)manifest->arena_bytes / 1e6, (double)manifest->scratch_bytes / 1e6);
    printf("states\n");
    print_states(manifest);
    printf("views\n");
    print_lines(program->manifest, "view", "augment");
    printf("settings\n");
    print_lines(program->manifest, "setting", NULL);
}

int rt_command_info(const rt_program *program, const rt_options *options, rt_error *error) {
    rt_manifest *manifest = rt_manifest_parse(program->manifest, error);
    if (!manifest)
        return 1;
    print_program(program, manifest);
    int failed = options->checkpoint && print_checkpoint(manifest, options->checkpoint, error);
    rt_manifest_free(manifest);
    return failed ? 1 : 0;
}
