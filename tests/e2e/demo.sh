#!/bin/sh
# Compiles YADIM, trains it on generated pictures and evaluates it beside raw pixels and the untrained encoder:
# demo.sh SOURCE BUILD [FOLDER]
set -eu
source=$1 build=$2 out=${3:-$1/runs/demo}
mkdir -p "$out"
cd "$source"
echo "compiling specs/yadim.csl to $out/yadim (seconds)"
# A narrow ResNet-18 learns these pictures within minutes on two cores; the method's own encoder is the default of the spec.
"$build/cslc" specs/yadim.csl -D batch=64 -D encoder=resnet18 -D width=16 -D widen=1 -D crop=true -D regulariser=0.01 \
    -D lr=1e-3 -D warmup=50 -o "$out/yadim"
echo "training it for 8 epochs (minutes)"
"$out/yadim" train --data shapes --epochs 8 --eval-every 0 --out "$out/run"
echo "evaluating the trained encoder, the untrained one and raw pixels by kNN and linear probe (minutes)"
"$out/yadim" eval --data shapes --checkpoint "$out/run/last.safetensors" --protocol knn,linear --baseline pixels,untrained --out "$out/results.json"
