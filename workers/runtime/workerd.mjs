// Starts workerd on a free port with the packed Worker.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import config from "./config.mjs";

// The program itself: without npm's install scripts, `.bin/workerd` is only a script around it.
const program = createRequire(import.meta.url)("workerd").default;
const entry = fileURLToPath(new URL("entry.mjs", import.meta.url));

export class Workerd {
  #folder = mkdtempSync(join(tmpdir(), "affinity-worker-"));
  #process;
  // Ends workerd whenever this process ends.
  #end = () => {
    this.#process?.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  };

  // `packed` is the folder that `pack` wrote. Both `fetch` and the AI binding connect to `upstream`, HOST:PORT.
  async start(packed, upstream) {
    process.on("exit", this.#end);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
    cpSync(packed, this.#folder, { recursive: true });
    cpSync(entry, join(this.#folder, "entry.mjs"));
    const file = join(this.#folder, "config.capnp");
    writeFileSync(file, config(this.#folder));

    const addresses = [`--external-addr=internet=${upstream}`, `--external-addr=ai=${upstream}`];
    this.#process = spawn(program, ["serve", file, "--control-fd=3", ...addresses], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    this.url = `http://127.0.0.1:${await this.#port()}`;
  }

  async stop() {
    const ended = once(this.#process, "exit");
    this.#end();
    await ended;
    process.off("exit", this.#end);
  }

  // The runtime reports its port on file descriptor 3.
  async #port() {
    for await (const line of createInterface({ input: this.#process.stdio[3] })) {
      const message = JSON.parse(line);
      if (message.event === "listen" && message.socket === "http") return message.port;
    }
    throw new Error("workerd ended before it was listening; its output is above");
  }
}
