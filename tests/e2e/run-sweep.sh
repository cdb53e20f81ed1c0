#!/bin/sh
# cslc sweep from the outside: tables and plot, a cell that fails, kill -9 and Ctrl-C and going on, changed settings, wrong
# command lines: run-sweep.sh SOURCE BUILD
set -eu
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$1/tests/e2e/common.sh"
# status WANTED TEXT COMMAND…: this status, and this text in what it says
status() {
    wanted=$1 text=$2
    shift 2
    ended "$wanted" "$@"
    cat err >>out
    grep -qF -- "$text" out || { fail "no '$text' from: $*"; cat out; }
}
# wait_until COMMAND…: half a minute at most
wait_until() {
    for _ in $(seq 600); do
        "$@" 2>/dev/null && return 0
        sleep 0.05
    done
    fail "waited in vain: $*"
}

cat >tiny.csl <<'SPEC'
use nn, heads, optim

method tiny {
  param batch = 4, kernel = 3, temperature = 0.5, lr = 0.1, steps = 20
  data { image[3, 16, 16] }
  augment {
    pipeline t {
      random_resized_crop(16, scale = 0.5 .. 1)
      horizontal_flip(p = 0.5)
    }
    view a = t
    view b = t
  }
  encoder { f = small(kernel) }
  extract {
    za = f(a)
    zb = f(b)
  }
  similarity { s(u, v) = cosine(u, v) / temperature }
  loss {
    scores = pairwise(s, za, zb)
    return mean(logsumexp(scores) - diagonal(scores))
  }
  train { sgd(lr = lr), steps = steps }
  evaluate {
    features(x) = f(x)
    knn(k = 5, t = 0.1), linear(epochs = 2)
  }
}

module small(x, kernel) {
  require(kernel < 16, "the kernel does not fit the picture")
  return global_pool(relu(first: conv(x, 8, kernel = kernel, stride = 2, padding = 1)))
}
SPEC
sed -e 's/^method tiny/method plain/' -e '/^  evaluate {/,/^  }/d' tiny.csl >plain.csl
data=shapes:train=40,test=20
sweep="$build/cslc sweep --backend=tcc"

