#!/bin/bash
# Brings what tests/k8s/run.py needs, on Debian 12 or 13: npm packages here, and kustomize, promtool and Prometheus in
# build/k8s/tools. These three come from Debian 13, whose packages run on Debian 12 too (Debian 12's own kustomize is too old
# for components); they are unpacked, not installed, so that neither the system nor its sources change.
#
#   tests/k8s/install.sh           these
#   tests/k8s/install.sh image     and buildah, podman and mmdebstrap (as root), with which the image is built and run
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
what=${1:-}
export DEBIAN_FRONTEND=noninteractive

tools=$root/build/k8s/tools
if [ ! -x "$tools/usr/bin/prometheus" ]; then
  mkdir -p "$root/build/k8s"
  scratch=$(mktemp -d "$root/build/k8s/tools.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$scratch/lists/partial" "$scratch/root"
  # The mirror that this machine uses.
  mirror=$(sed -nE 's/^(URIs:|deb) +(\[[^]]*\] +)?(https?:[^ ]*debian\/?)( .*)?$/\3/p' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} trixie main" \
    >"$scratch/sources.list"
  apt=(-q -o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=-
    -o "Dir::State::lists=$scratch/lists" -o Dir::State::status=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User=root -o Acquire::Languages=none)
  cd "$scratch"
  if ! { apt-get "${apt[@]}" update && apt-get "${apt[@]}" download kustomize promtool prometheus; } >log 2>&1; then
    tail -n 20 log >&2
    exit 1
  fi
  for package in ./*.deb; do dpkg-deb -x "$package" root; done
  rm -rf "$tools"
  mv root "$tools"
fi

cd "$here"
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi

if [ "$what" = image ]; then
  missing=()
  for package in buildah podman runc conmon mmdebstrap; do
    command -v "$package" >/dev/null || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    log=$(mktemp)
    if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      exit 1
    fi
    rm -f "$log"
  fi
fi
