#!/bin/sh
# The language carries the methods, the compiler knows none: no C folder holds the name of a spec: run-method-names.sh SOURCE BUILD
set -eu
cd "$1"
folders="frontend ir passes backend runtime"
# Two specs are named by words that compilers use otherwise: to clip numbers, vectors of lanes. What would be the method
# is then its name in capitals, or the name of its file.
plain_words="clip vectors"
names=0 failures=0
for spec in specs/*.csl; do
    name=$(basename "$spec" .csl)
    names=$((names + 1))
    pattern=$(echo "$name" | sed 's/_/[_ -]?/g')
    case " $plain_words " in
    *" $name "*) found=$(grep -rnE "\<$(echo "$name" | tr a-z A-Z)\>|$name\.csl" $folders || true) ;;
    *) found=$(grep -rniE "$pattern" $folders || true) ;;
    esac
    [ -z "$found" ] && continue
    echo "FAIL the method $name is named:"
    echo "$found"
    failures=$((failures + 1))
done
echo "$names methods, $failures named"
[ "$names" -gt 0 ] && [ $failures = 0 ]
