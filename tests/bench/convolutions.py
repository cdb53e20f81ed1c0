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


def fail(what, errors=""):
    print(f"bench: {what}\n{errors}", file=sys.stderr)
    sys.exit(1)


class Rival:
    """A process of PyTorch that is asked for one layer after the other."""

    def __init__(self, threads):
        worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "convolutions_torch.py")
        self.process = subprocess.Popen([sys.executable, worker, "--threads", str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def seconds(self, at, bf16):
        """The faster memory format's seconds, and which it is, by direction."""
        print(json.dumps(dict(at, bf16=bf16)), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            fail("PyTorch's worker has ended")
        taken = json.loads(line)
        return {d: min((seconds[d], name) for name, seconds in taken.items()) for d in DIRECTIONS}

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def own_seconds(build, at, threads, precision):
    """cslc's lines by direction, and the peak of the units at that moment."""
    with tempfile.NamedTemporaryFile("w", suffix=".ir") as file:
        file.write("module @convolutions\n" + "".join(function_text(at, d) for d in DIRECTIONS))
        file.flush()
        command = [os.path.join(build, "tests/time_functions"), file.name, str(threads), "0.1", precision]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            fail(f"{' '.join(command)} ended with status {done.returncode}", done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["function"].rsplit(".", 1)[1]: line for line in lines[1:]}, lines[0]["peak"]


def measure_round(build, layers, threads, precisions):
    """One measurement of every layer and direction, by precision. The contestants take turns layer by layer: clocks and
    neighbours change within seconds, so only what was measured side by side is compared. The rival has bf16 tensors where
    cslc multiplies in bf16, else f32."""
    rival, rows = Rival(threads), {precision: [] for precision in precisions}
    for at in layers:
        others = {bf16: rival.seconds(at, bf16) for bf16 in {precision == "bf16" for precision in precisions}}
        for precision in precisions:
            own, peak = own_seconds(build, at, threads, precision)
            for direction in DIRECTIONS:
                seconds, work = own[direction]["seconds"], own[direction]["operations"]
                taken, layout = others[precision == "bf16"][direction]
                rows[precision].append({"function": f"{at['name']}.{direction}", "operations": work, "cslc": seconds,
                                        "PyTorch": taken, "format": layout, "peak": peak, "ratio": taken / seconds})
    rival.end()
    return rows


def medians(rounds):
    """Of each figure over the rounds; the format that was faster more often. Shares are of the highest peak seen."""
    rows, peak = [], max(row["peak"] for measured in rounds for row in measured)
    for same in zip(*rounds):
        row = {key: statistics.median(r[key] for r in same) for key in ("operations", "cslc", "PyTorch", "ratio")}
        row["share"] = row["operations"] / row["cslc"] / peak
        rows.append({"function": same[0]["function"], "format": statistics.mode(r["format"] for r in same), "peak": peak, **row})
    return rows


def print_rows(network, precision, rows):
    print(f"\nconv: {network}, {precision}. Peak of the units it is meant for: {rows[0]['peak'] / 1e9:.0f} GFLOP/s. Shares count the "
          "operations of plain sums of products, so that Winograd's method can pass it.")
    print("| layer | GFLOP | cslc ms | of peak | PyTorch ms | its format | PyTorch / cslc |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['function']} | {row['operations'] / 1e9:.2f} | {1e3 * row['cslc']:.1f} | {100 * row['share']:.0f} % "
              f"| {1e3 * row['PyTorch']:.1f} | {row['format']} | {row['ratio']:.2f} |")


def table(build, rounds, threads, precisions):
    results = []
    for network, layers in NETWORKS.items():
        measured = []
        for number in range(rounds):
            measured.append(measure_round(build, layers, threads, precisions))
            print(f"  conv {network}: {number + 1}/{rounds}", file=sys.stderr, flush=True)
        for precision in precisions:
            own = [rows[precision] for rows in measured]
            rows = medians(own)
            print_rows(network, precision, rows)
            results.append({"name": "conv", "network": network, "precision": precision, "rows": rows, "rounds": own})
    return results
