#!/bin/sh
# The documents' commands, specs and excerpts are what they were when written: run-docs.sh SOURCE BUILD [--update] [PAGE…]
set -eu
exec /usr/bin/python3 "$1/tests/golden/check_docs.py" "$@"
