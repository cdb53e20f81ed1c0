#!/bin/sh
# The readers of everything that comes from outside survive mutations of good and bad files: run-mutations.sh SOURCE BUILD
# [RUNS]. `./dev fuzz` looks further, guided by coverage.
set -eu
source=$1 build=$2 runs=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
# mutate TARGET RUNS SEED…
mutate() {
    target=$1 count=${runs:-$2}
    shift 2
    printf '%s: ' "$target"
    if ! FUZZ_INPUT=$work/input timeout 300 "$build/tests/fuzz_$target" "$count" "$@" >"$work/log" 2>&1; then
        failures=$((failures + 1))
        cp "$work/input" "fuzz-$target-input" 2>/dev/null || true
        echo "FAIL; the input is kept as $PWD/fuzz-$target-input"
        tail -n 20 "$work/log"
        return
    fi
    tail -n 1 "$work/log"
}
seeds=$source/tests/fuzz/seeds
mutate spec 300 "$seeds"/spec/* "$source"/specs/*.csl "$source"/specs/lib/*.csl "$source"/tests/golden/errors/*.csl
mutate ir_text 2000 "$seeds"/ir_text/* "$source"/tests/golden/*/*.ir
mutate safetensors 20000 "$seeds"/safetensors/*
mutate json 20000 "$seeds"/json/*
mutate archive 3000 "$seeds"/archive/*
mutate picture 3000 "$seeds"/picture/*
mutate npy 20000 "$seeds"/npy/*
[ $failures = 0 ]
