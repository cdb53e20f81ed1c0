/* What generated C needs before its first kernel: declarations, and helpers for the types that the kernels use. */
#include "backend/cgen.h"

#include <assert.h>
#include <string.h>

/* libtcc finds no headers of its own in every installation, so scalar code declares what it calls. */
static const char scalar_head[] =
    "typedef signed char int8_t;\n"
    "typedef unsigned char uint8_t;\n"
    "typedef unsigned short uint16_t;\n"
    "typedef int int32_t;\n"
    "typedef unsigned int uint32_t;\n"
    "typedef long long int64_t;\n"
    "typedef unsigned long long uint64_t;\n"
    "typedef struct { char *state, *arena; void *pool, *profile; } rt_frame;\n"
    "typedef void (*rt_kernel)(void *const *args, char *scratch, int64_t begin, int64_t end);\n"
    "typedef struct { const char *name; void (*run)(const rt_frame *frame, void *context); void *context; } rt_entry;\n"
    "typedef struct { int64_t strides[3]; rt_kernel kernel; void *apply; } rt_view_code;\n"
    "typedef struct { const char *manifest; int entry_count; const rt_entry *entries; const rt_view_code *views; } "
    "rt_program;\n"
    "void rt_launch(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t extent, int64_t rounds,\n"
    "               int64_t nanoseconds);\n"
    "void rt_launch_parts(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t arg_count,\n"
    "                     const int64_t *ends, int64_t part_count, int64_t nanoseconds);\n"
    "void rt_product(const float *left, const float *right, float *result, int64_t begin, int64_t end, int64_t rows,\n"
    "                int64_t columns, int64_t inner, int64_t block, int left_transposed, int right_transposed);\n"
    "float rt_random_uniform(int32_t seed, int32_t step, int32_t stream, int64_t index);\n"
    "float rt_random_normal(int32_t seed, int32_t step, int32_t stream, int64_t index);\n"
    "int rt_main(int argc, char **argv, const rt_program *program);\n"
    "float sqrtf(float), floorf(float), sinf(float), cosf(float), powf(float, float), fmodf(float, float);\n"
    "#define prefetch_line(place) ((void)0)\n"
    "#define restrict\n"
    "#define inline\n\n";

static const char library_head[] = "#include \"runtime/program.h\"\n"
                                   "#include \"runtime/random.h\"\n\n"
                                   "#include <math.h>\n"
                                   "#include <string.h>\n\n"
                                   "#define prefetch_line(place) __builtin_prefetch(place, 0, 2)\n\n";

/* A bf16 is the upper half of a float, rounded to nearest, ties to even; a NaN stays one. */
static const char scalar_helpers[] =
    "#define FMA(a, b, c) ((a) * (b) + (c)) /* fused by the compiler where the machine has it */\n"
    "static inline int32_t bits_of(float x) {\n"
    "    union { float number; int32_t bits; } both;\n"
    "    both.number = x;\n"
    "    return both.bits;\n"
    "}\n"
    "static inline float float_of(int32_t x) {\n"
    "    union { float number; int32_t bits; } both;\n"
    "    both.bits = x;\n"
    "    return both.number;\n"
    "}\n"
    "static inline uint16_t bf16_of(float x) {\n"
    "    uint32_t bits = (uint32_t)bits_of(x);\n"
    "    return (uint16_t)(x != x ? bits >> 16 | 64 : (bits + 32767 + (bits >> 16 & 1)) >> 16);\n"
    "}\n"
    "static inline int32_t pair(float x, float y) {\n"
    "    return (int32_t)((uint32_t)bf16_of(x) | (uint32_t)bf16_of(y) << 16);\n"
    "}\n"
    "static inline int32_t pair_upper(int32_t x, int32_t y) {\n"
    "    return (int32_t)((uint32_t)x >> 16 | ((uint32_t)y & 0xffff0000u));\n"
    "}\n"
    "static inline float dot_pairs(int32_t x, int32_t y, float sum) {\n"
    "    sum += float_of((int32_t)((uint32_t)x << 16)) * float_of((int32_t)((uint32_t)y << 16));\n"
    "    return sum + float_of((int32_t)((uint32_t)x & 0xffff0000u)) * float_of((int32_t)((uint32_t)y & "
    "0xffff0000u));\n"
    "}\n\n";

