#!/bin/sh
# Programs whose data is vectors, or pairs of them, from the outside: run-vectors.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$source/tests/e2e/common.sh"
# status WANTED TEXT COMMAND…: this status, this text in what it says
status() {
    wanted=$1 text=$2
    shift 2
    ended "$wanted" "$@"
    cat err >>out
    grep -q -- "$text" out || { fail "no '$text' from: $*"; cat out; }
}
# accuracies FOLDER SPLIT: those of the log's evaluations on that split, in order
accuracies() { sed -n 's/.*"accuracy": \([^,]*\),.*"tested_on": "'"$2"'".*/\1/p' "$1/metrics.jsonl"; }

/usr/bin/python3 - <<'PYTHON'
import os
import numpy
random = numpy.random.default_rng(1)
centres, to_image, to_text = random.normal(size=(5, 8)), random.normal(size=(8, 24)), random.normal(size=(8, 16))
for folder in ("vectors", "pairs/image", "pairs/text"):
    os.makedirs(folder)
for split, count in (("train", 300), ("test", 100)):
    labels = random.integers(0, 5, count)
    things = centres[labels] + 0.5 * random.normal(size=(count, 8))
    numpy.save(f"vectors/{split}.npy", (things @ to_image).astype("f4"))
    numpy.save(f"vectors/{split}_labels.npy", labels)
    numpy.save(f"pairs/image/{split}.npy", (things @ to_image).astype("f4"))
    numpy.save(f"pairs/image/{split}_labels.npy", labels)
    numpy.save(f"pairs/text/{split}.npy", things @ to_text)
numpy.save("plain.npy", numpy.load("vectors/train.npy"))
numpy.save("whole.npy", numpy.zeros((40, 24), "i4"))
numpy.save("short.npy", numpy.load("pairs/text/train.npy")[:299])
PYTHON

"$build/cslc" "$source/specs/vectors.csl" -D width=24 -D batch=32 -D hidden=32 -D features=16 -o vectors.program
"$build/cslc" "$source/specs/clip.csl" -D image_width=24 -D text_width=16 -D batch=32 -D features=16 -D warmup=5 -o clip
"$build/cslc" "$source/specs/siglip.csl" -D image_width=24 -D text_width=16 -D batch=32 -D features=16 -D warmup=5 -D embed=text \
    -o siglip

# ---- one source: a validation split all through
./vectors.program train --data vectors --epochs 3 --eval-every 1 --validation 0.2 --test --seed 3 --out one >/dev/null
[ "$(losses one | wc -l)" = 21 ] || fail "240 of 300 vectors are 7 batches an epoch"
[ "$(accuracies one validation | wc -l)" = 6 ] || fail "two protocols on validation after each of 3 epochs"
[ "$(accuracies one test | wc -l)" = 2 ] || fail "two protocols on test at the end"
./vectors.program eval --data vectors --checkpoint one/last.safetensors --split validation --validation 0.2 --out again.json >/dev/null
[ "$(sed -n 's/.*"accuracy": \([^,]*\),.*"tested_on": "validation".*/\1/p' again.json)" = "$(accuracies one validation | tail -n 2)" ] ||
    fail "eval finds another validation split than train"
./vectors.program train --data vectors --epochs 3 --validation 0.2 --seed 3 --threads 1 --out three >/dev/null
[ "$(losses one)" = "$(losses three)" ] || fail "threads or evaluation change the losses"
status 0 "trained .*linear" ./vectors.program eval --data vectors --checkpoint one/last.safetensors --baseline pixels
status 0 "100 rows, 32 features" ./vectors.program embed vectors/test.npy --checkpoint one/last.safetensors -o features.npy
status 0 "nothing is evaluated: evaluation needs two splits" ./vectors.program train --data plain.npy --epochs 1 --eval-every 1 --out plain
status 0 "needs labels" ./vectors.program train --data plain.npy --epochs 1 --eval-every 1 --validation 50 --out plain
status 1 "plain.npy" ./vectors.program eval --data plain.npy --checkpoint one/last.safetensors
status 2 "test or validation" ./vectors.program eval --data vectors --checkpoint one/last.safetensors --split train
status 1 "--validation" ./vectors.program eval --data vectors --checkpoint one/last.safetensors --split validation
status 1 "--validation" ./vectors.program train --data vectors --validation half --out x
status 1 "cannot set" ./vectors.program train --data vectors --validation 300 --out x
status 1 "i4" ./vectors.program train --data whole.npy --out x
status 1 "holds images" ./vectors.program train --data shapes:train=64,test=8 --out x

