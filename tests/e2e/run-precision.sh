#!/bin/sh
# The precision of products by the spec, the options and the target: run-precision.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
spec=$source/specs/simclr.csl
small="-D batch=16 -D width=16"
fail() {
    echo "FAIL $*"
    exit 1
}

# told PRECISION ARGUMENT…: what explain says of the products
told() {
    wanted=$1
    shift
    # shellcheck disable=SC2086
    "$build/cslc" explain "$@" -I "$source/specs/lib" $small | grep -q "; products in $wanted$" || fail "$wanted: $*"
}

sed 's/^  train {/&\n    precision = f32x/' "$spec" >"$work/pairs.csl"
told f32 "$spec" --target=avx512
told f32 "$spec" --target=avx512-bf16
told f32x2 "$spec" --target=amx
told f32 "$spec" --target=amx --precision=f32
told f32x2 "$work/pairs.csl" --target=avx2
told bf16 "$work/pairs.csl" --target=avx2 --precision=bf16

# The instructions of each target stand in the convolutions' and the products' own functions, in all directions.
# uses TARGET INSTRUCTION PRECISION KERNEL…
uses() {
    target=$1 instruction=$2 precision=$3
    shift 3
    # shellcheck disable=SC2086
    "$build/cslc" "$spec" $small --target="$target" --precision="$precision" --emit=asm -o "$work/step.s"
    for kernel in "$@"; do
        awk -v kernel="$kernel" -v instruction="$instruction" '
            /^[a-z][a-zA-Z0-9_]*:/ { inside = index($0, kernel) == 1 }
            inside && index($0, instruction) { found = 1 }
            END { exit !found }' "$work/step.s" || fail "no $instruction in $kernel for $target"
    done
}
uses amx tdpbf16ps bf16 conv2d_16x16_3x3_s1_32x32_pairs conv2d_input_grad_16x16_3x3_s1_32x32_pairs conv2d_weight_grad_pairs_16x16_3x3 \
    conv2d_32x64_3x3_s2_16x16_pairs dot_pairs_
uses avx512-bf16 vdpbf16ps bf16 conv2d_32x64_3x3_s2_16x16_pairs dot_pairs_

# A program records what it computes in, and so do its checkpoints; the loss stays near.
train="train --data shapes:train=80,test=16 --steps 2"
losses() {
    sed 's/.*"loss": \([^,]*\).*/\1/' "$work/$1/metrics.jsonl"
}
for precision in f32 f32x2 bf16; do
    # shellcheck disable=SC2086
    "$build/cslc" "$spec" $small --precision=$precision -o "$work/program"
    "$work/program" info | grep -q "^precision *$precision$" || fail "info does not tell $precision"
    # shellcheck disable=SC2086
    "$work/program" $train --out "$work/$precision" >"$work/log" || fail "training in $precision"
    grep -aq "\"precision\": *\"$precision\"" "$work/$precision/last.safetensors" || fail "the checkpoint does not tell $precision"
done
# near PRECISION SHARE: the first loss, before an update has spread the rounding, within that share of f32's
near() {
    losses f32 >"$work/wanted"
    losses "$1" | paste - "$work/wanted" | awk -v most="$2" 'NR == 1 { error = $1 / $2 - 1; error = error < 0 ? -error : error }
        END { print error; exit !(NR == 2 && error <= most) }' || fail "losses of $1"
}
near f32x2 1e-5
near bf16 3e-3
echo "precisions are chosen, told and kept"
