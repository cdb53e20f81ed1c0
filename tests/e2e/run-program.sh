#!/bin/sh
# An emitted program from the outside: same losses at any number of threads, kill -9 and resume, bad input, round trips of the
# compiler's texts: run-program.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0
fail() {
    echo "FAIL $1"
    failures=$((failures + 1))
}
losses() { sed -n 's/.*"step": \([0-9]*\),.*"loss": \([^,]*\).*"lr".*/\1 \2/p' "$1/metrics.jsonl"; }

"$build/cslc" "$source/specs/simclr.csl" -D batch=8 -D width=4 -o program
data=shapes:train=80,test=20
./program train --data $data --epochs 4 --eval-every 0 --threads 1 --out one >/dev/null
./program train --data $data --epochs 4 --eval-every 0 --threads 2 --out two >/dev/null
[ "$(losses one)" = "$(losses two)" ] || fail "1 and 2 threads give different losses"

# Timed steps are those of a run, on its first batch.
./program time --data $data --steps 2 >timed
[ "$(sed -n '1s/.*"loss": \([^,]*\).*/0 \1/p' timed)" = "$(losses one | head -n 1)" ] || fail "the timed step is another"
[ "$(grep -c '"warm_up": false, .*"seconds": [0-9]' timed)" = 2 ] || fail "2 timed steps expected"

# Killed in the middle of an epoch, resumed from the last checkpoint.
./program train --data $data --epochs 4 --eval-every 0 --out killed >/dev/null 2>&1 &
pid=$!
while [ "$(losses killed 2>/dev/null | wc -l)" -lt 14 ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -9 $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
./program train --data $data --epochs 4 --eval-every 0 --out killed --resume >/dev/null
[ "$(losses one)" = "$(losses killed)" ] || fail "the resumed run differs from the uninterrupted one"
[ "$(losses one | wc -l)" = 40 ] || fail "40 steps expected"

# status WANTED TEXT COMMAND…: bad input gives this status and says this, and leaves no half-written file
status() {
    wanted=$1 text=$2
    shift 2
    got=0
    "$@" >out 2>&1 || got=$?
    [ $got = "$wanted" ] || fail "status $got instead of $wanted: $*"
    grep -q "$text" out || { fail "no '$text' from: $*"; cat out; }
    [ -z "$(find . -name '*.tmp')" ] || fail "a temporary file is left by: $*"
}
cslc=$build/cslc spec=$source/specs/simclr.csl
head -c 1000 one/last.safetensors >short.safetensors
head -c 5000 /dev/urandom >noise.safetensors
printf '\377\377\377\377\377\377\377\177{}' >huge.safetensors
mkdir empty
status 2 "did you mean '--epochs'" ./program train --epocs 3
status 2 data ./program train
status 1 nowhere ./program train --data nowhere --out x
status 1 "one batch" ./program time --data shapes:train=4,test=4
status 1 empty ./program train --data empty --out x
for bad in short noise huge; do
    status 1 $bad.safetensors ./program eval --data $data --checkpoint $bad.safetensors
done
"$cslc" "$spec" -D batch=8 -D width=8 -o other
./other train --data $data --steps 1 --eval-every 0 --out other_run >/dev/null
status 1 checkpoint ./program eval --data $data --checkpoint other_run/last.safetensors
status 1 read "$cslc" missing.csl -o x
status 1 write "$cslc" "$spec" --emit=ir -o missing/x.ir
status 2 "did you mean '--emit'" "$cslc" "$spec" --emti=ir
status 2 "did you mean 'ir'" "$cslc" "$spec" --emit=irr
status 2 "no pass" "$cslc" "$spec" --emit=ir --disable-pass=fuze
[ ! -e x ] || fail "an output of a failed compilation is left behind"

# The IR prints and parses back to itself, the syntax tree too, for both specs; the verifier holds after every pass.
for method in simclr yadim; do
    "$cslc" "$source/specs/$method.csl" -D batch=4 -D width=4 --verify --emit=ir -o first.ir
    "$cslc" opt --passes= first.ir -o second.ir
    cmp first.ir second.ir || fail "$method: the IR's round trip"
    "$cslc" "$source/specs/$method.csl" --emit=ast -o first.csl
    "$cslc" first.csl --emit=ast -o second.csl
    cmp first.csl second.csl || fail "$method: the syntax tree's round trip"
    "$cslc" first.csl -I "$source/specs/lib" -D batch=4 -D width=4 --emit=ir -o again.ir
    [ "$(grep -c ' = ' first.ir)" = "$(grep -c ' = ' again.ir)" ] || fail "$method: the printed tree compiles to another program"
done

echo "$failures failed"
[ $failures = 0 ]
