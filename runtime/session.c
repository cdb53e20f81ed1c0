#include "runtime/session.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "runtime/profile.h"

#include <stdlib.h>
#include <string.h>

int rt_session_open(rt_session *session, const rt_program *program, int threads, rt_error *error) {
    *session = (rt_session){.program = program, .manifest = rt_manifest_parse(program->manifest, error)};
    rt_manifest *manifest = session->manifest;
    if (!manifest)
        return -1;
    for (int i = 0; program->views && i < manifest->view_count; i++)
        manifest->views[i].code = &program->views[i];
    if (*manifest->processor && rt_cpu_check(manifest->processor, error)) {
        rt_session_close(session);
        return -1;
    }
    session->frame = (rt_frame){
        .state = rt_memory_take(manifest->state_bytes, &session->blocks[0]),
        .arena = rt_memory_take(manifest->arena_bytes, &session->blocks[1]),
        .pool = rt_pool_create(threads),
    };
    rt_frame *frame = &session->frame;
    if (frame->state && frame->arena && frame->pool &&
        rt_pool_reserve(frame->pool, (size_t)manifest->scratch_bytes) == 0)
        return 0;
    rt_fail(error, "the method needs %.1f MB of memory and %d threads, which this machine does not give",
            (double)(manifest->state_bytes + manifest->arena_bytes) / 1e6, threads);
    rt_session_close(session);
    return -1;
}

void rt_session_close(rt_session *session) {
    if (session->frame.pool)
        rt_pool_destroy(session->frame.pool);
    free(session->blocks[0]);
    free(session->blocks[1]);
    rt_manifest_free(session->manifest);
    *session = (rt_session){0};
}

static const rt_entry *find_entry(const rt_program *program, const char *name) {
    for (int i = 0; i < program->entry_count; i++) {
        if (!strcmp(program->entries[i].name, name))
            return &program->entries[i];
    }
    return NULL;
}

const rt_function_info *rt_session_function(const rt_session *session, const char *name, rt_error *error) {
    const rt_manifest *manifest = session->manifest;
    for (int i = 0; i < manifest->function_count; i++) {
        if (!strcmp(manifest->functions[i].name, name) && find_entry(session->program, name))
            return &manifest->functions[i];
    }
    rt_fail(error, "this program has no function '%s'", name);
    return NULL;
}

void rt_session_run(const rt_session *session, const rt_function_info *function) {
    const rt_entry *entry = find_entry(session->program, function->name);
    int64_t begin = rt_profile_enter(session->frame.profile, function);
    entry->run(&session->frame, entry->context);
    rt_profile_leave(session->frame.profile, begin);
}

int rt_session_init(const rt_session *session, int32_t seed, rt_error *error) {
    const rt_function_info *init = rt_session_function(session, "init", error);
    if (!init)
        return -1;
    for (int i = 0; i < init->input_count; i++) {
        if (strcmp(init->inputs[i].name, "seed"))
            return rt_fail(error, "internal error: nobody sets the input '%s' of init", init->inputs[i].name);
        rt_tensor_set_scalar(&init->inputs[i], session->frame.arena, seed);
    }
    rt_session_run(session, init);
    return 0;
}

static const rt_tensor *find_tensor(const rt_tensor *tensors, int count, const char *name) {
    for (int i = 0; i < count; i++) {
        if (!strcmp(tensors[i].name, name))
            return &tensors[i];
    }
    return NULL;
}

const rt_tensor *rt_find_input(const rt_function_info *function, const char *name) {
    return find_tensor(function->inputs, function->input_count, name);
}

const rt_tensor *rt_find_output(const rt_function_info *function, const char *name) {
    return find_tensor(function->outputs, function->output_count, name);
}

const rt_tensor *rt_find_state(const rt_manifest *manifest, const char *name) {
    return find_tensor(manifest->states, manifest->state_count, name);
}

const rt_view *rt_find_view(const rt_manifest *manifest, const char *name) {
    for (int i = 0; i < manifest->view_count; i++) {
        if (!strcmp(manifest->views[i].name, name))
            return &manifest->views[i];
    }
    return NULL;
}

const rt_view *rt_find_evaluation(const rt_manifest *manifest, const char *input) {
    for (int i = 0; i < manifest->view_count; i++) {
        const rt_view *view = &manifest->views[i];
        const char *source = *view->source_name ? view->source_name : view->height ? "image" : "vector";
        if (!strcmp(view->name, "evaluate") && !strcmp(source, input))
            return view;
    }
    return NULL;
}

const char *rt_setting_text(const rt_manifest *manifest, const char *key) {
    for (int i = 0; i < manifest->setting_count; i++) {
        if (!strcmp(manifest->settings[i].key, key))
            return manifest->settings[i].value;
    }
    return NULL;
}

double rt_setting_number(const rt_manifest *manifest, const char *key, double otherwise) {
    const char *text = rt_setting_text(manifest, key);
    return text ? strtod(text, NULL) : otherwise;
}
