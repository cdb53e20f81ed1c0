/* A method and its sections. */
#include "frontend/parser.h"

#include <string.h>

static const char *const section_names[] = {"data",       "augment", "encoder", "state", "extract",
                                            "similarity", "loss",    "after",   "train", "evaluate"};

const char *fe_section_name(fe_section_kind kind) {
    return section_names[kind];
}

bool fe_at_section(const fe_parser *parser) {
    const fe_token *next = fe_peek_at(parser, 1);
    bool opens = next->kind == FE_TOKEN_SYMBOL && strcmp(next->text, "{") == 0;
    for (int kind = 0; opens && kind < FE_SECTION_COUNT; kind++)
        if (fe_at_word(parser, section_names[kind]))
            return true;
    return false;
}

static void parse_params(fe_parser *parser, fe_method *method) {
    do {
        fe_skip_separators(parser);
        fe_parameter parameter = fe_parse_parameter(parser, "after 'param'");
        if (parser->failed)
            return;
        for (int i = 0; i < method->parameter_count; i++)
            if (strcmp(method->parameters[i].name, parameter.name) == 0) {
                diag_entry *entry =
                    diag_error(parser->diags, parameter.span, "parameter '%s' is declared twice", parameter.name);
                diag_add_label(parser->diags, entry, method->parameters[i].span, "first here");
                return;
            }
        if (!parameter.initial) {
            diag_error(parser->diags, parameter.span, "parameter '%s' needs a default value", parameter.name);
            continue;
        }
        ARENA_PUSH(parser->memory, method->parameters, method->parameter_count, method->parameter_capacity, parameter);
    } while (fe_take_symbol(parser, ","));
}

/* `of text`, where it stands. */
static void parse_source(fe_parser *parser, fe_named *named) {
    const fe_token *source = fe_take_word(parser, "of") ? fe_expect_name(parser, "after 'of'") : NULL;
    if (source) {
        named->source = source->text;
        named->source_span = source->span;
    }
}

/* `shared` or `view`: NAME = expression; the names of each kind differ. */
static void parse_named(fe_parser *parser, const char *what, const fe_named *others, int other_count, fe_named *named) {
    const fe_token *name = fe_expect_name(parser, arena_printf(parser->memory, "after '%s'", what));
    if (!name)
        return;
    for (int i = 0; i < other_count; i++)
        if (strcmp(others[i].name, name->text) == 0)
            fe_twice(parser, what, name, others[i].span);
    named->name = name->text;
    named->span = name->span;
    parse_source(parser, named);
    fe_expect_symbol(parser, "=", arena_printf(parser->memory, "after '%s %s'", what, name->text));
    named->value = fe_parse_expr(parser);
}

static void parse_augment_item(fe_parser *parser, fe_section *section) {
    fe_named named = {0};
    if (fe_take_word(parser, "pipeline")) {
        const fe_token *name = fe_peek(parser);
        fe_decl *pipeline = fe_parse_declaration(parser, FE_PIPELINE);
        for (int i = 0; pipeline && i < section->pipeline_count; i++)
            if (strcmp(section->pipelines[i]->name, pipeline->name) == 0)
                fe_twice(parser, "pipeline", name, section->pipelines[i]->span);
        if (pipeline)
            ARENA_PUSH(parser->memory, section->pipelines, section->pipeline_count, section->pipeline_capacity,
                       pipeline);
    } else if (fe_take_word(parser, "shared")) {
        parse_named(parser, "shared", section->shared, section->shared_count, &named);
        if (!parser->failed)
            ARENA_PUSH(parser->memory, section->shared, section->shared_count, section->shared_capacity, named);
    } else if (fe_take_word(parser, "view")) {
        parse_named(parser, "view", section->views, section->view_count, &named);
        if (!parser->failed)
            ARENA_PUSH(parser->memory, section->views, section->view_count, section->view_capacity, named);
    } else if (fe_at_word(parser, "evaluate")) {
        named.span = fe_advance(parser)->span;
        parse_source(parser, &named);
        fe_expect_symbol(parser, "=", "after 'evaluate'");
        named.value = fe_parse_expr(parser);
        if (!parser->failed)
            ARENA_PUSH(parser->memory, section->evaluations, section->evaluation_count, section->evaluation_capacity,
                       named);
    } else {
        fe_expected(parser, "pipeline, shared, view or evaluate", "in the augment section");
    }
}

