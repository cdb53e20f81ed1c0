/* The generated set `shapes`: ten classes of form or texture under random colours, places, sizes and turns. Colour
 * and place say nothing of the class, so that pixels compare badly and learnt features well. */
#include "runtime/dataset_sources.h"
#include "runtime/pool.h"
#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLES = 3, /* a side of the grid of samples that smooths a pixel's edges */
    WAVES = 2,
    SPOTS = 3,
    MOST_COUNT = 10000000,
    MOST_SIDE = 1024,
};

typedef struct {
    int64_t train, test, size, seed;
} shape_settings;

/* ---- the ten figures: each says whether a point is inside, the figure filling about the unit circle -------------- */

static int in_disc(double x, double y) {
    return x * x + y * y < 0.72;
}

static int in_square(double x, double y) {
    return fabs(x) < 0.75 && fabs(y) < 0.75;
}

static int in_triangle(double x, double y) {
    return y < 0.5 && y > 1.732 * fabs(x) - 1.0;
}

static int in_cross(double x, double y) {
    double wide = fmax(fabs(x), fabs(y)), narrow = fmin(fabs(x), fabs(y));
    return wide < 0.95 && narrow < 0.27;
}

static int in_ring(double x, double y) {
    double square = x * x + y * y;
    return square < 0.9 && square > 0.3;
}

static int in_stripes(double x, double y) {
    return in_square(x * 0.8, y * 0.8) && (int)floor((x + 3.0) * 2.2) % 2 == 0;
}

static int in_checkerboard(double x, double y) {
    return in_square(x * 0.8, y * 0.8) && ((int)floor((x + 3.0) * 2.0) + (int)floor((y + 3.0) * 2.0)) % 2 == 0;
}

static int in_star(double x, double y) {
    double sector = 2.0 * M_PI / 5.0;
    double angle = fabs(remainder(atan2(y, x), sector)); /* 0 at a point of the star */
    double radius = hypot(x, y);
    /* The edge is the line from the point at radius 1 to the notch at radius 0.38, half a sector further. */
    double along = radius * cos(angle), across = radius * sin(angle);
    double notch_along = 0.38 * cos(sector / 2.0), notch_across = 0.38 * sin(sector / 2.0);
    return (1.0 - along) * notch_across > across * (1.0 - notch_along);
}

static int in_dots(double x, double y) {
    double dx = x - 0.64 * rint(x / 0.64), dy = y - 0.64 * rint(y / 0.64);
    return fabs(x) < 0.94 && fabs(y) < 0.94 && dx * dx + dy * dy < 0.048;
}

static int in_spiral(double x, double y) {
    double radius = hypot(x, y), turns = radius * 1.9 - atan2(y, x) / (2.0 * M_PI);
    return radius < 0.95 && turns - floor(turns) < 0.48;
}

typedef struct {
    const char *name;
    int (*inside)(double x, double y);
} figure;

static const figure figures[] = {
    {"disc", in_disc}, {"square", in_square},   {"triangle", in_triangle},         {"cross", in_cross},
    {"ring", in_ring}, {"stripes", in_stripes}, {"checkerboard", in_checkerboard}, {"star", in_star},
    {"dots", in_dots}, {"spiral", in_spiral},
};

enum { FIGURES = sizeof figures / sizeof *figures };

/* ---- one picture ------------------------------------------------------------------------------------------------ */

/* A slow change of colour over the background. */
typedef struct {
    double x, y, phase, amplitude[3];
} wave;

/* A soft round spot of another colour behind the figure. */
typedef struct {
    double x, y, sharpness, colour[3];
} spot;

typedef struct {
    int label;
    double x, y, radius, cosine, sine; /* the figure's place, in pictures' sides, and turn */
    double foreground[3], background[3], slope[2];
    wave waves[WAVES];
    spot spots[SPOTS];
    double noise;
} scene;

static void draw_colours(scene *drawn, rt_random_sequence *random) {
    for (int channel = 0; channel < 3; channel++) {
        /* At least 0.3 apart in every channel, in either direction: visible, but neither is the brighter by rule. */
        drawn->background[channel] = rt_random_range(random, 0.0, 1.0);
        drawn->foreground[channel] = fmod(drawn->background[channel] + rt_random_range(random, 0.3, 0.7), 1.0);
    }
    for (int axis = 0; axis < 2; axis++) {
        drawn->slope[axis] = rt_random_range(random, -0.25, 0.25);
    }
}

