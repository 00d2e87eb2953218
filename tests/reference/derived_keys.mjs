// Reference implementation of derived keys for Node 18 or newer, and a source of test vectors.
//
//     derived_keys.mjs print [FILE]    prints the vectors of FILE with newly computed keys
//     derived_keys.mjs check [FILE]    exits with 1 if a key in FILE differs from the computed one
//
// FILE defaults to tests/fixtures/derived-keys.json.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const FIXTURE = new URL("../fixtures/derived-keys.json", import.meta.url);

function keyFor(secret, parts) {
  return derive(secret, "tsa-key-v1", parts);
}

function keyAt(secret, destination, value) {
  const trimmed = value.toString("latin1").replace(/^[ \t]+|[ \t]+$/g, "");
  return derive(secret, "tsa-dst-v1", [destination, Buffer.from(trimmed, "latin1")]);
}

function hostOf(uri) {
  const host = new URL(uri).hostname; // lower case, without port
  return Buffer.from(host.startsWith("[") ? exploded(host.slice(1, -1)) : host.replace(/\.$/, ""));
}

function exploded(address) {
  const [head, tail = []] = address.split("::").map((half) => half.split(":").filter(Boolean));
  const zeros = Array(8 - head.length - tail.length).fill("0");
  return [...head, ...zeros, ...tail].map((group) => group.padStart(4, "0")).join(":");
}

function derive(secret, label, parts) {
  const hmac = createHmac("sha256", secret).update(label);
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(part.length));
    hmac.update(length).update(part);
  }
  const octets = hmac.digest().subarray(0, 16);
  octets[6] = 0x80 | (octets[6] & 0x0f);
  octets[8] = 0x80 | (octets[8] & 0x3f);
  return octets.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function octetsOf({ text, hex, times = 1 }) {
  const once = text === undefined ? Buffer.from(hex, "hex") : Buffer.from(text);
  return Buffer.concat(Array(times).fill(once));
}

function compute(vector) {
  const secret = octetsOf(vector.secret);
  if (vector.parts) return keyFor(secret, vector.parts.map(octetsOf));
  const destination = vector.uri ? hostOf(vector.uri) : Buffer.from(vector.label);
  return keyAt(secret, destination, octetsOf(vector.value));
}

function main(mode, path = FIXTURE) {
  const vectors = JSON.parse(readFileSync(path, "utf8"));
  const computed = vectors.map((vector) => ({ ...vector, key: compute(vector) }));
  if (mode === "print") {
    process.stdout.write(JSON.stringify(computed, null, 2) + "\n");
    return 0;
  }
  const wrong = vectors.filter(({ key }, index) => key !== computed[index].key);
  const agree = vectors.length - wrong.length;
  console.log(`JavaScript: ${agree} of ${vectors.length} keys agree`);
  for (const { name } of wrong) console.log(`  ${name}`);
  return vectors.length > 0 && wrong.length === 0 ? 0 : 1;
}

const [mode, path] = process.argv.slice(2);
if (mode === "print" || mode === "check") {
  process.exitCode = main(mode, path);
} else {
  console.error("usage: derived_keys.mjs print|check [FILE]");
  process.exitCode = 2;
}
