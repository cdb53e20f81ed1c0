"""Benchmarks: bench.py SOURCE BUILD [NAME …] [--rounds N] [--steps N] [--json FILE].

Contestants take turns (A B C A B C …) and never overlap, because each uses all cores. Figures are medians over everything
that was timed. `load at start` is the system's load average: with other programs running, figures mean little."""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import convolutions

THREADS = 2


def fail(message):
    print(f"bench: {message}", file=sys.stderr)
    sys.exit(1)


def output_and_memory(command, **settings):
    """What it prints, and the most bytes that it had in memory."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, stdout=out, stderr=errors, **settings)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if child.returncode:
            fail(f"{' '.join(command)} ended with status {child.returncode}:\n{errors.read().strip()}")
        return out.read(), 1024 * usage.ru_maxrss


def output_of(command, **settings):
    return output_and_memory(command, **settings)[0]


# ---- contestants: functions that run once and give a list of seconds, and the bytes of the whole process or None


def timed_steps(command):
    """The seconds that a program prints of its steps, without the warm-up."""

    def run():
        printed, memory = output_and_memory(command)
        steps = [json.loads(line) for line in printed.splitlines()]
        return [step["seconds"] for step in steps if not step["warm_up"]], memory

    return run


def timed_command(command):
    def run():
        begin = time.perf_counter()
        output_of(command)
        return [time.perf_counter() - begin], None

    return run


# ---- benchmarks: each gives its unit of work and its contestants in order, cslc first


STATE = re.compile(r"^state @(\S+) : f32\[([0-9,]*)\](?: layout=\S+)? role=(param|statistic)", re.M)
VIEW = re.compile(r"^  %\d+ = input @view\.(\w+) : f32\[([0-9,]*)\]", re.M)


def numbers(dims):
    return [int(number) for number in dims.split(",") if number]


def write_states(bench, spec, path):
    """What step_torch.py needs to know of a program, from its IR."""
    text = output_of([bench.cslc] + spec + ["--emit=ir"])
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"states": {name: [role, numbers(dims)] for name, dims, role in STATE.findall(text)},
                   "views": {name: numbers(dims) for name, dims in VIEW.findall(text)}}, file)


def step(bench, method, definitions, pictures, arguments):
    """The training step of specs/METHOD.csl beside PyTorch's, whose network and loss tests/parity/METHOD.py has; `pictures`
    are in the data, `arguments` those of its loss_function."""
    states = os.path.join(bench.work, method + ".json")
    spec = [f"{bench.source}/specs/{method}.csl"] + [word for setting in definitions for word in ("-D", setting)]
    write_states(bench, spec, states)
    steps = ["--steps", str(bench.steps), "--threads", str(THREADS)]
    contestants = {}
    for precision in bench.precisions:
        program = os.path.join(bench.work, f"{method}-{precision}")
        output_of([bench.cslc] + spec + [f"--precision={precision}", "-o", program])
        contestants[f"cslc, {precision}"] = timed_steps([program, "time", "--data", f"shapes:{pictures},test=1"] + steps)
    torch = [sys.executable, os.path.join(bench.source, "tests/bench/step_torch.py"), method, states] + steps
    contestants["PyTorch, NCHW"] = timed_steps(torch + ["--layout", "nchw"] + arguments)
    contestants["PyTorch, channels_last"] = timed_steps(torch + ["--layout", "channels_last"] + arguments)
    if "bf16" in bench.precisions:
        contestants["PyTorch, bf16 autocast"] = timed_steps(torch + ["--layout", "channels_last", "--bf16"] + arguments)
    return contestants


def simclr(bench):
    """seconds of a training step: specs/simclr.csl, ResNet-18 with CIFAR's stem; cslc's programs beside PyTorch"""
    definitions = [f"batch={bench.batch or 128}", f"width={bench.width or 64}"]
    return step(bench, "simclr", definitions, f"train={max(bench.batch or 128, 500)}", ["resnet18", "cifar", "0.5", "masked"])


def resnet50(bench):
    """seconds of a training step: specs/simclr.csl, ResNet-50 on 2 views of 224 px of 16 pictures"""
    definitions = [f"batch={bench.batch or 16}", f"width={bench.width or 64}", "encoder=resnet50", "stem=imagenet", "size=224"]
    return step(bench, "simclr", definitions, "train=64,size=224", ["resnet50", "imagenet", "0.5", "masked"])


def yadim(bench):
    """seconds of a training step: specs/yadim.csl, the wide ResNet-34, 64 pictures"""
    definitions = [f"batch={bench.batch or 64}", f"width={bench.width or 64}"]
    return step(bench, "yadim", definitions, "train=500", ["wide_resnet34", "last", "random", "0", "20", "0.05", "0"])


def amdim(bench):
    """seconds of a training step: specs/amdim.csl, its own encoder at width 320 and depth 10 on 64 pictures"""
    definitions = [f"batch={bench.batch or 64}", f"width={bench.width or 320}"]
    return step(bench, "amdim", definitions, "train=500", ["10", "20", "multiscale", "0"])


def cpc(bench):
    """seconds of a training step: specs/cpc.csl, its ResNet-101 on 49 patches of each of 64 pictures"""
    definitions = [f"batch={bench.batch or 64}", f"width={bench.width or 64}"]
    return step(bench, "cpc", definitions, "train=500", ["cpc_resnet101", "described", "0", "5"])


def timed_views(command, **variables):
    """Microseconds a view on the first core alone, of the steps that a program prints."""

    def run():
        lines = output_of(["taskset", "-c", "0"] + command, env=dict(os.environ, **variables)).splitlines()
        steps = [json.loads(line) for line in lines]
        return [1e6 * step["seconds"] / step["views"] for step in steps if not step["warm_up"]], None

    return run


def smooth_picture(random, size):
    from PIL import Image
    coarse = random.integers(0, 256, (max(2, size // 16), max(2, size // 16), 3), dtype="uint8")
    return Image.fromarray(coarse).resize((size, size), Image.BICUBIC)


def write_records(path, count):
    """A file in CIFAR-10's format."""
    import numpy
    random = numpy.random.default_rng(1)
    with open(path, "wb") as file:
        for number in range(count):
            pixels = numpy.asarray(smooth_picture(random, 32)).transpose(2, 0, 1)
            file.write(bytes([number % 10]) + pixels.tobytes())


