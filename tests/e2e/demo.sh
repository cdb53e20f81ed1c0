#!/bin/sh
# Compiles YADIM, trains it on generated pictures and evaluates it beside raw pixels and the untrained encoder:
# demo.sh SOURCE BUILD [FOLDER]
set -eu
source=$1 build=$2 out=${3:-$1/runs/demo}
mkdir -p "$out"
cd "$source"
echo "compiling specs/yadim.csl"
# A narrow ResNet-18 learns these pictures within the demo's ten minutes on two cores; -D encoder=wide_resnet34 is the method's own.
"$build/cslc" specs/yadim.csl -D batch=64 -D encoder=resnet18 -D width=16 -D widen=1 -D lr=1e-3 -D regulariser=0.01 -o "$out/yadim"
"$out/yadim" train --data shapes --epochs "${DEMO_EPOCHS:-5}" --eval-every 0 --out "$out/run"
echo "evaluating: trained encoder, raw pixels, untrained encoder"
"$out/yadim" eval --data shapes --checkpoint "$out/run/last.safetensors" --protocol knn,linear --baseline pixels,untrained --out "$out/results.json"
