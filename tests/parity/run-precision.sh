#!/bin/sh
# A training step in each precision beside the same step in f32: run-precision.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=/usr/bin/python3
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: python3-torch is not installed"; exit 0; }

# Products are those of the matrix units on every processor without pairs of its own.
step() {
    "$build/cslc" run "$source/specs/simclr.csl" --target="$target" --precision="$1" -D batch=16 -D width=16 -- train \
        --data shapes:train=64,test=16 --out "$work/run" --dump-step 0 "$work/$1.safetensors" >"$work/log" 2>&1 ||
        { cat "$work/log"; exit 1; }
}

# check PRECISION LOSS GRADIENT: the largest differences allowed, relative
check() {
    step "$1"
    printf '%s: ' "$1"
    PYTHONDONTWRITEBYTECODE=1 "$python" "$source/tests/parity/precision.py" "$work/f32.safetensors" "$work/$1.safetensors" "$2" "$3"
}

target=portable
! grep -q avx2 /proc/cpuinfo || target=avx2
step f32
# Rounding moves activations across the kink of relu, which changes single terms of a gradient as a whole: in bf16 it is far more
# often across than in f32x2, and at this size the gradient of an untrained encoder is a small difference of large terms.
check bf16 1e-3 5e-1
check f32x2 1e-5 3e-2
check f32x3 1e-6 1e-2
