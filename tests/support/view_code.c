#include "tests/support/view_code.h"

#include "passes/pass.h"

/* A function that reads the view in this layout, as `lower` would leave it. */
static void add_reader(kir_program *program, int height, int width, bool channels_last) {
    ir_type type = {.dtype = IR_F32, .rank = 4, .dims = {1, 3, height, width}};
    ir_layout layout = ir_layout_identity();
    if (channels_last)
        layout = (ir_layout){{0, 2, 3, 1}};
    arena *memory = program->memory;
    kir_buffer buffer = {.name = "view.v", .region = KIR_ARENA, .bytes = ir_type_bytes(&type), .fixed = true};
    ARENA_PUSH(memory, program->buffers, program->buffer_count, program->buffer_capacity, buffer);
    kir_function function = {.name = "train_step"};
    kir_port port = {"view.v", type, layout, 0};
    ARENA_PUSH(memory, function.inputs, function.input_count, function.input_capacity, port);
    ARENA_PUSH(memory, program->functions, program->function_count, program->function_capacity, function);
}

view_code
view_code_make(const char *const *steps, int count, int height, int width, bool channels_last, const char *target,
               backend_code *(*compile)(const kir_program *program, const kir_target *target, diag_list *diags),
               text_buffer *message) {
    view_code made = {.memory = arena_new()};
    source_table *sources = arena_alloc(made.memory, sizeof *sources);
    sources->memory = made.memory;
    diag_list diags = {.memory = made.memory, .sources = sources};
    ir_module *module = ir_module_new(made.memory, sources, "view");
    ir_view view = {.name = "v", .channels = 3, .height = height, .width = width};
    for (int i = 0; i < count; i++) {
        ir_augment augment = {.text = arena_strdup(made.memory, steps[i])};
        ARENA_PUSH(made.memory, view.augments, view.count, view.capacity, augment);
    }
    ARENA_PUSH(made.memory, module->views, module->view_count, module->view_capacity, view);
    kir_program *program = arena_alloc(made.memory, sizeof *program);
    *program = (kir_program){.memory = made.memory, .module = module};
    add_reader(program, height, width, channels_last);
    pass_context context = {.memory = made.memory, .diags = &diags, .module = module, .program = program};
    bool good = kir_target_named(target, &context.target) && pass_lower_views(&context) && kir_verify(program, &diags);
    made.code = good ? compile(program, &context.target, &diags) : NULL;
    made.view = made.code ? backend_program(made.code)->views : NULL;
    if (!made.view)
        diag_render(&diags, message, false);
    return made;
}

void view_code_free(view_code *code) {
    backend_free(code->code);
    arena_free(code->memory);
    *code = (view_code){0};
}
