// What is in the scope of a request, and what is not.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import { ask, line, sessions, upstream, url } from "./support.mjs";

const asked = (request) => /from (\S+?)[ "]/.exec(request.body)[1];

test("fifty callers at once keep their sessions apart", async () => {
  // How many calls each makes: in turn, joined, while its body streams, over a service binding, over the AI binding.
  const calls = { "/turns": 2, "/join": 3, "/stream": 5, "/service": 1, "/ai": 1 };
  const paths = Object.keys(calls);
  const callers = Array.from({ length: 50 }, (_, i) => ({ session: `caller-${i}`, path: paths[i % paths.length] }));
  upstream.holdUntil(callers.length);

  const answers = await Promise.all(callers.map(({ session, path }) => ask(path, session)));

  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  // The body says who asked, the header whose session it is.
  for (const request of upstream.seen) assert.deepEqual(request.sessions, line(asked(request)));
  for (const { session, path } of callers)
    assert.equal(upstream.seen.filter((request) => asked(request) === session).length, calls[path], path);
});

test("a body that is read long after the handler has returned is in the scope", async () => {
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

test("so does a task that goes on after the response", async () => {
  const release = upstream.hold();
  assert.equal((await ask("/wait-until", "chat-3")).status, 200);
  // Only now is the first call of each answered, and the second made.
  release();
  await upstream.arrivals(4);
  assert.deepEqual(sessionsOf("bare"), [[], []]);
  assert.deepEqual(sessionsOf("taken along"), [line("chat-3"), line("chat-3")]);
});

// Asks with as many lines of one header; `fetch` would join them itself.
async function askWithLines(path, lines) {
  const request = http.request(url(path), { method: "POST", headers: { "x-session-id": lines } });
  request.end("from lines");
  const [response] = await once(request, "response");
  return (await response.toArray()).join("");
}

test("two lines of a caller's header arrive as one, which is not a key", async () => {
  assert.equal(await askWithLines("/outside", ["a", "b"]), '{"scope":null,"sessions":["a, b"]}');
  await askWithLines("/rest", ["a", "b"]);
  await askWithLines("/ai", ["a", "b"]);
  assert.deepEqual(sessions(), [[], []]);
});

test("one line of it is a key", async () => {
  await askWithLines("/rest", ["a"]);
  assert.deepEqual(sessions(), [line("a")]);
});
