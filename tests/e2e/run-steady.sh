#!/bin/sh
# Once a run is under way, no step asks for memory: run-steady.sh SOURCE BUILD
set -eu
source=$1 build=$2
. "$source/tests/e2e/common.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# allocations PROGRAM STEPS: how often a run of so many steps, all of one epoch, calls for memory
allocations() {
    ALLOCATIONS=$work/count LD_PRELOAD=$build/tests/libcount_allocations.so "./$1" train --data shapes:train=2000,test=40 \
        --steps "$2" --eval-every 0 --threads 2 --out "$1-$2" >log 2>&1 || { cat log; return 1; }
    cat count
}

if nm "$build/lib/libcslrt.a" 2>/dev/null | grep -q '__[at]san_'; then
    echo "left out: sanitizers have allocators of their own"
    exit 0
fi
# Batch norm and Adam; queue and moving twin; memories written by index; patches and layer norm.
for case in "simclr -D encoder=resnet18" "moco -D negatives=64" "cmc -D negatives=64 -D images=2000" "cpc -D encoder=cpc_resnet50"; do
    method=${case%% *}
    cases=$((cases + 1))
    # shellcheck disable=SC2086
    "$build/cslc" "$source/specs/$method.csl" -D batch=4 -D width=4 ${case#* } -o "$method"
    few=$(allocations $method 5)
    many=$(allocations $method 25)
    [ "$few" = "$many" ] || fail "$method: $few calls for memory in 5 steps, $many in 25"
    [ "$few" -gt 10 ] || fail "$method: only $few calls counted, so they are not counted at all"
done
echo "$cases cases, $failures failed"
[ $failures = 0 ]
