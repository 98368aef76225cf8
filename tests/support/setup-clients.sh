#!/usr/bin/env bash
# Makes the installers that the tests use, each in a virtual environment of its own:
#   pip-old  the oldest pip that this Python runs      pip-new  the newest
#   uv, poetry, twine, pip-audit  the newest                      build-tools  build, setuptools, wheel
#   pypi-attestations  the verifier of attestations that ours is compared with
#   tuf  python-tuf, and tuf-js  a folder with that package of npm's (Node.js comes from the system's packages)
#   softhsm2, gnome-keyring, dbus, secret-tool, keyctl  from the system's packages: where keys of the repository can be
#   docker-registry, skopeo, zstd  from the system's packages: a registry for bundles, and second readers of what is in it
# under $CHIRON_CLIENTS_DIR (default ~/.cache/chiron/clients), as NAME/bin/PROGRAM. What is there is kept; what is
# older than a week is brought up to date if the index answers. Everything comes from the index that pip uses here,
# and tuf-js from the registry that npm uses here.
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore

dir="${CHIRON_CLIENTS_DIR:-$HOME/.cache/chiron/clients}"
python="${PYTHON:-python3}"
max_age_days=7

say() { printf '%s\n' "$*" >&2; }
stop() {
    say "setup-clients: $*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

have "$python" || stop "there is no $python on this machine"
mkdir -p "$dir"
# Two runs at once would write into each other's environments.
exec 9>"$dir/.lock"
if have flock && ! flock -n 9; then
    say "another run is setting up $dir; waiting for it"
    flock 9
fi

# Debian keeps ensurepip in a package of its own; without it `python3 -m venv` fails.
make_venv() { "$python" -m venv "$1"; }
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "this Python makes no virtual environments (Debian: python3-venv is missing)"
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    if have apt-get && "${root[@]}" true 2>/dev/null; then
        say "  installing python3-venv with apt-get"
        "${root[@]}" apt-get update >/dev/null && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv >/dev/null || true
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "  using the package virtualenv instead"
        "$python" -m pip install --quiet --disable-pip-version-check --upgrade --target "$dir/.virtualenv" virtualenv ||
            stop "no virtual environment can be made: install python3-venv (or pip) and try again"
        make_venv() { PYTHONPATH="$dir/.virtualenv" "$python" -m virtualenv --quiet "$1"; }
    fi
fi

# pip VENV ARGUMENT…: that environment's own pip, quiet.
pip() {
    local venv=$1
    shift
    "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"
}

# The oldest pip that this Python runs: 22.3 knows no PEP 658, and needs a Python below 3.12.
install_pip_old() {
    local version
    for version in 22.3.1 23.2.1 24.0 24.2; do
        if pip "$1" install --force-reinstall "pip==$version" 2>/dev/null && "$1/bin/python" -m pip list >/dev/null 2>&1; then
            return
        fi
        # A pip that does not start cannot replace itself.
        rm -rf "$1" && make_venv "$1"
    done
    return 1
}
install_pip_new() { pip "$1" install --upgrade pip; }
install_newest() {
    local venv=$1
    shift
    pip "$venv" install --upgrade pip && pip "$venv" install --upgrade "$@"
}

identity="$("$python" -c 'import sys; print(sys.executable, sys.version.split()[0])')"

# client NAME PROGRAM INSTALL…: makes $dir/NAME unless it is there, whole, and young enough.
client() {
    local name=$1 program=$2
    shift 2
    local venv="$dir/$name" stamp="$dir/$name/.ready"
    local recipe="$identity | $*"
    if [ -x "$venv/bin/$program" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ]; then
        if [ -z "$(find "$stamp" -mtime +"$max_age_days")" ]; then
            return
        fi
        say "$name: older than $max_age_days days, bringing it up to date"
        "$1" "$venv" "${@:2}" || say "$name: that failed; the old one is kept"
        touch "$stamp"
        return
    fi
    say "$name: installing into $venv"
    rm -rf "$venv"
    make_venv "$venv" || stop "$name: the virtual environment $venv could not be made"
    "$1" "$venv" "${@:2}" || stop "$name: pip could not install it; does the index that pip uses here answer?"
    "$venv/bin/$program" --version >&2 || stop "$name: $venv/bin/$program does not start"
    printf '%s\n' "$recipe" >"$stamp"
}

client pip-old pip install_pip_old
client pip-new pip install_pip_new
client uv uv install_newest uv
client poetry poetry install_newest poetry
client twine twine install_newest twine
client build-tools pyproject-build install_newest build setuptools wheel
client pypi-attestations pypi-attestations install_newest 'pypi-attestations==0.0.30'
client pip-audit pip-audit install_newest pip-audit
# Without `cryptography` python-tuf verifies Ed25519 only, and slowly.
client tuf python install_newest tuf cryptography

# Node.js and npm, if there are none and this system's packages can be installed.
node_is_there() { have node && have npm; }
if ! node_is_there; then
    say "tuf-js: there is no Node.js on this machine"
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    if have apt-get && "${root[@]}" true 2>/dev/null; then
        say "  installing nodejs and npm with apt-get"
        "${root[@]}" apt-get update >/dev/null && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs npm >/dev/null || true
    fi
fi

# Not a virtual environment: npm has its own way. Without it the tests of the one client say that they are left out, and
# fail where CHIRON_TESTS_REQUIRE has `clients`.
tuf_js() {
    local folder="$dir/tuf-js" stamp="$dir/tuf-js/.ready"
    local recipe
    recipe="$(node --version) | tuf-js"
    if [ -d "$folder/node_modules/tuf-js" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ] &&
        [ -z "$(find "$stamp" -mtime +"$max_age_days")" ]; then
        return
    fi
    say "tuf-js: installing into $folder"
    mkdir -p "$folder"
    printf '{ "name": "chiron-tests", "private": true }\n' >"$folder/package.json"
    if npm install --prefix "$folder" --no-audit --no-fund --no-update-notifier --ignore-scripts --loglevel error tuf-js@latest >&2; then
        printf '%s\n' "$recipe" >"$stamp"
    elif [ -f "$stamp" ]; then
        say "tuf-js: that failed; the old one is kept"
        touch "$stamp"
    else
        rm -rf "$folder"
        stop "tuf-js: npm could not install it; does the registry that npm uses here answer?"
    fi
}
if node_is_there; then tuf_js; else say "LEFT OUT: tuf-js (no Node.js, and it could not be installed)"; fi

# Places of keys: a token in software, the desktop's keyring, the kernel's. Programs of the system, not of $dir.
missing=()
have softhsm2-util || missing+=(softhsm2)
have gnome-keyring-daemon || missing+=(gnome-keyring)
have dbus-run-session || missing+=(dbus)
have secret-tool || missing+=(libsecret-tools)
have keyctl || missing+=(keyutils)
if [ "${#missing[@]}" -gt 0 ]; then
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    if have apt-get && "${root[@]}" true 2>/dev/null; then
        say "places of keys: installing ${missing[*]} with apt-get"
        "${root[@]}" apt-get update >/dev/null && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null || true
    fi
fi
have softhsm2-util || say "LEFT OUT: keys in tokens (softhsm2 is missing, and could not be installed)"
have gnome-keyring-daemon && have dbus-run-session && have secret-tool && have keyctl ||
    say "LEFT OUT: keys in keyrings (one of gnome-keyring, dbus, libsecret-tools, keyutils is missing, and could not be installed)"

# A registry, and a second reader of what is in it. Debian's package starts a service of its own unless it is told not to.
missing=()
have docker-registry || missing+=(docker-registry)
have zstd || missing+=(zstd)
have skopeo || missing+=(skopeo)
if [ "${#missing[@]}" -gt 0 ]; then
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    if have apt-get && "${root[@]}" true 2>/dev/null; then
        say "registry: installing ${missing[*]} with apt-get"
        "${root[@]}" apt-get update >/dev/null && "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null || true
    fi
fi
have docker-registry || say "LEFT OUT: bundles in a real registry (docker-registry is missing, and could not be installed)"
have skopeo || say "LEFT OUT: another reader of the registry (skopeo is missing, and could not be installed)"
