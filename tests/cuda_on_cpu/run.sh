#!/usr/bin/env bash
# Builds the CUDA kernels as host C++ and runs the tests on them: all once, and most of them (the case table, plans and
# layers) in every order of threads and under the sanitizers.
# Usage: tests/cuda_on_cpu/run.sh PYTHON [plain|sanitized], one half or both, where PYTHON has weft, numpy, pytest,
# pybind11, cmake and ninja.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(realpath -s "${1:-python3}")
half=${2:-both}
case $half in plain | sanitized | both) ;; *) echo "plain, sanitized or both, not '$half'"; exit 2 ;; esac
export PATH="$(dirname "$python"):$PATH"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

build() {  # FOLDER OPTIONS...
  cmake -S tests/cuda_on_cpu -B "$folder/$1" -G Ninja -DPython_EXECUTABLE="$python" \
    -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" "${@:2}" >/dev/null
  cmake --build "$folder/$1" >/dev/null
}
run_tests() {  # FOLDER TESTS...
  "$python" -m pytest -q -p no:cacheprovider --device cuda_on_cpu "--module-path=$folder/$1" "${@:2}"
}
# The case table, what belongs to a GPU, plans and layers.
most_tests="tests/test_ops.py tests/test_gradients.py tests/test_devices.py tests/test_copies.py tests/test_streaming.py
  $(echo tests/test_plan*.py tests/test_*layers.py tests/test_*normalization.py)"

if [ "$half" != sanitized ]; then
  build plain
  run_tests plain
  for order in reverse random; do
    echo "CUDA on the CPU, threads in $order order"
    # shellcheck disable=SC2086
    CUDA_ON_CPU_ORDER=$order run_tests plain $most_tests -k "not w6 and not w9"
  done
fi

if [ "$half" != plain ]; then
  # Without what takes half a minute and more there and reads nothing that smaller cases do not.
  small="not w6 and not w9 and not (twenty_steps and lstm) and not parts_of_a_product"
  echo "CUDA on the CPU under the sanitizers"
  build sanitized -DWEFT_SANITIZE=ON
  preload=""
  for library in libasan.so libubsan.so libstdc++.so; do preload="$preload $(g++ -print-file-name=$library)"; done
  # shellcheck disable=SC2086
  LD_PRELOAD="${preload# }" ASAN_OPTIONS=detect_leaks=0 run_tests sanitized -x $most_tests -k "$small"
fi
