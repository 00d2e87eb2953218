// A Durable Object sends its id as its session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, line, sessions, upstream } from "./support.mjs";

const idOf = ([[header]]) => /^x-session-affinity: ([0-9a-f]{64})$/.exec(header)[1];

test("a Durable Object sends its id, no matter who calls it", async () => {
  assert.equal((await ask("/chats/a", "chat-1")).status, 200);
  assert.equal((await ask("/chats/a")).status, 200);
  const id = idOf(sessions());
  assert.deepEqual(sessions(), [line(id), line(id)]);
});

test("each Durable Object sends its own id", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `chat-${i}`);
  upstream.holdUntil(names.length);
  await Promise.all(names.map((name) => ask(`/chats/${name}`, "chat-1")));
  assert.equal(new Set(sessions().flat()).size, names.length);
});

test("the alarm of a Durable Object sends its id, too", async () => {
  await ask("/chats/b");
  const id = idOf(sessions());
  const alarm = upstream.arrivals(2);
  assert.deepEqual(await ask("/chats/b/later"), { status: 200, location: null, text: "later" });
  await alarm;
  assert.deepEqual(sessions(), [line(id), line(id)]);
  assert.deepEqual(JSON.parse(upstream.seen[1].body).inputs, { prompt: "alarm" });
});
