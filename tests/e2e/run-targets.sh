#!/bin/sh
# Code for lesser processors is made, runs, and says so where it cannot: run-targets.sh SOURCE BUILD
# CSLC_CPU lets this machine play a lesser one.
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
spec=$source/specs/simclr.csl
small="-D batch=4 -D width=4"
fail() {
    echo "FAIL $*"
    [ ! -e "$work/log" ] || cat "$work/log"
    exit 1
}

# refused STATUS WORDS COMMAND…: fails with that status, and says it
refused() {
    wanted=$1 words=$2 status=0
    shift 2
    "$@" >"$work/out" 2>"$work/log" || status=$?
    [ $status = "$wanted" ] || fail "status $status: $*"
    grep -q "$words" "$work/log" || fail "'$words' is not said: $*"
}

train="train --data shapes:train=40,test=40 --steps 3"
losses() {
    sed 's/.*"loss": \([^,]*\).*/\1/' "$work/$1/metrics.jsonl"
}

# Compiling for a processor by its name, or where it is played, is the same.
for processor in portable avx2 avx512; do
    # shellcheck disable=SC2086
    "$build/cslc" "$spec" $small --target-cpu=$processor --emit=kernels -o "$work/named"
    # shellcheck disable=SC2086
    CSLC_CPU=$processor "$build/cslc" "$spec" $small --emit=kernels -o "$work/played"
    if grep -q $processor /proc/cpuinfo || [ $processor = portable ]; then
        cmp -s "$work/named" "$work/played" || fail "CSLC_CPU=$processor"
    fi
done
# shellcheck disable=SC2086
"$build/cslc" "$spec" $small --target=x86-64 --emit=asm -o "$work/portable.s"
! grep -Eq '%[yz]mm' "$work/portable.s" || fail "portable code has wide vectors"
refused 2 "did you mean 'avx512'" "$build/cslc" "$spec" --target=avx51 -o "$work/none"

# A program for more than there is says what is missing, and leaves nothing.
for backend in llvm c; do
    # shellcheck disable=SC2086
    "$build/cslc" "$spec" $small --backend=$backend --target-cpu=avx512 -o "$work/wide"
    # shellcheck disable=SC2086
    refused 1 "lacks avx512f, avx512bw" env CSLC_CPU=avx2 "$work/wide" $train --out "$work/none"
    # shellcheck disable=SC2086
    refused 1 "lacks avx, avx2" env CSLC_CPU=portable "$work/wide" $train --out "$work/none"
    [ ! -e "$work/none" ] || fail "something was written"
done
# shellcheck disable=SC2086
refused 1 "lacks avx" env CSLC_CPU=portable "$build/cslc" run "$spec" $small --target=avx2 -- $train --out "$work/none"

# What C has loops for needs no processor with instructions for it.
if "$work/wide" info >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    "$build/cslc" "$spec" $small --backend=c --target-cpu=amx --precision=bf16 -o "$work/tiles"
    CSLC_CPU=avx512 "$work/tiles" info >"$work/log" || fail "tiles as loops"
    grep -q '^precision *bf16$' "$work/log" || fail "the precision of products is not told"
fi

# A portable program runs everywhere and gives the same losses; so does what is compiled in memory for less.
# shellcheck disable=SC2086
"$build/cslc" "$spec" $small --target-cpu=portable -o "$work/small"
# shellcheck disable=SC2086
"$work/small" $train --out "$work/here" >"$work/log" || fail "the portable program"
# shellcheck disable=SC2086
CSLC_CPU=portable "$work/small" $train --out "$work/there" >"$work/log" || fail "the portable program on less"
losses here >"$work/wanted"
losses there | cmp -s - "$work/wanted" || fail "the portable program's losses differ"
for processor in portable avx2 avx512; do
    # shellcheck disable=SC2086
    CSLC_CPU=$processor "$build/cslc" run "$spec" $small -- $train --out "$work/$processor" >"$work/log" || fail "$processor"
    losses $processor | paste - "$work/wanted" | awk '{ error = $1 / $2 - 1; worst = error > worst ? error : -error > worst ? -error : worst; lines++ }
        END { exit !(lines == 3 && worst <= 1e-4) }' || fail "losses of $processor differ"
done
echo "targets are kept apart"
