"""Checks the fenced blocks of the documents: check_docs.py SOURCE BUILD [--update] [PAGE …]

What stands behind the three backquotes says how a block is checked:

  csl            a whole spec: cslc compiles it
  csl NAME       the same, kept as the file NAME for the page's later commands and specs, one of which must use it
  LANGUAGE of=F  an excerpt of the repository's file F; lines may be indented otherwise, a line … stands for a gap
  diff           a change that applies to the repository as it is; the diffs of a page do so together
  ir             a module of the tensor IR: cslc reads it
  console        commands after "$ " (continued by "> "), run in the page's own folder, and what they print
  sh             commands that are too long to run: the options of cslc and of emitted programs must exist
  text           nothing is checked

In printed output, … stands for any text, on a line of its own for any lines. Numbers of values (%12), groups and buffers
(#12) are names: any will do that tell the same things apart. --update writes what the commands print now."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

GAP = "…"
NAMES = re.compile(r"%\d+|group=\d+|#\d+|…")


class Block:
    def __init__(self, line, info, text):
        self.line, self.text = line, text
        words = info.split()
        self.kind, self.words = (words[0] if words else "text"), words[1:]

    def excerpt_of(self):
        return next((word[3:] for word in self.words if word.startswith("of=")), None)


def blocks_of(page):
    blocks, opened = [], None
    for number, line in enumerate(page, 1):
        fence = re.match(r"```(.*)", line)
        if fence and opened is None:
            opened = (number, fence.group(1), [])
        elif fence:
            blocks.append(Block(opened[0], opened[1], opened[2]))
            opened = None
        elif opened is not None:
            opened[2].append(line)
    if opened is not None:
        blocks.append(Block(opened[0], "unclosed", []))
    return blocks


# ---- printed output


def line_matches(shown, printed, bound):
    """The bindings of names after the line, or None."""
    pattern, new = "", []
    at = 0
    for found in NAMES.finditer(shown):
        pattern += re.escape(shown[at : found.start()])
        name = found.group()
        if name == GAP:
            pattern += ".*?"
        elif name in bound:
            pattern += re.escape(bound[name]) + r"(?!\d)"
        elif name in new:
            pattern += rf"(?P=n{new.index(name)})(?!\d)"
        else:
            pattern += rf"(?P<n{len(new)}>{re.escape(name.rstrip('0123456789'))}\d+)"
            new.append(name)
        at = found.end()
    match = re.fullmatch(pattern + re.escape(shown[at:]), printed)
    if not match:
        return None
    values = [match.group(f"n{i}") for i in range(len(new))]
    if len(set(values)) < len(values) or set(values) & set(bound.values()):
        return None
    return {**bound, **dict(zip(new, values))}


def matches(shown, printed, bound):
    if not shown:
        return bound if not printed else None
    if shown[0] == GAP:
        for skipped in range(len(printed) + 1):
            result = matches(shown[1:], printed[skipped:], bound)
            if result is not None:
                return result
        return None
    if not printed:
        return None
    after = line_matches(shown[0], printed[0], bound)
    return None if after is None else matches(shown[1:], printed[1:], after)


# ---- pages


class Page:
    def __init__(self, checker, path):
        self.checker, self.path = checker, path
        with open(os.path.join(checker.source, path), encoding="utf-8") as file:
            self.lines = file.read().split("\n")
        self.blocks = blocks_of(self.lines)
        self.folder = tempfile.mkdtemp(dir=checker.work)
        os.symlink(os.path.join(checker.source, "specs"), os.path.join(self.folder, "specs"))
        self.bound = {}  # names of the current block
        self.replacements = []  # (first line, last line, new lines), 0-based, half open

    def fail(self, line, message):
        print(f"{self.path}:{line}: {message}")
        self.checker.failures += 1

    def run(self, command):
        environment = dict(os.environ, PATH=self.checker.build + os.pathsep + os.environ["PATH"], LC_ALL="C.UTF-8")
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, [line.rstrip() for line in done.stdout.rstrip("\n").split("\n")] if done.stdout else []

    def write(self, name, lines):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def check(self):
        for block in self.blocks:
            self.checker.count += 1
            if block.excerpt_of():
                self.check_excerpt(block)
            elif block.kind in CHECKS:
                CHECKS[block.kind](self, block)
            else:
                self.fail(block.line, f"a block of unknown kind '{block.kind}'")
        self.check_diffs()

    def check_excerpt(self, block):
        try:
            with open(os.path.join(self.checker.source, block.excerpt_of()), encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except OSError as problem:
            self.fail(block.line, str(problem))
            return
        at, piece = 0, []
        for line in block.text + [GAP]:
            if line.strip() != GAP:
                piece.append(line.strip())
                continue
            while at <= len(lines) and piece and lines[at : at + len(piece)] != piece:
                at += 1
            if at > len(lines):
                self.fail(block.line, f"no longer in {block.excerpt_of()}: {piece[0]}")
                return
            at, piece = at + len(piece), []

    def check_spec(self, block):
        name = block.words[0] if block.words else "page.csl"
        self.write(name, block.text)
        if block.words:
            library = re.compile(rf"^use .*\b{re.escape(name.removesuffix('.csl'))}\b", re.M)
            later = [("\n".join(other.text), other.kind) for other in self.blocks if other.line > block.line]
            if not any(name in text if kind == "console" else kind == "csl" and library.search(text) for text, kind in later):
                self.fail(block.line, f"nothing uses {name}")
            return
        status, printed = self.run(f"cslc {name} --emit=ir -o /dev/null")
        if status:
            self.fail(block.line, "does not compile:\n" + "\n".join(printed))

    def check_ir(self, block):
        self.write("page.ir", block.text)
        status, printed = self.run("cslc opt --passes= page.ir -o /dev/null")
        if status:
            self.fail(block.line, "is not read:\n" + "\n".join(printed))

    def check_console(self, block):
        at, self.bound = 0, {}
        while at < len(block.text):
            if not block.text[at].startswith("$ "):
                self.fail(block.line + 1 + at, "a command is expected")
                return
            start, command = at, block.text[at][2:]
            at += 1
            while at < len(block.text) and block.text[at].startswith("> "):
                command += "\n" + block.text[at][2:]
                at += 1
            first = at
            while at < len(block.text) and not block.text[at].startswith("$ "):
                at += 1
            self.check_command(block.line + 1 + start, command, block.line + first, [line.rstrip() for line in block.text[first:at]])

    def check_command(self, line, command, first, shown):
        status, printed = self.run(command)
        if status and not any("error" in text or "failed" in text for text in shown):
            self.fail(line, f"ends with status {status}: $ {command}")
            print("\n".join(f"  printed  {text}" for text in printed[-20:]))
        bound = matches(shown, printed, self.bound)
        if bound is not None:
            self.bound = bound
        elif self.checker.update:
            self.replacements.append((first, first + len(shown), printed))
        else:
            self.fail(line, f"prints something else: $ {command}")
            print("\n".join(f"  shown    {text}" for text in shown))
            print("\n".join(f"  printed  {text}" for text in printed[:60]))

    def check_options(self, block):
        for number, line in enumerate(block.text, block.line + 1):
            for option in re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", line.split("#")[0]):
                if option not in self.checker.options:
                    self.fail(number, f"no such option: {option}")

    def check_diffs(self):
        diffs = [block for block in self.blocks if block.kind == "diff"]
        if not diffs:
            return
        copy = os.path.join(self.folder, "copy")
        text = "\n".join("\n".join(block.text) for block in diffs) + "\n"
        for name in set(re.findall(r"^--- a/(\S+)", text, re.M)):
            os.makedirs(os.path.dirname(os.path.join(copy, name)), exist_ok=True)
            shutil.copy(os.path.join(self.checker.source, name), os.path.join(copy, name))
        done = subprocess.run(["patch", "-p1", "-d", copy, "--fuzz=0", "--no-backup-if-mismatch"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            self.fail(diffs[0].line, "the diffs of this page do not apply:\n" + done.stdout)

    def save(self):
        for first, last, lines in reversed(self.replacements):
            self.lines[first:last] = lines
        if self.replacements:
            with open(os.path.join(self.checker.source, self.path), "w", encoding="utf-8") as file:
                file.write("\n".join(self.lines))


CHECKS = {
    "csl": Page.check_spec,
    "ir": Page.check_ir,
    "console": Page.check_console,
    "sh": Page.check_options,
    "diff": lambda page, block: None,
    "text": lambda page, block: None,
}


class Checker:
    def __init__(self, source, build, work, update):
        self.source, self.build, self.work, self.update = os.path.abspath(source), os.path.abspath(build), work, update
        self.failures = self.count = 0
        self.options = self.known_options()

    def known_options(self):
        """Those of cslc, of emitted programs and of the development script."""
        cslc = os.path.join(self.build, "cslc")
        spec = ["run", os.path.join(self.source, "specs/simclr.csl"), "-D", "batch=2", "-D", "width=1", "--backend=interp", "--"]
        texts = [[cslc, "--help"], [os.path.join(self.source, "dev"), "help"]]
        texts += [[cslc, *spec, command, "--help"] for command in ("train", "eval", "embed", "info", "time")]
        options = {"--help"}
        for command in texts:
            printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
            options |= set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", printed))
        return options


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--update"]
    source, build, pages = arguments[0], arguments[1], arguments[2:]
    if not pages:
        pages = ["README.md"] + sorted("docs/" + name for name in os.listdir(os.path.join(source, "docs")) if name.endswith(".md"))
    with tempfile.TemporaryDirectory() as work:
        checker = Checker(source, build, work, "--update" in sys.argv)
        for path in pages:
            page = Page(checker, path)
            page.check()
            if checker.update:
                page.save()
    print(f"{len(pages)} pages, {checker.count} blocks, {checker.failures} failed")
    sys.exit(1 if checker.failures else 0)


main()
