"""Profiles of a small method: every launch is counted once in each table, traces nest, and both tell of the same
launches. Times are whatever they are."""
import collections
import json
import os
import subprocess
import sys
import tempfile

SOURCE, BUILD = sys.argv[1:3]
CSLC = os.path.join(BUILD, "cslc")
STEPS = 3


def run(*arguments):
    done = subprocess.run([CSLC, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: status {done.returncode}: {done.stderr}"
    return done.stdout


def refuse(status, text, *arguments):
    done = subprocess.run([CSLC, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status and text in done.stderr, f"{arguments}: {done.returncode}: {done.stderr}"


def check_report(spec, definitions, components, views):
    report = json.loads(run("profile", spec, *definitions, "--steps=2", "--json"))
    assert report["peak_gflops"] > 0 and report.get("peak_pair_gflops", 1) > 0 and report["step_seconds"] > 0
    launches = sum(row["launches"] for row in report["components"])
    for table in ("components", "lines", "kernels"):
        rows = report[table]
        assert sum(row["launches"] for row in rows) == launches, table
        for quantity in ("seconds", "flops", "bytes_read", "bytes_written"):
            total = sum(row[quantity] for row in rows)
            wanted = sum(row[quantity] for row in report["components"])
            assert abs(total - wanted) <= 1e-6 * wanted, (table, quantity)
        assert [row["seconds"] for row in rows] == sorted((row["seconds"] for row in rows), reverse=True)
        assert all(row["launches"] > 0 and row["seconds"] > 0 and row["peak_share"] >= 0 for row in rows)
    found = {row["name"] for row in report["components"]}
    assert components <= found, found
    assert {view["name"] for view in report["views"]} == views, report["views"]
    assert all(view["items"] > 0 and view["seconds_an_item"] > 0 for view in report["views"])
    return launches


def check_trace(spec, definitions, launches, folder):
    path = os.path.join(folder, "trace.json")
    run("run", spec, *definitions, "--", "train", "--data", "shapes:train=64,test=10", "--steps", str(STEPS), "--out",
        os.path.join(folder, "run"), "--profile", path)
    with open(path, encoding="utf-8") as stream:
        events = [event for event in json.load(stream)["traceEvents"] if event["ph"] == "X"]
    assert not os.path.exists(path + ".tmp")
    of_launches = [event for event in events if "flops" in event.get("args", {})]
    steps = [event for event in events if event["name"] == "train_step"]
    assert len(steps) == STEPS, len(steps)
    inside = [event for event in of_launches
              if any(step["ts"] <= event["ts"] and event["ts"] + event["dur"] <= step["ts"] + step["dur"] + 0.01
                     for step in steps)]
    assert len(inside) == STEPS * launches, (len(inside), launches)
    assert all(event["args"]["line"].count(":") == 1 and event["cat"] != "none" for event in inside)
    views = collections.Counter(event["name"] for event in events if event.get("cat") == "augment")
    assert set(views) == {"a", "b"} and min(views.values()) >= 4 * STEPS, views
    assert all(event["tid"] > 0 for event in events if event.get("cat") == "augment")
    # what one thread does is one thing inside another, or one after the other
    ends = []
    for event in sorted((e for e in events if e["tid"] == 0), key=lambda e: (e["ts"], -e["dur"])):
        while ends and ends[-1] <= event["ts"] + 0.0005:
            ends.pop()
        end = event["ts"] + event["dur"]
        assert not ends or end <= ends[-1] + 0.002, event
        ends.append(end)


def main():
    simclr = os.path.join(SOURCE, "specs/simclr.csl")
    small = ["-D", "batch=4", "-D", "width=4"]
    launches = check_report(simclr, small, {"encoder", "similarity", "loss", "train"}, {"a", "b"})
    check_report(os.path.join(SOURCE, "specs/clip.csl"), ["-D", "batch=8"], {"encoder", "loss", "train"}, {"image", "text"})
    with tempfile.TemporaryDirectory() as folder:
        check_trace(simclr, small, launches, folder)
        with open(os.path.join(folder, "run", "metrics.jsonl"), encoding="utf-8") as file:
            before = file.read()
        refuse(1, "no-such-folder", "run", simclr, *small, "--", "train", "--data", "shapes:train=64,test=10", "--steps",
               "1", "--out", os.path.join(folder, "run"), "--profile", "/no-such-folder/trace.json")
        with open(os.path.join(folder, "run", "metrics.jsonl"), encoding="utf-8") as file:
            assert before and file.read() == before, "an old run is touched though the new one cannot begin"
    refuse(2, "--steps takes a number", "profile", simclr, "--steps=0")
    refuse(1, "fewer --steps", "profile", os.path.join(SOURCE, "specs/cpc.csl"), "-D", "width=4", "-D", "batch=2", "--steps=100")
    refuse(1, "no-such-data", "profile", simclr, *small, "--data=no-such-data")
    text = run("profile", simclr, *small, "--steps=1")
    assert len(text.splitlines()) <= 50 and "specs/lib/nn.csl" in text, text
    print("profiles hang together")


main()
