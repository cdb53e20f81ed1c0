#!/bin/sh
# The back ends and targets give the same losses, the interpreter being the oracle: run-backends.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# losses NAME OPTION…: three steps of each spec
losses() {
    name=$1
    shift
    for spec in simclr yadim; do
        "$build/cslc" run "$source/specs/$spec.csl" -D batch=4 -D width=4 "$@" -- train --data shapes:train=40,test=40 --steps 3 \
            --eval-every 0 --out "$work/$name-$spec" >"$work/log" 2>&1 || { echo "$name $spec failed:"; cat "$work/log"; exit 1; }
        sed 's/.*"loss": \([^,]*\).*/\1/' "$work/$name-$spec/metrics.jsonl"
    done >"$work/$name.losses"
}

compare() {
    paste "$work/interp.losses" "$work/$1.losses" | awk -v name="$1" '
        { error = ($1 - $2) / $1; if (error < 0) error = -error; if (error > worst) worst = error; lines++ }
        END { printf "%s: %d losses, worst relative difference %.2g\n", name, lines, worst; exit !(lines == 6 && worst <= 1e-4) }'
}

losses interp --backend=interp
losses tcc --backend=tcc
compare tcc
for backend in llvm c; do
    losses "$backend" --backend=$backend
    compare "$backend"
    losses "$backend-portable" --backend=$backend --target=portable
    compare "$backend-portable"
    if grep -q avx2 /proc/cpuinfo; then
        losses "$backend-avx2" --backend=$backend --target=avx2
        compare "$backend-avx2"
    fi
done
losses llvm-scalar --backend=llvm --target=scalar
compare llvm-scalar
losses unfused --backend=tcc --disable-pass=fuse-elementwise --disable-pass=canonicalize --disable-pass=common-subexpressions
compare unfused
losses unplaced --backend=tcc --disable-pass=layout
compare unplaced
