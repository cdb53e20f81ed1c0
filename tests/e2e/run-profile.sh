#!/bin/sh
# What `cslc profile` and `train --profile` write hangs together: run-profile.sh SOURCE BUILD
set -eu
exec /usr/bin/python3 "$1/tests/e2e/check_profile.py" "$@"
