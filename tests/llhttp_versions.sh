#!/bin/sh
# Runs the tests of proxy/http against both versions of llhttp that the proxy is built with: 8.1, from the sources in
# Debian 12's node-llhttp, and 9.2, Debian 13's libllhttp. What the two accept differs; what the proxy accepts must not.
#
# Debian 13's packages are fetched and checked by apt with a state of its own and unpacked below build/: nothing of
# them is installed. Says nothing unless something fails.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
build=$root/build/llhttp
unpacked=$build/debian-13
log=$build/log
mkdir -p "$build"
: >"$log"
tell() {
  [ "$1" -eq 0 ] && return
  cat "$log" >&2
  echo "llhttp_versions.sh: failed" >&2
}
trap 'tell $?' EXIT

missing=""
for package in g++ cmake ninja-build pkg-config node-llhttp doctest-dev libexpected-dev libfmt-dev libssl-dev zlib1g-dev \
  libuv1-dev libyaml-cpp-dev prometheus-cpp-dev libsqlite3-dev libhiredis-dev libpq-dev; do
  case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
    *"ok installed") ;;
    *) missing="$missing $package" ;;
  esac
done
if [ -n "$missing" ] && [ "$(id -u)" -eq 0 ]; then  # Else configuring says what is missing.
  # shellcheck disable=SC2086 # A list.
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >>"$log" 2>&1
fi

fetch_debian_13() {
  apt=$build/apt
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$unpacked.new"
  mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; ++i) if ($i ~ /^https?:/) {print $i; exit}}' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true)
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} trixie main" >"$apt/sources.list"
  set -- -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" \
    -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" -o APT::Sandbox::User=root -o Acquire::Languages=none
  apt-get "$@" update
  (cd "$apt/archives" && apt-get "$@" download libllhttp-dev libllhttp9.2)
  for package in "$apt"/archives/*.deb; do dpkg-deb --extract "$package" "$unpacked.new"; done
  mv "$unpacked.new" "$unpacked"
  rm -rf "$apt"
}
[ -d "$unpacked" ] || fetch_debian_13 >>"$log" 2>&1
config=$(dirname "$(find "$unpacked" -name 'llhttp-config.cmake' -o -name 'llhttpConfig.cmake' | head -n 1)")

run() {  # VERSION CMAKE-OPTION…
  version=$1
  shift
  cmake -S "$root" -B "$build/$version" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DSSEQUEL_WERROR=ON "$@"
  cmake --build "$build/$version" --target unit_http -j 2
  SSEQUEL_LLHTTP="$version" "$build/$version/tests/unit_http"
}
run 8.1 -DCMAKE_DISABLE_FIND_PACKAGE_llhttp=ON >>"$log" 2>&1
run 9.2 -Dllhttp_DIR="$config" >>"$log" 2>&1
