#!/bin/sh
# Every method's step against PyTorch: run-methods.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=/usr/bin/python3
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: python3-torch is not installed"; exit 0; }

data=shapes:train=64,test=16
# dump BACKEND SPEC STEP DEFINITION…: one training step of a small network, whole
dump() {
    backend=$1 spec=$2 step=$3
    shift 3
    definitions=
    for definition in "$@"; do definitions="$definitions -D $definition"; done
    # shellcheck disable=SC2086
    "$build/cslc" run "$source/specs/$spec.csl" --backend="$backend" --precision=f32 $definitions -- train --data "$data" --seed "$seed" \
        --out "$work/run" --dump-step "$step" "$work/step.safetensors" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}

check() {
    script=$1
    shift
    PYTHONDONTWRITEBYTECODE=1 "$python" "$source/tests/parity/$script.py" "$work/step.safetensors" "$@"
}

# Gradients agree to 1e-4 in double precision, and in f32 (run-precision.sh has the others) too where no rounding moves an activation across the kink of relu: a
# single such activation changes a gradient by about 1e-2 at these sizes (PyTorch's f32 is off its own double precision by as
# much), while the loss still agrees to 1e-5. About half of the seeds meet none, so one of eight must agree.
exact=1e-4 rounded=5e-2
# compiled SPEC STEP DEFINITION… -- ARGUMENT…: the step of some seed agrees to 1e-4, those of the seeds before it but for a kink
compiled() {
    spec=$1 step=$2 settings=
    shift 2
    while [ "$1" != -- ]; do
        settings="$settings $1"
        shift
    done
    shift
    seed=0
    while [ $seed -lt 8 ]; do
        # shellcheck disable=SC2086
        dump llvm "$spec" "$step" $settings
        if check "$spec" "$@" $exact >"$work/said"; then
            sed "s/\$/, seed $seed/" "$work/said"
            seed=0
            return 0
        fi
        check "$spec" "$@" $rounded >"$work/said" || break
        seed=$((seed + 1))
    done
    cat "$work/said"
    return 1
}
seed=0
if [ "${3:-}" != further ]; then
# The subtracted denominator loses digits in f32 at low temperatures: that is its defect.
dump interp simclr 1 batch=8 width=8
check simclr resnet18 cifar 0.5 masked adam 1 80 $exact
dump interp simclr 1 batch=8 width=8 denominator=subtracted optimiser=lars temperature=0.1
check simclr resnet18 cifar 0.1 subtracted lars 1 80 $exact
compiled simclr 1 batch=8 width=8 -- resnet18 cifar 0.5 masked adam 1 80
dump llvm simclr 1 batch=8 width=8 denominator=subtracted optimiser=lars
check simclr resnet18 cifar 0.5 subtracted lars 1 80 $rounded
dump interp simclr 1 batch=8 width=4 encoder=resnet50
check simclr resnet50 cifar 0.5 masked adam 1 80 $exact
dump llvm simclr 0 batch=32 width=8 stem=imagenet
check simclr resnet18 imagenet 0.5 masked adam 0 20 $rounded
dump interp yadim 1 batch=4 width=4 source=all
check yadim wide_resnet34 last all 0 20 0.05 1 $exact
dump interp yadim 1 batch=4 width=4 encoder=resnet18 clip=0
check yadim resnet18 last random 0 0 0.05 1 $exact
dump interp yadim 1 batch=2 width=2 encoder=resnet18 patch=8
check yadim resnet18 last random 8 20 0.05 1 $exact
dump interp yadim 1 batch=4 width=4 encoder=resnet18 extract=multiscale
check yadim resnet18 multiscale random 0 20 0.05 1 $exact
compiled yadim 1 batch=8 width=4 source=all -- wide_resnet34 last all 0 20 0.05 1
dump llvm yadim 0 batch=4 width=8 widen=1 encoder=resnet18 source=all clip=0 regulariser=0
check yadim resnet18 last all 0 0 0 0 $rounded
for variant in "20 multiscale" "10 multiscale" "20 last"; do
    dump interp amdim 2 batch=4 width=4 "encoder=amdim_encoder(depth=2)" clip="${variant% *}" extract="${variant#* }"
    # shellcheck disable=SC2086
    check amdim 2 $variant 2 $exact
