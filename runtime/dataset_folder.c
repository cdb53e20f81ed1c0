/* Image folders: <split>/<class>/ of pictures, and a folder of pictures without labels. */
#include "runtime/archive.h"
#include "runtime/dataset_sources.h"
#include "runtime/picture.h"
#include "runtime/pool.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_DEPTH = 32 }; /* of nested folders: symbolic links can form circles */

typedef struct {
    char **paths;
    int32_t *labels;
    int64_t count, capacity;
} picture_list;

typedef struct {
    char **names;
    int count;
} name_list;

/* ---- listing --------------------------------------------------------------------------------------------------- */

static void free_names(name_list *list) {
    for (int i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    *list = (name_list){0};
}

static void free_pictures(picture_list *list) {
    for (int64_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
    free(list->labels);
    *list = (picture_list){0};
}

static int is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int compare_names(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name); /* byte order, whatever the locale */
}

/* The names in a folder, sorted, without hidden ones. */
static int list_names(const char *path, name_list *list, rt_error *error) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, not_hidden, compare_names);
    if (count < 0) {
        return rt_fail(error, "%s: cannot list: %s", path, strerror(errno));
    }
    list->names = calloc((size_t)count + 1, sizeof *list->names);
    list->count = list->names == NULL ? 0 : count;
    int failed = list->names == NULL;
    for (int i = 0; i < count; i++) {
        if (!failed) {
            list->names[i] = strdup(entries[i]->d_name);
            failed = list->names[i] == NULL;
        }
        free(entries[i]);
    }
    free(entries);
    return failed ? rt_fail(error, "%s: out of memory", path) : 0;
}

/* Takes over `path`. */
static int add_picture(picture_list *list, char *path, int32_t label, rt_error *error) {
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
        char **paths = realloc(list->paths, (size_t)capacity * sizeof *paths);
        list->paths = paths == NULL ? list->paths : paths;
        int32_t *labels = realloc(list->labels, (size_t)capacity * sizeof *labels);
        list->labels = labels == NULL ? list->labels : labels;
        if (paths == NULL || labels == NULL) {
            rt_fail(error, "%s: out of memory", path);
            free(path);
            return -1;
        }
        list->capacity = capacity;
    }
    list->paths[list->count] = path;
    list->labels[list->count++] = label;
    return 0;
}

static int add_pictures_below(picture_list *list, const char *path, int32_t label, int depth, rt_error *error);

static int add_entry(picture_list *list, const char *folder, const char *name, int32_t label, int depth,
                     rt_error *error) {
    char *path = rt_path_join(folder, name);
    if (path == NULL) {
        return rt_fail(error, "%s: out of memory", folder);
    }
    if (!is_folder(path) && rt_picture_name(name)) {
        return add_picture(list, path, label, error);
    }
    int result = is_folder(path) ? add_pictures_below(list, path, label, depth + 1, error) : 0;
    free(path);
    return result;
}

static int add_pictures_below(picture_list *list, const char *path, int32_t label, int depth, rt_error *error) {
    name_list names = {0};
    if (depth > MOST_DEPTH) {
        return rt_fail(error, "%s: folders nested deeper than %d", path, MOST_DEPTH);
    }
    int result = list_names(path, &names, error);
    for (int i = 0; result == 0 && i < names.count; i++) {
        result = add_entry(list, path, names.names[i], label, depth, error);
    }
    free_names(&names);
    return result;
}

/* ---- measuring and decoding on all processors ------------------------------------------------------------------- */

#define DECODED_BYTES ((int64_t)1 << 30) /* sets that take more are decoded picture by picture, when needed */

typedef struct {
    const picture_list *list;
    rt_dataset *dataset;
    int (*treat)(const char *path, rt_image *image, rt_picture_file *file, rt_error *error);
    pthread_mutex_t mutex;
    int64_t failed; /* the first picture that failed, or the count: the message does not depend on the threads */
    rt_error error;
} treatment;

static int measure_file(const char *path, rt_image *image, rt_picture_file *file, rt_error *error) {
    return rt_picture_measure(path, image, &file->bytes, error);
}

static int decode_file(const char *path, rt_image *image, rt_picture_file *ignored, rt_error *error) {
    (void)ignored;
    rt_file file;
    if (rt_file_read(path, &file, error) != 0) {
        return -1;
    }
    int result = rt_picture_decode(path, file.bytes, file.size, image, error);
    rt_file_free(&file);
    return result;
}

static int fails_later(treatment *job, int64_t index) {
    pthread_mutex_lock(&job->mutex);
    int later = index > job->failed;
    pthread_mutex_unlock(&job->mutex);
    return later;
}

static void note_failure(treatment *job, int64_t index, const rt_error *error) {
    pthread_mutex_lock(&job->mutex);
    if (index < job->failed) {
        job->failed = index;
        job->error = *error;
    }
    pthread_mutex_unlock(&job->mutex);
}

