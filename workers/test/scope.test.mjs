// Which calls are in the scope of a request.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import { ask, line, sessions, upstream, url } from "./support.mjs";

const asked = (request) => /from (\S+?)[ "]/.exec(request.body)[1];

test("fifty concurrent callers each have their own session", async () => {
  // The number of calls of each: in turn, joined, while the body streams, through a service binding, and through the AI
  // binding.
  const calls = { "/turns": 2, "/join": 3, "/stream": 5, "/service": 1, "/ai": 1 };
  const paths = Object.keys(calls);
  const callers = Array.from({ length: 50 }, (_, i) => ({ session: `caller-${i}`, path: paths[i % paths.length] }));
  upstream.holdUntil(callers.length);

  const answers = await Promise.all(callers.map(({ session, path }) => ask(path, session)));

  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  // The body names the caller, and the header must have the same caller's session.
  for (const request of upstream.seen) assert.deepEqual(request.sessions, line(asked(request)));
  for (const { session, path } of callers)
    assert.equal(upstream.seen.filter((request) => asked(request) === session).length, calls[path], path);
});

test("a body that is streamed long after the handler has returned is in the scope", async () => {
  const { text } = await ask("/stream", "chat-1");
  assert.equal(text, "200 OK\n".repeat(4));
  assert.deepEqual(sessions(), Array(5).fill(line("chat-1")));
});

const sessionsOf = (task) => upstream.seen.filter(({ body }) => body.includes(task)).map(({ sessions }) => sessions);

test("a spawned task carries the session if it takes it along", async () => {
  assert.equal((await ask("/spawn", "chat-2")).status, 200);
  assert.deepEqual(sessionsOf("bare"), [[], []]);
  assert.deepEqual(sessionsOf("taken along"), [line("chat-2"), line("chat-2")]);
});

test("a task that continues after the response carries the session if it takes it along", async () => {
  const release = upstream.hold();
  assert.equal((await ask("/wait-until", "chat-3")).status, 200);
  // Only now are the first calls answered and the second calls made.
  release();
  await upstream.arrivals(4);
  assert.deepEqual(sessionsOf("bare"), [[], []]);
  assert.deepEqual(sessionsOf("taken along"), [line("chat-3"), line("chat-3")]);
});

// Sends one line of the header for each value. `fetch` would join them.
async function askWithLines(path, lines) {
  const request = http.request(url(path), { method: "POST", headers: { "x-session-id": lines } });
  request.end("from lines");
  const [response] = await once(request, "response");
  return (await response.toArray()).join("");
}

test("two lines of a caller's header are joined into one, which is not a valid key", async () => {
  assert.equal(await askWithLines("/outside", ["a", "b"]), '{"scope":null,"sessions":["a, b"]}');
  await askWithLines("/rest", ["a", "b"]);
  await askWithLines("/ai", ["a", "b"]);
  assert.deepEqual(sessions(), [[], []]);
});

test("one line of a caller's header is a key", async () => {
  await askWithLines("/rest", ["a"]);
  assert.deepEqual(sessions(), [line("a")]);
});