/* Vectors, in templates: $ is the number of lanes, @ the element as in f32, # its C type. */
static const char vector_type[] =
    "typedef # @x$ __attribute__((vector_size($ * sizeof(#))));\n"
    "typedef # @x$_memory __attribute__((vector_size($ * sizeof(#)), aligned(sizeof(#)), may_alias));\n"
    "static inline @x$ @x$_splat(# x) {\n"
    "    return x - (@x$){0};\n"
    "}\n"
    "static inline @x$ @x$_part(const # *from, int count) {\n"
    "    @x$ result = {0};\n"
    "    memcpy(&result, from, (size_t)count * sizeof(#));\n"
    "    return result;\n"
    "}\n"
    "static inline @x$ @x$_strided(const # *from, int count, int64_t stride) {\n"
    "    @x$ result = {0};\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        result[lane] = from[lane * stride];\n"
    "    return result;\n"
    "}\n"
    "static inline void @x$_scatter(# *to, @x$ x, int count, int64_t stride) {\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        to[lane * stride] = x[lane];\n"
    "}\n\n";

static const char number_vectors[] = "static inline @x$ @x$_iota(void) {\n"
                                     "    @x$ result;\n"
                                     "    for (int lane = 0; lane < $; lane++)\n"
                                     "        result[lane] = (#)lane;\n"
                                     "    return result;\n"
                                     "}\n"
                                     "static inline @x$ @x$_interleave(@x$ x, @x$ y, int first) {\n"
                                     "    @x$ result;\n"
                                     "    for (int lane = 0; lane < $; lane++)\n"
                                     "        result[lane] = lane % 2 ? y[first + lane / 2] : x[first + lane / 2];\n"
                                     "    return result;\n"
                                     "}\n"
                                     "static inline # @x$_sum(@x$ x) {\n"
                                     "    for (int half = $ / 2; half > 0; half /= 2)\n"
                                     "        for (int lane = 0; lane < half; lane++)\n"
                                     "            x[lane] += x[lane + half];\n"
                                     "    return x[0];\n"
                                     "}\n"
                                     "static inline # @x$_max(@x$ x) {\n"
                                     "    for (int half = $ / 2; half > 0; half /= 2)\n"
                                     "        for (int lane = 0; lane < half; lane++)\n"
                                     "            x[lane] = x[lane] > x[lane + half] ? x[lane] : x[lane + half];\n"
                                     "    return x[0];\n"
                                     "}\n\n";

static const char i32_vectors[] = "static inline i32x$ i32x$_select(i32x$ condition, i32x$ yes, i32x$ no) {\n"
                                  "    return (yes & condition) | (no & ~condition);\n"
                                  "}\n"
                                  "static inline i32x$ i32x$_abs(i32x$ x) {\n"
                                  "    return i32x$_select(x < 0, -x, x);\n"
                                  "}\n\n";

static const char f32_vectors[] =
    "static inline f32x$ f32x$_select(i32x$ condition, f32x$ yes, f32x$ no) {\n"
    "    return (f32x$)(((i32x$)yes & condition) | ((i32x$)no & ~condition));\n"
    "}\n"
    "static inline f32x$ f32x$_abs(f32x$ x) {\n"
    "    return (f32x$)((i32x$)x & 0x7fffffff);\n"
    "}\n"
    "static inline f32x$ f32x$_floor(f32x$ x) { /* numbers from 8388608 on are whole */\n"
    "    i32x$ small = (x < 8388608.0f) & (x > -8388608.0f);\n"
    "    f32x$ near = __builtin_convertvector(__builtin_convertvector(f32x$_select(small, x, (f32x$){0}), i32x$), "
    "f32x$);\n"
    "    near += __builtin_convertvector(near > x, f32x$);\n"
    "    near = (f32x$)((i32x$)near | ((i32x$)x & (int32_t)0x80000000)); /* floor(-0) is -0 */\n"
    "    return f32x$_select(small, near, x);\n"
    "}\n";

/* Pairs of bf16 numbers in 32 bits. */
static const char pair_vectors[] = "static inline i32x$ i32x$_pair(f32x$ x, f32x$ y) {\n"
                                   "    i32x$ result;\n"
                                   "    for (int lane = 0; lane < $; lane++)\n"
                                   "        result[lane] = pair(x[lane], y[lane]);\n"
                                   "    return result;\n"
                                   "}\n"
                                   "static inline i32x$ i32x$_pair_upper(i32x$ x, i32x$ y) {\n"
                                   "    return (x >> 16 & 0xffff) | (y & (int32_t)0xffff0000);\n"
                                   "}\n"
                                   "static inline f32x$ f32x$_dot_pairs(i32x$ x, i32x$ y, f32x$ sum) {\n"
                                   "    i32x$ upper = i32x$_splat((int32_t)0xffff0000);\n"
                                   "    sum += (f32x$)(x << 16) * (f32x$)(y << 16);\n"
                                   "    return sum + (f32x$)(x & upper) * (f32x$)(y & upper);\n"
                                   "}\n\n";