static void treat_range(void *context, int worker, int64_t begin, int64_t end) {
    (void)worker;
    treatment *job = context;
    for (int64_t i = begin; i < end && !fails_later(job, i); i++) {
        rt_error error;
        if (job->treat(job->list->paths[i], &job->dataset->images[i], &job->dataset->files[i], &error) != 0) {
            note_failure(job, i, &error);
        }
    }
}

static int treat_all(treatment job, const char *path, rt_error *error) {
    rt_pool *pool = rt_pool_create(0);
    if (pool == NULL) {
        return rt_fail(error, "%s: cannot start threads to decode it", path);
    }
    job.failed = job.list->count;
    pthread_mutex_init(&job.mutex, NULL);
    rt_pool_run(pool, job.list->count, treat_range, &job);
    pthread_mutex_destroy(&job.mutex);
    rt_pool_destroy(pool);
    if (job.failed < job.list->count) {
        *error = job.error;
        return -1;
    }
    return 0;
}

/* What decoded pictures may take: CSLC_PICTURE_MEMORY bytes where that is set. */
static int64_t decoded_limit(void) {
    const char *text = getenv("CSLC_PICTURE_MEMORY");
    char *end;
    long long number = text == NULL ? -1 : strtoll(text, &end, 10);
    return number < 0 || *end != 0 ? DECODED_BYTES : number;
}

static int64_t decoded_bytes(const rt_dataset *dataset) {
    int64_t bytes = 0;
    for (int64_t i = 0; i < dataset->count; i++) {
        bytes += 3 * (int64_t)dataset->images[i].width * dataset->images[i].height;
    }
    return bytes;
}

static int keep_paths(rt_dataset *dataset, const picture_list *list, const char *path, rt_error *error) {
    for (int64_t i = 0; i < list->count; i++) {
        dataset->files[i].path = strdup(list->paths[i]);
        if (dataset->files[i].path == NULL) {
            return rt_fail(error, "%s: out of memory", path);
        }
    }
    return 0;
}

/* Sizes first: they say whether all pictures find room in memory. */
static int read_all(const picture_list *list, rt_dataset *dataset, const char *path, rt_error *error) {
    dataset->files = calloc((size_t)list->count + 1, sizeof *dataset->files);
    if (dataset->files == NULL) {
        return rt_fail(error, "%s: out of memory", path);
    }
    treatment job = {.list = list, .dataset = dataset, .treat = measure_file};
    if (treat_all(job, path, error) != 0) {
        return -1;
    }
    if (decoded_bytes(dataset) > decoded_limit()) {
        return keep_paths(dataset, list, path, error);
    }
    job.treat = decode_file;
    int result = treat_all(job, path, error);
    free(dataset->files);
    dataset->files = NULL;
    return result;
}

/* "32x32" where all are of one size, else "up to 500x375". */
static int describe(rt_dataset *dataset, const char *kind, rt_error *error) {
    int width = dataset->images[0].width, height = dataset->images[0].height, same = 1;
    for (int64_t i = 1; i < dataset->count; i++) {
        const rt_image *image = &dataset->images[i];
        same = same && image->width == width && image->height == height;
        width = image->width > width ? image->width : width;
        height = image->height > height ? image->height : height;
    }
    return rt_dataset_describe(dataset, error, "image folder, %s, %lld images of %s%dx%d%s", kind,
                               (long long)dataset->count, same ? "" : "up to ", width, height,
                               dataset->files ? ", decoded when needed" : "");
}

