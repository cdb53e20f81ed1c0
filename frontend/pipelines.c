/* The augment section: pipelines become lists of the runtime's operations. */
#include "frontend/builtins.h"

#include "runtime/augment.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

fe_value fe_run_pipeline(fe_context *context, const fe_closure *closure, fe_value *arguments, source_span span) {
    const fe_decl *decl = closure->decl;
    ir_augment *outer = context->augments;
    int outer_count = context->augment_count, outer_capacity = context->augment_capacity;
    bool outer_in = context->in_pipeline, outer_returned = context->returned;
    if (context->call_depth >= FE_MAX_CALLS) {
        context->exhausted = true;
        return fe_fail(context, span, "pipelines are nested too deep; does '%s' use itself?", decl->name);
    }
    context->augments = NULL;
    context->augment_count = context->augment_capacity = 0;
    context->in_pipeline = true;
    context->returned = false;
    context->call_depth++;
    context->calls[context->call_depth - 1] = span;
    fe_scope *scope = fe_scope_new(context->memory, closure->scope);
    scope->body = true;
    if (fe_bind_parameters(context, scope, decl->parameters, decl->parameter_count, 0, arguments))
        fe_run(context, scope, &decl->body);
    fe_value steps = {.kind = FE_VALUE_AUGMENTS,
                      .span = span,
                      .item_count = context->augment_count,
                      .as.augments = context->augments};
    context->call_depth--;
    context->returned = outer_returned;
    context->in_pipeline = outer_in;
    context->augments = outer;
    context->augment_count = outer_count;
    context->augment_capacity = outer_capacity;
    return steps;
}

/* ---- one function a step
 * ---------------------------------------------------------------------------------------------------- */

static void append_key(text_buffer *text, const char *key) {
    text_append(text, " %s=", key);
}

static bool append_numbers(fe_context *context, text_buffer *text, const char *key, const fe_value *value, int count) {
    append_key(text, key);
    fe_value single[3] = {*value, *value, *value};
    const fe_value *items = value->kind == FE_VALUE_NUMBER ? single : value->items;
    bool listed = value->kind == FE_VALUE_LIST || value->kind == FE_VALUE_TUPLE || value->kind == FE_VALUE_RANGE;
    if (value->kind != FE_VALUE_NUMBER &&
        !(listed && (value->kind == FE_VALUE_RANGE ? 2 : value->item_count) == count)) {
        if (value->kind != FE_VALUE_ERROR)
            fe_fail(context, value->span, "'%s' takes %d number%s, not %s", key, count, count == 1 ? "" : "s",
                    listed && value->kind != FE_VALUE_RANGE ? arena_printf(context->memory, "%d", value->item_count)
                                                            : fe_value_text(context->memory, value));
        return false;
    }
    for (int i = 0; i < count; i++) {
        double number;
        if (!fe_to_number(context, &items[i], key, &number))
            return false;
        text_append(text, i ? "," : "");
        text_append_number(text, number);
    }
    return true;
}

/* The keys of one step: how many numbers each takes; 0 for a word. */
typedef struct {
    const char *name;
    int numbers;
} augment_key;

static fe_value augment_step(fe_context *context, const char *operation, const augment_key *keys, int key_count,
                             const fe_value *arguments, source_span span) {
    if (context->function)
        return fe_fail(context, span,
                       "an augmentation works on the pictures before a step; it belongs into a pipeline");
    text_buffer text = {0};
    text_append(&text, "%s draw=%d", operation, context->draws++);
    bool good = true;
    for (int i = 0; i < key_count && good; i++) {
        if (arguments[i].kind == FE_VALUE_NONE)
            continue;
        if (keys[i].numbers > 0) {
            good = append_numbers(context, &text, keys[i].name, &arguments[i], keys[i].numbers);
        } else if (arguments[i].kind == FE_VALUE_STRING || arguments[i].kind == FE_VALUE_WORD) {
            text_append(&text, " %s=%s", keys[i].name, arguments[i].text);
        } else {
            fe_fail(context, arguments[i].span, "'%s' is a word in quotes", keys[i].name);
            good = false;
        }
    }
    rt_augment_op op;
    rt_error error = {{0}};
    ir_augment *step = arena_alloc(context->memory, sizeof *step);
    if (good && rt_augment_parse(text.data, &op, &error) != 0) {
        fe_fail(context, span, "%s", error.text);
        good = false;
    }
    *step = (ir_augment){arena_strdup(context->memory, text.data), span};
    text_free(&text);
    if (!good)
        return fe_error(span);
    return (fe_value){.kind = FE_VALUE_AUGMENTS, .span = span, .item_count = 1, .as.augments = step};
}

