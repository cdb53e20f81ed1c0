#include "ir/ir.h"

#include <string.h>

uint64_t ir_hash_word(uint64_t hash, uint64_t word) {
    hash ^= word + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
    return hash * 0xff51afd7ed558ccdu;
}

static uint64_t hash_text(uint64_t hash, const char *text) {
    for (; *text; text++)
        hash = ir_hash_word(hash, (unsigned char)*text);
    return hash;
}

uint64_t ir_hash_attr(uint64_t hash, const ir_attr *attr) {
    hash = ir_hash_word(hash, (uint64_t)attr->key);
    switch (ir_attr_kind_of(attr->key)) {
    case IR_ATTR_SYMBOL: return hash_text(hash, attr->as.symbol);
    case IR_ATTR_NUMBER: {
        uint64_t bits;
        memcpy(&bits, &attr->as.number, sizeof bits);
        return ir_hash_word(hash, bits);
    }
    default:
        for (int i = 0; i < attr->count; i++)
            hash = ir_hash_word(hash, (uint64_t)attr->as.ints[i]);
        return hash;
    }
}
