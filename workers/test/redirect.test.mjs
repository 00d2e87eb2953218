// The runtime does not follow redirects. tower-http's layer does, and calls the affinity layer again for each.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, line, upstream } from "./support.mjs";

const redirectOnce = (status, location) => {
  const ok = upstream.answer;
  upstream.answer = (_, response) => {
    upstream.answer = ok;
    response.writeHead(status, { location }).end();
  };
};

const arrived = () => upstream.seen.map(({ host, sessions }) => [host, sessions]);

test("a redirect to another host is followed without the session", async () => {
  redirectOnce(302, "https://elsewhere.example/models");
  assert.equal((await ask("/models", "chat-1")).status, 200);
  assert.deepEqual(arrived(), [
    ["api.cloudflare.com", line("chat-1")],
    ["elsewhere.example", []],
  ]);
});

test("a redirect to the same host is followed with the session", async () => {
  redirectOnce(302, "/client/v4/accounts/account-1/ai/models");
  assert.equal((await ask("/models", "chat-2")).status, 200);
  assert.deepEqual(arrived(), Array(2).fill(["api.cloudflare.com", line("chat-2")]));
});

test("a redirect is not followed if the body cannot be sent again", async () => {
  redirectOnce(307, "https://elsewhere.example/chat");
  const { status, location } = await ask("/rest", "chat-3");
  assert.deepEqual([status, location], [307, "https://elsewhere.example/chat"]);
  assert.deepEqual(arrived(), [["api.cloudflare.com", line("chat-3")]]);
});
