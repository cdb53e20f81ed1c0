#!/bin/sh
# Runs the fuzzers one after the other: fuzz.sh SOURCE BUILD SECONDS TARGET…. What they learn stays in fuzz/corpus, what they
# find is written to fuzz/.
set -eu
source=$1 build=$2 seconds=$3
shift 3
status=0
for target in "$@"; do
    if [ ! -f "$source/tests/fuzz/$target.c" ]; then
        echo "fuzz: no target '$target'; there are: spec ir_text safetensors json archive picture" >&2
        exit 2
    fi
    seeds=$source/tests/fuzz/seeds/$target corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    case $target in
    spec) more="$source/specs $source/specs/lib $source/tests/golden/errors" ;;
    ir_text) more=$(ls -d "$source"/tests/golden/*-* "$source"/tests/golden/l*) ;;
    *) more= ;;
    esac
    dictionary=$source/tests/fuzz/$target.dict
    [ -f "$dictionary" ] && dictionary=-dict=$dictionary || dictionary=
    echo "== $target"
    # shellcheck disable=SC2086
    "$build/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=32768 -print_final_stats=1 \
        -artifact_prefix="fuzz/$target-" $dictionary "$corpus" "$seeds" $more 2>&1 | tail -n 12 || status=1
    ls fuzz/"$target"-* >/dev/null 2>&1 && status=1
done
[ $status = 0 ] && echo "nothing found" || echo "findings are in fuzz/"
exit $status