static const char f32_function[] = "static inline f32x$ f32x$_@(f32x$ x) {\n"
                                   "    f32x$ result;\n"
                                   "    for (int lane = 0; lane < $; lane++)\n"
                                   "        result[lane] = @f(x[lane]);\n"
                                   "    return result;\n"
                                   "}\n";

static const char f32_function_of_two[] = "static inline f32x$ f32x$_@(f32x$ x, f32x$ y) {\n"
                                          "    f32x$ result;\n"
                                          "    for (int lane = 0; lane < $; lane++)\n"
                                          "        result[lane] = @f(x[lane], y[lane]);\n"
                                          "    return result;\n"
                                          "}\n";

/* Vectors whose elements are not 32 bits wide. */
static const char other_vectors[] = "static inline @x$ @x$_select(i32x$ condition, @x$ yes, @x$ no) {\n"
                                    "    for (int lane = 0; lane < $; lane++)\n"
                                    "        no[lane] = condition[lane] ? yes[lane] : no[lane];\n"
                                    "    return no;\n"
                                    "}\n\n";

static const char i64_vectors[] = "static inline i64x$ i64x$_abs(i64x$ x) {\n"
                                  "    return i64x$_select(__builtin_convertvector(x < 0, i32x$), -x, x);\n"
                                  "}\n\n";

static const char bf16_vectors[] = "static inline bf16x$ bf16x$_of_f32(f32x$ x) {\n"
                                   "    bf16x$ result;\n"
                                   "    for (int lane = 0; lane < $; lane++)\n"
                                   "        result[lane] = bf16_of(x[lane]);\n"
                                   "    return result;\n"
                                   "}\n"
                                   "static inline f32x$ f32x$_of_bf16(bf16x$ x) {\n"
                                   "    return (f32x$)(__builtin_convertvector(x, i32x$) << 16);\n"
                                   "}\n\n";

static const char truth_vectors[] =
    "static inline i32x$ truthx$_part(const int8_t *from, int count) {\n"
    "    i32x$ result = {0};\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        result[lane] = -(from[lane] != 0);\n"
    "    return result;\n"
    "}\n"
    "static inline i32x$ truthx$_strided(const int8_t *from, int count, int64_t stride) {\n"
    "    i32x$ result = {0};\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        result[lane] = -(from[lane * stride] != 0);\n"
    "    return result;\n"
    "}\n"
    "static inline void truthx$_store(int8_t *to, i32x$ x, int count) {\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        to[lane] = (int8_t)-x[lane];\n"
    "}\n"
    "static inline void truthx$_scatter(int8_t *to, i32x$ x, int count, int64_t stride) {\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        to[lane * stride] = (int8_t)-x[lane];\n"
    "}\n\n";

/* Lanes gathered from anywhere: ^ is the element of the offsets. */
static const char indexed_vectors[] = "static inline @x$ @x$_indexed_^(const # *from, int count, ^x$ offsets) {\n"
                                      "    @x$ result = {0};\n"
                                      "    for (int lane = 0; lane < count; lane++)\n"
                                      "        result[lane] = from[offsets[lane]];\n"
                                      "    return result;\n"
                                      "}\n";

static const char indexed_truth_vectors[] =
    "static inline i32x$ truthx$_indexed_^(const int8_t *from, int count, ^x$ offsets) {\n"
    "    i32x$ result = {0};\n"
    "    for (int lane = 0; lane < count; lane++)\n"
    "        result[lane] = -(from[offsets[lane]] != 0);\n"
    "    return result;\n"
    "}\n";

/* Tiles: & is the number of rows. */
static const char tile_type[] = "typedef struct { # row[&][$]; } tile_@_&x$;\n"
                                "static inline tile_@_&x$ tile_@_&x$_load(const # *from, int64_t stride) {\n"
                                "    tile_@_&x$ tile;\n"
                                "    for (int row = 0; row < &; row++)\n"
                                "        memcpy(tile.row[row], from + row * stride, sizeof tile.row[row]);\n"
                                "    return tile;\n"
                                "}\n"
                                "static inline void tile_@_&x$_store(# *to, tile_@_&x$ tile, int64_t stride) {\n"
                                "    for (int row = 0; row < &; row++)\n"
                                "        memcpy(to + row * stride, tile.row[row], sizeof tile.row[row]);\n"
                                "}\n\n";

