/* What generated C needs before its first kernel. */
#include "backend/cgen.h"

/* libtcc finds no headers of its own in every installation, so its code declares what it calls. */
static const char scalar_head[] =
    "typedef signed char int8_t; typedef int int32_t; typedef long long int64_t; typedef unsigned int uint32_t;\n"
    "typedef struct { char *state; char *arena; void *pool; } rt_frame;\n"
    "typedef void (*rt_kernel)(void *const *args, char *scratch, int64_t begin, int64_t end);\n"
    "void rt_launch(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t extent);\n"
    "typedef struct { const char *name; void (*run)(const rt_frame *frame, void *context); void *context; } rt_entry;\n"
    "typedef struct { const char *manifest; int entry_count; const rt_entry *entries; } rt_program;\n"
    "float rt_random_uniform(int32_t seed, int32_t step, int32_t stream, int64_t index);\n"
    "float rt_random_normal(int32_t seed, int32_t step, int32_t stream, int64_t index);\n"
    "float sqrtf(float); float floorf(float); float sinf(float); float cosf(float); float powf(float, float); float fmaf(float, float, float);\n"
    "#define restrict\n#define FMA(a, b, c) ((a) * (b) + (c))\n";

static const char library_head[] =
    "#include \"runtime/program.h\"\n#include \"runtime/random.h\"\n\n#include <math.h>\n#include <string.h>\n\n"
    "#define FMA(a, b, c) ((a) * (b) + (c)) /* contracted by the compiler */\n";

static const char scalar_helpers[] =
    "static int32_t bits_of(float x) { union { float f; int32_t i; } u; u.f = x; return u.i; }\n"
    "static float float_of(int32_t x) { union { float f; int32_t i; } u; u.i = x; return u.f; }\n\n";

/* Vectors of the compiler, N lanes: truth values are i32 lanes of 0 or -1. $ stands for N. */
static const char vector_helpers[] =
    "typedef float f32x$ __attribute__((vector_size(4 * $)));\n"
    "typedef int32_t i32x$ __attribute__((vector_size(4 * $)));\n"
    "typedef float f32x$_memory __attribute__((vector_size(4 * $), aligned(4), may_alias));\n"
    "typedef int32_t i32x$_memory __attribute__((vector_size(4 * $), aligned(4), may_alias));\n"
    "#define EACH$ for (int lane = 0; lane < $; lane++)\n"
    "static inline f32x$ f32x$_splat(float x) { return x - (f32x$){0}; }\n"
    "static inline i32x$ i32x$_splat(int32_t x) { return x - (i32x$){0}; }\n"
    "static inline f32x$ f32x$_part(const float *p, int count) { f32x$ r = {0}; memcpy(&r, p, sizeof(float) * (size_t)count); return r; }\n"
    "static inline i32x$ i32x$_part(const int32_t *p, int count) { i32x$ r = {0}; memcpy(&r, p, sizeof(int32_t) * (size_t)count); return r; }\n"
    "static inline i32x$ truth$_part(const int8_t *p, int count) { i32x$ r = {0}; for (int lane = 0; lane < count; lane++) r[lane] = -p[lane]; return r; }\n"
    "static inline f32x$ f32x$_strided(const float *p, int count, int64_t stride) { f32x$ r = {0}; for (int lane = 0; lane < count; lane++) r[lane] = p[lane * stride]; return r; }\n"
    "static inline i32x$ i32x$_strided(const int32_t *p, int count, int64_t stride) { i32x$ r = {0}; for (int lane = 0; lane < count; lane++) r[lane] = p[lane * stride]; return r; }\n"
    "static inline i32x$ truth$_strided(const int8_t *p, int count, int64_t stride) { i32x$ r = {0}; for (int lane = 0; lane < count; lane++) r[lane] = -p[lane * stride]; return r; }\n"
    "static inline void truth$_store(int8_t *p, i32x$ x, int count) { for (int lane = 0; lane < count; lane++) p[lane] = (int8_t)-x[lane]; }\n"
    "static inline f32x$ f32x$_select(i32x$ m, f32x$ a, f32x$ b) { return (f32x$)(((i32x$)a & m) | ((i32x$)b & ~m)); }\n"
    "static inline i32x$ i32x$_select(i32x$ m, i32x$ a, i32x$ b) { return (a & m) | (b & ~m); }\n"
    "static inline f32x$ f32x$_floor(f32x$ x) { f32x$ t = __builtin_convertvector(__builtin_convertvector(x, i32x$), f32x$); t += __builtin_convertvector(t > x, f32x$);"
    " return f32x$_select((x < 8388608.0f) & (x > -8388608.0f), t, x); }\n"
    "static inline f32x$ f32x$_sqrt(f32x$ x) { f32x$ r; EACH$ r[lane] = sqrtf(x[lane]); return r; }\n"
    "static inline f32x$ f32x$_sin(f32x$ x) { f32x$ r; EACH$ r[lane] = sinf(x[lane]); return r; }\n"
    "static inline f32x$ f32x$_cos(f32x$ x) { f32x$ r; EACH$ r[lane] = cosf(x[lane]); return r; }\n"
    "static inline f32x$ f32x$_pow(f32x$ x, f32x$ y) { f32x$ r; EACH$ r[lane] = powf(x[lane], y[lane]); return r; }\n"
    "static inline float f32x$_sum(f32x$ x) { for (int half = $ / 2; half; half /= 2) for (int lane = 0; lane < half; lane++) x[lane] += x[lane + half]; return x[0]; }\n"
    "static inline float f32x$_max(f32x$ x) { for (int half = $ / 2; half; half /= 2) for (int lane = 0; lane < half; lane++) x[lane] = x[lane] > x[lane + half] ? x[lane] : x[lane + half]; return x[0]; }\n"
    "static inline int32_t i32x$_sum(i32x$ x) { int32_t s = 0; EACH$ s += x[lane]; return s; }\n"
    "static inline int32_t i32x$_max(i32x$ x) { int32_t s = x[0]; EACH$ s = s > x[lane] ? s : x[lane]; return s; }\n"
    "static inline i32x$ i32x$_iota(void) { i32x$ r; EACH$ r[lane] = lane; return r; }\n\n";

static void append_lanes(const char *text, int lanes, text_buffer *out) {
    for (; *text; text++) {
        if (*text == '$')
            text_append(out, "%d", lanes);
        else
            text_append_bytes(out, text, 1);
    }
}

void cgen_head(const kir_program *program, int lanes, text_buffer *out) {
    const ir_module *module = program->module;
    text_append(out, "/* %s, compiled by cslc%s%s.\n * cc -O3 -march=native -fno-math-errno -I SOURCE THIS.c libcslrt.a -lopenblas -ljpeg -lpng -lz -lpthread -lm */\n",
                module->name, module->sources && module->sources->count ? " from " : "",
                module->sources && module->sources->count ? module->sources->files[0].path : "");
    text_append(out, "%s%s", lanes == 1 ? scalar_head : library_head, scalar_helpers);
    if (lanes > 1)
        append_lanes(vector_helpers, lanes, out);
}
