/* Loading files: the spec, what it uses, and the checks that need only syntax. */
#include "frontend/method.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- finding and parsing
 * ---------------------------------------------------------------------------------------------------- */

static fe_file *load(arena *memory, diag_list *diags, const char *path) {
    size_t length = 0;
    char *text = text_read_file(path, &length);
    if (!text) {
        diag_error(diags, (source_span){0}, "cannot read '%s': %s", path, strerror(errno));
        return NULL;
    }
    size_t mark = strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* some editors begin UTF-8 with it */
    const char *kept = arena_strndup(memory, text + mark, length - mark);
    if (strlen(text) != length) {
        diag_error(diags, (source_span){0}, "'%s' is no text file", path);
        free(text);
        return NULL;
    }
    free(text);
    return fe_parse(memory, diags, source_add(diags->sources, path, kept, length - mark));
}

fe_file *fe_load(arena *memory, diag_list *diags, const char *path) {
    int errors = diags->error_count;
    fe_file *file = load(memory, diags, path);
    return diags->error_count > errors ? NULL : file;
}

/* Loads what a spec is made of; `whole` says whether its text is without errors, as what half a file reads says nothing
 * about what is never read. */
static fe_file *load_part(fe_context *context, const char *path, bool *whole) {
    int errors = context->diags->error_count;
    fe_file *file = load(context->memory, context->diags, path);
    *whole = context->diags->error_count == errors;
    if (file)
        ARENA_PUSH(context->memory, context->files, context->file_count, context->file_capacity, file);
    return file;
}

static bool readable(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file != NULL;
}

static const char *folder_of(fe_context *context, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? arena_strndup(context->memory, path, (size_t)(slash - path)) : ".";
}

/* The using file's folder, its lib/, then the library path. NULL if nowhere. */
static const char *find_library(fe_context *context, const char *user, const char *name) {
    const char *folder = folder_of(context, user);
    const char *prefix =
        strcmp(folder, ".") == 0 && !strchr(user, '/') ? "" : arena_printf(context->memory, "%s/", folder);
    const char *candidates[2] = {arena_printf(context->memory, "%s%s.csl", prefix, name),
                                 arena_printf(context->memory, "%slib/%s.csl", prefix, name)};
    for (int i = 0; i < 2; i++)
        if (strcmp(candidates[i], user) != 0 && readable(candidates[i])) /* a file does not mean itself */
            return candidates[i];
    for (int i = 0; i < context->options->folder_count; i++) {
        const char *path = arena_printf(context->memory, "%s/%s.csl", context->options->folders[i], name);
        if (readable(path))
            return path;
    }
    return NULL;
}

/* ---- binding what a file declares
 * --------------------------------------------------------------------------------------------- */

static bool declare(fe_context *context, const char *name, source_span span, fe_value value) {
    fe_binding *found = fe_scope_find_here(context->globals, name);
    if (found) {
        diag_entry *entry = diag_error(context->diags, span, "'%s' is declared twice", name);
        diag_add_label(context->diags, entry, found->span, "first here");
        return false;
    }
    fe_scope_bind(context->memory, context->globals, name, span, value);
    return true;
}

const char *fe_training_name(fe_context *context, const char *name) {
    return arena_printf(context->memory, "train %s", name);
}

static bool is_for_training(const fe_decl *decl) {
    return decl->kind == FE_OPTIMIZER || decl->kind == FE_SCHEDULE;
}

/* Constants are evaluated as they are declared, but not after an error: a broken tree has holes. */
static fe_value constant_value(fe_context *context, const fe_stmt *constant) {
    return fe_broken(context) ? fe_error(constant->span) : fe_evaluate(context, context->globals, constant->value);
}

static void declare_all(fe_context *context, const fe_file *file) {
    for (int i = 0; i < file->declaration_count; i++) {
        fe_closure *closure = arena_alloc(context->memory, sizeof *closure);
        *closure = (fe_closure){file->declarations[i], context->globals, NULL};
        fe_value value = {.kind = FE_VALUE_CLOSURE, .span = closure->decl->span, .as.closure = closure};
        const char *name = closure->decl->name;
        declare(context, is_for_training(closure->decl) ? fe_training_name(context, name) : name, closure->decl->span,
                value);
    }
    for (int i = 0; i < file->constant_count; i++) {
        const fe_stmt *constant = file->constants[i];
        if (constant->kind == FE_BIND && constant->name_count == 1)
            declare(context, constant->names[0], constant->name_spans[0], constant_value(context, constant));
        else
            fe_fail(context, constant->span, "a file declares constants as NAME = value");
    }
}

/* The file of that path, also under another spelling, if it is among those loaded already. */
static fe_file *loaded(const fe_context *context, const char *path) {
    struct stat wanted, known;
    if (stat(path, &wanted) != 0)
        return NULL;
    for (int i = 0; i < context->file_count; i++) {
        const char *other = context->diags->sources->files[context->files[i]->source].path;
        if (stat(other, &known) == 0 && known.st_dev == wanted.st_dev && known.st_ino == wanted.st_ino)
            return context->files[i];
    }
    return NULL;
}

static void use_libraries(fe_context *context, const fe_file *file);

static void use_library(fe_context *context, const fe_file *user, int use) {
    const char *user_path = context->diags->sources->files[user->source].path;
    const char *path = find_library(context, user_path, user->uses[use]);
    if (!path) {
        diag_entry *entry = diag_error(context->diags, user->use_spans[use], "no library '%s'", user->uses[use]);
        diag_add_note(context->diags, entry,
                      "looked for %s.csl beside the file, in its lib folder and in the library path", user->uses[use]);
        return;
    }
    fe_file *file = loaded(context, path);
    bool known = file, whole = true;
    if (!known)
        file = load_part(context, path, &whole);
    if (file && file->method)
        fe_fail(context, user->use_spans[use], "'%s' holds a method, it is no library", path);
    if (known || !file)
        return;
    use_libraries(context, file);
    if (whole)
        fe_check_file(context, file);
    declare_all(context, file);
}

static void use_libraries(fe_context *context, const fe_file *file) {
    for (int i = 0; i < file->use_count; i++)
        use_library(context, file, i);
}

bool fe_load_all(fe_context *context, const char *path, fe_file **spec) {
    bool whole;
    fe_file *file = load_part(context, path, &whole);
    if (!file)
        return false;
    *spec = file;
    context->main_source = file->source;
    use_libraries(context, file);
    if (whole)
        fe_check_file(context, file);
    declare_all(context, file);
    source_span start = {file->source, 1, 1, 1, 0};
    if (!file->method && !fe_broken(context))
        diag_error(context->diags, start, "this file holds no method; libraries are used by specs");
    return file->method && !fe_broken(context);
}
