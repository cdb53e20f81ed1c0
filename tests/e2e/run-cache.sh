#!/bin/sh
# Object code kept on disk changes how long a compilation takes, and nothing else: run-cache.sh SOURCE BUILD
set -eu
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$source/tests/e2e/common.sh"
cp "$source/specs/simclr.csl" simclr.csl

# compile PROGRAM OPTION…: with the cache that CSLC_CACHE names; what came from it stands in err
compile() {
    program=$1
    shift
    ended 0 "$build/cslc" simclr.csl -D batch=4 -D width=4 --time-passes "$@" -o "$program"
}
# found ALL | NONE | SOME: how many objects of the last compilation came from the cache
found() {
    cases=$((cases + 1))
    sed -n 's/.*(\([0-9]*\) of \([0-9]*\) objects from the cache)/\1 \2/p' err >counts
    read -r from all <counts || { fail "no count of objects"; return; }
    case $1 in
    ALL) [ "$from" = "$all" ] ;;
    NONE) [ "$from" = 0 ] ;;
    SOME) [ "$from" -gt 0 ] && [ "$from" -lt "$all" ] ;;
    esac || fail "$from of $all objects were found, not $1"
}
same() {
    cases=$((cases + 1))
    cmp "$1" "$2" || fail "$1 and $2 differ"
}

export CSLC_CACHE="$work/kept"
compile plain --no-cache
[ ! -e kept ] || fail "--no-cache keeps objects"
compile first
found NONE
same plain first
compile second
found ALL
same plain second
ended 0 "$build/cslc" cache
grep -q "^$work/kept: [1-9][0-9]* objects" out || fail "cslc cache does not tell of the objects"

# the same code in memory
for how in "" --no-cache; do
    ended 0 "$build/cslc" run simclr.csl -D batch=4 -D width=4 $how -- train --data shapes:train=40,test=40 --steps 2 \
        --eval-every 0 --out "run$how"
    losses "run$how" >"losses$how"
    [ "$(wc -l <"losses$how")" = 2 ] || fail "no two losses"
done
same losses losses--no-cache

# damaged entries: cut short, another byte in the middle, empty, a line of text
set -- kept/*.o
truncate -s -1 "$1"
printf 'x' | dd of="$2" bs=1 seek=300 conv=notrunc 2>dd.log
: >"$3"
echo nonsense >"$4"
compile mended
found SOME
same plain mended
compile again
found ALL

# another batch or an edited spec takes what did not change, and is what it would have been without
compile batch -D batch=8
found SOME
compile batch-plain --no-cache -D batch=8
same batch batch-plain
sed '1i # one line further down' "$source/specs/simclr.csl" >simclr.csl
compile moved
compile moved-plain --no-cache
same moved moved-plain
cp "$source/specs/simclr.csl" simclr.csl

# two at once
ended 0 "$build/cslc" cache --clear
[ -z "$(ls kept)" ] || fail "objects are left after --clear"
"$build/cslc" simclr.csl -D batch=4 -D width=4 -o left 2>left.log &
compile right
wait $! || fail "one of two at once failed: $(cat left.log)"
same plain left
same plain right
compile after
found ALL

# nowhere to write: a folder that cannot be made, a full disk (files may not grow), none wanted
CSLC_CACHE="$work/plain/below"
compile nowhere
found NONE
same plain nowhere
[ ! -s out ] || fail "a folder that cannot be made is worth words"
CSLC_CACHE="$work/full"
ended 0 sh -c 'trap "" XFSZ; ulimit -f 16; exec "$@"' sh "$build/cslc" run simclr.csl -D batch=4 -D width=4 -- --help
! ls full | grep writing || fail "half-written objects are left"
compile after-full
same plain after-full
CSLC_CACHE=
compile none
same plain none
ended 0 "$build/cslc" cache
grep -q '^no object code is kept' out || fail "cslc cache names a folder when there is none"

# where it is by default
ended 0 env -u CSLC_CACHE XDG_CACHE_HOME="$work/xdg" "$build/cslc" cache
grep -q "^$work/xdg/cslc: 0 objects" out || fail "XDG_CACHE_HOME is not heeded"
ended 0 env -u CSLC_CACHE -u XDG_CACHE_HOME HOME="$work/home" "$build/cslc" cache
grep -q "^$work/home/.cache/cslc: 0 objects" out || fail "HOME is not heeded"

echo "$cases cases, $failures failures"
[ $failures = 0 ]