#define STEP(name, ...)                                                                                                \
    static fe_value builtin_##name(fe_context *context, fe_value *arguments, source_span span) {                       \
        static const augment_key keys[] = {__VA_ARGS__};                                                               \
        return augment_step(context, #name, keys, (int)(sizeof keys / sizeof *keys), arguments, span);                 \
    }

STEP(resize, {"size", 2}, {"interpolation", 0})
STEP(center_crop, {"size", 2})
STEP(random_resized_crop, {"size", 2}, {"scale", 2}, {"ratio", 2}, {"interpolation", 0})
STEP(random_crop, {"size", 2}, {"pad", 1})
STEP(random_translate, {"reach", 1}, {"p", 1})
STEP(horizontal_flip, {"p", 1})
STEP(color_jitter, {"brightness", 1}, {"contrast", 1}, {"saturation", 1}, {"hue", 1}, {"p", 1})
STEP(grayscale, {"p", 1})
STEP(gaussian_blur, {"kernel", 1}, {"sigma", 2}, {"p", 1})
STEP(gaussian_noise, {"sigma", 2}, {"p", 1})
STEP(random_mask, {"share", 1}, {"p", 1})
STEP(random_scale, {"range", 2}, {"p", 1})
#undef STEP

/* normalize(cifar10), a record of mean and std, or both by name. */
static fe_value builtin_normalize(fe_context *context, fe_value *arguments, source_span span) {
    static const augment_key keys[] = {{"mean", 3}, {"std", 3}};
    fe_value values[] = {arguments[0], arguments[1]};
    if (arguments[0].kind == FE_VALUE_RECORD) {
        const fe_field *mean = fe_record_find(&arguments[0], "mean"), *deviation = fe_record_find(&arguments[0], "std");
        if (!mean || !deviation)
            return fe_fail(context, span, "normalize needs a record with mean and std");
        values[0] = *mean->value;
        values[1] = *deviation->value;
    } else if (arguments[1].kind == FE_VALUE_NONE) {
        return fe_fail(context, span, "normalize needs mean and std");
    }
    return augment_step(context, "normalize", keys, 2, values, span);
}

#define AUGMENTATION "Augmentation, in pipelines"
const fe_builtin fe_builtins_augment[] = {
    {"resize", "size, interpolation =", builtin_resize, "the whole picture at `size` (one number or [height, width])",
     AUGMENTATION, NULL, 0, false},
    {"center_crop", "size", builtin_center_crop, "the middle part", AUGMENTATION, NULL, 0, false},
    {"random_resized_crop", "size, scale =, ratio =, interpolation =", builtin_random_resized_crop,
     "a part of `scale` of the area and `ratio` of width to height, resized; \"bilinear\" or \"bicubic\"", AUGMENTATION,
     NULL, 0, false},
    {"random_crop", "size, pad = 0", builtin_random_crop, "a part of the picture padded by zeros", AUGMENTATION, NULL,
     0, false},
    {"translate_reflect", "reach, p = 1", builtin_random_translate,
     "moved by up to `reach` pixels over its mirrored border", AUGMENTATION, NULL, 0, false},
    {"horizontal_flip", "p = 0.5", builtin_horizontal_flip, "left and right exchanged", AUGMENTATION, NULL, 0, false},
    {"color_jitter", "brightness = 0, contrast = 0, saturation = 0, hue = 0, p = 1", builtin_color_jitter,
     "the four changes in random order", AUGMENTATION, NULL, 0, false},
    {"grayscale", "p = 1", builtin_grayscale, "three equal channels", AUGMENTATION, NULL, 0, false},
    {"gaussian_blur", "kernel, sigma =, p = 1", builtin_gaussian_blur, "a blur with sigma drawn from a range",
     AUGMENTATION, NULL, 0, false},
    {"normalize", "mean, std =", builtin_normalize, "(x - mean) / std a channel; also of a record with both",
     AUGMENTATION, NULL, 0, false},
    {"gaussian_noise", "sigma, p = 1", builtin_gaussian_noise, "of vectors: plus numbers from N(0, sigma^2)",
     AUGMENTATION, NULL, 0, false},
    {"random_mask", "share, p = 1", builtin_random_mask, "of vectors: each number is 0 with the probability `share`",
     AUGMENTATION, NULL, 0, false},
    {"random_scale", "range, p = 1", builtin_random_scale, "of vectors: times one number drawn from a range",
     AUGMENTATION, NULL, 0, false},
    {0},
};

