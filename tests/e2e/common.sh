# Shared by the scripts beside it: . "$1/tests/e2e/common.sh"
failures=0 cases=0
fail() {
    echo "FAIL $1"
    failures=$((failures + 1))
}
# ended WANTED COMMAND…: with this status, what it says in the files `out` and `err`, no trace of a crash
ended() {
    wanted=$1
    shift
    cases=$((cases + 1))
    got=0
    timeout 120 "$@" >out 2>err </dev/null || got=$?
    [ $got = "$wanted" ] || { fail "status $got instead of $wanted: $*"; cat out err; }
    ! grep -q 'Sanitizer\|runtime error' out err || { fail "a finding: $*"; cat out err; }
}
# losses FOLDER: the run's steps with their losses
losses() { sed -n 's/.*"step": \([0-9]*\),.*"loss": \([^,]*\).*"lr".*/\1 \2/p' "$1/metrics.jsonl"; }