static void draw_background(scene *drawn, rt_random_sequence *random) {
    for (int i = 0; i < WAVES; i++) {
        wave *one = &drawn->waves[i];
        one->x = rt_random_range(random, -9.0, 9.0);
        one->y = rt_random_range(random, -9.0, 9.0);
        one->phase = rt_random_range(random, 0.0, 2.0 * M_PI);
        for (int channel = 0; channel < 3; channel++) {
            one->amplitude[channel] = rt_random_range(random, -0.1, 0.1);
        }
    }
    for (int i = 0; i < SPOTS; i++) {
        spot *one = &drawn->spots[i];
        one->x = rt_random_range(random, 0.0, 1.0);
        one->y = rt_random_range(random, 0.0, 1.0);
        one->sharpness = rt_random_range(random, 20.0, 120.0);
        for (int channel = 0; channel < 3; channel++) {
            one->colour[channel] = rt_random_range(random, -0.45, 0.45);
        }
    }
}

static scene draw_scene(int label, rt_random_sequence *random) {
    scene drawn = {.label = label};
    drawn.radius = rt_random_range(random, 0.24, 0.44);
    double room = 0.5 - 0.8 * drawn.radius;
    drawn.x = 0.5 + rt_random_range(random, -room, room);
    drawn.y = 0.5 + rt_random_range(random, -room, room);
    double turn = rt_random_range(random, 0.0, 2.0 * M_PI);
    drawn.cosine = cos(turn) / drawn.radius;
    drawn.sine = sin(turn) / drawn.radius;
    drawn.noise = rt_random_range(random, 0.02, 0.08);
    draw_colours(&drawn, random);
    draw_background(&drawn, random);
    return drawn;
}

/* The part of a pixel that the figure covers. `x`, `y`: its upper left corner, `side`: its width. */
static double coverage(const scene *drawn, double x, double y, double side) {
    double near = drawn->radius * 1.5;
    if (fabs(x - drawn->x) > near || fabs(y - drawn->y) > near) {
        return 0.0;
    }
    int inside = 0;
    for (int sample = 0; sample < SAMPLES * SAMPLES; sample++) {
        int column = sample % SAMPLES, row = sample / SAMPLES;
        double dx = x + side * (column + 0.5) / SAMPLES - drawn->x;
        double dy = y + side * (row + 0.5) / SAMPLES - drawn->y;
        inside +=
            figures[drawn->label].inside(dx * drawn->cosine + dy * drawn->sine, dy * drawn->cosine - dx * drawn->sine);
    }
    return (double)inside / (SAMPLES * SAMPLES);
}

static void background_colour(const scene *drawn, double x, double y, double colour[3]) {
    memcpy(colour, drawn->background, sizeof drawn->background);
    for (int i = 0; i < WAVES; i++) {
        double height = sin(drawn->waves[i].x * x + drawn->waves[i].y * y + drawn->waves[i].phase);
        for (int channel = 0; channel < 3; channel++) {
            colour[channel] += drawn->waves[i].amplitude[channel] * height;
        }
    }
    for (int i = 0; i < SPOTS; i++) {
        double dx = x - drawn->spots[i].x, dy = y - drawn->spots[i].y;
        double strength = exp(-drawn->spots[i].sharpness * (dx * dx + dy * dy));
        for (int channel = 0; channel < 3; channel++) {
            colour[channel] += drawn->spots[i].colour[channel] * strength;
        }
    }
}

static uint8_t to_byte(double value) {
    return (uint8_t)(255.0 * fmin(fmax(value, 0.0), 1.0) + 0.5);
}

static void paint(const scene *drawn, const rt_image *image, rt_random_sequence *random) {
    double side = 1.0 / image->width;
    uint8_t *pixel = image->pixels;
    for (int row = 0; row < image->height; row++) {
        for (int column = 0; column < image->width; column++, pixel += 3) {
            double x = column * side, y = row * side, colour[3];
            double covered = coverage(drawn, x, y, side);
            double shade = drawn->slope[0] * (x - 0.5) + drawn->slope[1] * (y - 0.5);
            background_colour(drawn, x, y, colour);
            for (int channel = 0; channel < 3; channel++) {
                double value = colour[channel] + covered * (drawn->foreground[channel] - colour[channel]) + shade;
                pixel[channel] = to_byte(value + rt_random_range(random, -drawn->noise, drawn->noise));
            }
        }
    }
}

