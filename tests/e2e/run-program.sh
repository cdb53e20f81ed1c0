#!/bin/sh
# An emitted program from the outside: same losses at any number of threads, kill -9 and resume, the syntax
# tree's round trip: run-program.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$source/tests/e2e/common.sh"

"$build/cslc" "$source/specs/simclr.csl" -D batch=8 -D width=4 -o program
data=shapes:train=80,test=20
./program train --data $data --epochs 4 --eval-every 0 --threads 1 --out one >/dev/null
./program train --data $data --epochs 4 --eval-every 0 --threads 2 --out two >/dev/null
[ "$(losses one)" = "$(losses two)" ] || fail "1 and 2 threads give different losses"

# Timed steps are those of a run, on its first batch.
./program time --data $data --steps 2 >timed
[ "$(sed -n '1s/.*"loss": \([^,]*\).*/0 \1/p' timed)" = "$(losses one | head -n 1)" ] || fail "the timed step is another"
[ "$(grep -c '"warm_up": false, .*"seconds": [0-9]' timed)" = 2 ] || fail "2 timed steps expected"

# No epochs: the initial encoder, evaluated and trained like any other.
./program train --data $data --epochs 0 --out initial >initial.out
grep -q 'no step is wanted: initial/last.safetensors holds the initial encoder' initial.out || fail "nothing said of 0 epochs"
./program eval --data $data --checkpoint initial/last.safetensors --baseline untrained --protocol knn >initial.eval
[ "$(awk '{ print $3 }' initial.eval | sort -u | wc -l)" = 1 ] || { fail "the initial encoder is another"; cat initial.eval; }
./program train --data $data --epochs 4 --eval-every 0 --out initial --resume >/dev/null
[ "$(losses one)" = "$(losses initial)" ] || fail "a run from the initial encoder differs from one at once"

# Killed in the middle of an epoch, resumed from the last checkpoint.
./program train --data $data --epochs 4 --eval-every 0 --out killed >/dev/null 2>&1 &
pid=$!
while [ "$(losses killed 2>/dev/null | wc -l)" -lt 14 ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -9 $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
./program train --data $data --epochs 4 --eval-every 0 --out killed --resume >/dev/null
[ "$(losses one)" = "$(losses killed)" ] || fail "the resumed run differs from the uninterrupted one"
[ "$(losses one | wc -l)" = 40 ] || fail "40 steps expected"

# The C file, compiled as README says.
"$build/cslc" "$source/specs/simclr.csl" -D batch=8 -D width=4 --emit=c -o simclr.c
instrumented=
nm "$build/lib/libcslrt.a" | grep -q __asan_init && instrumented=-fsanitize=address,undefined
# shellcheck disable=SC2086
cc -O3 -march=native -Wall -Wextra -Werror $instrumented -I "$source" simclr.c "$build/lib/libcslrt.a" -lopenblas -ljpeg \
    -lpng -lz -lpthread -lm -o compiled || fail "the C file does not compile"
./compiled train --data $data --steps 3 --eval-every 0 --out compiled_run >/dev/null
losses compiled_run >of_c
losses one | head -n 3 | paste -d ' ' - of_c | awk '{ error = ($2 - $4) / $2; if (error * error > 1e-8) bad = 1 }
    END { exit bad || NR != 3 }' || fail "the C file trains differently"

# The syntax tree prints and parses back to itself, and to the same program.
for method in simclr yadim; do
    "$build/cslc" "$source/specs/$method.csl" -D batch=4 -D width=4 --emit=ir -o first.ir
    "$build/cslc" "$source/specs/$method.csl" --emit=ast -o first.csl
    "$build/cslc" first.csl --emit=ast -o second.csl
    cmp first.csl second.csl || fail "$method: the syntax tree's round trip"
    "$build/cslc" first.csl -I "$source/specs/lib" -D batch=4 -D width=4 --emit=ir -o again.ir
    [ "$(grep -c ' = ' first.ir)" = "$(grep -c ' = ' again.ir)" ] || fail "$method: the printed tree compiles to another program"
done

# The event files hold the numbers of metrics.jsonl, step by step.
rm -rf one
./program train --data $data --epochs 2 --eval-every 1 --out one >/dev/null
./program train --data $data --epochs 3 --eval-every 1 --out one --resume >/dev/null
/usr/bin/python3 "$source/tests/e2e/check_events.py" one || fail "TensorBoard's event files"

echo "$failures failed"
[ $failures = 0 ]
