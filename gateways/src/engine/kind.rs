//! The kinds of inference server: where each is installed, how it is started, and what it counts.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Counters;
use crate::process::{INSTALL, INSTALL_VLLM, find_program, installed, require};

/// A kind of inference server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// llama.cpp's server, with one thread. Each slot has its own cache, and the server chooses the slot with
    /// the most similar prompt.
    LlamaCpp,
    /// vLLM on a CPU, with one thread. All requests share a cache of blocks of 32 tokens.
    Vllm,
}

/// The folder for `PYTHONPATH` that makes each Python process end with its parent.
pub const ENDS_WITH_PARENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vllm/startup");

/// The environment in which vLLM contacts no other host and uses one thread that is not bound to a core.
const VLLM_ENVIRONMENT: [(&str, &str); 10] = [
    ("CUDA_VISIBLE_DEVICES", ""),
    ("DO_NOT_TRACK", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("PYTHONPATH", ENDS_WITH_PARENT),
    ("TRANSFORMERS_OFFLINE", "1"),
    ("VLLM_CPU_KVCACHE_SPACE", "1"),
    ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
    ("VLLM_NO_USAGE_STATS", "1"),
    ("VLLM_TARGET_DEVICE", "cpu"),
];

impl Kind {
    /// Finds the program and its model; skips or panics as [`find_program`] does.
    pub(super) fn find(self) -> Option<(PathBuf, PathBuf)> {
        match self {
            Self::LlamaCpp => {
                let model = installed("gateways/model.gguf");
                Some((
                    find_program("llama-server")?,
                    require("model.gguf", INSTALL, model.is_file().then_some(model))?,
                ))
            }
            Self::Vllm => {
                let (python, model) = (installed("vllm/bin/python"), installed("vllm/model"));
                // `install.sh` writes this file last.
                let is_complete = installed("vllm/installed.txt").is_file();
                require("vLLM", INSTALL_VLLM, is_complete.then_some((python, model)))
            }
        }
    }

    /// Builds the command line of one server, with one thread and the model named `m`.
    pub(super) fn command(self, program: &Path, model: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(program);
        if self == Self::Vllm {
            command.args(["-m", "vllm.entrypoints.openai.api_server"]);
            command.args(["--served-model-name", "m", "--max-model-len", "4096"]);
            command.args(["--max-num-seqs", "8", "--block-size", "32"]);
            command.args(["--dtype", "bfloat16", "--enforce-eager"]);
            // Otherwise answers do not report cached tokens.
            command.arg("--enable-prompt-tokens-details");
            command.envs(VLLM_ENVIRONMENT);
        } else {
            command.args(["--threads", "1", "--ctx-size", "4096"]);
            command.args(["--alias", "m", "--metrics"]);
        }
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        command.arg("--model").arg(model);
        command
    }

    /// How long a server may take to start. Several vLLM servers import 2 GB each at the same time.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::LlamaCpp => Duration::from_secs(60),
            Self::Vllm => Duration::from_secs(900),
        }
    }

    /// Reads a server's counters from its `/metrics`.
    pub(super) fn counters(self, metrics: &str) -> io::Result<Counters> {
        Ok(match self {
            Self::LlamaCpp => Counters {
                computed: metric(metrics, "llamacpp:prompt_tokens_total")?,
                cached: metric(metrics, "llamacpp:prompt_tokens_cached_total")?,
            },
            Self::Vllm => {
                let cached = metric(metrics, "vllm:prompt_tokens_cached_total")?;
                Counters {
                    computed: metric(metrics, "vllm:prompt_tokens_total")? - cached,
                    cached,
                }
            }
        })
    }
}

/// Reads a counter. It may have labels in braces, and vLLM writes its value with a decimal point.
fn metric(metrics: &str, name: &str) -> io::Result<u64> {
    let values = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let mut values = values.filter(|rest| rest.starts_with(['{', ' ']));
    let value = values.next().and_then(|rest| {
        let value = rest.rsplit(' ').next()?;
        value.strip_suffix(".0").unwrap_or(value).parse().ok()
    });
    value.ok_or_else(|| io::Error::other(format!("/metrics has no counter {name}")))
}
