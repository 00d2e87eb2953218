// A panic aborts and drops nothing: without a new instance, the scope of the request would stay current.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, line, sessions, upstream } from "./support.mjs";

const panic = async (session) => assert.equal((await ask("/panic", session)).status, 500);
const scope = async () => JSON.parse((await ask("/outside")).text).scope;

test("a panic leaves no scope behind", async () => {
  await panic("chat-1");
  assert.equal(await scope(), null);
  await ask("/rest");
  assert.deepEqual(sessions(), [[]]);
});

test("after a panic calls carry their callers' sessions again", async () => {
  await panic("chat-2");
  await ask("/rest", "chat-3");
  await ask("/ai", "chat-4");
  assert.deepEqual(sessions(), [line("chat-3"), line("chat-4")]);
});

test("a Durable Object sends the same id before and after a panic", async () => {
  await ask("/chats/a");
  await panic("chat-5");
  assert.equal((await ask("/chats/a")).status, 200);
  const [before, after] = sessions();
  assert.deepEqual(after, before);
});

test("a panic does not give concurrent callers each other's sessions", async () => {
  const callers = Array.from({ length: 10 }, (_, i) => `caller-${i}`);
  const release = upstream.hold();
  const answers = Promise.allSettled(callers.map((session) => ask("/turns", session)));
  await upstream.arrivals(callers.length);
  await panic("chat-6");
  const later = ask("/rest", "caller-10");
  await upstream.arrivals(callers.length + 1);
  release();
  await Promise.all([answers, later]);
  for (const { body, sessions } of upstream.seen)
    assert.deepEqual(sessions, line(/from (caller-\d+)/.exec(body)[1]));
});
