#!/bin/sh
# --memory-limit: less memory, the same losses, and the least that is possible where it is not: run-memory.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAIL $*"
    [ ! -e "$work/log" ] || cat "$work/log"
    exit 1
}

# losses NAME SPEC OPTION…
losses() {
    name=$1 spec=$2
    shift 2
    "$build/cslc" run "$source/specs/$spec.csl" -D batch=16 -D width=4 "$@" -- train --data shapes:train=48,test=10 --steps 3 \
        --out "$work/$name" >"$work/log" 2>&1 || fail "$name"
    sed 's/.*"loss": \([^,]*\).*/\1/' "$work/$name/metrics.jsonl" >"$work/$name.losses"
}

# needed SPEC OPTION…: the bytes of arena and state
needed() {
    spec=$1
    shift
    "$build/cslc" explain "$source/specs/$spec.csl" -D batch=16 -D width=4 --json "$@" 2>"$work/log" |
        sed -n 's/.*"arena_bytes": \([0-9]*\).*"state_bytes": \([0-9]*\).*/\1 \2/p' | awk '{ print $1 + $2 }'
}

for spec in simclr yadim; do
    whole=$(needed $spec)
    "$build/cslc" "$source/specs/$spec.csl" -D batch=16 -D width=4 --memory-limit=1 -o "$work/none" 2>"$work/log" && fail "1 byte is enough"
    grep -q "cannot be fitted into 1: it takes [0-9]*K at least" "$work/log" || fail "the least is not said"
    [ ! -e "$work/none" ] || fail "something was written"
    [ $spec != simclr ] || cp "$work/log" "$work/least"
    limit=$((whole * 4 / 5))
    limited=$(needed $spec --memory-limit=$limit)
    grep -q "values are computed again" "$work/log" || fail "the cost is not said"
    [ "$limited" -le $limit ] || fail "$spec takes $limited of $limit"
    losses $spec-whole $spec
    losses $spec-limited $spec --memory-limit=$limit
    paste "$work/$spec-whole.losses" "$work/$spec-limited.losses" | awk '
        { error = $1 / $2 - 1; worst = error > worst ? error : -error > worst ? -error : worst; lines++ }
        END { exit !(lines == 3 && worst <= 1e-5) }' || fail "losses of $spec differ"
    echo "$spec: $whole bytes, $limited within $limit"
done
"$build/cslc" "$source/specs/simclr.csl" --memory-limit=much -o "$work/none" 2>"$work/log" && fail "a limit that is no number"
grep -q "takes a number of bytes" "$work/log" || fail "a limit that is no number"
for limit in 0x1G ' 800M' 800MB -1 nan; do
    "$build/cslc" "$source/specs/simclr.csl" "--memory-limit=$limit" --emit=kernels >/dev/null 2>&1 && fail "'$limit' is no limit"
done
"$build/cslc" "$source/specs/simclr.csl" --memory-limit=1G --emit=ir >/dev/null 2>"$work/log" && fail "a limit without effect"
grep -q "has no effect on --emit=ir" "$work/log" || fail "a limit without effect"
# Products that are kept for speed alone are not where memory is short.
remarks() { "$build/cslc" "$source/specs/moco.csl" --precision=f32 "$@" --remarks --emit=kernels 2>&1 >/dev/null | head -n 1; }
remarks | grep -q "256 x 65536 are kept as products: 67.11 MB" || fail "products are not kept"
remarks --memory-limit=700M | grep -q "256 x 65536 are never stored: 67.11 MB less" || fail "products are kept in spite of a limit"
# The least that the refusal names is enough.
least=$(sed -n 's/.*it takes \([0-9]*K\) at least.*/\1/p' "$work/least")
"$build/cslc" "$source/specs/simclr.csl" -D batch=16 -D width=4 "--memory-limit=$least" --emit=kernels -o "$work/none" ||
    fail "the least, $least, is not enough"
echo "memory limits are kept"