/* ---- views
 * --------------------------------------------------------------------------------------------------------------------
 */

/* A pipeline by name, called without arguments, or already a list of steps. */
static fe_value to_steps(fe_context *context, fe_value value, source_span span) {
    if (value.kind == FE_VALUE_CLOSURE && value.as.closure->decl->kind == FE_PIPELINE)
        value = fe_call_value(context, &value, NULL, 0, span);
    if (value.kind != FE_VALUE_AUGMENTS && value.kind != FE_VALUE_ERROR)
        return fe_fail(context, span, "a view is a pipeline, not %s", fe_value_text(context->memory, &value));
    return value;
}

/* The last step that gives pictures a size decides; without one they keep that of the data. */
static void find_size(ir_view *view) {
    for (int i = 0; i < view->count; i++) {
        const char *size = strstr(view->augments[i].text, " size=");
        long long height, width;
        if (size && sscanf(size, " size=%lld,%lld", &height, &width) == 2) {
            view->height = height;
            view->width = width;
        }
    }
}

/* Pictures and vectors have augmentations of their own. */
static bool steps_fit(fe_context *context, const fe_data_source *source, const fe_value *steps) {
    for (int i = 0; i < steps->item_count; i++) {
        const ir_augment *step = &steps->as.augments[i];
        rt_augment_op op;
        rt_error error;
        if (rt_augment_parse(step->text, &op, &error) != 0 || rt_augment_of_vectors(op.kind) == (source->rank == 1))
            continue;
        fe_fail(context, step->span, "this augmentation is for %s, but '%s' holds %s",
                source->rank == 1 ? "images" : "vectors", fe_data_source_name(source),
                source->rank == 1 ? "vectors" : "images");
        return false;
    }
    return true;
}

static bool add_view(fe_context *context, const char *name, const fe_data_source *source, fe_value steps,
                     source_span span) {
    steps = to_steps(context, steps, span);
    if (steps.kind != FE_VALUE_AUGMENTS || !steps_fit(context, source, &steps))
        return false;
    if (steps.item_count > RT_MOST_AUGMENTATIONS) {
        fe_fail(context, span, "a view has at most %d augmentations", RT_MOST_AUGMENTATIONS);
        return false;
    }
    ir_view view = {.name = name, .source = source->name, .span = span, .channels = source->dims[0]};
    view.height = source->dims[1];
    view.width = source->dims[2];
    for (int i = 0; i < steps.item_count; i++)
        ARENA_PUSH(context->memory, view.augments, view.count, view.capacity, steps.as.augments[i]);
    find_size(&view);
    bool same = view.height == source->dims[1] && view.width == source->dims[2];
    if (strcmp(name, "evaluate") == 0 && !same) {
        fe_fail(context, span, "pictures are evaluated at %lldx%lld, but the data section says %lldx%lld",
                (long long)view.height, (long long)view.width, (long long)source->dims[1], (long long)source->dims[2]);
        return false;
    }
    ir_module *module = context->module;
    ARENA_PUSH(context->memory, module->views, module->view_count, module->view_capacity, view);
    return true;
}

static bool starts_with(const char *text, const char *word) {
    size_t length = strlen(word);
    return strncmp(text, word, length) == 0 && text[length] == ' ';
}

static const ir_view *first_view_of(const fe_context *context, const fe_data_source *source) {
    for (int i = 0; i < context->module->view_count; i++) {
        const ir_view *view = &context->module->views[i];
        if (view->source == source->name)
            return view;
    }
    return NULL;
}

