// The configuration of workerd. The runtime and its AI binding are the real ones. Only the upstream is a recorder.
import { readdirSync } from "node:fs";

const modules = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((file) => /\.(mjs|js|wasm)$/.test(file))
    .sort((a, b) => (b === "entry.mjs") - (a === "entry.mjs")) // the first module is the main one
    .map((file) => `(name = "${file}", ${file.endsWith("js") ? "esModule" : "wasm"} = embed "${file}"),`)
    .join("\n    ");

const bindings = `
    (name = "ACCOUNT_ID", text = "account-1"),
    (name = "API_TOKEN", text = "token-1"),
    (name = "CHAT", durableObjectNamespace = "Chat"),
    (name = "AI", wrapped = (
      moduleName = "cloudflare-internal:ai-api",
      innerBindings = [(name = "fetcher", service = "ai")],
    )),`;

const worker = (name, modules, bindings) => `
const ${name} :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  durableObjectNamespaces = [(className = "Chat", uniqueKey = "${name}")],
  durableObjectStorage = (inMemory = void),
  modules = [
    ${modules}
  ],
  bindings = [${bindings}
  ],
);
`;

// Returns the text of a configuration file in `folder`, which also has the modules that it embeds. The addresses of
// "internet" and "ai" are given on the command line.
export default (folder) => `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "other", worker = .other),
    # Gets every fetch of a Worker, for any host, as a proxy does: with the complete URL.
    (name = "internet", external = (http = (style = proxy))),
    (name = "ai", external = (http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
${worker("main", modules(folder), `${bindings}\n    (name = "OTHER", service = "other"),`)}${worker("other", modules(folder), bindings)}`;
