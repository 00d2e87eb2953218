// The Worker's upstream: records every request as it was on the wire, and answers it.
import { once } from "node:events";
import http from "node:http";

const ok = (_, response) =>
  response.writeHead(200, { "content-type": "application/json" }).end('{"response":"Hi"}');

export class Recorder {
  // workerd sends a proxy the complete URL, and then no `host` header.
  #server = http.createServer({ requireHostHeader: false }, (request, response) => this.#record(request, response));
  #arrived = () => {};

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.address = `127.0.0.1:${this.#server.address().port}`;
    this.reset();
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  // Forgets all requests. A test may set `answer`.
  reset() {
    this.seen = [];
    this.answer = ok;
  }

  // Holds all answers back until the returned function is called.
  hold() {
    let release;
    const released = new Promise((resolve) => (release = resolve));
    this.answer = async (request, response) => {
      await released;
      ok(request, response);
    };
    return release;
  }

  // Holds all answers back until `count` requests have arrived, which proves that they are concurrent.
  holdUntil(count) {
    this.arrivals(count).then(this.hold());
  }

  // Waits until `count` requests have arrived.
  arrivals(count) {
    return new Promise((resolve) => {
      this.#arrived = () => this.seen.length >= count && resolve();
      this.#arrived();
    });
  }

  async #record(request, response) {
    const lines = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i].toLowerCase()}: ${request.rawHeaders[i + 1]}`);
    let body = "";
    for await (const chunk of request) body += chunk;
    const url = new URL(request.url, `http://${request.headers.host ?? "none"}`);
    const sessions = lines.filter((line) => line.startsWith("x-session"));
    const seen = { method: request.method, host: url.host, path: url.pathname, lines, sessions, body };
    this.seen.push(seen);
    this.#arrived();
    await this.answer(seen, response);
  }
}