/* A picture at the data's size, with what its first view does to the channels; a vector as it is. */
static fe_value plain(fe_context *context, const fe_data_source *source, source_span span) {
    const ir_view *first = first_view_of(context, source);
    int first_count = first ? first->count : 0, count = 0;
    ir_augment *steps = arena_alloc(context->memory, (size_t)(first_count + 2) * sizeof *steps);
    if (source->rank == 3) {
        fe_value sides[] = {fe_number((double)source->dims[1], span), fe_number((double)source->dims[2], span)};
        fe_value size = fe_list(FE_VALUE_LIST, sides, 2, span);
        fe_value resize = builtin_resize(context, (fe_value[]){size, fe_none(span)}, span);
        if (resize.kind == FE_VALUE_AUGMENTS)
            steps[count++] = resize.as.augments[0];
    }
    for (int i = 0; i < first_count; i++)
        if (starts_with(first->augments[i].text, "normalize"))
            steps[count++] = first->augments[i];
    return (fe_value){.kind = FE_VALUE_AUGMENTS, .span = span, .item_count = count, .as.augments = steps};
}

/* The source behind `of`, or the only one. NULL after reporting. */
static const fe_data_source *source_of(fe_context *context, const fe_named *named) {
    const char *names[64];
    int count = 0;
    assert(context->data_count > 0);
    for (int i = 0; i < context->data_count; i++) {
        const fe_data_source *source = &context->data[i];
        if (named->source ? strcmp(named->source, fe_data_source_name(source)) == 0 : context->data_count == 1)
            return source;
        names[count++] = fe_data_source_name(source);
    }
    if (named->source)
        fe_fail_suggest(context, named->source_span, diag_suggest(named->source, names, count),
                        "the data section has no source '%s'", named->source);
    else
        fe_fail(context, named->span, "which source of the data? say '%s of %s = …'",
                named->name ? arena_printf(context->memory, "view %s", named->name) : "evaluate", names[0]);
    return NULL;
}

static void bind_pipelines(fe_context *context, fe_scope *scope, const fe_section *section) {
    for (int i = 0; i < section->pipeline_count; i++) {
        fe_closure *closure = arena_alloc(context->memory, sizeof *closure);
        *closure = (fe_closure){section->pipelines[i], scope, NULL};
        fe_value value = {.kind = FE_VALUE_CLOSURE, .as.closure = closure};
        fe_scope_bind(context->memory, scope, closure->decl->name, closure->decl->span, value);
    }
    for (int i = 0; i < section->shared_count; i++)
        fe_scope_bind(context->memory, scope, section->shared[i].name, section->shared[i].span,
                      fe_evaluate(context, scope, section->shared[i].value));
}

/* What the section says of how to evaluate a source, or NULL. */
static const fe_named *evaluation_of(fe_context *context, const fe_section *section, const fe_data_source *source) {
    const fe_named *found = NULL;
    for (int i = 0; i < section->evaluation_count; i++) {
        const fe_named *named = &section->evaluations[i];
        if (source_of(context, named) != source)
            continue;
        if (found)
            fe_fail(context, named->span, "a second evaluate pipeline of '%s'", fe_data_source_name(source));
        found = named;
    }
    return found;
}

/* Sources with names need no view: without one they are views themselves. */
static void add_plain_views(fe_context *context, source_span span) {
    assert(context->data);
    for (int i = 0; i < context->data_count; i++) {
        const fe_data_source *source = &context->data[i];
        if (source->name && !first_view_of(context, source))
            add_view(context, source->name, source, plain(context, source, span), source->span);
    }
}

bool fe_make_views(fe_context *context, fe_scope *scope, const fe_method *method) {
    assert(context->data && context->data_count > 0);
    const fe_section *section = &method->sections[FE_AUGMENT];
    int errors = context->diags->error_count;
    bind_pipelines(context, scope, section);
    for (int i = 0; i < section->view_count; i++) {
        const fe_data_source *source = source_of(context, &section->views[i]);
        if (source)
            add_view(context, section->views[i].name, source, fe_evaluate(context, scope, section->views[i].value),
                     section->views[i].span);
    }
    if (context->diags->error_count == errors)
        add_plain_views(context, method->span);
    if (context->diags->error_count == errors && context->module->view_count == 0)
        fe_fail(context, section->present ? section->span : method->span,
                section->present ? "the augment section needs at least one view"
                                 : "method '%s' needs an augment section",
                method->name);
    for (int i = 0; i < context->data_count && context->diags->error_count == errors; i++) {
        const fe_data_source *source = &context->data[i];
        const fe_named *named = evaluation_of(context, section, source);
        source_span span = named ? named->value->span : section->present ? section->span : source->span;
        add_view(context, "evaluate", source,
                 named ? fe_evaluate(context, scope, named->value) : plain(context, source, span), span);
    }
    return context->diags->error_count == errors;
}
