#!/bin/sh
# Wrong specs and what cslc says of them: run-errors.sh SOURCE BUILD [--update]
# Each NAME.csl stands beside NAME.expected; a first line `# options: …` gives further options.
set -eu
source=$1 build=$2
cd "$source/tests/golden/errors"
failed=0 count=0
for spec in *.csl; do
    expected=${spec%.csl}.expected
    options=$(sed -n '1s/^# options: //p' "$spec")
    # shellcheck disable=SC2086
    status=0
    "$build/cslc" "$spec" -I ../../../specs/lib $options --emit=ir -o /dev/null >/tmp/errors.$$ 2>&1 || status=$?
    count=$((count + 1))
    if [ "${3:-}" = --update ]; then
        cp /tmp/errors.$$ "$expected"
    elif [ $status != 1 ] || ! diff -u "$expected" /tmp/errors.$$; then
        echo "FAIL $spec (status $status)"
        failed=$((failed + 1))
    fi
done
rm -f /tmp/errors.$$
echo "$((count - failed)) passed, $failed failed"
[ $failed = 0 ]
