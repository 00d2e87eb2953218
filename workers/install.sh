#!/usr/bin/env bash
# Installs what is missing to build and run the Worker: the target, with rustup, and workerd, with npm.
set -euo pipefail
cd "$(dirname "$0")"
wasm=wasm32-unknown-unknown

rustup target list --installed | grep --quiet --line-regexp "$wasm" || rustup target add "$wasm"
# npm first deletes the folder, and with it the copy of the lock file that shows what is installed.
cmp --silent package-lock.json node_modules/installed.json || {
    npm ci --ignore-scripts --no-audit --no-fund
    cp package-lock.json node_modules/installed.json
}