# ---- a grid with a cell that fails: nothing before, the rest all the same
status 0 "to run" $sweep tiny.csl --vary kernel=3,20 --vary temperature=0.2,1/2 --out grid --dry-run -- train --data $data
[ ! -e grid ] || fail "a dry run makes a folder"
[ "$(cut -c 14- out)" = "tiny-kernel=3-temperature=0.2
$(grep -o 'tiny-kernel=3-temperature=1_2-[0-9a-f]*$' out)
tiny-kernel=20-temperature=0.2
$(grep -o 'tiny-kernel=20-temperature=1_2-[0-9a-f]*$' out)" ] || { fail "other cells"; cat out; }
status 1 "the kernel does not fit the picture" $sweep tiny.csl --vary kernel=3,20 --vary temperature=0.2,1/2 --out grid -- train --data $data
cat >check.py <<'PYTHON'
"""The three files of a sweep agree with the runs' logs: check.py FOLDER"""
import csv, glob, json, os, sys, xml.etree.ElementTree
folder = sys.argv[1]
rows = list(csv.DictReader(open(folder + "/table.csv", encoding="utf-8")))
markdown = [line for line in open(folder + "/table.md", encoding="utf-8") if line.startswith("| tiny")]
assert [row["kernel"] for row in rows] == ["3", "3", "20", "20"], rows
assert [row["temperature"] for row in rows] == ["0.2", "1/2"] * 2, rows
assert list(rows[0]) == ["cell", "kernel", "temperature", "loss", "knn", "linear", "seconds", "status", "message"], rows[0]
for row, line in zip(rows, markdown, strict=True):
    assert line.startswith(f"| {row['cell']} | {row['kernel']} | {row['temperature']} |"), line
    if row["kernel"] == "20":
        assert row["status"] == "failed" and "the kernel does not fit the picture" in row["message"], row
        assert row["loss"] == row["knn"] == row["linear"] == row["seconds"] == "", row
        assert "the kernel does not fit" in open(f"{folder}/{row['cell']}/log.txt", encoding="utf-8").read()
        assert "failed: " in line and f"{row['cell']}/log.txt" in line, line
        continue
    log = [json.loads(line) for line in open(f"{folder}/{row['cell']}/metrics.jsonl", encoding="utf-8")]
    steps = [entry for entry in log if "protocol" not in entry]
    last = [step["loss"] for step in steps if step["epoch"] == steps[-1]["epoch"]]
    accuracy = {entry["protocol"]: entry["accuracy"] for entry in log if "protocol" in entry}
    assert len(steps) == 20 and len(last) == 10 and set(accuracy) == {"knn", "linear"}, log
    assert abs(float(row["loss"]) - sum(last) / 10) < 1e-6, row
    assert abs(float(row["knn"]) - accuracy["knn"]) < 1e-7 and abs(float(row["linear"]) - accuracy["linear"]) < 1e-7, row
    assert abs(float(row["seconds"]) - sum(step["seconds"] for step in steps)) < 1e-6, row
    assert row["status"] == "done" and row["message"] == "", row
    assert f" {float(row['loss']):.4f} | {100 * accuracy['knn']:.2f} % | {100 * accuracy['linear']:.2f} % |" in line, line
assert len({row["loss"] for row in rows[:2]}) == 2, "both temperatures give the same loss"
plot = xml.etree.ElementTree.parse(folder + "/plot.svg").getroot()
texts = [text.text for text in plot.iter("{http://www.w3.org/2000/svg}text")]
for wanted in ("tiny.csl", "temperature = 0.2", "temperature = 1/2", "kernel", "kNN on the test split", "accuracy, %", "loss"):
    assert wanted in texts, (wanted, texts)
assert texts.count("×") == 6, texts
PYTHON
/usr/bin/python3 check.py grid || fail "the files of the grid"

# ---- again: what is done stays, what failed is tried again
cp -r grid before
status 1 "(done before)" $sweep tiny.csl --vary kernel=3,20 --vary temperature=0.2,1/2 --out grid -- train --data $data
for cell in grid/*-kernel=3-*; do
    diff -r "$cell" "before/${cell#grid/}" >&2 || fail "$cell is run again"
done
[ "$(grep -c '^\$ cslc run' grid/tiny-kernel=20-temperature=0.2/log.txt)" = 2 ] || fail "a failed cell is not tried again"
cmp grid/table.csv before/table.csv || fail "another table the second time"
/usr/bin/python3 check.py grid || fail "the files of the grid, the second time"

# ---- another program or other arguments in the same folder
status 1 "--steps 30" $sweep tiny.csl --vary kernel=3 --vary temperature=0.2 --out grid -- train --data $data --steps 30
status 1 "'kernel=3 temperature=0.2', not 'lr=0.2 kernel=3 temperature=0.2'" $sweep tiny.csl -D lr=0.2 --vary kernel=3 --vary temperature=0.2 --out grid -- train --data $data
status 1 "not backend llvm" "$build/cslc" sweep tiny.csl --vary kernel=3 --vary temperature=0.2 --out grid -- train --data $data
sed 's/mean(logsumexp/2 * mean(logsumexp/' tiny.csl >changed.csl
mkdir other && mv changed.csl other/tiny.csl
status 1 "another text of the spec" $sweep other/tiny.csl --vary kernel=3 --vary temperature=0.2 --out grid -- train --data $data
status 0 "(done before)" $sweep tiny.csl -D lr=1/10 --vary kernel=3 --vary temperature=0.2 --out grid -- train --data $data
mkdir foreign
cp -r grid/tiny-kernel=3-temperature=0.2 foreign/
rm foreign/*/cell.json
status 1 "no sweep began" $sweep tiny.csl --vary kernel=3 --vary temperature=0.2 --out foreign -- train --data $data

# ---- flags of the compiler: every cell gets them, the table names them, another folder is wanted for others
compiled="--precision=f32x3 --disable-pass=factor-sums --disable-pass=sink-gathers --memory-limit=1G"
short="--vary lr=0.1,0.2 --out compiled -- train --data $data --steps 2"
status 0 "table.md" "$build/cslc" sweep tiny.csl --target=portable $compiled $short
for cell in compiled/tiny-lr=0.1 compiled/tiny-lr=0.2; do
    grep -q '^\$ cslc run .* --target=portable --precision=f32x3 --memory-limit=1G --disable-pass=factor-sums --disable-pass=sink-gathers -- train' $cell/log.txt ||
        { fail "$cell is compiled otherwise"; head -1 $cell/log.txt; }
done
grep -qF '`--target=portable` `--precision=f32x3` `--memory-limit=1G` `--disable-pass=factor-sums` `--disable-pass=sink-gathers` `train' compiled/table.md ||
    { fail "the table does not name the flags"; head -3 compiled/table.md; }
status 0 "(done before)" "$build/cslc" sweep tiny.csl --target=portable $compiled $short
status 1 "precision f32x3, memory limit 1G, without factor-sums, without sink-gathers, not backend llvm, target portable, precision bf16" \
    "$build/cslc" sweep tiny.csl --target=portable --precision=bf16 $short
status 1 "a step cannot be fitted into" "$build/cslc" sweep tiny.csl --memory-limit=10K --vary lr=0.1 --out tight -- train --data $data --steps 2
status 2 "no precision 'bf61'; did you mean 'bf16'?" "$build/cslc" sweep tiny.csl --precision=bf61 $short
status 2 "no pass 'factor-sum'; did you mean 'factor-sums'?" "$build/cslc" sweep tiny.csl --disable-pass=factor-sum $short
status 2 "--memory-limit takes a number of bytes such as 800M, not 'much'" "$build/cslc" sweep tiny.csl --memory-limit=much $short

# ---- several specs; one without an evaluate section
status 0 "plain-lr=0.1  loss" $sweep tiny.csl plain.csl --vary lr=0.1,0.2 --out two -- train --data $data --steps 5
[ "$(cut -d, -f 1-3,8 two/table.csv)" = "cell,spec,lr,status
tiny-lr=0.1,tiny,0.1,done
tiny-lr=0.2,tiny,0.2,done
plain-lr=0.1,plain,0.1,done
plain-lr=0.2,plain,0.2,done" ] || { fail "the table of two specs"; cat two/table.csv; }
[ "$(grep -c '| – | – |' two/table.md)" = 2 ] || { fail "accuracies without an evaluation"; cat two/table.md; }

# ---- cut off and gone on: the same losses as in one go
long="--vary lr=0.1,0.2 -- train --data shapes:train=400,test=20 --epochs 12 --test"
status 0 "table.md" $sweep tiny.csl --out whole $long
$sweep tiny.csl --out killed $long >/dev/null 2>&1 &
pid=$!
wait_until [ -s killed/tiny-lr=0.1/last.safetensors ]
child=$(ps -o pid= --ppid $pid)
kill -9 $pid
wait $pid 2>/dev/null || true
wait_until eval "! kill -0 $child"
status 0 "to continue  tiny-lr=0.1" $sweep tiny.csl --out killed --dry-run $long
status 0 "table.md" $sweep tiny.csl --out killed $long
rm killed/tiny-lr=0.1/last.safetensors # which a run that is done can do without
status 0 "done         tiny-lr=0.1" $sweep tiny.csl --out killed --dry-run $long
mv killed/table.csv killed/table && mkdir killed/table.csv
status 1 "table.csv" $sweep tiny.csl --out killed $long
! grep -q "are written" out || fail "tables that could not be written are said to be"
rmdir killed/table.csv && mv killed/table killed/table.csv
$sweep tiny.csl --out stopped $long >stopped.out 2>&1 &
pid=$!
wait_until [ -s stopped/tiny-lr=0.1/last.safetensors ]
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 130 ] || fail "status $got after an interrupt"
grep -q 'goes on from here' stopped.out || { fail "nothing said of the interrupt"; cat stopped.out; }
grep -q '^tiny-lr=0.1,.*,stopped,$' stopped/table.csv || { fail "the table of a stopped sweep"; cat stopped/table.csv; }
grep -q '^tiny-lr=0.2,.*,waiting,$' stopped/table.csv || fail "the second cell of a stopped sweep"
status 0 "table.md" $sweep tiny.csl --out stopped $long
for folder in killed stopped; do
    for cell in tiny-lr=0.1 tiny-lr=0.2; do
        [ "$(losses whole/$cell)" = "$(losses $folder/$cell)" ] || fail "$folder/$cell differs from an uninterrupted run"
    done
    grep -q -- '--resume' $folder/tiny-lr=0.1/log.txt || fail "$folder: nothing was resumed"
    [ "$(cut -d, -f 1-5 whole/table.csv)" = "$(cut -d, -f 1-5 $folder/table.csv)" ] || fail "$folder: another table"
done
[ "$(losses whole/tiny-lr=0.1 | wc -l)" = 1200 ] || fail "1200 steps expected"

# ---- wrong command lines: nothing is run
train="-- train --data $data"
status 1 "method 'tiny' has no parameter 'temprature'" $sweep tiny.csl --vary temprature=0.1,0.5 --out wrong $train
grep -q "did you mean 'temperature'" out || fail "no suggestion"
status 1 "method 'tiny' has no parameter 'rate'" $sweep tiny.csl -D rate=1 --vary lr=0.1 --out wrong $train
status 1 "unknown name 'many'" $sweep tiny.csl --vary kernel=3,many --out wrong $train
status 1 "missing.csl" $sweep tiny.csl missing.csl --vary kernel=3 --out wrong $train
status 1 "no cell of the sweep compiles" $sweep tiny.csl --vary kernel=20,30 --out wrong $train
status 2 "--vary takes NAME=A,B, not 'kernel'" $sweep tiny.csl --vary kernel --out wrong $train
status 2 "--vary kernel=3,: a value is missing" $sweep tiny.csl --vary kernel=3, --out wrong $train
status 2 "--vary kernel=3,3: the same value twice" $sweep tiny.csl --vary kernel=3,3 --out wrong $train
status 2 "'kernel' is varied twice" $sweep tiny.csl --vary kernel=3 --vary kernel=5 --out wrong $train
status 2 "'kernel' has one value by -D and others by --vary" $sweep tiny.csl -D kernel=3 --vary kernel=5 --out wrong $train
status 2 "two specs are called 'tiny'" $sweep tiny.csl other/tiny.csl --out wrong $train
status 2 "sweep needs --vary NAME=A,B or several specs" $sweep tiny.csl --out wrong $train
status 2 "sweep needs -- train ARGUMENTS" $sweep tiny.csl --vary kernel=3 --out wrong
status 2 "sweep needs -- train ARGUMENTS" $sweep tiny.csl --vary kernel=3 --out wrong -- eval --data $data
status 2 "a sweep gives its runs no '--out'" $sweep tiny.csl --vary kernel=3 --out wrong $train --out x
status 2 "a sweep gives its runs no '--resume'" $sweep tiny.csl --vary kernel=3 --out wrong $train --resume
status 2 "a sweep gives its runs no '--out'" $sweep tiny.csl --vary kernel=3 --out wrong $train --out=x
status 2 "did you mean '--vary'" $sweep tiny.csl --vray kernel=3 --out wrong $train
status 2 "no back end 'gcc'" "$build/cslc" sweep tiny.csl --backend=gcc --vary kernel=3 --out wrong $train
status 2 "'sweep' takes no option '--json'" $sweep tiny.csl --json --vary kernel=3 --out wrong $train
status 2 "usage: cslc sweep" $sweep --vary kernel=3 --out wrong $train
[ ! -e wrong ] || fail "a wrong command line makes a folder"
status 2 "unknown flag '--epocs'; did you mean '--epochs'?" $sweep tiny.csl --vary kernel=3,5 --out misspelt $train --epocs 3
[ ! -e misspelt/tiny-kernel=5 ] || fail "cells are run with flags that there are not"
status 0 "[2/2] tiny-kernel=5  loss" $sweep tiny.csl --vary kernel=3,5 --out misspelt $train --steps 3
touch file
status 1 "file is not a folder" $sweep tiny.csl --vary kernel=3 --out file $train
status 1 "nowhere" $sweep tiny.csl --vary kernel=3 --out nodata -- train --data nowhere
status 0 "One run for each SPEC" "$build/cslc" sweep --help

echo "$cases cases, $failures failed"
[ $failures = 0 ]
