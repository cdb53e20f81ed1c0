/* Opening the sources of the data that a program was compiled for. */
#include "runtime/data.h"
#include "runtime/archive.h"
#include "runtime/dataset_sources.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SOURCES = 8 };

/* What the spec says of each source: the views "evaluate". */
typedef struct {
    const rt_view *views[MOST_SOURCES];
    int wanted[MOST_SOURCES];
    int count, wanted_count;
    const char *text;
} request;

static const char *name_of(const rt_view *view) {
    return *view->source_name ? view->source_name : view->height ? "image" : "vector";
}

static int make_request(request *r, const rt_manifest *manifest, const rt_function_info *reader, const char *text,
                        rt_error *error) {
    *r = (request){.text = text};
    for (int i = 0; i < manifest->view_count; i++) {
        const rt_view *view = &manifest->views[i];
        if (strcmp(view->name, "evaluate") != 0)
            continue;
        if (r->count == MOST_SOURCES)
            return rt_fail(error, "internal error: more than %d sources", MOST_SOURCES);
        r->views[r->count] = view;
        r->wanted[r->count] = reader == NULL || rt_find_input(reader, name_of(view)) != NULL;
        r->wanted_count += r->wanted[r->count++];
    }
    return r->wanted_count > 0 ? 0 : rt_fail(error, "internal error: the program reads no source");
}

/* ---- one path a source ---- */

/* Where `NAME=` begins in the text, at its start or behind a comma; NULL where it does not. */
static const char *find_assignment(const char *text, const char *name) {
    size_t length = strlen(name);
    const char *at = text;
    while (strncmp(at, name, length) != 0 || at[length] != '=') {
        at = strchr(at, ',');
        if (at == NULL)
            return NULL;
        at++;
    }
    return at;
}

/* What stands behind `NAME=`, up to the next source's; freed by the caller. NULL where it is missing. */
static char *assigned_path(const request *r, int source) {
    const char *begin = find_assignment(r->text, name_of(r->views[source]));
    if (begin == NULL)
        return NULL;
    const char *end = begin + strlen(begin);
    for (int i = 0; i < r->count; i++) {
        const char *other = find_assignment(r->text, name_of(r->views[i]));
        end = other != NULL && other > begin && other - 1 < end ? other - 1 : end;
    }
    begin += strlen(name_of(r->views[source])) + 1;
    return strndup(begin, (size_t)(end - begin));
}

static int any_assigned(const request *r) {
    for (int i = 0; i < r->count; i++)
        if (find_assignment(r->text, name_of(r->views[i])) != NULL)
            return 1;
    return 0;
}

/* FOLDER/NAME or FOLDER/NAME.npy; NULL where there is neither. */
static char *path_in_folder(const char *folder, const char *name) {
    char file[72];
    char *path = rt_path_join(folder, name);
    if (path != NULL && access(path, F_OK) == 0)
        return path;
    free(path);
    snprintf(file, sizeof file, "%s.npy", name);
    path = rt_path_join(folder, file);
    if (path != NULL && access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* Where one source has a path by name, all that are wanted must have one. */
static int check_assignments(const request *r, rt_error *error) {
    for (int i = 0; i < r->count && any_assigned(r); i++) {
        const char *name = name_of(r->views[i]);
        if (r->wanted[i] && find_assignment(r->text, name) == NULL)
            return rt_fail(error, "%s: nothing is said of the source '%s' (%s=PATH)", r->text, name, name);
    }
    return 0;
}

static char *path_of(const request *r, int source, rt_error *error) {
    const char *name = name_of(r->views[source]);
    if (any_assigned(r))
        return assigned_path(r, source);
    if (r->wanted_count == 1)
        return strdup(r->text);
    char *path = path_in_folder(r->text, name);
    if (path == NULL)
        rt_fail(error, "%s: the spec's data has several sources: give %s=PATH and so on, or a folder with %s.npy",
                r->text, name, name);
    return path;
}

/* ---- sources ---- */

static int check_source(const rt_dataset *dataset, const rt_view *view, const char *path, rt_error *error) {
    if (view->height > 0 && dataset->kind != RT_IMAGES)
        return rt_fail(error, "%s: holds vectors, but the spec's '%s' is image[%d, %d, %d]", path, name_of(view),
                       view->channels, view->height, view->width);
    if (view->height == 0 && dataset->kind != RT_VECTORS)
        return rt_fail(error, "%s: holds images, but the spec's '%s' is vector[%d]", path, name_of(view),
                       view->channels);
    if (view->height == 0 && dataset->count > 0 && dataset->width != view->channels)
        return rt_fail(error, "%s: has rows of %lld numbers, but the spec's '%s' is vector[%d]", path,
                       (long long)dataset->width, name_of(view), view->channels);
    return 0;
}

static rt_dataset *open_source(const request *r, int source, rt_split split, rt_error *error) {
    char *path = path_of(r, source, error);
    rt_dataset *dataset = path != NULL ? rt_dataset_open(path, split, error) : NULL;
    if (dataset != NULL && check_source(dataset, r->views[source], path, error) != 0) {
        rt_dataset_free(dataset);
        dataset = NULL;
    }
    free(path);
    return dataset;
}

/* Stands where nothing is read. */
static rt_dataset *open_nothing(int64_t count, rt_error *error) {
    rt_dataset *dataset = rt_dataset_allocate("a source that is not read", RT_VECTORS, count, 0, error);
    if (dataset != NULL && rt_dataset_describe(dataset, error, "a source that is not read") != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

/* The first source carries the labels of the first that has some. */
static void share_labels(rt_dataset *first) {
    for (rt_dataset *other = first->next; other != NULL && first->class_count == 0; other = other->next) {
        rt_dataset kept = *first;
        first->labels = other->labels;
        first->class_names = other->class_names;
        first->class_count = other->class_count;
        other->labels = kept.labels;
        other->class_names = kept.class_names;
        other->class_count = kept.class_count;
    }
}

static int open_wanted(const request *r, rt_dataset **sets, rt_split split, rt_error *error) {
    const rt_dataset *first = NULL;
    if (check_assignments(r, error) != 0)
        return -1;
    for (int i = 0; i < r->count; i++) {
        if (!r->wanted[i])
            continue;
        sets[i] = open_source(r, i, split, error);
        if (sets[i] == NULL)
            return -1;
        if (first == NULL)
            first = sets[i];
        if (sets[i]->count != first->count)
            return rt_fail(error, "the sources do not belong together: %s has %lld items, %s %lld", first->description,
                           (long long)first->count, sets[i]->description, (long long)sets[i]->count);
    }
    assert(first != NULL); /* at least one is wanted */
    for (int i = 0; i < r->count; i++)
        if (sets[i] == NULL && (sets[i] = open_nothing(first->count, error)) == NULL)
            return -1;
    return 0;
}

rt_dataset *rt_data_open(const rt_manifest *manifest, const rt_function_info *reader, const char *text, rt_split split,
                         rt_error *error) {
    request r;
    rt_dataset *sets[MOST_SOURCES] = {NULL};
    if (make_request(&r, manifest, reader, text, error) != 0)
        return NULL;
    if (open_wanted(&r, sets, split, error) != 0) {
        for (int i = 0; i < r.count; i++)
            rt_dataset_free(sets[i]);
        return NULL;
    }
    for (int i = 0; i + 1 < r.count; i++)
        sets[i]->next = sets[i + 1];
    share_labels(sets[0]);
    return sets[0];
}
