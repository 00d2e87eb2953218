// What is behind the Worker: records every request as it was on the wire, and answers.
import { once } from "node:events";
import http from "node:http";

const ok = (_, response) =>
  response.writeHead(200, { "content-type": "application/json" }).end('{"response":"Hi"}');

export class Recorder {
  // A proxy is asked with the whole URL, and workerd then sends no `host`.
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

  // Forgets what was seen. `answer` is what a test may set.
  reset() {
    this.seen = [];
    this.answer = ok;
  }

  // Answers nobody until the function that it returns is called.
  hold() {
    let release;
    const released = new Promise((resolve) => (release = resolve));
    this.answer = async (request, response) => {
      await released;
      ok(request, response);
    };
    return release;
  }

  // Answers nobody before so many requests are here, so that none of them can have waited for another.
  holdUntil(count) {
    this.arrivals(count).then(this.hold());
  }

  // Waits until so many requests are here.
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
