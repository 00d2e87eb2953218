// For every kind of call, exactly one header line arrives, and it has the caller's session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, line, sessions, upstream } from "./support.mjs";

test("a call over fetch carries the caller's session to the REST API", async () => {
  assert.equal((await ask("/rest", "chat-1")).status, 200);
  assert.deepEqual(sessions(), [line("chat-1")]);
  const [request] = upstream.seen;
  assert.equal(request.host, "api.cloudflare.com");
  assert.equal(request.path, "/client/v4/accounts/account-1/ai/v1/chat/completions");
  assert.ok(request.lines.includes("authorization: Bearer token-1"));
});

test("a service binding carries the session to the other Worker, which sends it to its model", async () => {
  assert.equal((await ask("/service", "chat-2")).status, 200);
  assert.deepEqual(sessions(), [line("chat-2")]);
});

test("the AI binding sends the session in its extra headers", async () => {
  const { status, text } = await ask("/ai", "chat-3");
  assert.deepEqual([status, text], [200, '{"response":"Hi"}']);
  assert.deepEqual(sessions(), [line("chat-3")]);
  const [{ host, body }] = upstream.seen;
  assert.equal(host, "workers-binding.ai");
  assert.deepEqual(JSON.parse(body).inputs, { prompt: "from chat-3" });
});

test("the AI binding keeps the headers of a call, including a session", async () => {
  assert.equal((await ask("/ai-as-another", "chat-4")).status, 200);
  assert.deepEqual(sessions(), [line("another")]);
  assert.ok(upstream.seen[0].lines.includes("x-own: kept"));
});

test("the AI binding sends the session through a gateway", async () => {
  assert.equal((await ask("/ai-through-gateway", "chat-5")).status, 200);
  assert.deepEqual(sessions(), [line("chat-5")]);
  const [{ path, body }] = upstream.seen;
  assert.equal(path, "/ai-gateway/run");
  assert.deepEqual(JSON.parse(body).options.gateway, { id: "my-gateway" });
});

test("the requests to a gateway have the header that each provider reads", async () => {
  assert.equal((await ask("/gateway", "chat-6")).status, 200);
  const [{ path, body }] = upstream.seen;
  assert.equal(path, "/ai-gateway/universal/run/my-gateway");
  assert.deepEqual(
    JSON.parse(body).map((request) => request.headers),
    [{ "x-session-affinity": "chat-6" }, { "x-grok-conv-id": "chat-6" }],
  );
});

test("a streamed answer of the model is returned as a stream", async () => {
  upstream.answer = (_, response) =>
    response.writeHead(200, { "content-type": "text/event-stream" }).end("data: [DONE]\n\n");
  const { status, text } = await ask("/ai", "chat-7");
  assert.deepEqual([status, text], [200, "data: [DONE]\n\n"]);
});

test("an error of the model is returned to the caller", async () => {
  upstream.answer = (_, response) => response.writeHead(429).end("too many");
  const { status, text } = await ask("/ai", "chat-8");
  assert.deepEqual([status, text], [429, "too many"]);
});

for (const path of ["/rest", "/service", "/ai", "/ai-through-gateway"])
  test(`without a session of the caller, ${path} sends none`, async () => {
    assert.equal((await ask(path)).status, 200);
    assert.deepEqual(sessions(), [[]]);
  });
