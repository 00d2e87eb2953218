// The configuration of workerd: the runtime and its AI binding are the real ones; only what is behind them is ours.
import { readdirSync } from "node:fs";

const modules = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((file) => /\.(mjs|js|wasm)$/.test(file))
    .sort((a, b) => (b === "entry.mjs") - (a === "entry.mjs")) // the first is the main one
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

// The text of a configuration that lies in \`folder\`, beside the modules that it embeds. The addresses of "internet" and
// "ai" are given on the command line.
export default (folder) => `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "other", worker = .other),
    # Whatever host a Worker fetches from, as a proxy would be asked: with the whole URL.
    (name = "internet", external = (http = (style = proxy))),
    (name = "ai", external = (http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
${worker("main", modules(folder), `${bindings}\n    (name = "OTHER", service = "other"),`)}${worker("other", modules(folder), bindings)}`;
