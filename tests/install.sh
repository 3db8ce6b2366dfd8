#!/bin/bash
# Installs, on Debian 12 or 13 as root, what is needed and not there yet.
#
#   tests/install.sh build   a compiler and the libraries
#   tests/install.sh test    these, the programs that the tests run, and the npm packages of tests/e2e (the default)
#   tests/install.sh ci      these, clang 19 for the fuzzers and the format check, and what builds and runs an image
#
# What is there already is kept, an own Node.js too. Without root, or elsewhere than on Debian, it says what is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
what=${1:-test}

packages=(cmake ninja-build g++ pkg-config ccache libuv1-dev libyaml-cpp-dev prometheus-cpp-dev libexpected-dev
  libfmt-dev zlib1g-dev libssl-dev libhiredis-dev libsqlite3-dev libpq-dev ca-certificates)
# llhttp: a library in Debian 13, the sources inside node-llhttp in Debian 12.
if [ -r /etc/os-release ] && [ "$(. /etc/os-release && echo "${VERSION_ID:-0}")" -ge 13 ] 2>/dev/null; then
  packages+=(libllhttp-dev)
else
  packages+=(node-llhttp)
fi
case $what in
  build) packages+=(python3 curl) ;;
  test | ci)
    packages+=(doctest-dev python3 curl chromium sqlite3 redis-server postgresql)
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
    ;;
  *) echo "tests/install.sh build|test|ci" >&2; exit 2 ;;
esac
[ "$what" = ci ] && packages+=(clang-19 clang-format-19 libclang-rt-19-dev)

missing=()
for package in "${packages[@]}"; do
  # A program that came from elsewhere will do.
  case $package in
    python3 | curl | cmake | chromium | sqlite3 | g++ | ccache | pkg-config) command -v "$package" >/dev/null && continue ;;
    ninja-build) command -v ninja >/dev/null && continue ;;
  esac
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "missing: ${missing[*]} (installing them needs apt-get and root)" >&2
    exit 1
  fi
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    exit 1
  fi
  rm -f "$log"
fi

if [ "$what" != build ]; then
  cd "$root/tests/e2e"
  # Anew only when the list of packages changed: node_modules/.package-lock.json is what npm wrote last.
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
  fi
fi

# What only the checks of manifests, alerts and the image need: without it these fail, and no others.
case $what in
  test) "$root/tests/k8s/install.sh" || echo "tests/k8s/install.sh failed" >&2 ;;
  ci) "$root/tests/k8s/install.sh" image || echo "tests/k8s/install.sh failed" >&2 ;;
esac
