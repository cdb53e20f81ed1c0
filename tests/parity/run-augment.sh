#!/bin/sh
# Every augmentation against torchvision, given the same parameters, by the reference and compiled code, and the
# parameters' distributions: run-augment.sh SOURCE BUILD
set -eu
source=$1 build=$2
python=/usr/bin/python3
"$python" -c 'import torchvision, PIL' 2>/dev/null || { echo "skipped: python3-torchvision is not installed"; exit 0; }
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$source/tests/parity/augment.py" "$build/tests/augment_steps" \
    llvm:avx512 llvm:avx2 llvm:portable tcc:scalar
