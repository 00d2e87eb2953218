// One runtime and one recorder for all tests of a file.
import { after, before, beforeEach } from "node:test";
import { Recorder } from "../runtime/recorder.mjs";
import { Workerd } from "../runtime/workerd.mjs";

export const upstream = new Recorder();
const workerd = new Workerd();

before(async () => {
  await upstream.listen();
  await workerd.start(process.env.PACKED, upstream.address);
});
beforeEach(() => upstream.reset());
after(async () => {
  await workerd.stop();
  upstream.close();
});

export const url = (path) => workerd.url + path;

// Sends a prompt to the Worker as the caller with this session.
export async function ask(path, session, prompt = `from ${session}`) {
  const headers = { "content-type": "text/plain", ...(session && { "x-session-id": session }) };
  const response = await fetch(url(path), { method: "POST", headers, body: prompt, redirect: "manual" });
  return { status: response.status, location: response.headers.get("location"), text: await response.text() };
}

// For every request that arrived, its header lines that begin with `x-session`.
export const sessions = () => upstream.seen.map((request) => request.sessions);

export const line = (session) => [`x-session-affinity: ${session}`];
