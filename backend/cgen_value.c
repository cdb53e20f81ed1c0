/* Instructions of the kernel IR as C expressions. Helpers named here are defined in cgen_head.c. */
#include "backend/cgen.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct {
    const kir_kernel *kernel;
    const kir_node *node;
    text_buffer *out;
} writer;

static kir_type type_of(const writer *write, kir_reg reg) {
    return write->kernel->registers[reg];
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

const char *cgen_memory_type(kir_element element) {
    static const char *const names[KIR_ELEMENT_COUNT] = {
        [KIR_F32] = "float",   [KIR_BF16] = "uint16_t", [KIR_I32] = "int32_t",
        [KIR_I64] = "int64_t", [KIR_BOOL] = "int8_t",   [KIR_U8] = "uint8_t",
    };
    return names[element];
}

const char *cgen_prefix(kir_element element) {
    return kir_element_name(element == KIR_BOOL ? KIR_I32 : element);
}

void cgen_type(kir_type type, text_buffer *out) {
    if (type.rows > 0)
        text_append(out, "tile_%s_%dx%d", kir_element_name(type.element), type.rows, type.lanes);
    else if (type.lanes > 1)
        text_append(out, "%sx%d", cgen_prefix(type.element), type.lanes);
    else
        text_append(out, "%s", cgen_memory_type(type.element == KIR_BOOL ? KIR_I32 : type.element));
}

void cgen_index(const kir_node_index *index, text_buffer *out) {
    for (int i = 0; i < index->term_count; i++) {
        text_append(out, i ? " + r%d" : "r%d", index->terms[i].reg);
        if (index->terms[i].coefficient != 1)
            text_append(out, " * %" PRId64, index->terms[i].coefficient);
    }
    if (index->term_count == 0 || index->base > 0)
        text_append(out, index->term_count ? " + %" PRId64 : "%" PRId64, index->base);
    else if (index->base < 0)
        text_append(out, " - %" PRId64, -index->base);
}

void cgen_argument(const kir_kernel *kernel, int argument, text_buffer *out) {
    text_append(out, "p%d_", argument);
    for (const char *c = kernel->arguments[argument].name; *c; c++)
        text_append(out, "%c", isalnum((unsigned char)*c) ? *c : '_');
}

/* "f32x16_splat(": a helper of the vector type. */
static void open_helper(const writer *write, kir_type type, const char *helper) {
    text_append(write->out, "%sx%d_%s(", cgen_prefix(type.element), type.lanes, helper);
}

/* ---- constants ------------------------------------------------------------------------------------------------- */

static void write_float(double number, text_buffer *out) {
    if (isnan(number)) {
        text_append(out, "(0.0f / 0.0f)");
    } else if (isinf((float)number)) {
        text_append(out, number > 0 ? "(1.0f / 0.0f)" : "(-1.0f / 0.0f)");
    } else {
        char digits[32];
        snprintf(digits, sizeof digits, "%.9g", (double)(float)number);
        text_append(out, "%s%sf", digits, strpbrk(digits, ".e") ? "" : ".0");
    }
}

static void write_number(double number, kir_type type, text_buffer *out) {
    if (type.element == KIR_F32) {
        write_float(number, out);
    } else if (type.element == KIR_BF16) {
        text_append(out, "bf16_of(");
        write_float(number, out);
        text_append(out, ")");
    } else if (type.element == KIR_BOOL) {
        text_append(out, number == 0 ? "0" : type.lanes > 1 ? "-1" : "1");
    } else {
        text_append(out, "%" PRId64, (int64_t)number);
    }
}

static void write_constant(const writer *write, kir_type type) {
    if (type.lanes > 1)
        open_helper(write, type, "splat");
    write_number(write->node->number, type, write->out);
    if (type.lanes > 1)
        text_append(write->out, ")");
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static void write_address(const writer *write) {
    cgen_argument(write->kernel, write->node->argument, write->out);
    text_append(write->out, " + ");
    cgen_index(&write->node->index, write->out);
}

static void write_scalar_place(const writer *write) {
    cgen_argument(write->kernel, write->node->argument, write->out);
    text_append(write->out, "[");
    cgen_index(&write->node->index, write->out);
    if (write->node->opcode == KIR_load_indexed)
        text_append(write->out, " + r%d", write->node->operands[0]);
    text_append(write->out, "]");
}

/* A whole vector at an address without alignment. */
static void write_vector_place(const writer *write, kir_type type, const char *qualifier) {
    text_append(write->out, "*(%s%sx%d_memory *)(", qualifier, cgen_prefix(type.element), type.lanes);
    write_address(write);
    text_append(write->out, ")");
}

static const char *load_helper(const writer *write) {
    switch (write->node->opcode) {
    case KIR_load_strided: return "strided";
    case KIR_load_indexed:
        return type_of(write, write->node->operands[0]).element == KIR_I64 ? "indexed_i64" : "indexed_i32";
    default: return "part";
    }
}

static void write_load(const writer *write, kir_type type) {
    const kir_node *node = write->node;
    if (type.lanes == 1) {
        write_scalar_place(write);
    } else if (node->opcode == KIR_load && node->count == type.lanes && type.element != KIR_BOOL) {
        write_vector_place(write, type, "const ");
    } else {
        const char *prefix = type.element == KIR_BOOL ? "truth" : cgen_prefix(type.element);
        text_append(write->out, "%sx%d_%s(", prefix, type.lanes, load_helper(write));
        write_address(write);
        text_append(write->out, ", %d", node->count);
        if (node->opcode == KIR_load_strided)
            text_append(write->out, ", %" PRId64, node->stride);
        if (node->opcode == KIR_load_indexed)
            text_append(write->out, ", r%d", node->operands[0]);
        text_append(write->out, ")");
    }
}

static void write_store(const writer *write) {
    const kir_node *node = write->node;
    kir_type type = type_of(write, node->operands[0]);
    text_buffer *out = write->out;
    if (type.lanes == 1) {
        write_scalar_place(write);
        text_append(out, " = %sr%d", type.element == KIR_BOOL ? "(int8_t)" : "", node->operands[0]);
    } else if (node->opcode == KIR_store_strided) {
        text_append(out, "%sx%d_scatter(", type.element == KIR_BOOL ? "truth" : cgen_prefix(type.element), type.lanes);
        write_address(write);
        text_append(out, ", r%d, %d, %" PRId64 ")", node->operands[0], node->count, node->stride);
    } else if (type.element == KIR_BOOL) {
        text_append(out, "truthx%d_store(", type.lanes);
        write_address(write);
        text_append(out, ", r%d, %d)", node->operands[0], node->count);
    } else if (node->count == type.lanes) {
        write_vector_place(write, type, "");
        text_append(out, " = r%d", node->operands[0]);
    } else {
        text_append(out, "memcpy(");
        write_address(write);
        text_append(out, ", &r%d, %d * sizeof(%s))", node->operands[0], node->count, cgen_memory_type(type.element));
    }
}

static void write_prefetch(const writer *write) {
    text_append(write->out, "prefetch_line(");
    write_address(write);
    text_append(write->out, ")");
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------ */

static const char *infix(kir_opcode opcode) {
    switch (opcode) {
    case KIR_add: return "+";
    case KIR_sub: return "-";
    case KIR_mul: return "*";
    case KIR_div: return "/";
    case KIR_rem: return "%";
    case KIR_min:
    case KIR_less: return "<";
    case KIR_max: return ">";
    case KIR_equal: return "==";
    case KIR_less_equal: return "<=";
    case KIR_and: return "&";
    case KIR_or: return "|";
    case KIR_shift_left: return "<<";
    case KIR_shift_right: return ">>";
    default: return NULL;
    }
}

/* Comparing i64 lanes gives i64 lanes; truth values are i32. */
static void write_comparison(const writer *write) {
    const kir_reg *r = write->node->operands;
    kir_type type = type_of(write, r[0]);
    bool narrow = type.element == KIR_I64 && type.lanes > 1;
    if (narrow)
        text_append(write->out, "__builtin_convertvector(");
    text_append(write->out, "r%d %s r%d", r[0], infix(write->node->opcode), r[1]);
    if (narrow)
        text_append(write->out, ", i32x%d)", type.lanes);
}

static void write_extreme(const writer *write, kir_type type) {
    const kir_reg *r = write->node->operands;
    if (type.lanes > 1)
        open_helper(write, type, "select");
    write_comparison(write);
    text_append(write->out, type.lanes > 1 ? ", r%d, r%d)" : " ? r%d : r%d", r[0], r[1]);
}

static void write_select(const writer *write, kir_type type) {
    const kir_reg *r = write->node->operands;
    if (type.lanes == 1) {
        text_append(write->out, "r%d ? r%d : r%d", r[0], r[1], r[2]);
        return;
    }
    open_helper(write, type, "select");
    text_append(write->out, "r%d, r%d, r%d)", r[0], r[1], r[2]);
}

/* A function of the C library, or the helper that calls it for each lane. */
static void write_function(const writer *write, kir_type type, const char *name) {
    if (type.lanes > 1)
        open_helper(write, type, name);
    else
        text_append(write->out, "%sf(", name);
    for (int i = 0; i < kir_op_operands(write->node->opcode); i++)
        text_append(write->out, i ? ", r%d" : "r%d", write->node->operands[i]);
    text_append(write->out, ")");
}

static void write_abs(const writer *write, kir_type type) {
    kir_reg a = write->node->operands[0];
    if (type.lanes > 1) {
        open_helper(write, type, "abs");
        text_append(write->out, "r%d)", a);
    } else if (type.element == KIR_F32) {
        text_append(write->out, "float_of(bits_of(r%d) & 0x7fffffff)", a);
    } else {
        text_append(write->out, "r%d < 0 ? -r%d : r%d", a, a, a);
    }
}

/* Shifting a negative number to the left has a meaning in the kernel IR, but none in C. */
static void write_shift_left(const writer *write, kir_type type) {
    const kir_reg *r = write->node->operands;
    if (type.lanes > 1)
        text_append(write->out, "r%d << r%d", r[0], r[1]);
    else if (type.element == KIR_I64)
        text_append(write->out, "(int64_t)((uint64_t)r%d << r%d)", r[0], r[1]);
    else
        text_append(write->out, "(int32_t)((uint32_t)r%d << r%d)", r[0], r[1]);
}

static void write_scalar_convert(const writer *write, kir_type from, kir_type to) {
    kir_reg a = write->node->operands[0];
    if (to.element == KIR_BOOL)
        text_append(write->out, "r%d != 0", a);
    else if (to.element == KIR_BF16)
        text_append(write->out, "bf16_of(r%d)", a);
    else if (from.element == KIR_BF16)
        text_append(write->out, "float_of((int32_t)((uint32_t)r%d << 16))", a);
    else
        text_append(write->out, "(%s)r%d", cgen_memory_type(to.element), a);
}

static void write_convert(const writer *write, kir_type to) {
    kir_reg a = write->node->operands[0];
    kir_type from = type_of(write, a);
    text_buffer *out = write->out;
    if (to.lanes == 1) {
        write_scalar_convert(write, from, to);
    } else if (to.element == KIR_BOOL) {
        text_append(out, from.element == KIR_I64 ? "__builtin_convertvector(r%d != 0, i32x%d)" : "(r%d != 0)", a,
                    to.lanes);
    } else if (to.element == KIR_BF16 || from.element == KIR_BF16) {
        open_helper(write, to, to.element == KIR_BF16 ? "of_f32" : "of_bf16");
        text_append(out, "r%d)", a);
    } else {
        text_append(out, "%s__builtin_convertvector(r%d, %sx%d)", from.element == KIR_BOOL ? "-" : "", a,
                    cgen_prefix(to.element), to.lanes);
    }
}

static void write_bitcast(const writer *write, kir_type type) {
    kir_reg a = write->node->operands[0];
    if (type.lanes > 1)
        text_append(write->out, "(%sx%d)r%d", cgen_prefix(type.element), type.lanes, a);
    else
        text_append(write->out, "%s(r%d)", type.element == KIR_F32 ? "float_of" : "bits_of", a);
}

/* pair and dot_pairs: helpers of the type, or of scalars. */
static void write_pairs(const writer *write, kir_type type, const char *helper) {
    if (type.lanes > 1)
        open_helper(write, type, helper);
    else
        text_append(write->out, "%s(", helper);
    for (int i = 0; i < kir_op_operands(write->node->opcode); i++)
        text_append(write->out, i ? ", r%d" : "r%d", write->node->operands[i]);
    text_append(write->out, ")");
}

static void write_splat(const writer *write, kir_type type) {
    kir_reg a = write->node->operands[0];
    if (type.lanes == 1) {
        text_append(write->out, "r%d", a);
        return;
    }
    open_helper(write, type, "splat");
    text_append(write->out, "%sr%d)", type.element == KIR_BOOL ? "-" : "", a);
}

static void write_lane(const writer *write) {
    kir_reg a = write->node->operands[0];
    kir_type from = type_of(write, a);
    if (from.lanes == 1)
        text_append(write->out, "r%d", a);
    else
        text_append(write->out, "%sr%d[%d]", from.element == KIR_BOOL ? "-" : "", a, write->node->attribute);
}

static void write_lanes_function(const writer *write, const char *helper) {
    kir_reg a = write->node->operands[0];
    kir_type from = type_of(write, a);
    if (from.lanes == 1) {
        text_append(write->out, "r%d", a);
        return;
    }
    open_helper(write, from, helper);
    text_append(write->out, "r%d)", a);
}

static void write_interleave(const writer *write, kir_type type, int first) {
    open_helper(write, type, "interleave");
    text_append(write->out, "r%d, r%d, %d)", write->node->operands[0], write->node->operands[1], first);
}

static void write_iota(const writer *write, kir_type type) {
    if (type.lanes == 1) {
        text_append(write->out, "0");
        return;
    }
    open_helper(write, type, "iota");
    text_append(write->out, ")");
}

static void write_random(const writer *write) {
    const kir_reg *r = write->node->operands;
    text_append(write->out, "rt_%s(r%d, r%d, %d, r%d)", kir_op_name(write->node->opcode), r[0], r[1],
                write->node->attribute, r[2]);
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

static void write_tile_zero(const writer *write, kir_type type) {
    text_append(write->out, "(");
    cgen_type(type, write->out);
    text_append(write->out, "){0}");
}

static void write_tile_move(const writer *write, kir_type type, const char *helper) {
    cgen_type(type, write->out);
    text_append(write->out, "_%s(", helper);
    write_address(write);
    if (write->node->opcode == KIR_tile_store)
        text_append(write->out, ", r%d", write->node->operands[0]);
    text_append(write->out, ", %" PRId64 ")", write->node->stride);
}

static void write_tile_multiply(const writer *write) {
    const kir_reg *r = write->node->operands;
    kir_type product = type_of(write, r[2]);
    kir_type left = type_of(write, r[0]);
    text_append(write->out, "tile_%s_%dx%dx%d(r%d, r%d, r%d)", left.element == KIR_I32 ? "dot" : "multiply",
                product.rows, product.lanes, left.lanes, r[0], r[1], r[2]);
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

static void write_value(const writer *write) {
    const kir_node *node = write->node;
    const kir_reg *r = node->operands;
    kir_type type = type_of(write, node->result);
    text_buffer *out = write->out;
    switch (node->opcode) {
    case KIR_constant: write_constant(write, type); break;
    case KIR_affine: cgen_index(&node->index, out); break;
    case KIR_move: text_append(out, "r%d", r[0]); break;
    case KIR_min:
    case KIR_max: write_extreme(write, type); break;
    case KIR_fma: text_append(out, "FMA(r%d, r%d, r%d)", r[0], r[1], r[2]); break;
    case KIR_neg: text_append(out, "-r%d", r[0]); break;
    case KIR_abs: write_abs(write, type); break;
    case KIR_sqrt:
    case KIR_floor:
    case KIR_sin:
    case KIR_cos:
    case KIR_pow: write_function(write, type, kir_op_name(node->opcode)); break;
    case KIR_equal:
    case KIR_less:
    case KIR_less_equal: write_comparison(write); break;
    case KIR_not: text_append(out, type.lanes > 1 ? "~r%d" : "!r%d", r[0]); break;
    case KIR_select: write_select(write, type); break;
    case KIR_shift_left: write_shift_left(write, type); break;
    case KIR_convert: write_convert(write, type); break;
    case KIR_bitcast: write_bitcast(write, type); break;
    case KIR_pair:
    case KIR_pair_upper:
    case KIR_dot_pairs: write_pairs(write, type, kir_op_name(node->opcode)); break;
    case KIR_splat: write_splat(write, type); break;
    case KIR_lane: write_lane(write); break;
    case KIR_interleave_low: write_interleave(write, type, 0); break;
    case KIR_interleave_high: write_interleave(write, type, type.lanes / 2); break;
    case KIR_iota: write_iota(write, type); break;
    case KIR_sum_lanes: write_lanes_function(write, "sum"); break;
    case KIR_max_lanes: write_lanes_function(write, "max"); break;
    case KIR_load:
    case KIR_load_strided:
    case KIR_load_indexed: write_load(write, type); break;
    case KIR_random_uniform:
    case KIR_random_normal: write_random(write); break;
    case KIR_tile_zero: write_tile_zero(write, type); break;
    case KIR_tile_load:
    case KIR_tile_load_past: write_tile_move(write, type, "load"); break;
    case KIR_tile_multiply: write_tile_multiply(write); break;
    default:
        if (node->opcode == KIR_rem && type.element == KIR_F32)
            write_function(write, type, "fmod");
        else
            text_append(out, "r%d %s r%d", r[0], infix(node->opcode), r[1]);
    }
}

void cgen_instruction(const kir_kernel *kernel, const kir_node *node, text_buffer *out) {
    writer write = {kernel, node, out};
    if (node->opcode == KIR_store || node->opcode == KIR_store_strided)
        write_store(&write);
    else if (node->opcode == KIR_prefetch)
        write_prefetch(&write);
    else if (node->opcode == KIR_tile_store)
        write_tile_move(&write, type_of(&write, node->operands[0]), "store");
    else
        write_value(&write);
}
