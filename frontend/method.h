/* From a method to the functions of a module: shared by library.c, check.c, method.c, training.c, settings.c. */
#ifndef FRONTEND_METHOD_H
#define FRONTEND_METHOD_H

#include "frontend/evaluate.h"

#include <stdlib.h>

/* library.c: reads the spec and everything it uses, and binds all declarations in context->globals. */
bool fe_load_all(fe_context *context, const char *path, fe_file **spec);
/* check.c */
/* Whether errors stand in the way of evaluating what was read. */
bool fe_broken(const fe_context *context);
void fe_check_file(fe_context *context, const fe_file *file);

/* What the train section asks for. */
typedef struct {
    const fe_partial *optimizer;
    const fe_partial *schedule; /* or NULL */
    source_span optimizer_span;
} fe_training;

/* describe.c: fills in the description that the options ask for, from what the training step's sections bound in
 * `scope`.
 */
void fe_describe(fe_context *context, fe_scope *scope, const fe_method *method, const fe_training *training);

/* data_section.c: evaluates the data section into context->data and module settings. */
bool fe_read_data(fe_context *context, fe_scope *scope, const fe_method *method);
/* settings.c: evaluates the train and evaluate sections into module settings. */
/* Adds a setting whose value is a number. */
void fe_add_setting(fe_context *context, const char *key, double number, source_span span);
bool fe_read_training(fe_context *context, fe_scope *scope, const fe_method *method, fe_training *training);
bool fe_read_evaluation(fe_context *context, fe_scope *scope, const fe_method *method);

/* training.c: learning rate, gradients, optimizer, moving averages, at the end of train_step. Gives the learning rate.
 */
ir_value *fe_train_parameters(fe_context *context, const fe_training *training, ir_value *loss);
/* Every moving-average twin takes a step towards its original; false after reporting. */
bool fe_move_averages(fe_context *context);

#endif
