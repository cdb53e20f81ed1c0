#!/bin/sh
# Scores fused and stored train alike, and a similarity of nobody's list matches the interpreter: run-scores.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# losses NAME SPEC OPTION…: of six steps
losses() {
    name=$1 spec=$2
    shift 2
    "$build/cslc" run "$source/specs/$spec.csl" "$@" -- train --data shapes:train=200,test=40 --steps 6 --eval-every 0 \
        --out "$work/$name" >"$work/log" 2>&1 || { echo "$spec failed:"; cat "$work/log"; exit 1; }
    sed 's/.*"loss": \([^,]*\).*/\1/' "$work/$name/metrics.jsonl" >"$work/$name.losses"
}

tolerance=1e-4
# alike SPEC DEFINITION…: with fuse-contrastive and without it, step by step to rounding; the pass must have found something
alike() {
    spec=$1
    shift
    "$build/cslc" "$source/specs/$spec.csl" "$@" --remarks --emit=ir -o "$work/ir" 2>"$work/remarks"
    grep -q 'never stored\|kept as products' "$work/remarks" || { echo "$spec: nothing was fused"; exit 1; }
    losses fused "$spec" "$@"
    losses stored "$spec" "$@" --disable-pass=fuse-contrastive
    paste "$work/fused.losses" "$work/stored.losses" | awk -v name="$spec" -v tolerance="$tolerance" '
        { error = ($1 - $2) / $2; if (error < 0) error = -error; if (error > worst) worst = error; good += error <= tolerance }
        END { printf "%s: %d of 6 losses alike, worst relative difference %.2g\n", name, good, worst; exit good != 6 }'
    rm -rf "$work/fused" "$work/stored"
}

# In f32: in other precisions fused scores are products of parts at any size, stored ones of this size are not.
alike simclr --precision=f32 -D batch=32 -D width=4
alike amdim --precision=f32 -D batch=16 -D width=8 -D "encoder=amdim_encoder(depth=2)"
alike cpc --precision=f32 -D batch=8 -D width=8 -D encoder=cpc_resnet50 -D context=16 -D blocks=2
# At its own rate, six steps of momentum make 1e-4 of a rounding that crosses the kink of a relu.
alike moco --precision=f32 -D batch=32 -D width=4 -D negatives=320 -D lr=1e-3
alike yadim --precision=f32 -D batch=16 -D width=4 -D encoder=resnet18
# Adam's first steps, of one size whatever the gradient's, make 1e-3 of what two parts leave out.
tolerance=5e-3
alike simclr --precision=f32x2 -D batch=32 -D width=4

# A kept product is read in the tiles in which it was written, however many results the passes have.
cat >"$work/two.csl" <<'SPEC'
use heads, nce, optim, schedule
method two {
  param n = 1024, d = 1536, batch = n
  data { image = vector[32], text = vector[32] }
  encoder {
    f = linear(width = d)
    g = linear(width = d)
  }
  extract {
    u = f(image)
    v = g(text)
  }
  similarity { s(u, v) = dot(u, v) / sqrt(d) }
  loss {
    a = pairwise(s, u, stop_gradient(v))
    b = pairwise(s, stop_gradient(u), v)
    return mean(logsumexp(a, [1])) + mean(logsumexp(b, [0])) - mean(diagonal(a))
  }
  train { sgd(lr = 0.1), epochs = 1 }
}
SPEC
"$build/cslc" "$work/two.csl" -I "$source/specs/lib" --target=avx512 --emit=kernels -o "$work/kernels" ||
    { echo "FAIL a product kept for two gradients"; exit 1; }

python=/usr/bin/python3
"$python" -c 'import numpy, torch' 2>/dev/null || { echo "skipped the rest: python3-torch is not installed"; exit 0; }
mkdir "$work/pairs"
"$python" - "$work/pairs" <<'PYTHON'
import sys, numpy
random = numpy.random.default_rng(1)
for name in ("left", "right"):
    numpy.save(f"{sys.argv[1]}/{name}.npy", random.normal(size=(96, 12)).astype("f4"))
PYTHON
for way in interp llvm tcc; do
    "$build/cslc" run "$source/specs/bench/general.csl" --backend=$way -D n=96 -D d=12 -D width=40 -- train \
        --data "$work/pairs" --out "$work/run" --dump-step 0 "$work/$way.safetensors" >"$work/log" 2>&1 ||
        { cat "$work/log"; exit 1; }
done
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$source/tests/parity "$python" - "$work" <<'PYTHON'
import sys, safetensors
wanted = safetensors.load(f"{sys.argv[1]}/interp.safetensors")
gradients = [name for name in wanted if name.startswith("grad")]
assert any("log_scale" in name for name in gradients), sorted(wanted)
for way in ("llvm", "tcc"):
    got = safetensors.load(f"{sys.argv[1]}/{way}.safetensors")
    worst = 0
    for name in gradients:
        size = wanted[name].abs().max().item()
        error = (got[name] - wanted[name]).abs().max().item()
        assert size > 0 and error <= 1e-5 * size, (way, name, error, size)
        worst = max(worst, error / size)
    loss = abs(got["loss"] / wanted["loss"] - 1).item()
    print(f"general, {way}: loss off by {loss:.2g}, {len(gradients)} gradients by {worst:.2g}")
    assert loss < 1e-6
PYTHON
