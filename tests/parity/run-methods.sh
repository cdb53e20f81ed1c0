#!/bin/sh
# Every method's step against PyTorch: run-methods.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=/usr/bin/python3
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: python3-torch is not installed"; exit 0; }

# dump BACKEND SPEC STEP DEFINITION…: one training step of a small network, whole
dump() {
    backend=$1 spec=$2 step=$3
    shift 3
    definitions=
    for definition in "$@"; do definitions="$definitions -D $definition"; done
    # shellcheck disable=SC2086
    "$build/cslc" run "$source/specs/$spec.csl" --backend="$backend" $definitions -- train --data shapes:train=64,test=16 --out "$work/run" \
        --dump-step "$step" "$work/step.safetensors" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}

check() {
    script=$1
    shift
    PYTHONDONTWRITEBYTECODE=1 "$python" "$source/tests/parity/$script.py" "$work/step.safetensors" "$@"
}

# In double precision, gradients agree to 1e-4. Compiled f32 code meets activations that rounding moves across the kink of relu:
# at these sizes a single one changes a gradient by about 1e-2 (PyTorch's f32 is off its own double precision by as much), while
# the loss still agrees to 1e-5.
exact=1e-4 rounded=5e-2
dump interp simclr 1 batch=8 width=8
check simclr resnet18 cifar 0.5 1 $exact
dump c simclr 1 batch=8 width=8
check simclr resnet18 cifar 0.5 1 $rounded
dump interp simclr 1 batch=8 width=4 encoder=resnet50
check simclr resnet50 cifar 0.5 1 $exact
dump c simclr 0 batch=32 width=8 stem=imagenet
check simclr resnet18 imagenet 0.5 0 $rounded
dump interp yadim 1 batch=4 width=4 source=all
check yadim wide_resnet34 20 0.05 1 $exact
dump c yadim 1 batch=4 width=4 source=all
check yadim wide_resnet34 20 0.05 1 $rounded
dump c yadim 0 batch=4 width=8 widen=1 encoder=resnet18 source=all clip=0 regulariser=0
check yadim resnet18 0 0 0 $rounded
