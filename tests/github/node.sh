#!/bin/sh
# Prints the path of a Node.js that can run the stand-in (emulate needs 24 or newer): the one on PATH where it is new
# enough, else the one that `npm ci` in this folder brought as a platform package. Exits 1 with a hint where neither is.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for node in "$(command -v node || true)" "$here"/node_modules/node-*/bin/node; do
  [ -x "$node" ] || continue
  major=$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -ge 24 ]; then
    printf '%s\n' "$node"
    exit 0
  fi
done
echo "tests/github: no Node.js 24 or newer; run 'npm ci' in tests/github, or install one" >&2
exit 1
