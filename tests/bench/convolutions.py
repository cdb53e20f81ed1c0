"""The benchmark `bench.py conv`: convolutions layer by layer in all directions, beside PyTorch's (oneDNN)."""

import json
import os
import statistics
import subprocess
import sys
import tempfile

DIRECTIONS = ("forward", "input_grad", "weight_grad")


def layer(network, name, images, channels, size, filters, kernel=3, stride=1):
    return {"network": network, "name": name, "images": images, "channels": channels, "size": size, "filters": filters,
            "kernel": kernel, "stride": stride, "padding": kernel // 2}


def stages(network, images, width):
    """The distinct convolutions of a ResNet of basic blocks with CIFAR's stem."""
    layers = [layer(network, "stem", images, 3, 32, width), layer(network, "stage1", images, width, 32, width)]
    size, channels = 32, width
    for stage in (2, 3, 4):
        layers.append(layer(network, f"stage{stage}.first", images, channels, size, 2 * channels, stride=2))
        layers.append(layer(network, f"stage{stage}.skip", images, channels, size, 2 * channels, kernel=1, stride=2))
        size, channels = size // 2, 2 * channels
        layers.append(layer(network, f"stage{stage}", images, channels, size, channels))
    return layers


NETWORKS = {"ResNet-18, 256 images": stages("ResNet-18", 256, 64), "wide ResNet-34, 64 images": stages("wide", 64, 128)}


def function_text(at, direction):
    out = (at["size"] + 2 * at["padding"] - at["kernel"]) // at["stride"] + 1
    x = f"f32[{at['images']},{at['channels']},{at['size']},{at['size']}]"
    w = f"f32[{at['filters']},{at['channels']},{at['kernel']},{at['kernel']}]"
    y = f"f32[{at['images']},{at['filters']},{out},{out}]"
    operation, a, b, result = {"forward": ("conv2d", x, w, y), "input_grad": ("conv2d_input_grad", y, w, x),
                               "weight_grad": ("conv2d_weight_grad", x, y, w)}[direction]
    p, s = at["padding"], at["stride"]
    return (f"func @{at['name']}.{direction} {{\n  %0 = input @a : {a}\n  %1 = input @b : {b}\n"
            f"  %2 = {operation} %0, %1 {{stride=[{s},{s}], padding=[{p},{p},{p},{p}], dilation=[1,1], groups=1}} : {result}\n"
            "  output @r, %2\n}\n")


def lines_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"bench: {' '.join(command)[:200]} ended with status {done.returncode}:\n{done.stderr.strip()}", file=sys.stderr)
        sys.exit(1)
    return [json.loads(line) for line in done.stdout.splitlines()]


def measure_network(build, layers, rounds, threads):
    """Contestants take turns; seconds by function and contestant, and the machine's peak."""
    worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "convolutions_torch.py")
    seconds, operations, peak = {}, {}, 0
    with tempfile.NamedTemporaryFile("w", suffix=".ir") as file:
        file.write("module @convolutions\n" + "".join(function_text(at, d) for at in layers for d in DIRECTIONS))
        file.flush()
        for number in range(rounds):
            for line in lines_of([os.path.join(build, "tests/time_functions"), file.name, str(threads), "0.1"]):
                peak = max(peak, line.get("peak", 0))
                if "function" in line:
                    operations[line["function"]] = line["operations"]
                    seconds.setdefault((line["function"], "cslc"), []).append(line["seconds"])
            for line in lines_of([sys.executable, worker, json.dumps(layers), "--threads", str(threads)]):
                seconds.setdefault((line["function"], line["format"]), []).append(line["seconds"])
            print(f"  conv {number + 1}/{rounds}", file=sys.stderr, flush=True)
    return seconds, operations, peak


def rows_of(seconds, operations, peak):
    rows = []
    for function, work in operations.items():
        own = statistics.median(seconds[function, "cslc"])
        rival, fastest = min((statistics.median(seconds[function, name]), name) for name in ("nchw", "channels_last"))
        rows.append({"function": function, "operations": work, "cslc": own, "PyTorch": rival, "format": fastest,
                     "share of peak": work / own / peak if peak else None, "ratio": rival / own})
    return rows


def print_rows(network, rows, peak):
    print(f"\nconv: {network}; peak of the vector units {peak / 1e9:.0f} GFLOP/s. GFLOP/s count plain sums of products.")
    print("| layer | GFLOP | cslc ms | GFLOP/s | of peak | PyTorch ms | its format | PyTorch / cslc |\n|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['function']} | {row['operations'] / 1e9:.2f} | {1e3 * row['cslc']:.1f} | {row['operations'] / row['cslc'] / 1e9:.0f} "
              f"| {100 * (row['share of peak'] or 0):.0f} % | {1e3 * row['PyTorch']:.1f} | {row['format']} | {row['ratio']:.2f} |")


def table(build, rounds, threads):
    results = []
    for network, layers in NETWORKS.items():
        seconds, operations, peak = measure_network(build, layers, rounds, threads)
        rows = rows_of(seconds, operations, peak)
        print_rows(network, rows, peak)
        results.append({"name": "conv", "network": network, "peak": peak, "rows": rows})
    return results