# ---- pairs: train, then each text's picture is the nearest
./clip train --data pairs --epochs 30 --eval-every 30 --out pair >/dev/null
./clip train --data image=pairs/image,text=pairs/text --epochs 30 --out named >/dev/null
[ "$(losses pair)" = "$(losses named)" ] || fail "the same pairs by name give other losses"
[ "$(accuracies pair test | wc -l)" = 2 ] || fail "pairs are evaluated by the picture's labels"
./clip embed image=pairs/image/test.npy,text=pairs/text/test.npy --checkpoint pair/last.safetensors -o both.npy >/dev/null
/usr/bin/python3 - <<'PYTHON' || fail "the two vectors of a thing do not find each other"
import sys
import numpy
both = numpy.load("both.npy")
scores = both[:, :16] @ both[:, 16:].T
sys.exit(0 if (scores.argmax(1) == numpy.arange(100)).mean() > 0.5 else 1)
PYTHON
./siglip train --data pairs --epochs 2 --out sigmoid >/dev/null
status 0 "100 rows, 16 features" ./siglip embed pairs/text/test.npy --checkpoint sigmoid/last.safetensors -o text.npy
status 1 "belong together" ./clip train --data image=pairs/image/train.npy,text=short.npy --out x
status 1 "'text'" ./clip train --data image=pairs/image --out x
status 1 "vector\[16\]" ./clip train --data image=pairs/image,text=pairs/image --out x
status 1 "several sources" ./clip train --data plain.npy --out x
head -c 3000 pairs/text/train.npy >cut.npy
status 1 "cut.npy: truncated" ./clip train --data image=pairs/image,text=cut.npy --out x

# ---- the syntax of sources prints and parses back
for method in vectors clip siglip; do
    "$build/cslc" "$source/specs/$method.csl" --emit=ast -o first.csl
    "$build/cslc" first.csl --emit=ast -o second.csl
    cmp first.csl second.csl || fail "$method: the syntax tree's round trip"
done
cat >mixed.csl <<'SPEC'
use resnet, heads, nce, augment, optim
method mixed {
  param batch = 16
  data { photo = image[3, 16, 16], caption = vector[16] }
  augment {
    pipeline t {
      random_resized_crop(16)
      horizontal_flip(p = 0.5)
      normalize(cifar10)
    }
    pipeline noisy { gaussian_noise(sigma = 0.01 .. 0.1) }
    view a of photo = t
    view b of caption = noisy
    evaluate of photo = clean(16, cifar10)
  }
  encoder {
    f = resnet18(width = 2)
    g = mlp([8])
    h = mlp([8])
  }
  similarity { s(u, v) = cosine(u, v) / 0.1 }
  loss { symmetric_nce(g(f(a).pooled), h(b), s) }
  train { adam(lr = 1e-3), epochs = 1 }
  evaluate { knn(k = 5, t = 0.1) }
}
SPEC
"$build/cslc" mixed.csl -I "$source/specs/lib" --emit=ast -o first.csl
"$build/cslc" first.csl -I "$source/specs/lib" --emit=ast -o second.csl
cmp first.csl second.csl || fail "mixed sources: the syntax tree's round trip"
"$build/cslc" mixed.csl -I "$source/specs/lib" --emit=ir -o mixed.ir
"$build/cslc" opt --passes= mixed.ir -o again.ir
cmp mixed.ir again.ir || fail "mixed sources: the IR's round trip"
"$build/cslc" mixed.csl -I "$source/specs/lib" -o mixed
status 0 "trained .*knn" ./mixed train --data photo=shapes:train=300,test=100,size=16,caption=pairs/text --epochs 1 --eval-every 1 --out mixed.run

echo "$failures failed"
[ $failures = 0 ]
