"""TensorBoard's event files of a run against its metrics.jsonl: check_events.py FOLDER. A reader of its own, by the format."""
import glob
import json
import os
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value


def records(path):
    data = open(path, "rb").read()
    while data:
        length, check = struct.unpack("<QI", data[:12])
        assert check == masked(data[:8]), "the check of a length"
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(body), "the check of a record"
        yield body
        data = data[16 + length :]


def varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return number, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        yield key >> 3, value


seen = {}
paths = sorted(glob.glob(os.path.join(sys.argv[1], "events.out.tfevents.*")))
for path in paths:
    for index, record in enumerate(records(path)):
        event = dict(fields(record))
        step = event.get(2, 0)
        if index == 0:
            assert event[3] == b"brain.Event:2"
        if 7 in event:  # a session starts: what came before for these steps is gone
            assert dict(fields(event[7])) == {1: 1}
            seen = {key: value for key, value in seen.items() if key[0] < step}
        for _, value in fields(event.get(5, b"")):
            scalar = dict(fields(value))
            seen[step, scalar[1].decode()] = struct.unpack("<f", scalar[2])[0]
assert len(paths) == 2, paths

wanted = {}
for line in open(os.path.join(sys.argv[1], "metrics.jsonl")):
    entry = json.loads(line)
    if "protocol" in entry:
        wanted[entry["step"] - 1, f"{entry['tested_on']}/{entry['protocol']}"] = entry["accuracy"]
    else:
        wanted.update({(entry["step"], name): entry[name] for name in entry if name not in ("step", "epoch")})
assert wanted.keys() == seen.keys(), wanted.keys() ^ seen.keys()
for key, value in wanted.items():
    assert abs(seen[key] - value) <= 1e-6 * abs(value), (key, seen[key], value)
print(f"{len(wanted)} numbers in {len(paths)} event files")