def write_jpegs(folder, count, size):
    import numpy
    random = numpy.random.default_rng(1)
    for number in range(count):
        name = os.path.join(folder, "train", f"class{number % 2}")
        os.makedirs(name, exist_ok=True)
        smooth_picture(random, size).save(os.path.join(name, f"{number}.jpg"), quality=90)


def views(bench, data, torch_data, size, kernel, count):
    program = os.path.join(bench.work, f"views{size}")
    output_of([bench.cslc, f"{bench.source}/specs/bench/views.csl", "-D", f"batch={count}", "-D", f"size={size}"]
              + ["-D", f"kernel={kernel}", "-o", program])
    worker = os.path.join(bench.source, "tests/bench/views_torch.py")
    torch = [sys.executable, worker, torch_data, "--size", str(size), "--kernel", str(kernel), "--count", str(count)]
    return {
        "cslc": timed_views([program, "time", "--views", "--data", data, "--steps", "5", "--threads", "1"],
                            CSLC_PICTURE_MEMORY="0"),
        "torchvision": timed_views(torch + ["--steps", "2"]),
    }


def views_32(bench):
    """microseconds a view of 32 px from 32 px in memory, one core: SimCLR's steps with a blur of 3 px"""
    data = os.path.join(bench.work, "records")
    os.makedirs(data)
    write_records(os.path.join(data, "data_batch_1.bin"), 1024)
    return views(bench, data, os.path.join(data, "data_batch_1.bin"), 32, 3, 256)


def views_224(bench):
    """microseconds a view of 224 px from JPEG files of 400 px, decoded for every two views, one core: SimCLR's steps with a
    blur of 23 px"""
    data = os.path.join(bench.work, "jpegs")
    write_jpegs(data, 128, 400)
    return views(bench, data, data, 224, 23, 32)


