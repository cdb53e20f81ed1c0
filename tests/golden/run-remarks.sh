#!/bin/sh
# What becomes of each method's scores: run-remarks.sh SOURCE BUILD [--update]
# tests/golden/remarks/SPEC.txt is what `--remarks` says of the spec with its own settings.
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source"
failed=0 count=0
for spec in specs/*.csl specs/bench/general.csl; do
    wanted=tests/golden/remarks/$(basename "$spec" .csl).txt
    "$build/cslc" "$spec" --target=portable --remarks --emit=kernels -o "$work/kernels" 2>"$work/remarks"
    [ "${3:-}" != --update ] || cp "$work/remarks" "$wanted"
    count=$((count + 1))
    diff -u "$wanted" "$work/remarks" || failed=$((failed + 1))
done
echo "$count specs, $failed failed"
[ $failed = 0 ]