/* The product of & rows and $ columns of tiles whose elements are pairs. */
static const char tile_dot_start[] = "static inline tile_f32_&x$ tile_dot_&x$x";
static const char tile_dot_rest[] =
    "    for (int row = 0; row < &; row++)\n"
    "        for (int pair = 0; pair < pairs; pair++)\n"
    "            for (int column = 0; column < $; column++)\n"
    "                sum.row[row][column] = dot_pairs(left.row[row][pair], right.row[pair][column], "
    "sum.row[row][column]);\n"
    "    return sum;\n"
    "}\n\n";

/* The same of bf16 numbers, which meet in pairs. */
static const char tile_multiply_start[] = "static inline tile_f32_&x$ tile_multiply_&x$x";
static const char tile_multiply_rest[] = "    for (int row = 0; row < &; row++)\n"
                                         "        for (int pair = 0; pair < pairs; pair++)\n"
                                         "            for (int column = 0; column < $; column++)\n"
                                         "                for (int part = 0; part < 2; part++)\n"
                                         "                    sum.row[row][column] += "
                                         "float_of((int32_t)((uint32_t)left.row[row][2 * pair + part] << 16)) *\n"
                                         "                                            "
                                         "float_of((int32_t)((uint32_t)right.row[pair][2 * column + part] << 16));\n"
                                         "    return sum;\n"
                                         "}\n\n";

/* What stands for the signs in a template. */
typedef struct {
    int rows, lanes;
    const char *name, *type, *offsets;
} filling;

static void append_word(const char *word, text_buffer *out) {
    assert(word); /* a template has no sign for which its filling has none */
    text_append_bytes(out, word, strlen(word));
}

static void fill(const char *template, filling values, text_buffer *out) {
    for (const char *c = template; *c; c++) {
        switch (*c) {
        case '$': text_append(out, "%d", values.lanes); break;
        case '@': append_word(values.name, out); break;
        case '#': append_word(values.type, out); break;
        case '^': append_word(values.offsets, out); break;
        default: text_append_bytes(out, c, 1); break;
        }
    }
}

/* Templates of tiles write "&" for the rows, which those of vectors use as an operator. */
static void fill_tile(const char *template, filling values, text_buffer *out) {
    text_buffer part = {0};
    for (const char *c = template; *c; c++) {
        if (*c == '&')
            text_append(&part, "%d", values.rows);
        else
            text_append_bytes(&part, c, 1);
    }
    fill(part.data, values, out);
    text_free(&part);
}

/* ---- what the kernels use -------------------------------------------------------------------------------------- */

typedef struct {
    kir_type *items;
    int count, capacity;
} type_list;

static bool has_type(const type_list *types, kir_type type) {
    for (int i = 0; i < types->count; i++)
        if (types->items[i].element == type.element && types->items[i].lanes == type.lanes &&
            types->items[i].rows == type.rows)
            return true;
    return false;
}

static bool has_vector(const type_list *types, kir_element element, int lanes) {
    return has_type(types, kir_vector_type(element, lanes));
}

static bool has_lanes(const type_list *types, int lanes) {
    for (int i = 0; i < types->count; i++)
        if (types->items[i].lanes == lanes && types->items[i].rows == 0)
            return true;
    return false;
}

static type_list collect_types(const kir_program *program, arena *memory) {
    type_list types = {0};
    for (int k = 0; k < program->kernel_count; k++)
        for (int r = 0; r < program->kernels[k]->register_count; r++)
            if (!has_type(&types, program->kernels[k]->registers[r]))
                ARENA_PUSH(memory, types.items, types.count, types.capacity, program->kernels[k]->registers[r]);
    return types;
}

static filling filling_of(kir_type type) {
    return (filling){
        .rows = type.rows,
        .lanes = type.lanes,
        .name = kir_element_name(type.element),
        .type = cgen_memory_type(type.element),
    };
}

static void indexed_helpers(const type_list *types, int lanes, const char *offsets, text_buffer *out) {
    for (int element = 0; element < KIR_ELEMENT_COUNT; element++) {
        kir_type type = kir_vector_type((kir_element)element, lanes);
        filling values = filling_of(type);
        values.offsets = offsets;
        if (has_type(types, type))
            fill(element == KIR_BOOL ? indexed_truth_vectors : indexed_vectors, values, out);
    }
    text_append(out, "\n");
}