def compile_time(bench):
    """seconds of cslc SPEC --no-cache -o PROGRAM, to a linked executable"""
    target = os.path.join(bench.work, "compiled")
    return {
        f"specs/{spec}.csl": timed_command([bench.cslc, f"{bench.source}/specs/{spec}.csl", "--no-cache", "-o", target])
        for spec in ("yadim", "simclr")
    }


def conv(bench):
    """convolutions layer by layer, forward and both gradients, beside PyTorch's"""
    return convolutions.table(bench.build, bench.rounds, THREADS, bench.precisions)


BENCHMARKS = {
    "simclr": simclr,
    "yadim": yadim,
    "amdim": amdim,
    "cpc": cpc,
    "resnet50": resnet50,
    "views-32": views_32,
    "views-224": views_224,
    "compile": compile_time,
}
TABLES = {"conv": conv}  # measure and print by themselves
RIVALS = {  # compared: cslc's, and the fastest of those whose names start so
    **{name: "PyTorch" for name in ("simclr", "yadim", "amdim", "cpc", "resnet50")},
    "views-32": "torchvision",
    "views-224": "torchvision",
}
PRECISIONS = ["f32", "f32x3", "f32x2", "bf16"]

# ---- the machine


def first_line(command):
    if not shutil.which(command[0]):
        return "not installed"
    return (output_of(command).splitlines() or [""])[0].strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = re.findall(r"^model name\s*: (.*)$", file.read(), re.M)
    return names[0] if names else platform.machine()


def vector_units():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(file.read().split())
    return ", ".join(flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16") if flag in flags) or "none"


def memory_gigabytes():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def package_version(name):
    done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", name], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL)
    return done.stdout.strip() if done.returncode == 0 else "not installed"


def source_version(source):
    git = ["git", "-C", source]
    if subprocess.run(git + ["rev-parse"], stderr=subprocess.DEVNULL, check=False).returncode:
        return "unknown"
    changed = output_of(git + ["status", "--porcelain", "--untracked-files=no"]).strip()
    return output_of(git + ["rev-parse", "--short=12", "HEAD"]).strip() + (" with changes" if changed else "")


def library_settings():
    """What the environment tells the libraries of both sides; some settings make them choose slower kernels."""
    known = ("OPENBLAS_", "OMP_", "MKL_", "DNNL_", "ONEDNN_", "MALLOC_")
    return " ".join(f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(known)) or "none"


def machine(source):
    return {
        "processor": processor(),
        "vector units": vector_units(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "memory": f"{memory_gigabytes()} GB",
        "kernel": platform.release(),
        "load at start": os.getloadavg()[0],
        "cslc": source_version(source),
        "C compiler": first_line([os.environ.get("CC", "cc"), "--version"]),
        "OpenBLAS": package_version("libopenblas0-pthread"),
        "PyTorch": package_version("python3-torch"),
        "library settings": library_settings(),
    }


# ---- measuring and telling


def measure(name, contestants, rounds):
    """Of each contestant, all seconds and the most bytes."""
    seconds, memory = {contestant: [] for contestant in contestants}, {}
    for number in range(rounds):
        for contestant, run in contestants.items():
            taken, used = run()
            seconds[contestant] += taken
            if used:
                memory[contestant] = max(used, memory.get(contestant, 0))
            print(f"  {name} {number + 1}/{rounds}  {contestant}: " + " ".join(f"{value:.3f}" for value in taken),
                  file=sys.stderr, flush=True)
    return seconds, memory


def summary(seconds, memory):
    figure = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds), "seconds": seconds}
    return dict(figure, peak_bytes=memory) if memory else figure


def compare(name, figures):
    """How many times as long the rival takes in its fastest setting, which is named: for each of cslc's programs, by the
    rival in f32 and, if it was measured, in bf16."""
    if name not in RIVALS:
        return []
    found = []
    for own in (contestant for contestant in figures if contestant.startswith("cslc")):
        for in_bf16 in (False, True):
            rivals = [(figure["median"], other) for other, figure in figures.items()
                      if other.startswith(RIVALS[name]) and ("bf16" in other) == in_bf16]
            if rivals:
                taken, rival = min(rivals)
                found.append({"of": own, "rival": rival, "times": taken / figures[own]["median"]})
    return found


