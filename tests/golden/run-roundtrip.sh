#!/bin/sh
# The text of the tensor IR loses nothing: every spec, every encoder and some other settings, after every pass, prints, reads back and prints to the same text, and every value knows its place in a source: run-roundtrip.sh SOURCE BUILD
set -eu
source=$1 build=$2
cslc=$build/cslc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0 count=0
fail() {
    echo "FAIL $1"
    failed=$((failed + 1))
}

# roundtrip SPEC OPTION…: every stage of one compilation
roundtrip() {
    spec=$1
    shift
    what="$(basename "$spec") $*"
    rm -f "$work"/stage-*
    "$cslc" "$spec" "$@" --verify --emit=ir --print-after=all -o "$work/stage-last.ir" >"$work/stages" || { fail "$what: status $?"; return; }
    awk -v work="$work" '/^; after / { stage = sprintf("%s/stage-%02d-%s.ir", work, ++number, $3); next } { print >stage }' "$work/stages"
    for stage in "$work"/stage-*; do
        name=$(basename "$stage" .ir)
        count=$((count + 1))
        "$cslc" opt --passes= "$stage" -o "$work/again" || { fail "$what: $name does not read back"; continue; }
        cmp -s "$stage" "$work/again" || fail "$what: $name reads back as another module"
        if grep -E '^  (%|write|output)|^(state|view|setting)' "$stage" | grep -vE ' at [0-9]+:[0-9]+:[0-9]+:[0-9]+(:[a-z]+)?( \{)?$'; then
            fail "$what: $name has values without a place"
        fi
    done
    cmp -s "$work/stage-last.ir" "$(ls "$work"/stage-[0-9]* | tail -n 1)" || fail "$what: --emit=ir is not the last stage"
}

uses() { sed -n 's/^use //p' "$1" | tr -d ,; }

for spec in "$source"/specs/*.csl; do
    case $spec in
    */amdim.csl) roundtrip "$spec" -D batch=4 -D width=4 -D encoder="amdim_encoder(depth = 2)" ;;
    */cpc.csl) roundtrip "$spec" -D batch=2 -D width=4 -D encoder=resnet18 ;;
    */byol.csl) roundtrip "$spec" -D batch=4 -D width=4 -D encoder=resnet18 ;;
    *) roundtrip "$spec" -D batch=4 ;;
    esac
done
for library in $(uses "$source/specs/simclr.csl"); do
    for encoder in $(sed -n 's/^module \([a-z_]*resnet[0-9][0-9]*\)(.*/\1/p' "$source/specs/lib/$library.csl"); do
        [ "$encoder" = cpc_resnet101 ] || roundtrip "$source/specs/simclr.csl" -D batch=4 -D width=4 -D encoder="$encoder"
    done
done
roundtrip "$source/specs/simclr.csl" -D batch=2 -D width=4 -D stem=imagenet -D temperature=1/3 -D lr=1e-30
roundtrip "$source/specs/yadim.csl" -D batch=4 -D width=4 -D source=all -D crop=true -D regulariser=0
echo "$count modules, $failed failed"
[ $failed = 0 ]
