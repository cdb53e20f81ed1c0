/* The group's forward part as a PyTorch program, whose gradients autograd computes; it is run by python3 and prints its
 * medians. */
#include "frontend/driver/bench.h"

#include "passes/extract_scores.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one value -----------------------------------------------------------------------------------------------------
 */

static void write_ints(text_buffer *out, const int64_t *numbers, int count) {
    text_append(out, "[");
    for (int i = 0; i < count; i++)
        text_append(out, "%s%" PRId64, i ? ", " : "", numbers[i]);
    text_append(out, "]");
}

static void write_number(text_buffer *out, double number) {
    if (number - number != 0) /* infinite or NaN */
        text_append(out, "float('%s')", number > 0 ? "inf" : number < 0 ? "-inf" : "nan");
    else
        text_append(out, "%.17g", number);
}

static const char *dtype_of(const ir_type *type) {
    return type->dtype == IR_F32 ? "torch.float32" : type->dtype == IR_I32 ? "torch.int64" : "torch.bool";
}

/* How an elementwise operation reads in PyTorch, with %d for its operands; NULL for one that there is not. */
static const char *pattern_of(ir_opcode opcode) {
    switch (opcode) {
    case IR_OP_neg: return "-v%d";
    case IR_OP_abs: return "v%d.abs()";
    case IR_OP_exp: return "v%d.exp()";
    case IR_OP_log: return "v%d.log()";
    case IR_OP_sqrt: return "v%d.sqrt()";
    case IR_OP_rsqrt: return "v%d.rsqrt()";
    case IR_OP_tanh: return "v%d.tanh()";
    case IR_OP_relu: return "v%d.relu()";
    case IR_OP_not: return "~v%d";
    case IR_OP_stop_gradient: return "v%d.detach()";
    case IR_OP_add: return "v%d + v%d";
    case IR_OP_sub: return "v%d - v%d";
    case IR_OP_mul: return "v%d * v%d";
    case IR_OP_div: return "v%d / v%d";
    case IR_OP_rem: return "torch.fmod(v%d, v%d)";
    case IR_OP_pow: return "v%d ** v%d";
    case IR_OP_max: return "maximum(v%d, v%d)";
    case IR_OP_min: return "minimum(v%d, v%d)";
    case IR_OP_equal: return "v%d == v%d";
    case IR_OP_less: return "v%d < v%d";
    case IR_OP_less_equal: return "v%d <= v%d";
    case IR_OP_and: return "v%d & v%d";
    case IR_OP_or: return "v%d | v%d";
    case IR_OP_select: return "select(v%d, v%d, v%d)";
    default: return NULL;
    }
}

/* Axes of size 1 where a value is repeated: PyTorch broadcasts the rest. */
static void write_broadcast(text_buffer *out, const ir_value *value) {
    int64_t dims[IR_MAX_RANK];
    const ir_value *operand = value->operands[0];
    for (int i = 0; i < value->type.rank; i++)
        dims[i] = 1;
    for (int i = 0; i < operand->type.rank; i++)
        dims[ir_ints(value, IR_ATTR_axes)[i]] = operand->type.dims[i];
    text_append(out, "v%d.reshape(", operand->id);
    write_ints(out, dims, value->type.rank);
    text_append(out, ")");
}

static void write_iota(text_buffer *out, const ir_value *value) {
    int64_t dims[IR_MAX_RANK], axis = ir_int(value, IR_ATTR_axis);
    for (int i = 0; i < value->type.rank; i++)
        dims[i] = i == axis ? value->type.dims[i] : 1;
    text_append(out, "torch.arange(%" PRId64 ").reshape(", value->type.dims[axis]);
    write_ints(out, dims, value->type.rank);
    text_append(out, ")");
}

static void write_axes(text_buffer *out, const ir_value *value, const char *call) {
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    text_append(out, "v%d.%s(", value->operands[0]->id, call);
    write_ints(out, axes->as.ints, axes->count);
    text_append(out, ")");
}

static void write_dot(text_buffer *out, const ir_value *value) {
    const ir_attr *left = ir_attr_get(value, IR_ATTR_lhs_contract), *right = ir_attr_get(value, IR_ATTR_rhs_contract);
    text_append(out, "torch.tensordot(v%d, v%d, (", value->operands[0]->id, value->operands[1]->id);
    write_ints(out, left->as.ints, left->count);
    text_append(out, ", ");
    write_ints(out, right->as.ints, right->count);
    text_append(out, "))");
}

/* The right side of "v12 = …"; false for an operation that is not known here. */
static bool write_value(text_buffer *out, const ir_value *value) {
    const char *pattern = pattern_of(value->opcode);
    if (pattern) {
        int ids[3] = {0};
        for (int i = 0; i < value->operand_count; i++)
            ids[i] = value->operands[i]->id;
        char text[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, pattern, ids[0], ids[1], ids[2]);
#pragma GCC diagnostic pop
        text_append(out, "%s", text);
        return true;
    }
    switch (value->opcode) {
    case IR_OP_constant: write_number(out, ir_number(value, IR_ATTR_value)); return true;
    case IR_OP_iota: write_iota(out, value); return true;
    case IR_OP_broadcast: write_broadcast(out, value); return true;
    case IR_OP_convert: text_append(out, "v%d.to(%s)", value->operands[0]->id, dtype_of(&value->type)); return true;
    case IR_OP_reshape:
        text_append(out, "v%d.reshape(", value->operands[0]->id);
        write_ints(out, value->type.dims, value->type.rank);
        text_append(out, ")");
        return true;
    case IR_OP_transpose: write_axes(out, value, "permute"); return true;
    case IR_OP_dot: write_dot(out, value); return true;
    case IR_OP_reduce_sum: write_axes(out, value, "sum"); return true;
    case IR_OP_reduce_variation:
        write_axes(out, value, "var");
        text_append(out, " * %.17g",
                    (double)ir_type_elements(&value->operands[0]->type) / (double)ir_type_elements(&value->type) - 1);
        return true;
    case IR_OP_reduce_max: write_axes(out, value, "amax"); return true;
    case IR_OP_reduce_logsumexp: write_axes(out, value, "logsumexp"); return true;
    default: return false;
    }
}

