//! Finds a gateway's program, configures it, starts it, and ends it with the test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The port of the first replica in the published configurations; the others have the ports after it.
const PUBLISHED_REPLICAS: u16 = 19001;

/// The signal for an illegal instruction; its number is the same on every Unix.
const SIGILL: i32 = 4;

/// Ties itself to the thread that starts it, and then executes the program in its place.
const SETPRIV: &str = "setpriv";

/// The command that installs the gateways and llama.cpp's server.
pub(crate) const INSTALL: &str = "gateways/install.sh";

/// The command that also installs vLLM.
pub(crate) const INSTALL_VLLM: &str = "gateways/install.sh --vllm";

/// A program that runs until this is dropped.
///
/// It also ends with the thread that started it, so that a killed test leaves no process behind.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// The addresses and the folder of a gateway.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the gateway is to listen.
    pub listen: SocketAddr,
    /// A second free address, for gateways that always serve metrics.
    pub metrics: SocketAddr,
    /// Where the replicas listen.
    pub replicas: Vec<SocketAddr>,
    /// The folder for its files, which is deleted when the test ends.
    pub folder: PathBuf,
}

impl Process {
    /// Starts a program and writes its output to a file in this folder.
    ///
    /// If `setpriv` (util-linux) is installed, the program ends with the calling thread once this has returned.
    ///
    /// # Errors
    ///
    /// Returns an error if the program does not start or the file cannot be written.
    pub fn start(command: &Command, folder: &Path) -> io::Result<Self> {
        let log = folder.join("log");
        let output = File::create(&log)?;
        let setpriv = look_up(SETPRIV);
        let child = end_with_parent(command, setpriv.as_deref())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let process = Self { child, log };
        if let Some(setpriv) = setpriv {
            await_program(&process.child, &setpriv)?;
        }
        Ok(process)
    }

    /// Checks that the program still runs.
    ///
    /// # Errors
    ///
    /// Returns an error with the last lines of its output if the program has ended. The kind is
    /// [`io::ErrorKind::Unsupported`] if the processor does not have one of its instructions.
    pub fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let kind = match status.signal() {
                    Some(SIGILL) => io::ErrorKind::Unsupported,
                    _ => io::ErrorKind::Other,
                };
                let output = self.last_lines();
                Err(io::Error::new(kind, format!("{status}\n{output}")))
            }
        }
    }

    /// Returns the last 20 lines of its output.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            let _ = writeln!(io::stderr(), "a program could not be ended: {error}");
        }
    }
}

impl Setup {
    /// Chooses free addresses for a gateway in front of these replicas.
    ///
    /// # Errors
    ///
    /// Returns an error if no port on loopback can be bound.
    pub fn new(replicas: Vec<SocketAddr>, folder: &Path) -> io::Result<Self> {
        Ok(Self {
            listen: free_address()?,
            metrics: free_address()?,
            replicas,
            folder: folder.to_path_buf(),
        })
    }

    /// Writes a published configuration with the ports of this test, and returns the path of the file.
    ///
    /// With fewer than four replicas, the lines of the others are left out.
    ///
    /// # Panics
    ///
    /// If the configuration does not have a published port, or the file cannot be written.
    #[must_use]
    pub fn write(&self, published: &str, listen: u16) -> PathBuf {
        let replicas = (PUBLISHED_REPLICAS..).zip(self.replicas.iter().map(SocketAddr::port));
        let absent: Vec<_> = (PUBLISHED_REPLICAS..PUBLISHED_REPLICAS + 4)
            .skip(self.replicas.len())
            .map(|port| port.to_string())
            .collect();
        let is_there = |line: &&str| !absent.iter().any(|port| line.contains(port));
        let lines: Vec<_> = published.lines().filter(is_there).collect();
        let mut text = lines.join("\n") + "\n";
        for (from, to) in replicas.chain([(listen, self.listen.port())]) {
            let from = from.to_string();
            assert!(
                text.contains(&from),
                "the configuration does not have the port {from}"
            );
            text = text.replace(&from, &to.to_string());
        }
        let file = self.folder.join("configuration");
        fs::write(&file, text).expect("the folder of the test is writable");
        file
    }

    /// Returns the URLs of the replicas, which smg and vllm-router take as arguments.
    pub fn urls(&self) -> impl Iterator<Item = String> {
        self.replicas
            .iter()
            .map(|address| format!("http://{address}"))
    }
}

/// Returns an address on loopback that was free a moment ago.
///
/// # Errors
///
/// Returns an error if no port on loopback can be bound.
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Finds a program that `gateways/install.sh` installs.
///
/// Returns `None`, and says so, if it is missing. The test is then to be skipped.
///
/// # Panics
///
/// If the program is missing and the environment has `REQUIRE_GATEWAYS=1`.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    require(name, INSTALL, look_up(name))
}

/// Returns what was found. If that is nothing, says which command installs it, or panics, as [`find_program`]
/// does.
pub(crate) fn require<T>(name: &str, install: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let required = std::env::var_os("REQUIRE_GATEWAYS").is_some_and(|value| value == "1");
        assert!(
            !required,
            "REQUIRE_GATEWAYS=1 is set, but {name} is not installed; run {install}"
        );
        print(&format!("skipped: {name} is not installed; run {install}"));
    }
    found
}

/// Prints a line in one piece, because tests that run at the same time print, too.
///
/// Not with `eprintln!`: the test harness hides its output if the test passes.
pub(crate) fn print(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn look_up(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = [installed("gateways/bin")];
    let folders = own.into_iter().chain(std::env::split_paths(&path));
    // Debian installs servers into a folder that is not in a user's PATH.
    let mut programs = folders
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name));
    programs.find(|program| program.is_file())
}

/// Returns a path in the folder where `gateways/install.sh` puts what does not come from Debian.
pub(crate) fn installed(path: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    workspace.join(target).join(path)
}

/// Lets the kernel end the program with the thread that started it, if `setpriv` is installed.
fn end_with_parent(command: &Command, setpriv: Option<&Path>) -> Command {
    let Some(setpriv) = setpriv else {
        return same(command, command.get_program(), &[]);
    };
    let program = command.get_program();
    same(
        command,
        setpriv.as_os_str(),
        &["--pdeathsig".as_ref(), "KILL".as_ref(), program],
    )
}

/// Waits until [`SETPRIV`] has executed the program: it does not notice if the thread ended before that.
fn await_program(child: &Child, setpriv: &Path) -> io::Result<()> {
    let before = [std::env::current_exe()?, setpriv.canonicalize()?];
    let running = Path::new("/proc").join(child.id().to_string()).join("exe");
    // If the program has ended, there is no link.
    while fs::read_link(&running).is_ok_and(|program| before.contains(&program)) {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn same(command: &Command, program: &OsStr, before: &[&OsStr]) -> Command {
    let mut other = Command::new(program);
    other.args(before).args(command.get_args());
    let set = command.get_envs();
    other.envs(set.filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    other
}
