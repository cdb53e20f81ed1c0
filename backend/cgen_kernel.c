/* One kernel as C: registers become variables, loops become loops. */
#include "backend/cgen.h"

#include <math.h>
#include <string.h>

typedef struct {
    const kir_kernel *kernel;
    text_buffer *out;
    int depth;
} writer;

static kir_type type_of(const writer *write, kir_reg reg) {
    return write->kernel->registers[reg];
}

/* Scalars of BOOL are int 0 or 1; vectors of BOOL are i32 lanes 0 or -1. */
static void append_type(kir_type type, text_buffer *out) {
    if (type.lanes > 1) {
        text_append(out, "%s%d", type.element == KIR_F32 ? "f32x" : "i32x", type.lanes);
        return;
    }
    switch (type.element) {
    case KIR_F32: text_append(out, "float"); break;
    case KIR_I64: text_append(out, "int64_t"); break;
    default: text_append(out, "int32_t"); break;
    }
}

static const char *memory_type(kir_element element) {
    switch (element) {
    case KIR_F32: return "float";
    case KIR_I64: return "int64_t";
    case KIR_BOOL: return "int8_t";
    default: return "int32_t";
    }
}

static void append_index(const kir_index *index, text_buffer *out) {
    bool first = true;
    for (int i = 0; i < index->term_count; i++) {
        int64_t coefficient = index->terms[i].coefficient;
        if (!first)
            text_append(out, " + ");
        if (coefficient == 1)
            text_append(out, "r%d", index->terms[i].reg);
        else
            text_append(out, "%lld * r%d", (long long)coefficient, index->terms[i].reg);
        first = false;
    }
    if (index->base || first)
        text_append(out, first ? "%lld" : " + %lld", (long long)index->base);
}

static void append_number(double number, kir_element element, text_buffer *out) {
    if (element != KIR_F32)
        text_append(out, "%lld", (long long)number);
    else if (isnan(number))
        text_append(out, "(0.0f / 0.0f)");
    else if (isinf(number))
        text_append(out, number > 0 ? "(1.0f / 0.0f)" : "(-1.0f / 0.0f)");
    else
        text_append(out, "(float)%.17g", number);
}

