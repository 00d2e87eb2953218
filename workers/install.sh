#!/usr/bin/env bash
# Installs what the Worker is built and run with, and only what is missing: the target, by rustup, and workerd, by npm.
set -euo pipefail
cd "$(dirname "$0")"
wasm=wasm32-unknown-unknown

rustup target list --installed | grep --quiet --line-regexp "$wasm" || rustup target add "$wasm"
# npm removes the folder first, and with it the copy that says what is in there.
cmp --silent package-lock.json node_modules/installed.json || {
    npm ci --ignore-scripts --no-audit --no-fund
    cp package-lock.json node_modules/installed.json
}