/* ---- the program ---------------------------------------------------------------------------------------------------
 */

static const char head[] = "import resource, statistics, time, torch\n"
                           "torch.set_num_threads(%d)\n"
                           "torch.manual_seed(1)\n"
                           "def tensor(x): return x if torch.is_tensor(x) else torch.tensor(x)\n"
                           "def maximum(x, y): return torch.maximum(tensor(x), tensor(y))\n"
                           "def minimum(x, y): return torch.minimum(tensor(x), tensor(y))\n"
                           "def select(c, x, y): return torch.where(c, x, y)\n";

static const char tail[] = "    return %s\n"
                           "def run(backward):\n"
                           "    for x in inputs: x.grad = None\n"
                           "    start = time.perf_counter()\n"
                           "    results = work()\n"
                           "    if backward: sum(r.mean() for r in results).backward()\n"
                           "    return time.perf_counter() - start\n"
                           "def medians():\n"
                           "    run(False); run(True)\n"
                           "    times = [(run(False), run(True)) for _ in range(7)]\n"
                           "    return [statistics.median(t[i] for t in times) for i in range(2)]\n"
                           "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
                           "work = forward\n"
                           "eager = medians()\n"
                           "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
                           "compiled = [0, 0]\n"
                           "if hasattr(torch, 'compile'):\n" /* from version 2 on */
                           "    work = torch.compile(forward)\n"
                           "    compiled = medians()\n"
                           "print(*eager, 1024 * peak, *compiled)\n";

static void write_input(text_buffer *out, const ir_value *value) {
    const ir_type *type = &value->type;
    text_append(out, "v%d = ", value->id);
    if (type->dtype == IR_I32) {
        text_append(out, "(torch.arange(%" PRId64 ") %% 128).reshape(", ir_type_elements(type));
        write_ints(out, type->dims, type->rank);
        text_append(out, ")\n");
        return;
    }
    text_append(out, type->rank >= 2 ? "torch.randn(" : "torch.rand(");
    write_ints(out, type->dims, type->rank);
    if (type->rank >= 2)
        text_append(out, ") / %.9g ** 0.5", (double)type->dims[type->rank - 1]);
    else
        text_append(out, ") + 0.5");
    text_append(out, type->dtype == IR_BOOL ? " > 0\n" : "\n");
    if (type->dtype == IR_F32 && type->rank >= 2)
        text_append(out, "v%d.requires_grad_(True); inputs.append(v%d)\n", value->id, value->id);
}

static bool write_program(const ir_function *function, int threads, text_buffer *out, const ir_value **unknown) {
    text_append(out, head, threads);
    text_append(out, "inputs = []\n");
    for (const ir_value *value = function->first; value; value = value->next)
        if (value->opcode == IR_OP_input)
            write_input(out, value);
    text_append(out, "def forward():\n");
    text_buffer results = {0};
    text_append(&results, "[");
    bool good = true;
    for (const ir_value *value = function->first; value && good; value = value->next) {
        if (value->opcode == IR_OP_output) {
            text_append(&results, "v%d, ", value->operands[0]->id);
        } else if (value->opcode != IR_OP_input) {
            text_append(out, "    v%d = ", value->id);
            good = write_value(out, value);
            text_append(out, "\n");
            *unknown = value;
        }
    }
    text_append(&results, "]");
    text_append(out, tail, results.data);
    text_free(&results);
    return good;
}

/* Runs the file; false when it did not print its five numbers. */
static bool run_program(const char *path, bench_group *group) {
    char command[256];
    /* Debian's own Python is the one that has Debian's PyTorch. */
    snprintf(command, sizeof command, "%s %s", access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3",
             path);
    FILE *stream = popen(command, "r");
    if (!stream)
        return false;
    double bytes = 0;
    bool good = fscanf(stream, "%lf %lf %lf %lf %lf", &group->pytorch_forward, &group->pytorch_together, &bytes,
                       &group->compiled_forward, &group->compiled_together) == 5;
    group->pytorch_bytes = (int64_t)bytes;
    return pclose(stream) == 0 && good;
}

bool bench_pytorch(driver_session *work, ir_function *function, ir_value *product, bench_group *group) {
    ir_module *module = extract_scores(work->memory, &work->sources, function, product);
    text_buffer text = {0};
    const ir_value *unknown = NULL;
    bool good = write_program(ir_function_find(module, "forward"), rt_processors(), &text, &unknown);
    if (!good)
        diag_error(&work->diags, unknown->span, "there is no '%s' for PyTorch here", ir_op(unknown->opcode)->name);
    char path[] = "/tmp/cslc-bench-XXXXXX";
    int file = good ? mkstemp(path) : -1;
    if (good && (file < 0 || text_write_file(path, text.data, text.length) != 0)) {
        diag_error(&work->diags, product->span, "cannot write '%s': %s", path, strerror(errno));
        good = false;
    }
    if (good && !run_program(path, group)) {
        diag_error(&work->diags, product->span, "PyTorch could not run this group; is python3-torch installed?");
        good = false;
    }
    if (file >= 0) {
        close(file);
        unlink(path);
    }
    text_free(&text);
    group->has_pytorch = good;
    return good;
}