static void indent(writer *write) {
    text_append(write->out, "%*s", 4 * write->depth, "");
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------------- */

static void append_address(writer *write, const kir_node *node) {
    text_append(write->out, "%s + ", write->kernel->arguments[node->argument].name);
    append_index(&node->index, write->out);
}

static void write_load(writer *write, const kir_node *node) {
    kir_type type = type_of(write, node->result);
    kir_element element = write->kernel->arguments[node->argument].element;
    text_buffer *out = write->out;
    bool strided = node->opcode == KIR_load_strided;
    if (type.lanes == 1) {
        text_append(out, "*(");
        append_address(write, node);
        text_append(out, ")");
        return;
    }
    if (!strided && node->count == type.lanes && element != KIR_BOOL) {
        text_append(out, "*(const %sx%d_memory *)(", element == KIR_F32 ? "f32" : "i32", type.lanes);
        append_address(write, node);
        text_append(out, ")");
        return;
    }
    if (element == KIR_BOOL)
        text_append(out, "truth%d_%s(", type.lanes, strided ? "strided" : "part");
    else
        text_append(out, "%sx%d_%s(", element == KIR_F32 ? "f32" : "i32", type.lanes, strided ? "strided" : "part");
    append_address(write, node);
    text_append(out, ", %d", node->count);
    if (strided)
        text_append(out, ", %lld", (long long)node->stride);
    text_append(out, ")");
}

static void write_store(writer *write, const kir_node *node) {
    kir_type type = type_of(write, node->operands[0]);
    kir_element element = write->kernel->arguments[node->argument].element;
    text_buffer *out = write->out;
    if (type.lanes == 1) {
        text_append(out, "*(");
        append_address(write, node);
        text_append(out, ") = %sr%d", element == KIR_BOOL ? "(int8_t)" : "", node->operands[0]);
    } else if (element == KIR_BOOL) {
        text_append(out, "truth%d_store(", type.lanes);
        append_address(write, node);
        text_append(out, ", r%d, %d)", node->operands[0], node->count);
    } else if (node->count == type.lanes) {
        text_append(out, "*(%sx%d_memory *)(", element == KIR_F32 ? "f32" : "i32", type.lanes);
        append_address(write, node);
        text_append(out, ") = r%d", node->operands[0]);
    } else {
        text_append(out, "memcpy(");
        append_address(write, node);
        text_append(out, ", &r%d, 4 * %d)", node->operands[0], node->count);
    }
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------------------------- */

static const char *infix(kir_opcode opcode) {
    switch (opcode) {
    case KIR_add: return "+";
    case KIR_sub: return "-";
    case KIR_mul: return "*";
    case KIR_div: return "/";
    case KIR_rem: return "%";
    case KIR_equal: return "==";
    case KIR_less: return "<";
    case KIR_less_equal: return "<=";
    case KIR_and: return "&";
    case KIR_or: return "|";
    case KIR_shift_left: return "<<";
    case KIR_shift_right: return ">>";
    default: return NULL;
    }
}

static const char *vector_name(kir_type type) {
    return type.element == KIR_F32 ? "f32x" : "i32x";
}

static void write_select(writer *write, kir_type type, const char *condition, kir_reg yes, kir_reg no) {
    if (type.lanes > 1)
        text_append(write->out, "%s%d_select(%s, r%d, r%d)", vector_name(type), type.lanes, condition, yes, no);
    else
        text_append(write->out, "%s ? r%d : r%d", condition, yes, no);
}

static void write_extreme(writer *write, const kir_node *node, kir_type type) {
    char condition[64];
    snprintf(condition, sizeof condition, "(r%d %c r%d)", node->operands[0], node->opcode == KIR_max ? '>' : '<', node->operands[1]);
    write_select(write, type, condition, node->operands[0], node->operands[1]);
}

static void write_convert(writer *write, const kir_node *node, kir_type type) {
    kir_type from = type_of(write, node->operands[0]);
    kir_reg a = node->operands[0];
    text_buffer *out = write->out;
    if (type.lanes == 1) {
        if (type.element == KIR_BOOL)
            text_append(out, "r%d != 0", a);
        else
            text_append(out, "(%s)r%d", memory_type(type.element), a);
    } else if (from.element == KIR_BOOL) {
        if (type.element == KIR_F32)
            text_append(out, "-__builtin_convertvector(r%d, f32x%d)", a, type.lanes);
        else
            text_append(out, "-r%d", a);
    } else if (type.element == KIR_BOOL) {
        text_append(out, "(r%d != 0)", a);
    } else if (from.element == type.element) {
        text_append(out, "r%d", a);
    } else {
        text_append(out, "__builtin_convertvector(r%d, %s%d)", a, vector_name(type), type.lanes);
    }
}

static void write_function(writer *write, const kir_node *node, kir_type type, const char *name) {
    text_buffer *out = write->out;
    if (type.lanes > 1)
        text_append(out, "f32x%d_%s(r%d", type.lanes, name, node->operands[0]);
    else
        text_append(out, "%sf(r%d", name, node->operands[0]);
    if (node->operands[1] >= 0)
        text_append(out, ", r%d", node->operands[1]);
    text_append(out, ")");
}

static void write_splat(writer *write, const kir_node *node, kir_type type) {
    const char *sign = type.element == KIR_BOOL ? "-" : "";
    if (type.lanes > 1)
        text_append(write->out, "%s%d_splat(%sr%d)", vector_name(type), type.lanes, sign, node->operands[0]);
    else
        text_append(write->out, "r%d", node->operands[0]);
}

static void write_abs(writer *write, kir_reg a, kir_type type) {
    if (type.element == KIR_F32 && type.lanes > 1)
        text_append(write->out, "(f32x%d)((i32x%d)r%d & 0x7fffffff)", type.lanes, type.lanes, a);
    else if (type.element == KIR_F32)
        text_append(write->out, "float_of(bits_of(r%d) & 0x7fffffff)", a);
    else
        text_append(write->out, "r%d < 0 ? -r%d : r%d", a, a, a);
}

static void write_bitcast(writer *write, kir_reg a, kir_type type) {
    if (type.lanes > 1)
        text_append(write->out, "(%s%d)r%d", vector_name(type), type.lanes, a);
    else
        text_append(write->out, "%s(r%d)", type.element == KIR_F32 ? "float_of" : "bits_of", a);
}

static void write_constant(writer *write, const kir_node *node, kir_type type) {
    if (type.lanes > 1)
        text_append(write->out, "%s%d_splat(", vector_name(type), type.lanes);
    append_number(type.lanes > 1 && type.element == KIR_BOOL ? -node->number : node->number, type.element, write->out);
    if (type.lanes > 1)
        text_append(write->out, ")");
}

static void write_random(writer *write, const kir_node *node) {
    text_append(write->out, "rt_%s(r%d, r%d, %d, r%d)", kir_op_name(node->opcode), node->operands[0], node->operands[1],
                node->attribute, node->operands[2]);
}

/* The right side of `rN = …`. */
static void write_value(writer *write, const kir_node *node) {
    kir_type type = type_of(write, node->result);
    const kir_reg *r = node->operands;
    text_buffer *out = write->out;
    switch (node->opcode) {
    case KIR_constant: write_constant(write, node, type); break;
    case KIR_affine: append_index(&node->index, out); break;
    case KIR_move: text_append(out, "r%d", r[0]); break;
    case KIR_min:
    case KIR_max: write_extreme(write, node, type); break;
    case KIR_fma: text_append(out, "FMA(r%d, r%d, r%d)", r[0], r[1], r[2]); break;
    case KIR_neg: text_append(out, "-r%d", r[0]); break;
    case KIR_abs: write_abs(write, r[0], type); break;
    case KIR_sqrt: write_function(write, node, type, "sqrt"); break;
    case KIR_floor: write_function(write, node, type, "floor"); break;
    case KIR_sin: write_function(write, node, type, "sin"); break;
    case KIR_cos: write_function(write, node, type, "cos"); break;
    case KIR_pow: write_function(write, node, type, "pow"); break;
    case KIR_not: text_append(out, type.lanes > 1 ? "~r%d" : "!r%d", r[0]); break;
    case KIR_select: {
        char condition[32];
        snprintf(condition, sizeof condition, "r%d", r[0]);
        write_select(write, type, condition, r[1], r[2]);
        break;
    }
    case KIR_convert: write_convert(write, node, type); break;
    case KIR_bitcast: write_bitcast(write, r[0], type); break;
    case KIR_splat: write_splat(write, node, type); break;
    case KIR_lane: text_append(out, "r%d[%d]", r[0], node->attribute); break;
    case KIR_iota: text_append(out, type.lanes > 1 ? "i32x%d_iota()" : "0", type.lanes); break;
    case KIR_sum_lanes: text_append(out, "%s%d_sum(r%d)", vector_name(type_of(write, r[0])), type_of(write, r[0]).lanes, r[0]); break;
    case KIR_max_lanes: text_append(out, "%s%d_max(r%d)", vector_name(type_of(write, r[0])), type_of(write, r[0]).lanes, r[0]); break;
    case KIR_load:
    case KIR_load_strided: write_load(write, node); break;
    case KIR_random_uniform:
    case KIR_random_normal: write_random(write, node); break;
    default: text_append(out, "r%d %s r%d", r[0], infix(node->opcode), r[1]); break;
    }
}

/* ---- structure ---------------------------------------------------------------------------------------------------------------------- */

static void write_block(writer *write, const kir_block *block);

static void write_loop(writer *write, const kir_node *node) {
    text_buffer *out = write->out;
    text_append(out, "for (r%d = ", node->result);
    append_index(&node->from, out);
    text_append(out, "; r%d < ", node->result);
    append_index(&node->limit, out);
    text_append(out, "; r%d += %lld) {\n", node->result, (long long)node->step);
    write_block(write, &node->body);
    indent(write);
    text_append(out, "}\n");
}

static void write_node(writer *write, const kir_node *node) {
    indent(write);
    if (node->kind == KIR_LOOP) {
        write_loop(write, node);
    } else if (node->kind == KIR_IF) {
        text_append(write->out, "if (r%d) {\n", node->operands[0]);
        write_block(write, &node->body);
        indent(write);
        if (node->otherwise.first) {
            text_append(write->out, "} else {\n");
            write_block(write, &node->otherwise);
            indent(write);
        }
        text_append(write->out, "}\n");
    } else if (node->opcode == KIR_store) {
        write_store(write, node);
        text_append(write->out, ";\n");
    } else {
        text_append(write->out, "r%d = ", node->result);
        write_value(write, node);
        text_append(write->out, ";\n");
    }
}

static void write_block(writer *write, const kir_block *block) {
    write->depth++;
    for (const kir_node *node = block->first; node; node = node->next)
        write_node(write, node);
    write->depth--;
}

static void write_registers(writer *write) {
    for (kir_reg reg = 1; reg < write->kernel->register_count; reg++) {
        text_append(write->out, "    ");
        append_type(type_of(write, reg), write->out);
        text_append(write->out, " r%d;\n", reg);
    }
}

void cgen_kernel(const kir_kernel *kernel, text_buffer *out) {
    writer write = {kernel, out, 1};
    text_append(out, "static void k_%s(void *const *args, char *scratch, int64_t begin, int64_t end) {\n", kernel->name);
    int bound = 0;
    for (int i = 0; i < kernel->argument_count; i++) {
        const kir_argument *argument = &kernel->arguments[i];
        const char *type = memory_type(argument->element);
        if (argument->scratch)
            text_append(out, "    %s *restrict %s = (%s *)(scratch + %lld);\n", type, argument->name, type, (long long)kir_scratch_offset(kernel, i));
        else
            text_append(out, "    %s%s *restrict %s = args[%d];\n", argument->writes ? "" : "const ", type, argument->name, bound++);
    }
    write_registers(&write);
    text_append(out, "    (void)scratch;\n    for (int64_t r0 = begin; r0 < end; r0++) {\n");
    write_block(&write, &kernel->body);
    text_append(out, "    }\n}\n\n");
}
