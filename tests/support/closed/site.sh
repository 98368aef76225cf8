#!/usr/bin/env bash
# A disconnected site, inside a namespace that has loopback and nothing else: starts its daemon and a verifying proxy on
# FOLDER's data, runs the steps that come on stdin with $index, $proxy and `chiron` at hand, and ends both by their ids.
#   site.sh FOLDER CHIRON PIP UV
set -euo pipefail
folder=$1 binary=$2 pip=$3 uv=$4
cd "$folder"
steps=$(cat)

# The promise of this test is void where a network can be reached.
if [ "$(ls /sys/class/net 2>/dev/null | grep -cv '^lo$' || true)" != 0 ] && python3 - <<'EOF'
import socket, sys
try:
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect(("192.0.2.1", 9))  # TEST-NET-1: a route is enough, nothing is sent
except OSError:
    sys.exit(1)
EOF
then
    echo "this is not a closed namespace" >&2
    exit 99
fi

ended() { for id in "${running[@]}"; do kill "$id" 2>/dev/null || true; done; wait || true; }
running=()
trap ended EXIT

# listening FILE ID: the address that a process printed, once it listens.
listening() {
    local left=600
    until grep -q '^listening on ' "$1"; do
        kill -0 "$2" 2>/dev/null || { cat "$1" "$1.err" >&2; exit 98; }
        left=$((left - 1)); [ "$left" -gt 0 ] || { echo "$1: nothing listens" >&2; exit 98; }
        sleep 0.1
    done
    sed -n 's/^listening on //p' "$1" | head -n 1
}

# What an earlier process said is not taken for what this one says.
rm -f serve.out proxy.out
"$binary" --config chiron.toml serve >serve.out 2>serve.out.err &
daemon=$!
running+=("$daemon")
CHIRON_SERVER=$(listening serve.out "$daemon")
export CHIRON_SERVER
CHIRON_TOKEN=$(cat data/admin.token)
export CHIRON_TOKEN
index="$CHIRON_SERVER/simple/"
chiron() { "$binary" --config chiron.toml "$@"; }
pip() { "$pip" --disable-pip-version-check --no-cache-dir "$@"; }
uv() { "$uv" --no-config --no-cache "$@"; }

# begin_proxy: the site's own root, over a way that is trusted: it is the same disk.
begin_proxy() {
    cp -f data/tuf/root.json proxy-root.json
    "$binary" proxy --root proxy-root.json --upstream "$CHIRON_SERVER" --listen 127.0.0.1:0 --state proxy-state \
        >proxy.out 2>proxy.out.err &
    local id=$!
    running+=("$id")
    proxy="$(listening proxy.out "$id")/simple/"
}

eval "$steps"
