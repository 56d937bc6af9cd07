//! A PostgreSQL server of the test's own, on a unix socket in a temporary folder; it ends with the test.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) struct Server {
    folder: TempDir,
    process: Child,
    programs: PathBuf,
}

/// Debian puts them outside of PATH, by version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is needed: apt-get install postgresql");
    let folders = versions.map(|entry| entry.unwrap().path().join("bin"));
    folders.filter(|path| path.join("initdb").exists()).max().expect("apt-get install postgresql")
}

/// The server refuses to run as root.
fn as_postgres(program: PathBuf) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]).arg(program);
    command
}

fn id_of(flag: &str) -> u32 {
    let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("the user postgres of Debian's package")
}

impl Server {
    pub(crate) async fn start() -> Self {
        let programs = programs();
        let folder = TempDir::with_prefix("berth-pg-").unwrap();
        chown(folder.path(), Some(id_of("-u")), Some(id_of("-g"))).unwrap();
        let data = folder.path().join("data");
        let made = as_postgres(programs.join("initdb"))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let process = as_postgres(programs.join("postgres"))
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, process, programs };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server.run("psql", &["-c", "SELECT 1", "postgres"]).status.success() {
            assert!(Instant::now() < deadline, "gave up waiting for PostgreSQL to answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// Makes a database and returns its URL.
    pub(crate) async fn database(&self, name: &str) -> String {
        // Of the template that nobody can be connected to: the server's own workers visit the other one.
        let made = self.run("createdb", &["--template=template0", name]);
        assert!(made.status.success(), "making a database: {}", String::from_utf8_lossy(&made.stderr));
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.path().display())
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = as_postgres(self.programs.join(program));
        command.arg("-h").arg(self.folder.path()).args(args).current_dir(self.folder.path());
        command.output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "ending PostgreSQL");
    }
}
