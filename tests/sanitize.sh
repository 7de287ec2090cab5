#!/usr/bin/env bash
# Builds the core with AddressSanitizer and UndefinedBehaviorSanitizer and runs a short list of tests on it,
# on every instruction set that the machine has.
# Usage: tests/sanitize.sh PYTHON, where PYTHON has weft, numpy, pytest, pybind11, cmake and ninja.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "${1:-python3}")
export PATH="$(dirname "$python"):$PATH"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

isas=$("$python" -c "from weft import _core; print(*_core.cpu_info()['isas_found'])")
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DWEFT_SANITIZE=ON -DWEFT_CUDA=OFF \
  -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF \
  -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >/dev/null
cmake --build "$folder/build" >/dev/null
mkdir "$folder/python"
cp -r python/weft "$folder/python/weft"
rm -f "$folder"/python/weft/_core*.so
cp "$folder"/build/_core*.so "$folder/python/weft/"

# The sanitizers' runtime has to be in the process before Python's own libraries, and the C++ library with
# it, so that exceptions can be seen. Python never frees some of its memory.
preload=""
for library in libasan.so libubsan.so libstdc++.so; do preload="$preload $(g++ -print-file-name=$library)"; done
for isa in $isas; do
  echo "sanitizers on $isa"
  LD_PRELOAD="${preload# }" ASAN_OPTIONS=detect_leaks=0 WEFT_ISA=$isa PYTHONPATH="$folder/python" \
    "$python" -m pytest -q -x -p no:cacheprovider tests/test_plan.py tests/test_plan_edges.py tests/test_fusion_limits.py \
    tests/test_winograd.py tests/test_wide_layers.py tests/test_kernel_gradients.py tests/test_nonzeros.py \
    tests/test_conv_fusion.py tests/test_gradients.py \
    -k "not allocation and not arena and not instruction_sets"
done