/* The set of the listed pictures; `names` are the classes'. */
static rt_dataset *build(const picture_list *list, const name_list *names, const char *path, const char *kind,
                         rt_error *error) {
    rt_dataset *dataset = rt_dataset_allocate(path, RT_IMAGES, list->count, names->count, error);
    if (dataset == NULL) {
        return NULL;
    }
    memcpy(dataset->labels, list->labels, (size_t)list->count * sizeof *list->labels);
    int failed = 0;
    for (int i = 0; i < names->count && !failed; i++) {
        dataset->class_names[i] = strdup(names->names[i]);
        failed = dataset->class_names[i] == NULL ? rt_fail(error, "%s: out of memory", path) : 0;
    }
    if (failed || read_all(list, dataset, path, error) != 0 || describe(dataset, kind, error) != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

/* ---- labelled folders ------------------------------------------------------------------------------------------- */

/* The folder of a split, or NULL: train/, and test/ or val/. */
static char *split_folder(const char *path, rt_split split, rt_error *error) {
    static const char *const train_names[] = {"train", NULL}, *const test_names[] = {"test", "val", NULL};
    const char *const *name = split == RT_SPLIT_TEST ? test_names : train_names;
    for (; *name != NULL; name++) {
        char *folder = rt_path_join(path, *name);
        if (folder != NULL && is_folder(folder)) {
            return folder;
        }
        free(folder);
    }
    rt_fail(error, "%s: not a data set: holds neither files of CIFAR or STL-10 nor a folder %s", path,
            split == RT_SPLIT_TEST ? "test/ or val/" : "train/");
    return NULL;
}

/* The classes: the names of the folders in `path`. */
static int list_classes(const char *path, name_list *classes, rt_error *error) {
    if (list_names(path, classes, error) != 0) {
        return -1;
    }
    int kept = 0;
    for (int i = 0; i < classes->count; i++) {
        char *folder = rt_path_join(path, classes->names[i]);
        if (folder != NULL && is_folder(folder)) {
            classes->names[kept++] = classes->names[i];
        } else {
            free(classes->names[i]);
        }
        free(folder);
    }
    classes->count = kept;
    return kept > 0 ? 0 : rt_fail(error, "%s: empty: holds no class folder", path);
}

static int class_label(const name_list *classes, const char *name) {
    for (int i = 0; i < classes->count; i++) {
        if (strcmp(classes->names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static int add_class(picture_list *list, const char *folder, const char *name, const name_list *known,
                     rt_error *error) {
    int32_t label = class_label(known, name);
    if (label < 0) {
        return rt_fail(error, "%s/%s: the training split has no class of that name", folder, name);
    }
    char *path = rt_path_join(folder, name);
    if (path == NULL) {
        return rt_fail(error, "%s: out of memory", folder);
    }
    int64_t before = list->count;
    int result = add_pictures_below(list, path, label, 0, error);
    if (result == 0 && list->count == before) {
        result = rt_fail(error, "%s: empty: holds no .jpg, .jpeg or .png picture", path);
    }
    free(path);
    return result;
}

/* Classes are numbered by the training split's folders, so that both splits agree where one lacks a class. */
static int list_known_classes(const char *path, const name_list *own, name_list *known, rt_error *error) {
    char *train = rt_path_join(path, "train");
    int result = 0;
    if (train != NULL && is_folder(train)) {
        result = list_classes(train, known, error);
    } else {
        known->names = calloc((size_t)own->count + 1, sizeof *known->names);
        for (int i = 0; known->names != NULL && i < own->count; i++) {
            known->names[i] = strdup(own->names[i]);
            known->count += known->names[i] != NULL;
        }
        result = known->count == own->count ? 0 : rt_fail(error, "%s: out of memory", path);
    }
    free(train);
    return result;
}

static rt_dataset *open_split(const char *path, const char *folder, rt_split split, rt_error *error) {
    name_list own = {0}, known = {0};
    picture_list list = {0};
    rt_dataset *dataset = NULL;
    int result = list_classes(folder, &own, error);
    if (result == 0) {
        result = list_known_classes(path, &own, &known, error);
    }
    for (int i = 0; result == 0 && i < own.count; i++) {
        result = add_class(&list, folder, own.names[i], &known, error);
    }
    if (result == 0) {
        dataset = build(&list, &known, folder, rt_split_name(split), error);
    }
    free_pictures(&list);
    free_names(&known);
    free_names(&own);
    return dataset;
}

rt_dataset *rt_dataset_open_folder(const char *path, rt_split split, rt_error *error) {
    char *folder = split_folder(path, split, error);
    rt_dataset *dataset = folder == NULL ? NULL : open_split(path, folder, split, error);
    free(folder);
    return dataset;
}

/* ---- unlabelled pictures ---------------------------------------------------------------------------------------- */

/* One block: the pointers, then the texts they point to. */
static char **copy_names(const picture_list *list) {
    size_t bytes = ((size_t)list->count + 1) * sizeof(char *);
    for (int64_t i = 0; i < list->count; i++) {
        bytes += strlen(list->paths[i]) + 1;
    }
    char **names = malloc(bytes);
    if (names == NULL) {
        return NULL;
    }
    char *text = (char *)(names + list->count + 1);
    for (int64_t i = 0; i < list->count; i++) {
        size_t size = strlen(list->paths[i]) + 1;
        names[i] = memcpy(text, list->paths[i], size);
        text += size;
    }
    names[list->count] = NULL;
    return names;
}

static rt_dataset *build_unlabelled(const picture_list *list, const char *path, char ***names, rt_error *error) {
    if (list->count == 0) {
        rt_fail(error, "%s: empty: holds no .jpg, .jpeg or .png picture", path);
        return NULL;
    }
    rt_dataset *dataset = build(list, &(name_list){0}, path, "unlabelled", error);
    if (dataset != NULL && names != NULL && (*names = copy_names(list)) == NULL) {
        rt_fail(error, "%s: out of memory", path);
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

rt_dataset *rt_dataset_open_unlabelled(const char *path, char ***names, rt_error *error) {
    picture_list list = {0};
    rt_dataset *dataset = NULL;
    if (add_pictures_below(&list, path, -1, 0, error) == 0) {
        dataset = build_unlabelled(&list, path, names, error);
    }
    free_pictures(&list);
    return dataset;
}