static void parse_augment(fe_parser *parser, fe_section *section) {
    fe_expect_symbol(parser, "{", "to open the augment section");
    fe_skip_separators(parser);
    while (!parser->failed && !fe_at_symbol(parser, "}") && fe_peek(parser)->kind != FE_TOKEN_END) {
        parse_augment_item(parser, section);
        if (!parser->failed && fe_peek(parser)->kind != FE_TOKEN_SEPARATOR && !fe_at_symbol(parser, "}"))
            fe_expected(parser, "the end of the line", NULL);
        if (parser->failed)
            fe_recover(parser);
        fe_skip_separators(parser);
    }
    fe_expect_symbol(parser, "}", "to close the augment section");
}

static void parse_section(fe_parser *parser, fe_method *method, fe_section_kind kind) {
    fe_section *section = &method->sections[kind];
    source_span span = fe_advance(parser)->span;
    if (section->present) {
        diag_entry *entry = diag_error(parser->diags, span, "a second %s section", section_names[kind]);
        diag_add_label(parser->diags, entry, section->span, "the first one");
        parser->failed = true;
        return;
    }
    section->present = true;
    section->span = span;
    if (kind == FE_AUGMENT)
        parse_augment(parser, section);
    else
        section->body = fe_parse_block(parser, section_names[kind]);
    section->last_line = parser->tokens.items[parser->at > 0 ? parser->at - 1 : 0].span.line;
}

static void unknown_section(fe_parser *parser) {
    const fe_token *token = fe_peek(parser);
    if (token->kind != FE_TOKEN_NAME) {
        fe_expected(parser, "a section or 'param'", "in a method");
        return;
    }
    diag_entry *entry = diag_error(parser->diags, token->span, "a method has no section '%s'", token->text);
    const char *candidates[FE_SECTION_COUNT + 1];
    memcpy(candidates, section_names, sizeof section_names);
    candidates[FE_SECTION_COUNT] = "param";
    const char *nearest = diag_suggest(token->text, candidates, FE_SECTION_COUNT + 1);
    if (nearest)
        diag_add_note(parser->diags, entry, "did you mean '%s'?", nearest);
    else
        diag_add_note(parser->diags, entry,
                      "sections: data, augment, encoder, state, extract, similarity, loss, after, "
                      "train, evaluate");
    parser->failed = true;
}

static void parse_method_item(fe_parser *parser, fe_method *method) {
    if (fe_take_word(parser, "param")) {
        parse_params(parser, method);
        return;
    }
    for (int kind = 0; kind < FE_SECTION_COUNT; kind++)
        if (fe_at_word(parser, section_names[kind])) {
            parse_section(parser, method, (fe_section_kind)kind);
            return;
        }
    unknown_section(parser);
}

fe_method *fe_parse_method(fe_parser *parser) {
    fe_method *method = arena_alloc(parser->memory, sizeof *method);
    const fe_token *name = fe_expect_name(parser, "after 'method'");
    if (!name)
        return method;
    method->name = name->text;
    method->span = name->span;
    if (!fe_expect_symbol(parser, "{", "to open the method"))
        return method;
    fe_skip_separators(parser);
    while (!fe_at_symbol(parser, "}") && fe_peek(parser)->kind != FE_TOKEN_END) {
        parse_method_item(parser, method);
        bool ends = fe_peek(parser)->kind == FE_TOKEN_SEPARATOR || fe_at_symbol(parser, "}") || fe_at_section(parser);
        if (!parser->failed && !ends)
            fe_expected(parser, "the end of the line", "after this section");
        if (parser->failed)
            fe_recover(parser);
        fe_skip_separators(parser);
    }
    if (!fe_take_symbol(parser, "}")) {
        diag_entry *entry = diag_error(parser->diags, fe_peek(parser)->span, "the method is not closed");
        diag_add_label(parser->diags, entry, method->span, "opened here");
    }
    return method;
}
