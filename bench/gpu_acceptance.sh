#!/usr/bin/env bash
# Builds weft for this machine's GPU, tests, checks and measures it: under nine minutes, no network.
# Usage: bench/gpu_acceptance.sh [STEP...], steps being tests memcheck racecheck mnist bench (all of them).
# Needs Python with NumPy, pytest and pybind11, a C++ compiler, CMake and nvcc; PyTorch and JAX are compared with if
# they are there. A step that fails or runs out of time does not stop the others. The result is
# bench/results/gpu-<card>.json; it and a log of each step also go to OUT.
#
#   OUT            folder for the logs and a copy of the result (a new temporary one)
#   PYTHON         the interpreter (python3)
#   WEFT_WHEELS    a folder of wheels for what that interpreter lacks
#   WEFT_BUILD     a folder to build in that stays, for the next run (a temporary one)
#   WEFT_SECONDS   for everything (510)
#   WEFT_RESUME    a result to go on with: what it has of the same commit and card is not measured again
#   WEFT_COMMIT    the commit, where the sources are a copy without its history
#   BENCH_OPTIONS  more options for python -m bench.gpu, such as "--workloads W6 --thorough"
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"
build=${WEFT_BUILD:-$work/build}
wanted=" ${*:-tests memcheck racecheck mnist bench} "
deadline=${WEFT_SECONDS:-510}
steps=$work/steps.tsv
: >"$steps"
failed=0
echo "logs: $out"

record() {  # NAME OUTCOME SECONDS DETAIL
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4//$'\t'/ }" >>"$steps"
  echo "$1: $2, $3 s${4:+, $4}"
  [ "$2" = ok ] || failed=1
}

detail_of() {  # NAME: what its log says in one line
  local log=$out/$1.log
  case $1 in
    build) grep -m 1 -o 'weft: CUDA .*' "$log" ;;
    tests) grep -E '[0-9]+ (passed|failed|error)' "$log" | tail -n 1 ;;
    memcheck | racecheck) grep -o -E '(ERROR|RACECHECK) SUMMARY: .*' "$log" | tail -n 1 ;;
    mnist) sed -n -E 's/^Test accuracy +([0-9.]+).*/accuracy \1/p; s/^Training speed +(.*)/\1/p' "$log" | paste -s -d ' ' ;;
  esac
}

run_step() {  # NAME LIMIT COMMAND...: at most LIMIT seconds of what is left; Ctrl-C first, so that it can sum up
  local name=$1 limit=$2 left=$((deadline - SECONDS)) begin=$SECONDS outcome
  shift 2
  if ((limit > left)); then limit=$left; fi
  if ((limit < 10)); then record "$name" "out of time" 0 ""; return 1; fi
  timeout --signal=INT --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
  local status=$?
  case $status in
    0) outcome=ok ;;
    124 | 137) outcome="stopped after $limit s" ;;
    *) outcome="failed ($status)" ;;
  esac
  record "$name" "$outcome" $((SECONDS - begin)) "$(detail_of "$name")"
  if [ "$outcome" != ok ]; then tail -n 15 "$out/$name.log" | cut -c 1-300; fi
  return $status
}

is_wanted() { [[ $wanted == *" $1 "* ]]; }

if [ -n "${WEFT_WHEELS:-}" ]; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$work/site" "$WEFT_WHEELS"/*.whl
  export PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}" PATH="$work/site/bin:$PATH"
fi

# --- Build: the package's Python files and the two modules side by side, no installation --------------------------
capability=$(nvidia-smi -i 0 --query-gpu=compute_cap --format=csv,noheader 2>/dev/null)
architecture=native
if [ "$capability" = 9.0 ]; then architecture=90a-real; fi
generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
package=$work/package
export python build package architecture
build_all() {
  set -e
  cmake -S . -B "$build" "$@" -DCMAKE_BUILD_TYPE=Release -DWEFT_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$architecture" \
    -DPython_EXECUTABLE="$(command -v "$python")" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)"
  cmake --build "$build" --parallel "$(nproc)"
  rm -rf "$package"
  mkdir -p "$package"
  cp -r python/weft "$package/weft"
  rm -f "$package"/weft/_core*.so "$package"/weft/_cuda*.so
  cp "$build"/_core*.so "$build"/_cuda*.so "$package/weft/"
  cd "$package"
  "$python" -c "import weft; assert weft.__file__.startswith('$package'), weft.__file__"
  "$python" -m weft
}
export -f build_all
export PYTHONPATH="$package${PYTHONPATH:+:$PYTHONPATH}"
if ! run_step build 280 bash -c 'build_all "$@"' build "${generator[@]}"; then wanted=" "; fi

# --- Tests and checks ------------------------------------------------------------------------------------------------
pytest=("$python" -m pytest -p no:cacheprovider --device cuda)
parallel=()
if "$python" -c 'import xdist' 2>/dev/null; then parallel=(-n 4); fi
# Long ones, and what is not about a device: most of that is marked so, and left out by itself.
others=(accuracy bench bench_conv bench_workloads cli datasets examples gpu_results packaging)
ignored=()
for name in "${others[@]}"; do ignored+=("--ignore=tests/test_$name.py"); done
if is_wanted tests; then
  run_step tests 150 "${pytest[@]}" --color=no "${parallel[@]}" "${ignored[@]}" tests
fi

sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
checked='test_devices and not w6 or test_forward and (dense- or conv2d- or lstm-)'
check() {  # TOOL OPTIONS...
  if [ -x "$sanitizer" ]; then
    run_step "$1" 75 "$sanitizer" --tool "$@" --error-exitcode 9 --print-limit 20 \
      "${pytest[@]}" tests/test_devices.py tests/test_ops.py -k "$checked"
  else
    record "$1" "left out" 0 "compute-sanitizer was not found"
  fi
}
# A test asks for more memory than there is, and weft looks at every call's answer itself.
if is_wanted memcheck; then check memcheck --report-api-errors no; fi
if is_wanted racecheck; then check racecheck; fi

if is_wanted mnist; then run_step mnist 60 "$python" -m weft mnist --device cuda; fi

# --- Speed ---------------------------------------------------------------------------------------------------------
result=$work/gpu.json
resume=()
if [ -n "${WEFT_RESUME:-}" ]; then cp "$WEFT_RESUME" "$result" && resume=(--resume); fi
if is_wanted bench; then
  budget=$((deadline - SECONDS - 40))
  # shellcheck disable=SC2086
  run_step bench 600 "$python" -m bench.gpu --budget $((budget > 1 ? budget : 1)) --out "$result" "${resume[@]}" \
    ${BENCH_OPTIONS:-}
fi
# Without a measurement the steps still need a file that says what they ran on.
if [ ! -f "$result" ]; then "$python" -m bench.gpu --budget 0.001 --out "$result" >/dev/null 2>&1; fi
"$python" -m bench.gpu_report "$result" --steps "$steps" --folder bench/results --folder "$out"
exit $failed
