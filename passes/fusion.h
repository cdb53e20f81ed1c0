/* Inside fuse-elementwise: values with their users and groups under construction, and which groups may be joined. */
#ifndef PASSES_FUSION_H
#define PASSES_FUSION_H

#include "passes/pass.h"

enum { FUSION_MAX_BASES = 12 };

typedef struct fusion_use {
    ir_value *user; /* as often as it has the value as operand */
    struct fusion_use *next;
} fusion_use;

/* Large stored tensors that something is computed from. */
typedef struct {
    const ir_value *items[FUSION_MAX_BASES];
    int count;
    bool more; /* than fit */
} fusion_bases;

typedef struct {
    ir_value **members;
    int count, capacity;
    int results;
    const ir_value *space;     /* a value whose dims and layout are those of all elements */
    const ir_value *reduction; /* one of its reductions, or NULL */
    bool closed;               /* takes no further results */
    fusion_bases bases;        /* of all results, and the results themselves */
    int last, first_exit;      /* positions: of its last member, of the first user of a member that is none itself */
    bool crosses;              /* that user stands before the last member */
    int visit;
} fusion_group;

/* Kept in value->scratch. */
typedef struct {
    int position; /* of the function's values; a copy's is that of its original */
    fusion_use *users;
    int user_count;
    fusion_group *group; /* that computes it, or NULL: it is no part of any kernel of this pass */
    fusion_bases bases;
    bool leaf;             /* probably stored */
    int work;              /* operations to compute an element from what is stored */
    const ir_value *moved; /* the nearest member towards the result that reads its operand at other places, or NULL */
    bool scattered;        /* there are several such: it is free, and what it is computed from must be stored */
    int visit;
} fusion_node;

typedef struct {
    arena *memory;
    ir_function *function;
    fusion_group **groups;
    int group_count, group_capacity;
    fusion_group **crossing; /* groups through which a way leads back to where it has passed */
    int crossing_count, crossing_capacity;
    int visits;
} fusion;

fusion_node *fusion_node_of(const ir_value *value);
/* Gives every value its node, and groups of earlier passes theirs. */
void fusion_begin(fusion *work);
fusion_group *fusion_group_new(fusion *work);
void fusion_group_add(fusion *work, fusion_group *group, ir_value *value);
/* A copy of the value in `group`, for its users there. */
ir_value *fusion_copy_into(fusion *work, ir_value *value, fusion_group *group);

void fusion_bases_add(fusion_bases *bases, const ir_value *value);
void fusion_bases_join(fusion_bases *bases, const fusion_bases *other);
bool fusion_bases_meet(const fusion_bases *a, const fusion_bases *b);

/* Whether something outside of the group needs the value and is needed by the group. The value comes before all of its
 * members. */
bool fusion_is_needed_through(fusion *work, const ir_value *value, const fusion_group *group);

#endif
