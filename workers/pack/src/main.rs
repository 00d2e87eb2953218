//! `pack IN.wasm OUT_DIR`: builds a module that workerd can load, like the command `wasm-bindgen`.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = env::args_os().skip(1).map(PathBuf::from);
    let (Some(wasm), Some(out), None) = (paths.next(), paths.next(), paths.next()) else {
        return Err("usage: pack IN.wasm OUT_DIR".into());
    };
    Bindgen::new()
        .input_path(wasm)
        .out_name("index")
        .web(true)?
        .omit_default_module_path(true)
        .typescript(false)
        // A panic aborts and drops nothing. If the instance lived on, the next request would find the scope of
        // the one that panicked. These two settings give it a new instance, as in `worker-build`.
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(out)?;
    Ok(())
}
