#!/usr/bin/env bash
# Builds the core with AddressSanitizer and UndefinedBehaviorSanitizer and runs a short list of tests on it.
# Usage: tests/sanitize.sh PYTHON, where PYTHON has numpy, pytest, pybind11, cmake and ninja.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "${1:-python3}")
bin=$(dirname "$python")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PATH="$bin:$PATH" cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DWEFT_SANITIZE=ON \
  -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >/dev/null
PATH="$bin:$PATH" cmake --build "$folder/build"
cp -r python/weft "$folder/weft"
cp "$folder"/build/_core*.so "$folder/weft/"
# Python itself leaks by design; the runtime must be in the process before it.
preload="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
for isa in baseline avx2 avx512; do
  "$python" -c "import sys; sys.path.insert(0, '$folder')
import weft; sys.exit('$isa' not in weft._core.cpu_info()['isas_found'])" 2>/dev/null || \
  LD_PRELOAD="$preload" ASAN_OPTIONS=detect_leaks=0 PYTHONPATH="$folder" "$python" -c "
import sys, weft; sys.exit(0 if '$isa' in weft._core.cpu_info()['isas_found'] else 3)" || continue
  echo "sanitizers on $isa"
  LD_PRELOAD="$preload" ASAN_OPTIONS=detect_leaks=0 WEFT_ISA=$isa PYTHONPATH="$folder" \
    "$python" -m pytest -q -x -p no:cacheprovider tests/test_ops.py tests/test_sequential.py
done
