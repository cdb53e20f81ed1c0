#!/bin/sh
# Bad data, checkpoints, flags, folders and disks: a message that names the place, status 1 or 2, and nothing half-written:
# run-bad-input.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
cleanup() {
    umount "$work/full" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
. "$source/tests/e2e/common.sh"

# status WANTED TEXT COMMAND…: this status, this text on stderr, no temporary file, no trace of a crash
status() {
    wanted=$1 text=$2
    shift 2
    ended "$wanted" "$@"
    grep -q -- "$text" err || { fail "no '$text' from: $*"; cat err; }
    [ -z "$(find . -name '*.tmp' -o -name 'cslc-*')" ] || fail "a temporary file is left by: $*"
}

cslc=$build/cslc spec=$source/specs/simclr.csl
"$cslc" "$spec" -D batch=8 -D width=4 -o program
data=shapes:train=16,test=16
train="./program train --eval-every 0 --steps 1"

# ---- data sets
/usr/bin/python3 - <<'PYTHON'
import os, tarfile
def batch(path, count, label=3):
    with open(path, "wb") as file:
        for i in range(count):
            file.write(bytes([label]) + bytes((i * 7 + j) % 256 for j in range(3072)))
os.mkdir("cifar-10-batches-bin")
for i in range(1, 6):
    batch(f"cifar-10-batches-bin/data_batch_{i}.bin", 8)
batch("cifar-10-batches-bin/test_batch.bin", 16)
with tarfile.open("good.tar.gz", "w:gz") as archive:
    archive.add("cifar-10-batches-bin")
whole = open("good.tar.gz", "rb").read()
open("cut.tar.gz", "wb").write(whole[: len(whole) // 2])
open("magic.tar.gz", "wb").write(b"this is no archive" * 100)
damaged = bytearray(whole)
damaged[len(whole) // 2] ^= 255
open("damaged.tar.gz", "wb").write(damaged)
open("nothing.tar.gz", "wb").close()
for name in ("odd", "label", "missing"):
    os.mkdir(name)
    for i in range(1, 6):
        batch(f"{name}/data_batch_{i}.bin", 8, label=77 if name == "label" else 3)
    if name != "missing":
        batch(f"{name}/test_batch.bin", 8)
with open("odd/data_batch_2.bin", "ab") as file:
    file.write(b"rest")
for folder in ("pictures/train/a", "pictures/train/b", "pictures/test/a", "pictures/test/b"):
    os.makedirs(folder)
    with open(folder + "/one.png", "w") as file:
        file.write("this is a text")
os.makedirs("flat")
with open("flat/one.txt", "w") as file:
    file.write("no picture")
PYTHON
mkdir empty
$train --data good.tar.gz --out good >/dev/null
$train --data cifar-10-batches-bin --out good2 >/dev/null
status 1 cut.tar.gz $train --data cut.tar.gz --out x
status 1 magic.tar.gz $train --data magic.tar.gz --out x
status 1 damaged.tar.gz $train --data damaged.tar.gz --out x
status 1 nothing.tar.gz $train --data nothing.tar.gz --out x
status 1 empty $train --data empty --out x
status 1 nowhere $train --data nowhere --out x
status 1 data_batch_2.bin $train --data odd --out x
status 1 "label" $train --data label --out x
status 1 missing ./program eval --data missing --checkpoint good/last.safetensors
status 1 one.png $train --data pictures --out x
status 1 flat $train --data flat --out x
status 1 shapes $train --data shapes:train=x --out x
status 1 shapes $train --data shapes:colour=3 --out x
status 1 "cannot open" $train --data , --out x
mkfifo pipe
status 1 "neither a file nor a folder" $train --data pipe --out x
status 1 "neither a file nor a folder" $train --data /dev/zero --out x
chmod 0 good.tar.gz
if ! cat good.tar.gz >/dev/null 2>&1; then # not as root, who reads all
    status 1 good.tar.gz $train --data good.tar.gz --out x
fi
chmod 644 good.tar.gz
[ ! -e x/last.safetensors ] || fail "a checkpoint of a run that never began"

# ---- flags
status 2 "did you mean '--epochs'" ./program train --epocs 3
status 2 "--data" ./program train
status 2 "--steps" ./program train --data $data --steps
status 2 "--steps" ./program train --data $data --steps many
status 2 "--steps" ./program train --data $data --steps -5
status 2 "--threads" ./program train --data $data --threads 0
status 2 "--threads" ./program train --data $data --threads 1000000
status 2 "--seed" ./program train --data $data --seed 1e99
status 2 "did you mean 'train'" ./program trian --data $data
status 2 "--checkpoint" ./program eval --data $data
status 2 "usage" ./program
status 2 "did you mean '--epochs'" ./program train --epocs=3
status 2 "--steps wants" ./program train --data=$data --steps=
status 2 "takes no argument" ./program train --data $data --test=1
status 2 "given twice" ./program train --data $data --steps 1 --steps=2
status 2 "unexpected argument 'more'" ./program train --data $data more
status 2 "there is no step 7" ./program train --data $data --steps 7 --dump-step 7 step.safetensors
status 2 "two arguments" ./program train --data $data --dump-step 7
status 2 "two arguments" ./program train --data $data --dump-step 0 ""
status 1 "nowhere" ./program train --data $data --steps 7 --dump-step 1 nowhere/step.safetensors
status 2 "knn, linear, mlp" ./program eval --data $data --checkpoint good/last.safetensors --protocol kn
status 2 "untrained, pixels" ./program eval --data $data --checkpoint good/last.safetensors --baseline pixel
status 2 "above 0" ./program eval --data $data --checkpoint good/last.safetensors --t nan
status 2 "whole number from 1" ./program eval --data $data --checkpoint good/last.safetensors --k 0
status 2 "wants --split validation" ./program eval --data $data --checkpoint good/last.safetensors --validation 4
status 1 "nowhere" ./program eval --data $data --checkpoint good/last.safetensors --out nowhere/results.json
[ ! -s out ] || fail "a result before the path was found to be unwritable"

# ---- checkpoints
head -c 2000 good/last.safetensors >short.safetensors
head -c 5000 /dev/urandom >noise.safetensors
printf '\377\377\377\377\377\377\377\177{}' >huge.safetensors
printf '\002\000\000\000\000\000\000\000{}' >hollow.safetensors
printf '\020\000\000\000\000\000\000\000{"a":[1,2,3,4,5}' >syntax.safetensors
: >nothing.safetensors
for bad in short noise huge hollow syntax nothing; do
    status 1 $bad.safetensors ./program eval --data $data --checkpoint $bad.safetensors
    status 1 $bad.safetensors $train --data $data --out y --resume $bad.safetensors
done
status 1 nowhere ./program eval --data $data --checkpoint nowhere.safetensors
status 1 empty ./program eval --data $data --checkpoint empty
"$cslc" "$spec" -D batch=8 -D width=8 -o other
./other train --data $data --steps 1 --eval-every 0 --out other_run >/dev/null
status 1 other_run ./program eval --data $data --checkpoint other_run/last.safetensors
status 1 one.png ./program embed pictures/train/a/one.png --checkpoint good/last.safetensors -o features.npy
status 1 nowhere ./program embed nowhere --checkpoint good/last.safetensors -o features.npy
[ ! -e features.npy ] || fail "features of no picture"

# ---- outputs
: >file
status 1 file $train --data $data --out file/run
status 1 file $train --data $data --out file
status 1 nowhere "$cslc" "$spec" -D batch=8 -o nowhere/program
status 2 "needs -o" "$cslc" "$spec" -D batch=8 -o ""
status 1 empty "$cslc" "$spec" -D batch=8 -o empty
for kind in ast ir kernels c llvm asm obj dot; do
    status 1 full "$cslc" "$spec" -D batch=2 -D width=1 --emit=$kind -o /dev/full
    status 1 nowhere "$cslc" "$spec" -D batch=2 -D width=1 --emit=$kind -o nowhere/x
done
if mkdir full && mount -t tmpfs -o size=256k tmpfs full 2>/dev/null; then
    status 1 "full" $train --data $data --out full/run
    [ ! -e full/run/last.safetensors ] || fail "a checkpoint on a full disk"
    status 1 "No space" "$cslc" "$spec" -D batch=8 -D width=4 -o full/program
    [ ! -e full/program ] || fail "half a program on a full disk"
    status 1 "full" "$cslc" "$spec" -D batch=8 -D width=4 --emit=c -o full/x.c
    [ ! -e full/x.c ] || fail "half a file on a full disk"
fi

# ---- specs
status 1 missing.csl "$cslc" missing.csl -o z
status 1 empty "$cslc" empty -o z
status 1 noise.safetensors "$cslc" noise.safetensors -o z
status 1 method "$cslc" file -o z
status 2 usage "$cslc"
status 2 "second input" "$cslc" "$spec" "$spec" -o z
status 2 "did you mean 'run'" "$cslc" rnu "$spec" -- info
status 2 "needs a value: --emit=KIND" "$cslc" "$spec" --emit
status 2 "needs a value: -o FILE" "$cslc" "$spec" -o
status 2 "takes no value" "$cslc" "$spec" --verify=yes -o z
status 2 "takes no option '--emit'" "$cslc" run "$spec" --emit=ir -- info
status 2 "did you mean 'dead-code'" "$cslc" opt --passes=dead-cod "$spec"
status 2 "did you mean 'layout'" "$cslc" "$spec" --emit=ir --print-after=layuot
status 1 "takes a folder" "$cslc" "$spec" -I nowhere -o z
status 1 "NAME=VALUE" "$cslc" "$spec" -D batch -o z
status 2 "did you mean '--emit'" "$cslc" "$spec" --emti=ir
status 2 "did you mean 'ir'" "$cslc" "$spec" --emit=irr
status 2 "no back end" "$cslc" run "$spec" --backend=gcc -- info
status 2 "no executables" "$cslc" "$spec" --backend=interp -o z
status 2 "no target" "$cslc" "$spec" --target=z80 -o z
status 2 "no pass" "$cslc" "$spec" --emit=ir --disable-pass=fuze
status 2 "cannot be left out" "$cslc" "$spec" --emit=ir --disable-pass=lower
status 1 "no parameter 'bach'" "$cslc" "$spec" -D bach=3 -o z
status 1 "batch" "$cslc" "$spec" -D batch=minus -o z
status 1 file "$cslc" opt --passes= missing.ir
status 1 "module" "$cslc" opt --passes= file
[ ! -e z ] || fail "an output of a failed compilation is left behind"

# ---- nobody reads standard output: said, and no text in place of it in another file
eval="./program eval --data $data --checkpoint good/last.safetensors --protocol knn"
status 1 "standard output" sh -c './program info >/dev/full'
status 1 "standard output" sh -c './program info >&-'
status 1 "standard output" sh -c "$eval --out closed.json >&-"
head -n 1 closed.json | grep -q '^\[$' || { fail "what was printed is in --out"; cat closed.json; }
status 1 "standard output" sh -c "'$cslc' '$spec' -D batch=2 -D width=1 --emit=ir >&-"
long="./program train --data shapes:train=400,test=16 --epochs 1000 --eval-every 0"
{
    got=0
    $long --out unread 2>unread.err || got=$?
    echo $got >unread.status
} | head -n 1 >/dev/null
[ "$(cat unread.status)" = 1 ] || fail "status $(cat unread.status) where nobody reads"
grep -q "standard output; stopped after [0-9]* steps" unread.err || { fail "nothing said of the reader"; cat unread.err; }
$long --out unread --resume --steps 400 >out 2>&1 || { fail "no resuming after nobody read"; cat out; }

# ---- what is stopped leaves nothing: a compilation, an evaluation
printf '#!/bin/sh\ntouch begun\nexec sleep 1\n' >slow-compiler
chmod +x slow-compiler
mkdir temporary
TMPDIR=temporary CC=./slow-compiler "$cslc" "$spec" -D batch=8 -D width=4 -o stopped-program 2>compiler.err &
pid=$!
while [ ! -e begun ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 1 ] && grep -q "linking was stopped" compiler.err || { fail "status $got of a stopped linker"; cat compiler.err; }
[ -z "$(ls temporary; find . -name 'stopped-program*')" ] || fail "files of a stopped compilation"

./program eval --data shapes:train=4000,test=16 --checkpoint good/last.safetensors --protocol mlp --out half.json \
    >out 2>half.err &
pid=$!
while [ ! -e half.json.tmp ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
ended 1 $eval --out half.json
grep -q "another process is writing it" err || { fail "two processes write one file"; cat err; }
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 130 ] && grep -q stopped half.err || { fail "status $got of a stopped evaluation"; cat half.err; }
[ ! -e half.json ] && [ ! -e half.json.tmp ] || fail "results of a stopped evaluation"

# ---- Ctrl-C: saves and ends cleanly; the run goes on from there
$long --out stopped >/dev/null 2>stopped.err &
pid=$!
while [ "$(cat stopped/metrics.jsonl 2>/dev/null | wc -l)" -lt 5 ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
ended 1 $long --out stopped --resume
grep -q "another run is writing to stopped" err || { fail "two runs in one folder"; cat err; }
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 130 ] || [ $got = 0 ] || fail "status $got after an interrupt"
[ -s stopped/last.safetensors ] || fail "no checkpoint after an interrupt"
$long --steps 400 --out stopped --resume >out 2>&1 ||
    { fail "no resuming after an interrupt"; cat out; }

echo "$cases cases, $failures failed"
[ $failures = 0 ]
