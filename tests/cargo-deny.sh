#!/usr/bin/env bash
# Licences, bans and sources of every dependency, by the rules of deny.toml.
#
# Advisories need the RustSec database; `cargo deny check advisories` fetches it where the network
# allows.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tool=$(command -v cargo-deny || true)
if [ -z "$tool" ] || ! "$tool" --version | grep -qE ' 0\.(1[6-9]|[2-9][0-9])\.'; then
  tool=.work/tools/bin/cargo-deny
  if [ ! -x "$tool" ]; then
    echo "installing cargo-deny $version into .work/tools"
    cargo install --quiet --locked --debug --root .work/tools "cargo-deny@$version"
  fi
fi
"$tool" --locked check licenses bans sources