static void f32_helpers(int lanes, text_buffer *out) {
    static const char *const functions[] = {"sqrt", "sin", "cos"}, *const functions_of_two[] = {"pow", "fmod"};
    fill(f32_vectors, (filling){.lanes = lanes}, out);
    for (int i = 0; i < 3; i++)
        fill(f32_function, (filling){.lanes = lanes, .name = functions[i]}, out);
    for (int i = 0; i < 2; i++)
        fill(f32_function_of_two, (filling){.lanes = lanes, .name = functions_of_two[i]}, out);
    text_append(out, "\n");
}

static void vector_helpers(kir_element element, int lanes, text_buffer *out) {
    filling values = filling_of(kir_vector_type(element, lanes));
    fill(vector_type, values, out);
    if (element != KIR_BF16 && element != KIR_U8)
        fill(number_vectors, values, out);
    if (element == KIR_I64 || element == KIR_BF16 || element == KIR_U8)
        fill(other_vectors, values, out);
}

/* f32 and i32 are always there, as truth values and rounding need them. */
static void lanes_helpers(const type_list *types, int lanes, text_buffer *out) {
    filling values = {.lanes = lanes};
    vector_helpers(KIR_I32, lanes, out);
    fill(i32_vectors, values, out);
    vector_helpers(KIR_F32, lanes, out);
    f32_helpers(lanes, out);
    fill(pair_vectors, values, out);
    fill(truth_vectors, values, out);
    if (has_vector(types, KIR_I64, lanes)) {
        vector_helpers(KIR_I64, lanes, out);
        fill(i64_vectors, values, out);
    }
    if (has_vector(types, KIR_BF16, lanes)) {
        vector_helpers(KIR_BF16, lanes, out);
        fill(bf16_vectors, values, out);
    }
    if (has_vector(types, KIR_U8, lanes))
        vector_helpers(KIR_U8, lanes, out);
    indexed_helpers(types, lanes, "i32", out);
    if (has_vector(types, KIR_I64, lanes))
        indexed_helpers(types, lanes, "i64", out);
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

static void tile_multiply(kir_type product, int depth, text_buffer *out) {
    filling values = filling_of(product);
    int rows = product.rows, columns = product.lanes;
    fill_tile(tile_multiply_start, values, out);
    text_append(out,
                "%d(tile_bf16_%dx%d left, tile_bf16_%dx%d right, tile_f32_%dx%d sum) {\n    enum { pairs = %d };\n",
                depth, rows, depth, depth / 2, 2 * columns, rows, columns, depth / 2);
    fill_tile(tile_multiply_rest, values, out);
}

static void tile_dot(kir_type product, int pairs, text_buffer *out) {
    filling values = filling_of(product);
    int rows = product.rows, columns = product.lanes;
    fill_tile(tile_dot_start, values, out);
    text_append(out, "%d(tile_i32_%dx%d left, tile_i32_%dx%d right, tile_f32_%dx%d sum) {\n    enum { pairs = %d };\n",
                pairs, rows, pairs, pairs, columns, rows, columns, pairs);
    fill_tile(tile_dot_rest, values, out);
}

/* Every product of this type that the other tile types allow. */
static void tile_products(const type_list *types, kir_type product, text_buffer *out) {
    for (int pairs = 1; pairs <= 16; pairs++)
        if (has_type(types, kir_tile_type(KIR_I32, product.rows, pairs)) &&
            has_type(types, kir_tile_type(KIR_I32, pairs, product.lanes)))
            tile_dot(product, pairs, out);
    for (int depth = 2; depth <= 32; depth += 2)
        if (has_type(types, kir_tile_type(KIR_BF16, product.rows, depth)) &&
            has_type(types, kir_tile_type(KIR_BF16, depth / 2, 2 * product.lanes)))
            tile_multiply(product, depth, out);
}

static void tile_helpers(const type_list *types, text_buffer *out) {
    for (int i = 0; i < types->count; i++)
        if (types->items[i].rows > 0)
            fill_tile(tile_type, filling_of(types->items[i]), out);
    for (int i = 0; i < types->count; i++)
        if (types->items[i].rows > 0 && types->items[i].element == KIR_F32)
            tile_products(types, types->items[i], out);
}

void cgen_head(const kir_program *program, bool scalar, text_buffer *out) {
    text_append(out, "%s%s", scalar ? scalar_head : library_head, scalar_helpers);
    if (scalar)
        return;
    arena *memory = arena_new();
    type_list types = collect_types(program, memory);
    for (int lanes = 2; lanes <= 64; lanes *= 2)
        if (has_lanes(&types, lanes))
            lanes_helpers(&types, lanes, out);
    tile_helpers(&types, out);
    arena_free(memory);
}