done
dump llvm amdim 2 batch=8 width=8 "encoder=amdim_encoder(depth=2)"
check amdim 2 20 multiscale 2 $rounded
dump interp cpc 1 batch=2 width=4 encoder=cpc_resnet50 context=16 blocks=2
check cpc cpc_resnet50 described 0 2 1 $exact
dump interp cpc 1 batch=2 width=4 encoder=resnet18 context=16 blocks=2 weights=implemented border=1
check cpc resnet18 implemented 1 2 1 $exact
dump llvm cpc 1 batch=4 width=8 encoder=cpc_resnet50 context=16 blocks=3
check cpc cpc_resnet50 described 0 3 1 $rounded
dump interp moco 1 batch=4 width=4 negatives=12 temperature=0.2 momentum=0.9
check moco projector moving 1 sgd 0.2 0.9 1 3200 $exact
dump interp moco 2 batch=4 width=4 negatives=12 temperature=0.07 head=linear key_head=fixed
check moco linear fixed 1 sgd 0.07 0.999 2 3200 $exact
dump llvm moco 2 batch=16 width=8 negatives=64
check moco projector moving 1 sgd 0.2 0.999 2 800 $rounded
dump interp moco 2 batch=6 width=4 negatives=12 smallest=0.5 blur=false groups=3 optimiser=adam
check moco projector moving 3 adam 0.2 0.999 2 2000 $exact
for variant in "cosine clipped_sgd" "squared clipped_adam" "cosine adam"; do
    dump interp byol 1 batch=4 width=4 encoder=resnet18 hidden=24 features=12 distance="${variant% *}" optimiser="${variant#* }"
    # shellcheck disable=SC2086
    check byol $variant 1 16000 160 $exact
done
dump llvm byol 3 batch=16 width=8 encoder=resnet18 hidden=64 features=32
check byol cosine clipped_sgd 3 4000 40 $rounded
for variant in "softmax light" "nce light" "nce luma"; do
    for step in 0 1; do
        dump interp cmc $step batch=4 width=4 images=64 negatives=8 form="${variant% *}" space="${variant#* }"
        # shellcheck disable=SC2086
        check cmc $variant sgd 8 $step $exact
    done
done
dump interp cmc 1 batch=4 width=4 images=64 negatives=8 optimiser=adam
check cmc softmax light adam 8 1 $exact
dump llvm cmc 2 batch=16 width=8 images=64 negatives=32
check cmc softmax light sgd 32 2 $rounded

fi
# further METHOD EPOCHS DEFINITION…: 64 pictures in batches of 8
further() {
    method=$1 epochs=$2
    shift 2
    dump interp "$method" 1 batch=8 width=4 "$@"
    check "$method" 1 $((epochs * 8)) $exact
    dump llvm "$method" 2 batch=8 width=4 "$@"
    check "$method" 2 $((epochs * 8)) $rounded
}
further simsiam 800 hidden=24 bottleneck=8
further barlow_twins 800 hidden=24
further vicreg 800 hidden=24
further dcl 200
further supcon 200
further nnclr 200 hidden=24 features=16 support=24
further swav 200 hidden=24 features=16 prototypes=10 small=16

# Vectors, and pairs of them.
mkdir "$work/pairs"
"$python" - "$work/pairs" <<'PYTHON'
import sys, numpy
random = numpy.random.default_rng(0)
common = random.normal(size=(64, 6))
for name, width, kind in (("image", 24, "f4"), ("text", 20, "f8")):
    noise = random.normal(size=(64, width))
    numpy.save(f"{sys.argv[1]}/{name}.npy", (common @ random.normal(size=(6, width)) + noise).astype(kind))
PYTHON
data=$work/pairs/image.npy
dump interp vectors 1 batch=8 width=24 hidden=16 features=12
check vectors 0.1 0.2 1 800 $work/pairs/image.npy $exact
dump llvm vectors 2 batch=16 width=24 hidden=16 features=12 depth=1
check vectors 0.1 0.2 2 400 $work/pairs/image.npy $rounded
data=$work/pairs
dump interp clip 0 batch=8 image_width=24 text_width=20 features=12 warmup=10 largest=10 # below the first scale: the limit holds
check clip linear 10 0 256 $exact
for head in linear projector; do
    dump interp clip 1 batch=8 image_width=24 text_width=20 features=12 warmup=10 head=$head
    check clip $head 100 1 256 $exact
    dump interp siglip 1 batch=8 image_width=24 text_width=20 features=12 warmup=10 head=$head
    check siglip $head 1 256 $exact
done
dump llvm clip 2 batch=16 image_width=24 text_width=20 features=12 warmup=10
check clip linear 100 2 128 $rounded
dump llvm siglip 2 batch=16 image_width=24 text_width=20 features=12 warmup=10
check siglip linear 2 128 $rounded