def print_result(result):
    print(f"\n{result['name']}: {result['what']}")
    with_memory = any("peak_bytes" in figure for figure in result["figures"].values())
    print(f"  {'':26} {'median':>9} {'least':>9} {'most':>9} {'runs':>5}{'  peak MB' if with_memory else ''}")
    for contestant, figure in result["figures"].items():
        memory = f"{figure['peak_bytes'] / 1e6:9.0f}" if "peak_bytes" in figure else ""
        print(f"  {contestant:26} {figure['median']:9.3f} {figure['least']:9.3f} {figure['most']:9.3f} "
              f"{len(figure['seconds']):5d}{memory}")
    for ratio in result["comparison"]:
        print(f"  {ratio['rival']} takes {ratio['times']:.3g} times as long as {ratio['of']}")


class Bench:
    def __init__(self, chosen, work):
        self.source, self.build, self.work = os.path.abspath(chosen.source), os.path.abspath(chosen.build), work
        self.cslc = os.path.join(self.build, "cslc")
        self.rounds = chosen.rounds
        self.steps, self.batch, self.width = chosen.steps, chosen.batch, chosen.width
        self.precisions = chosen.precisions or default_precisions()


def default_precisions():
    return ["f32", "f32x2", "bf16"] if "amx_bf16" in vector_units() else ["f32"]


def precision_list(text):
    names = text.split(",")
    unknown = [name for name in names if name not in PRECISIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no precision '{unknown[0]}'; there are {', '.join(PRECISIONS)}")
    return names


def parse_options():
    options = argparse.ArgumentParser(prog="./dev bench", description="measures and compares; the machine should do "
                                      "nothing else meanwhile")
    options.add_argument("source", help=argparse.SUPPRESS)
    options.add_argument("build", help=argparse.SUPPRESS)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join([*BENCHMARKS, *TABLES])} (default: all)")
    options.add_argument("--rounds", type=int, metavar="N", default=5, help="turns of every contestant (default 5)")
    options.add_argument("--steps", type=int, metavar="N", default=2, help="timed steps a turn, after one warm-up step (default 2)")
    options.add_argument("--batch", type=int, metavar="N", help="pictures a step (default: the benchmark's)")
    options.add_argument("--width", type=int, metavar="N", help="channels of the encoder's first layer (default: the benchmark's)")
    options.add_argument("--precisions", type=precision_list, metavar="A,B", help="of cslc's steps and convolutions (default: f32, on matrix units "
                         "f32x2 and bf16, too)")
    options.add_argument("--json", metavar="FILE", help="also write everything there")
    chosen = options.parse_args()
    for name in chosen.names:
        if name not in BENCHMARKS and name not in TABLES:
            options.error(f"no benchmark '{name}'; there are {', '.join([*BENCHMARKS, *TABLES])}")
    for name in ("rounds", "steps", "batch", "width"):
        if getattr(chosen, name) is not None and getattr(chosen, name) < 1:
            options.error(f"--{name} wants a number above 0")
    return chosen


def write_json(path, document):
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    os.replace(path + ".tmp", path)


def main():
    chosen = parse_options()
    facts = machine(chosen.source)
    for fact, value in facts.items():
        print(f"{fact:15} {value}")
    if facts["load at start"] > 0.5:
        print("note: other programs are running; these figures will be noisy")
    results = []
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(chosen, work)
        for name in chosen.names or [*BENCHMARKS, *TABLES]:
            if name in TABLES:
                results += TABLES[name](bench)
                continue
            seconds, memory = measure(name, BENCHMARKS[name](bench), chosen.rounds)
            figures = {contestant: summary(values, memory.get(contestant)) for contestant, values in seconds.items()}
            settings = {"batch": chosen.batch, "width": chosen.width, "rounds": chosen.rounds, "steps": chosen.steps}
            results.append({"name": name, "what": BENCHMARKS[name].__doc__, "settings": settings, "figures": figures,
                            "comparison": compare(name, figures)})
            print_result(results[-1])
    if chosen.json:
        write_json(chosen.json, {"machine": facts, "results": results})


main()
