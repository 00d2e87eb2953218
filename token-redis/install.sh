#!/usr/bin/env bash
# Installs the Redis that the tests start, from Debian, if it is missing.
set -euo pipefail

policy=/usr/sbin/policy-rc.d

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command -v redis-server >/dev/null && exit

# Debian starts a service when it installs one; this policy prevents that, so that its port stays free.
if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
fi
as_root apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends redis-server >/dev/null
