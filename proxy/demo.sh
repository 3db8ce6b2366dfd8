#!/bin/bash
# Shows what Ssequel does: builds it, starts a small legacy service that emits raw events and Ssequel in front of it,
# prints what to try, and stays until Ctrl-C.
#
#   SSEQUEL=build/release/ssequel   use this program instead of installing packages and building
#   DEMO_HOST=0.0.0.0               let other machines see the page (default 127.0.0.1)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

if [ -z "${SSEQUEL:-}" ]; then
  tests/install.sh build
  cmake --preset release -DSSEQUEL_TESTS=OFF -DSSEQUEL_BENCH=OFF >/dev/null
  cmake --build --preset release --target ssequel
  SSEQUEL=$root/build/release/ssequel
fi

# The usual ports where they are free, else any.
free_ports() {
  python3 - "$@" <<'PY'
import socket, sys
kept = []
for wanted in map(int, sys.argv[1:]):
    probe = socket.socket()
    try:
        probe.bind(("127.0.0.1", wanted))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    kept.append(probe)
print(*(probe.getsockname()[1] for probe in kept))
PY
}
read -r page_port proxy_port legacy_port admin_port < <(free_ports 8081 8080 3000 9464)
export DEMO_LISTEN=127.0.0.1:$proxy_port DEMO_ADMIN=127.0.0.1:$admin_port DEMO_LEGACY_PORT=$legacy_port
host=${DEMO_HOST:-127.0.0.1}

# In sessions of their own, so that a Ctrl-C reaches this script alone and it ends both in order.
pids=()
stop() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  echo "Both have stopped."
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

log=$(mktemp -t ssequel-demo.XXXXXX.log)
setsid "$SSEQUEL" --config proxy/demo/ssequel.yaml >"$log" 2>&1 &
pids+=($!)
setsid python3 proxy/demo/legacy.py --port "$legacy_port" --cable "$page_port:$proxy_port" --host "$host" &
pids+=($!)

ready=no
for _ in $(seq 100); do
  kill -0 "${pids[0]}" 2>/dev/null || { cat "$log"; echo "Ssequel did not start."; exit 1; }
  kill -0 "${pids[1]}" 2>/dev/null || { echo "The legacy service did not start."; exit 1; }
  if python3 - "$admin_port" "$page_port" 2>/dev/null <<'PY'
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz", timeout=1).read()
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}/", timeout=1).read()
PY
  then ready=yes; break; fi
  sleep 0.1
done
[ "$ready" = yes ] || { cat "$log"; echo "Not ready within ten seconds."; exit 1; }

cat <<TEXT

  Ssequel is running in front of a legacy service.

  In a browser: cut the connection, go offline, and watch the ids go on
      http://127.0.0.1:$page_port/

  The service itself: no ids, or ids that nobody can resume from
      curl -N http://127.0.0.1:$legacy_port/feed

  The same through Ssequel: ids 1, 2, 3
      curl -N http://127.0.0.1:$proxy_port/feed

  As a client that has seen event 3: begins with id 4
      curl -N -H 'Last-Event-ID: 3' http://127.0.0.1:$proxy_port/feed

  As a client whose id nobody can honour: is told so, by an event and a field
      curl -N -i -H 'Last-Event-ID: who-knows' http://127.0.0.1:$proxy_port/feed

  Health, channels, metrics
      curl http://127.0.0.1:$admin_port/readyz
      curl http://127.0.0.1:$admin_port/channels
      curl -s http://127.0.0.1:$admin_port/metrics | grep ^sse_

  Ssequel's log: $log
  Ctrl-C stops both.

TEXT

# Until Ctrl-C, or until one of the two ends by itself.
wait -n "${pids[@]}" || true
echo "One of the two ended:"
tail -n 20 "$log"
exit 1