/* ---- the set ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const rt_dataset *dataset;
    uint64_t seed, split;
} painting;

static void paint_range(void *context, int worker, int64_t begin, int64_t end) {
    (void)worker;
    const painting *job = context;
    for (int64_t i = begin; i < end; i++) {
        rt_random_sequence random = rt_random_begin(job->seed, job->split << 32 | (uint64_t)i);
        scene drawn = draw_scene(job->dataset->labels[i], &random);
        paint(&drawn, &job->dataset->images[i], &random);
    }
}

typedef struct {
    const char *key;
    int64_t least, most;
    int64_t *value;
} shape_key;

static int parse_setting(const char *path, const char *text, size_t length, const shape_key *keys, rt_error *error) {
    for (const shape_key *key = keys; key->key != NULL; key++) {
        size_t name = strlen(key->key);
        if (length <= name + 1 || strncmp(text, key->key, name) != 0 || text[name] != '=') {
            continue;
        }
        char *end;
        long long value = strtoll(text + name + 1, &end, 10);
        if (end != text + length || value < key->least || value > key->most) {
            return rt_fail(error, "%s: %s must be a whole number from %lld to %lld", path, key->key,
                           (long long)key->least, (long long)key->most);
        }
        *key->value = value;
        return 0;
    }
    return rt_fail(error, "%s: unknown setting '%.*s'; shapes takes train=, test=, size= and seed=", path, (int)length,
                   text);
}

static int parse_settings(const char *path, shape_settings *settings, rt_error *error) {
    const shape_key keys[] = {{"train", 1, MOST_COUNT, &settings->train},
                              {"test", 1, MOST_COUNT, &settings->test},
                              {"size", 8, MOST_SIDE, &settings->size},
                              {"seed", 0, INT64_MAX, &settings->seed},
                              {NULL, 0, 0, NULL}};
    const char *text = path + strlen("shapes");
    while (*text != 0) {
        text++; /* the colon, later the commas */
        size_t length = strcspn(text, ",");
        if (parse_setting(path, text, length, keys, error) != 0) {
            return -1;
        }
        text += length;
    }
    return 0;
}

static int fill(rt_dataset *dataset, const char *path, const shape_settings *settings, rt_split split,
                rt_error *error) {
    int64_t bytes = settings->size * settings->size * 3;
    if (rt_dataset_allocate_storage(dataset, path, dataset->count * bytes, error) != 0) {
        return -1;
    }
    for (int label = 0; label < FIGURES; label++) {
        dataset->class_names[label] = strdup(figures[label].name);
        if (dataset->class_names[label] == NULL) {
            return rt_fail(error, "%s: out of memory", path);
        }
    }
    for (int64_t i = 0; i < dataset->count; i++) {
        dataset->labels[i] = (int32_t)(i % FIGURES);
        dataset->images[i] =
            (rt_image){(int)settings->size, (int)settings->size, (uint8_t *)dataset->storage + i * bytes};
    }
    rt_pool *pool = rt_pool_create(0);
    if (pool == NULL) {
        return rt_fail(error, "%s: cannot start threads to paint it", path);
    }
    painting job = {dataset, (uint64_t)settings->seed, split == RT_SPLIT_TEST ? 1 : 0};
    rt_pool_run(pool, dataset->count, paint_range, &job);
    rt_pool_destroy(pool);
    return rt_dataset_describe(dataset, error, "generated shapes, %s, %lld images of %lldx%lld", rt_split_name(split),
                               (long long)dataset->count, (long long)settings->size, (long long)settings->size);
}

rt_dataset *rt_dataset_open_shapes(const char *path, rt_split split, rt_error *error) {
    shape_settings settings = {.train = 5000, .test = 1000, .size = 32, .seed = 1};
    if (parse_settings(path, &settings, error) != 0) {
        return NULL;
    }
    rt_dataset *dataset =
        rt_dataset_allocate(path, RT_IMAGES, split == RT_SPLIT_TEST ? settings.test : settings.train, FIGURES, error);
    if (dataset != NULL && fill(dataset, path, &settings, split, error) != 0) {
        rt_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}
