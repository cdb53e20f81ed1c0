#!/bin/sh
# What `cslc explain` and `cslc diff` say: run-explain.sh SOURCE BUILD [--update]
set -eu
exec /usr/bin/python3 "$1/tests/golden/check_explain.py" "$@"
