// The main module: starts the WebAssembly and exports what the runtime calls.
import { Chat as RustChat, __worker_init_state as state, fetch, initSync } from "./index.js";
import module from "./index_bg.wasm";

initSync({ module });

export default { fetch };

// A panic ends the WebAssembly instance and every object in it. The next call gets a new instance, in which this creates
// the Durable Object again.
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
