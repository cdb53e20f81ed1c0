#!/bin/sh
# cslc bench from the outside: what it measures, not how long that takes: run-bench.sh SOURCE BUILD
set -eu
exec /usr/bin/python3 - "$1" "$2" <<'PYTHON'
import json, os, resource, subprocess, sys, tempfile, xml.etree.ElementTree

source, build = map(os.path.abspath, sys.argv[1:])
work = tempfile.TemporaryDirectory()
os.chdir(work.name)
failures = 0


def check(good, message):
    global failures
    if not good:
        failures += 1
        print("FAIL", message)


def bench(spec, *options, status=0):
    command = [build + "/cslc", "bench", f"{source}/specs/bench/{spec}.csl", *options]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(done.returncode == status, f"status {done.returncode}: {command}\n{done.stderr}")
    return done.stdout if status == 0 else done.stderr


# ---- the groups of every bench spec, both sides of which agree
SPECS = {
    "nt_xent": (["n=96", "d=16"], 192, 192, 16),
    "info_nce_queue": (["n=32", "m=500", "d=16"], 32, 500, 16),
    "amdim_nce": (["n=20", "m=9", "d=24"], 20, 180, 24),
    "cpc_nce": (["n=8", "m=5", "d=12"], 160, 200, 12),
    "clip": (["n=100", "d=16"], 100, 100, 16),
}
for spec, (settings, rows, columns, length) in SPECS.items():
    groups = json.loads(bench(spec, "--json", *(word for setting in settings for word in ("-D", setting))))["groups"]
    check(len(groups) == 1, f"{spec}: {len(groups)} groups")
    group = groups[0]
    check((group["rows"], group["columns"], group["length"]) == (rows, columns, length), f"{spec}: {group}")
    check(group["unfused_bytes"] >= 4 * rows * columns, f"{spec}: the unfused side stores no scores: {group}")
    check(group["fused_seconds"] > 0 and group["unfused_seconds"] > 0 and group["gflops"] > 0, f"{spec}: {group}")
    check(0 <= group["difference"] < 1e-4, f"{spec}: the sides differ: {group}")
alone = json.loads(bench("nt_xent", "-D", "n=96", "-D", "d=16", "--only=fused", "--json"))["groups"][0]
check("fused_seconds" in alone and "unfused_seconds" not in alone, f"--only=fused: {alone}")

# ---- the picture
SVG = "{http://www.w3.org/2000/svg}"


def picture(*options):
    report = json.loads(bench("nt_xent", "-D", "d=16", "--plot", "plot.svg", "--json", *options))
    drawing = xml.etree.ElementTree.parse("plot.svg").getroot()
    return report["points"], [text.text for text in drawing.iter(SVG + "text")], drawing


points, texts, drawing = picture("-D", "n=256")
check([point["n"] for point in points] == [64, 128, 256], f"{points}")
check(len(list(drawing.iter(SVG + "circle"))) == 7, "three points in two panels, and the legend's")
for before, after in zip(points, points[1:]):
    check(after["unfused_bytes"] > 3 * before["unfused_bytes"], f"stored scores grow with the square of n: {points}")
    check(after["fused_bytes"] < 3 * before["fused_bytes"], f"fused ones do not: {points}")
for wanted in ("nt_xent.csl, d=16", "fused", "unfused", "milliseconds", "megabytes", "n", "64", "128", "256"):
    check(any(text and text.startswith(wanted) for text in texts), f"no '{wanted}' in the picture: {texts}")
points, texts, _ = picture("-D", "n=70", "--only=fused")
check([point["n"] for point in points] == [64] and "unfused_bytes" not in points[0] and "unfused" not in texts, f"{points}")
if subprocess.run(["/usr/bin/python3", "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
    points, texts, _ = picture("-D", "n=64", "--against=pytorch")
    check(points[0]["pytorch_seconds"] > 0 and "PyTorch, eager" in texts, f"{points} {texts}")
else:
    print("skipped PyTorch's side: python3-torch is not installed")

# ---- wrong command lines
check("--plot wants a number above 0, not -D n=x" in bench("clip", "-D", "n=x", "--plot", "x.svg", status=2), "n=x")
check("cannot write 'nowhere/x.svg'" in bench("clip", "-D", "n=64", "-D", "d=8", "--plot", "nowhere/x.svg", status=1), "nowhere")
check("--only takes fused or unfused" in bench("clip", "--only=both", status=2), "--only")
check("--against takes pytorch" in bench("clip", "--against=jax", status=2), "--against")
check(not os.path.exists("x.svg"), "a picture of a wrong command line")

# ---- little room: OpenBLAS's threads, which would ask for memory without end, are not started
def in_little_room(*words):
    limits = (300 << 20, 300 << 20)
    return subprocess.run([build + "/cslc", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                          check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits))


if in_little_room("--version").returncode == 0:
    fits = in_little_room("bench", f"{source}/specs/bench/clip.csl", "-D", "n=64", "-D", "d=8", "--only=fused")
    check(fits.returncode == 0, f"little room for the fused side: {fits.stderr}")
    lacks = in_little_room("bench", f"{source}/specs/bench/clip.csl", "-D", "n=64", "-D", "d=8")
    if os.sysconf("SC_NPROCESSORS_ONLN") > 1:
        check(lacks.returncode == 1 and "OpenBLAS needs room for" in lacks.stderr, f"little room: {lacks}")
else:
    print("skipped little room: this build wants more by itself")
print(f"{failures} failed")
sys.exit(1 if failures else 0)
PYTHON
