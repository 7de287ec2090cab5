#!/usr/bin/env bash
# Compiles the CUDA kernels with nvcc, warnings and spills in products being errors, as a build without a GPU does, and
# checks that a package with them imports and trains on the CPU, whether or not there is a driver.
# Usage: tests/nvcc.sh PYTHON [ARCHITECTURES], where PYTHON has weft, numpy, pybind11, cmake and ninja; such as
# "80-real;90a-real;120-real", for which registers are not the same, where a product was changed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "${1:-python3}")
export PATH="$(dirname "$python"):$PATH"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake -S . -B "$folder/build" -G Ninja -DWEFT_CUDA=ON -DWEFT_CUDA_STRICT=ON "-DCMAKE_CUDA_ARCHITECTURES=${2:-80}" \
  -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >/dev/null
cmake --build "$folder/build" --target _cuda >/dev/null
cp -r "$("$python" -c 'import pathlib, weft; print(pathlib.Path(weft.__file__).parent)')" "$folder/weft"
cp "$folder"/build/_cuda*.so "$folder/weft/"
cd "$folder"
"$python" - <<'END'
import numpy as np

import weft
from weft import devices

assert devices.is_built(), weft.__file__
model = weft.Sequential([weft.Input((4,)), weft.layers.Dense(3)])
model.compile("sgd", "mse")
model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
print("the CUDA kernels are built;", devices.cuda_reason() or "and a GPU is there")
END
