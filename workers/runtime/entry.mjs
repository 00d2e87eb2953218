// The main module: starts the WebAssembly and exports what the runtime calls.
import { Chat as RustChat, __worker_init_state as state, fetch, initSync } from "./index.js";
import module from "./index_bg.wasm";

initSync({ module });

export default { fetch };

// A panic ends the instance of the WebAssembly and every object in it, and the next call finds a new instance. There a
// Durable Object is made again.
export class Chat {
  #arguments;
  #instance;
  #chat;

  constructor(...args) {
    this.#arguments = args;
  }

  fetch(request) {
    return this.#current().fetch(request);
  }

  alarm() {
    return this.#current().alarm();
  }

  #current() {
    const { instanceId } = state();
    if (this.#instance !== instanceId) {
      this.#chat = new RustChat(...this.#arguments);
      this.#instance = instanceId;
    }
    return this.#chat;
  }
}
