#!/usr/bin/env python3
"""Reference implementation of derived keys for Python 3.9 or newer, and a source of test vectors.

    derived_keys.py print [FILE]    prints the vectors of FILE with newly computed keys
    derived_keys.py check [FILE]    exits with 1 if a key in FILE differs from the computed one

FILE defaults to tests/fixtures/derived-keys.json. To add a vector, write it into FILE without its
"key"; `print` adds the key.
"""

import hashlib
import hmac
import ipaddress
import json
import pathlib
import sys
import urllib.parse
import uuid

FIXTURE = pathlib.Path(__file__).parent.parent / "fixtures" / "derived-keys.json"


def key_for(secret: bytes, parts: list[bytes]) -> str:
    return derive(secret, b"tsa-key-v1", parts)


def key_at(secret: bytes, destination: bytes, value: bytes) -> str:
    return derive(secret, b"tsa-dst-v1", [destination, value.strip(b" \t")])


def host_of(uri: str) -> bytes:
    host = urllib.parse.urlsplit(uri).hostname  # lower case, without port and brackets
    if ":" in host:
        return ipaddress.IPv6Address(host).exploded.encode()
    return host.removesuffix(".").encode()


def derive(secret: bytes, label: bytes, parts: list[bytes]) -> str:
    message = label + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    octets = bytearray(hmac.digest(secret, message, hashlib.sha256)[:16])
    octets[6] = 0x80 | octets[6] & 0x0F
    octets[8] = 0x80 | octets[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(octets)))


def octets_of(given: dict) -> bytes:
    once = given["text"].encode() if "text" in given else bytes.fromhex(given["hex"])
    return once * given.get("times", 1)


def compute(vector: dict) -> str:
    secret = octets_of(vector["secret"])
    if "parts" in vector:
        return key_for(secret, [octets_of(part) for part in vector["parts"]])
    destination = host_of(vector["uri"]) if "uri" in vector else vector["label"].encode()
    return key_at(secret, destination, octets_of(vector["value"]))


def main(mode: str, path: str = str(FIXTURE)) -> int:
    vectors = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    computed = [{**vector, "key": compute(vector)} for vector in vectors]
    if mode == "print":
        sys.stdout.buffer.write(json.dumps(computed, indent=2, ensure_ascii=False).encode() + b"\n")
        return 0
    wrong = [vector["name"] for vector, right in zip(vectors, computed) if vector != right]
    print(f"Python: {len(vectors) - len(wrong)} of {len(vectors)} keys agree", *wrong, sep="\n  ")
    return 0 if vectors and not wrong else 1


if __name__ == "__main__":
    if sys.argv[1:2] not in (["print"], ["check"]):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
