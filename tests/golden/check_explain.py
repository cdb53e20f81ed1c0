"""Checks the figures of `cslc explain` against published ones, against the manifest and against each other, and its text
and that of `cslc diff` against tests/golden/explain: check_explain.py SOURCE BUILD [--update]"""

import json
import os
import re
import subprocess
import sys
import tempfile

source, build = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
update = "--update" in sys.argv
cslc = os.path.join(build, "cslc")
failures = checks = 0


def check(good, message):
    global failures, checks
    checks += 1
    if not good:
        failures += 1
        print("FAIL", message)


def run(*arguments):
    done = subprocess.run([cslc, *arguments], cwd=source, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(done.returncode == 0, f"status {done.returncode}: cslc {' '.join(arguments)}\n{done.stderr}")
    return done.stdout


def settings(text):
    return [word for setting in text.split() for word in ("-D", setting)]


def explain(method, text):
    return json.loads(run("explain", f"specs/{method}.csl", *settings(text), "--json"))


def of_module(report, name, key):
    """The sum over the layers below a name of the encoder section, of one application an image."""
    layers = [layer for layer in report["layers"] if layer["name"].startswith(name + ".")]
    return sum(layer[key] for layer in layers) / (report["batch"] if key == "multiply_adds" else 1)


# ---- published figures: parameters without the classifier, multiply-adds of one image


def check_figures():
    cifar = explain("simclr", "batch=2")
    check(of_module(cifar, "f", "parameters") == 11168832, "ResNet-18 has 11.17 M parameters")
    check(round(of_module(cifar, "f", "multiply_adds") / 1e9, 2) == 0.56, "ResNet-18 at 32x32 takes 0.56 G multiply-adds")
    imagenet = explain("byol", "batch=1 encoder=resnet50 dataset=imagenet size=224")
    check(of_module(imagenet, "online", "parameters") == 23508032, "ResNet-50 has 23.5 M parameters")
    check(round(of_module(imagenet, "online", "multiply_adds") / 1e9, 2) == 4.09, "ResNet-50 at 224x224 takes 4.09 G multiply-adds")
    check(of_module(imagenet, "target", "multiply_adds") == of_module(imagenet, "online", "multiply_adds"), "a twin costs as much")
    check(imagenet["average_parameters"] > 0 and imagenet["parameters"] > imagenet["average_parameters"], "twins are counted apart")
    for preset, billions in (("dataset=cifar10", 5.99), ("dataset=stl10", 10.17), ("dataset=imagenet", 36.77)):
        amdim = explain("amdim", "batch=2 " + preset)
        check(round(of_module(amdim, "f", "multiply_adds") / 1e9, 2) == billions, f"AMDIM's encoder takes {billions} G multiply-adds, {preset}")
    amdim = explain("amdim", "batch=2 width=256 encoder=amdim_encoder(features=2048)")
    check(round(of_module(amdim, "f", "multiply_adds") / 1e9, 2) == 4.23, "AMDIM's larger encoder for small pictures takes 4.23 G multiply-adds")
    cpc = explain("cpc", "batch=2")
    check(round(of_module(cpc, "f", "parameters") / 1e6, 1) == 326.5, "CPC's encoder has 326.5 M parameters")
    for preset, billions in (("dataset=cifar10", 16.0), ("dataset=imagenet", 62.5)):
        cpc = explain("cpc", "batch=2 " + preset)
        check(round(of_module(cpc, "f", "multiply_adds") / 1e9, 1) == billions, f"CPC's encoder takes {billions} G multiply-adds a picture, {preset}")


# ---- every method, small: what belongs together agrees

SMALL = "batch=4 width=4"
METHODS = {  # settings; negatives of each score matrix that a softmax follows, None where they depend on labels
    "amdim": (SMALL + " encoder=amdim_encoder(depth=2)", [3 * 25, 3 * 49]),
    "barlow_twins": (SMALL, []),
    "byol": (SMALL + " encoder=resnet18", []),
    "clip": ("batch=4", [4 - 1]),
    "cmc": (SMALL + " negatives=30 images=64", [30]),
    "cpc": ("batch=2 width=4 encoder=resnet18", [2 * 49 - 1] * 6),
    "dcl": (SMALL, [2 * 4 - 2]),
    "moco": (SMALL + " negatives=40", [40]),
    "nnclr": (SMALL, [4 - 1]),
    "siglip": ("batch=4", []),
    "simclr": (SMALL, [2 * 4 - 2]),
    "simsiam": (SMALL, []),
    "supcon": (SMALL, [None]),
    "swav": (SMALL, []),
    "vicreg": (SMALL, []),
    "vectors": ("batch=4", [2 * 4 - 2]),
    "yadim": (SMALL, [3 * 16]),
}


def check_sections(method, report):
    with open(os.path.join(source, "specs", method + ".csl"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    names = [component["name"] for component in report["components"]]
    check([name for name in ("augment", "encoder", "extract", "similarity", "loss") if name in names] == names, f"{method}: {names}")
    for component in report["components"]:
        text = "\n".join(lines[component["first_line"] - 1 : component["last_line"]])
        whole = text.lstrip().startswith(component["name"]) and text.rstrip().endswith("}")
        check(component["text"] == text and whole, f"{method}: the lines of {component['name']}")


def check_method(method, text, negatives):
    report = explain(method, text)
    check_sections(method, report)
    printed = run("run", f"specs/{method}.csl", *settings(text), "--backend=interp", "--", "info")
    found = re.search(r"^ *param +\d+ tensors +(\d+) elements", printed, re.M)
    check(found and int(found.group(1)) == report["parameters"], f"{method}: parameters of the manifest")
    trained = sum(layer["parameters"] for layer in report["layers"] if not layer["average"])
    check(trained == report["parameters"], f"{method}: parameters of the layers")
    whole = sum(layer["multiply_adds"] * layer["applications"] for layer in report["layers"])
    check(whole == report["multiply_adds"], f"{method}: multiply-adds of the layers")
    views = sum(view["multiply_adds"] for view in report["views"])
    check(0 < views <= whole, f"{method}: multiply-adds of the views")
    softmax = [scores.get("most_negatives") for scores in report["scores"] if "anchors" in scores]
    check(softmax == negatives, f"{method}: negatives {softmax} instead of {negatives}")
    for scores in report["scores"]:
        elements = 1
        for size in scores["shape"]:
            elements *= size
        check(scores["bytes"] == 4 * elements, f"{method}: bytes of the scores")
    memory = report["memory"]
    check(0 < memory["peak_bytes"] <= memory["arena_bytes"] <= memory["unshared_bytes"], f"{method}: {memory}")
    check(0 < report["kernels"] <= report["launches"] and report["fused_groups"] > 0, f"{method}: kernels")
    shown = run("explain", f"specs/{method}.csl", *settings(text))
    check(len(shown.split("\n")) <= 56 and max(map(len, shown.split("\n"))) <= 132, f"{method}: more than a screen")
    check(f"{report['parameters']:,}" in shown, f"{method}: the text gives other parameters")


# ---- comparisons


def differing(*arguments):
    report = json.loads(run("diff", *arguments, "--json"))
    for component in report["components"]:
        rows = component["rows"]
        check(component["same"] == all(row["same"] for row in rows), f"{component['name']}: {rows}")
        for row in rows:
            both = "left" in row and "right" in row
            check(row["same"] == (both and row["left"] == row["right"]), f"{component['name']}: {row}")
    return [component["name"] for component in report["components"] if not component["same"]]


STEPS = """
use resnet, heads, nce, augment, optim, schedule
method steps {
  param batch = 4, encoder = resnet18, width = 4, first = true, form = long | short
  data { image[3, 32, 32] }
  augment {
    pipeline t {
      if first { horizontal_flip(p = 0.5) }
      if form == long { random_resized_crop(32, scale = 0.08 .. 1, ratio = 3/4 .. 4/3) } else { random_resized_crop([32, 16 * 2]) }
      if not first { horizontal_flip(p = 1/2) }
      normalize(cifar10)
    }
    view a = t
    view b = t
  }
  encoder { f = encoder(width = width) }
  extract {
    za = f(a).pooled
    zb = f(b).pooled
  }
  similarity { s(u, v) = cosine(u, v) / (if form == long then 2 / 4 else 0.5) }
  loss { nt_xent(za, zb, s) }
  train { adam(lr = 1e-3), constant(), epochs = 1 }
}
"""


def check_differences():
    for method in ("simclr", "cpc", "cmc"):
        check(differing(f"specs/{method}.csl") == [], f"{method} differs from itself")
    check(differing("specs/simclr.csl", "--right", "temperature=0.1") == ["similarity", "temperature"], "a temperature")
    check(differing("specs/simclr.csl", "--left", "batch=16", "--right=batch=32") == ["scores", "train"], "a batch")
    check(differing("specs/simclr.csl", "-D", "width=4", "--right=encoder=resnet34") == ["encoder"], "an encoder")
    check(differing("specs/simclr.csl", "--right", "lr=1e-4") == ["train"], "a learning rate")
    check(differing("specs/simclr.csl", "--right", "warmup=5") == ["train"], "a warm-up, under Adam too")
    check(differing("specs/simclr.csl", "specs/dcl.csl", "-D", "temperature=0.1", "--left", "smallest=0.2") == ["mask", "loss"], "SimCLR and DCL")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "steps.csl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(STEPS)
        check(differing(path, "--right", "form=short") == [], "what is said otherwise is no difference")
        check(differing(path, "--right", "first=false") == ["augment"], "the order of steps is a difference")


# ---- texts


def check_text(name, *arguments):
    """Without what depends on the machine and the passes."""
    printed = re.split("^memory", run(*arguments), flags=re.M)[0]
    path = os.path.join(source, "tests/golden/explain", name)
    if update:
        with open(path, "w", encoding="utf-8") as file:
            file.write(printed)
    with open(path, encoding="utf-8") as file:
        expected = file.read()
    check(printed == expected, f"{name}: prints something else:\n{printed}")


def main():
    check_figures()
    for method, (text, negatives) in METHODS.items():
        check_method(method, text, negatives)
    check(set(METHODS) == {name[:-4] for name in os.listdir(os.path.join(source, "specs")) if name.endswith(".csl")}, "a method is missing here")
    check_text("simclr.txt", "explain", "specs/simclr.csl")
    check_text("clip.txt", "explain", "specs/clip.csl")
    check_text("siglip.txt", "explain", "specs/siglip.csl")
    check_text("moco-layers.txt", "explain", "specs/moco.csl", "--layers", *settings("batch=4 width=4"))
    check_differences()
    check_text("amdim-cpc.txt", "diff", "specs/amdim.csl", "specs/cpc.csl")
    check_text("vectors-simclr.txt", "diff", "specs/vectors.csl", "specs/simclr.csl")
    check_text("simclr-moco.txt", "diff", "specs/simclr.csl", "specs/moco.csl")
    check_text("yadim-patches.txt", "diff", "specs/yadim.csl", "--right", "patch=8", "--right", "source=all")
    print(f"{checks} checks, {failures} failed")
    sys.exit(1 if failures else 0)


main()
