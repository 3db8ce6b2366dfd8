#!/bin/bash
# Runs every test: installs what it needs, builds the release, runs the doctest programs, the end-to-end cases, and what
# checks the manifests.
# Ends with a line `N passed, N failed`; the exit code tells the same.
#
#   tests/run.sh [--no-install] [--only ctest|e2e] [ARGUMENTS OF tests/e2e/run.py ...]
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
install=yes only=all
while [ $# -gt 0 ]; do
  case $1 in
    --no-install) install=no; shift ;;
    --only) only=$2; shift 2 ;;
    *) break ;;
  esac
done
passed=0 failed=0

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}
give_up() {
  echo "$1"
  failed=$((failed + 1))
  finish
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ "$install" = yes ]; then tests/install.sh test || give_up "installing failed"; fi

{ cmake --preset release && cmake --build --preset release -j"$(nproc)"; } >"$log" 2>&1 ||
  { grep -E -A5 'error|Error|FAILED' "$log" | head -n 80; give_up "the build failed"; }

if [ "$only" != e2e ]; then
  ctest --preset release --no-tests=error -j"$(nproc)" >"$log" 2>&1
  result=$?
  line=$(grep -E '% tests passed, [0-9]+ tests failed out of [0-9]+' "$log" | tail -n 1)
  if [ -z "$line" ]; then
    tail -n 20 "$log"
    give_up "ctest did not run"
  fi
  out_of=${line##* } bad=$(echo "$line" | sed -E 's/.*, ([0-9]+) tests failed.*/\1/')
  [ "$result" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
  [ "$bad" -gt 0 ] && grep -vE ' +Passed +' "$log"
  echo "unit and integration: $((out_of - bad)) ok, $bad failed"
  passed=$((passed + out_of - bad)) failed=$((failed + bad))

  PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s tests/checker >"$log" 2>&1
  result=$?
  out_of=$(sed -nE 's/^Ran ([0-9]+) tests?.*/\1/p' "$log")
  bad=$(grep -cE '^(FAIL|ERROR): ' "$log")
  [ "$result" -ne 0 ] && { cat "$log"; [ "$bad" -eq 0 ] && bad=1; }
  echo "the checker's own: $((${out_of:-0} - bad)) ok, $bad failed"
  passed=$((passed + ${out_of:-0} - bad)) failed=$((failed + bad))

  # Manifests, alerts and dashboard; the image takes minutes and is built by .ci/run.
  PYTHONDONTWRITEBYTECODE=1 python3 tests/k8s/run.py -g manifests -g rules >"$log" 2>&1
  line=$(tail -n 1 "$log")
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    [ "${BASH_REMATCH[2]}" -gt 0 ] && cat "$log"
    echo "for Kubernetes: ${BASH_REMATCH[1]} ok, ${BASH_REMATCH[2]} failed"
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
  else
    cat "$log"
    failed=$((failed + 1))
  fi
fi

if [ "$only" != ctest ]; then
  PYTHONDONTWRITEBYTECODE=1 python3 tests/e2e/run.py --binary build/release/ssequel "$@" 2>&1 | tee "$log" | sed '$d'
  line=$(tail -n 1 "$log")
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
  else
    give_up "the end-to-end cases did not run: $line"
  fi
  if [ $# -eq 0 ]; then  # Not where only some cases were asked for.
    PYTHONDONTWRITEBYTECODE=1 python3 tests/crash/run.py --binary build/release/ssequel --kills 20 >"$log" 2>&1
    result=$?
    [ "$result" -ne 0 ] && cat "$log"
    tail -n 2 "$log" | head -n 1
    if [ "$result" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  fi
fi
finish
