#!/usr/bin/env bash
# Installs the outside programs of the tests on Debian or Ubuntu: run it as often as you like.
#
#   bash tests/install-clients.sh
#
# Programs come from the distribution. What Python needs (the contract proxies, SFTP clients) goes into a virtual environment
# outside the repository: $MESSO_VENV, else $XDG_CACHE_HOME/messo/python, else ~/.cache/messo/python. The tests look for it
# there (tests/common/mod.rs); $MESSO_PYTHON names another Python that has the modules. What Node.js needs goes to $MESSO_NODE,
# else to the folder `node` beside it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=${MESSO_SHARED:-$here/../shared}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/messo
venv=${MESSO_VENV:-$cache/python}
node=${MESSO_NODE:-$cache/node}

# program:package
wanted=(
    xmllint:libxml2-utils # judges our XSD and what we publish
    unzip:unzip           # the rival of the ingest measurement, and a second opinion on our archives
    zip:zip               # archives as others make them: encrypted, split, with data descriptors
    sqlite3:sqlite3       # looks into the store from outside
    qpdf:qpdf             # encrypted PDFs, and a second opinion on those we write
    sshd:openssh-server   # the rival of the SFTP measurement, started by it on a port of its own
    openssl:openssl       # keys for the PDND voucher
    systemd-analyze:systemd # reads our unit
    lintian:lintian       # judges our package
    dpkg-shlibdeps:dpkg-dev
    fakeroot:fakeroot
    man:man-db            # reads our manual pages
    python3:python3
    # Clients of the SFTP door:
    sftp:openssh-client
    curl:curl
    lftp:lftp
    psftp:putty-tools
    puttygen:putty-tools
    rclone:rclone
    sshfs:sshfs
    fusermount3:fuse3
    node:nodejs
    npm:npm
    javac:default-jdk-headless
)

# What asks the network is asked again: three times, later each time.
retry() {
    local time
    for time in 1 2; do
        "$@" && return
        echo "install-clients: non riuscito ($time): $*; si riprova" >&2
        sleep $((time * 15))
    done
    "$@"
}
apt=(-qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=120)

root=()
if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
missing=()
for pair in "${wanted[@]}"; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}")
done
[ -e /usr/share/java/jsch.jar ] || missing+=(libjsch-java)
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv python3-pip)

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "install-clients: qui non c'è apt-get; installare a mano: ${missing[*]}" >&2
        exit 1
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    packages() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y "${apt[@]}" --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
    # A fresh machine has no package lists; an old one may have stale ones.
    if ! packages; then
        retry "${root[@]}" apt-get update "${apt[@]}" >>"$log" 2>&1 || true
        retry packages || { cat "$log" >&2; echo "install-clients: non installati: ${missing[*]}" >&2; exit 1; }
    fi
    echo "install-clients: installati ${missing[*]}"
fi

# --- Python ---
if [ -n "${MESSO_PYTHON:-}" ]; then
    echo "install-clients: le prove usano $MESSO_PYTHON"
else
    requirements=("$here/tests/clients/requirements.txt")
    modules='import aiosmtpd, asyncssh, paramiko, rfc3339_validator, ssh_audit'
    if [ -f "$shared/contract/requirements.txt" ]; then
        requirements+=("$shared/contract/requirements.txt")
        modules+=', aiohttp, jsonschema, lxml, yaml'
    else
        echo "install-clients: $shared/contract assente: prove del contratto non preparate"
    fi
    stamp=$venv/requirements.installed
    if ! cat "${requirements[@]}" | cmp -s - "$stamp" || ! "$venv/bin/python3" -c "$modules" 2>/dev/null; then
        mkdir -p "$(dirname "$venv")"
        [ -x "$venv/bin/python3" ] && "$venv/bin/python3" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
        retry "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --retries 10 --timeout 60 "${requirements[@]/#/--requirement=}"
        cat "${requirements[@]}" >"$stamp"
        echo "install-clients: ambiente Python in $venv"
    fi
fi

# --- Prometheus' judge of rules and figures ---
# Taken out of its package: installing that would start a server.
if ! command -v promtool >/dev/null 2>&1 && ! [ -x "$cache/bin/promtool" ]; then
    place=$(mktemp -d)
    chmod 755 "$place"
    download() { (cd "$place" && apt-get download "${apt[@]}" prometheus); }
    # Without package lists it fails: they are fetched, and what then goes wrong is shown.
    download >/dev/null 2>&1 || { retry "${root[@]}" apt-get update "${apt[@]}" && retry download; }
    dpkg-deb --extract "$place"/prometheus_*.deb "$place/tree"
    mkdir -p "$cache/bin"
    install -m 755 "$place/tree/usr/bin/promtool" "$cache/bin/promtool"
    rm -rf "$place"
    echo "install-clients: promtool in $cache/bin"
fi

# --- Node.js ---
npm_package=ssh2-sftp-client@12.1.1
installed=$(NODE_PATH=$node/node_modules node -p 'require("ssh2-sftp-client/package.json").version' 2>/dev/null || true)
if [ "$installed" != "${npm_package#*@}" ]; then
    mkdir -p "$node"
    # Its scripts would only build what makes it faster.
    retry npm install --loglevel=error --fetch-retries 5 --no-audit --no-fund --ignore-scripts --prefix "$node" "$npm_package"
    echo "install-clients: $npm_package in $node"
fi
