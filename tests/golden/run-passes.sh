#!/bin/sh
# Every pass on small modules: run-passes.sh SOURCE BUILD [PASS]
# tests/golden/PASS/*.ir hold a module and FileCheck lines about what the pass makes of it. `; RUN:` gives other options
# than --passes=PASS, `; STATUS:` an exit status other than 0. A pass without a folder fails.
set -eu
source=$1 build=$2
filecheck=$(llvm-config-19 --bindir)/FileCheck
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0 count=0
fail() {
    echo "FAIL $1"
    failed=$((failed + 1))
}
for pass in ${3:-$("$build/cslc" --list-passes | sed 's/ .*//')}; do
    folder=$source/tests/golden/$pass
    [ -d "$folder" ] || { fail "the pass $pass has no folder in tests/golden"; continue; }
    [ "$(find "$folder" -name '*.ir' | wc -l)" -ge 2 ] || fail "$pass: it takes a file of what it does and one of what it leaves"
    for file in "$folder"/*.ir; do
        count=$((count + 1))
        options=$(sed -n 's/^; RUN: //p' "$file")
        wanted=$(sed -n 's/^; STATUS: //p' "$file")
        status=0
        # shellcheck disable=SC2086
        "$build/cslc" opt ${options:---passes=$pass} "$file" >"$work/out" 2>&1 || status=$?
        if [ "$status" != "${wanted:-0}" ]; then
            fail "$file: status $status"
            cat "$work/out"
        elif ! "$filecheck" "$file" <"$work/out"; then
            fail "$file"
        fi
    done
done
echo "$count files, $failed failed"
[ $failed = 0 ]
