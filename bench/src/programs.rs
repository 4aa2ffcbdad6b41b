//! Real C and C++ programs, with an allocator preloaded.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::child;
use crate::results::Sample;

/// The programs' names; the folders with their scripts and their own files.
pub struct Programs {
    scripts: PathBuf,
    work: PathBuf,
    python: String,
}

/// One of them.
struct Program {
    name: &'static str,
    /// What must be on the path.
    needs: &'static [&'static str],
}

const fn program(name: &'static str, needs: &'static [&'static str]) -> Program {
    Program { name, needs }
}

const ALL: &[Program] = &[
    program("python json", &["python3"]),
    program("python sorting", &["python3"]),
    program("python trees", &["python3"]),
    program("lua", &["lua5.4"]),
    program("perl", &["perl"]),
    program("sqlite", &["sqlite3"]),
    program("redis", &["redis-server", "redis-benchmark", "redis-cli"]),
    program("gs", &["gs"]),
    program("git repack", &["git"]),
    program("g++", &["g++"]),
];

impl Programs {
    /// With the checkout's scripts and a folder to write to.
    pub fn new(root: &Path, out: &Path) -> Programs {
        // Behind the name there may be a script that looks for the program.
        let mut python = Command::new("python3");
        let python = python.args(["-c", "import sys; print(sys.executable)"]).output();
        let python = python.map(|output| output.stdout).unwrap_or_default();
        Programs {
            scripts: root.join("bench/programs"),
            work: out.join("work"),
            python: String::from_utf8_lossy(&python).trim().to_owned(),
        }
    }

    /// Those that are installed; the others in words.
    pub fn available(&self, notes: &mut Vec<String>) -> Vec<&'static str> {
        let mut names = Vec::new();
        for program in ALL {
            match program.needs.iter().find(|tool| !on_path(tool)) {
                None => names.push(program.name),
                Some(tool) => notes.push(format!("{}: left out, no {tool}", program.name)),
            }
        }
        names
    }

    /// Runs one.
    pub fn run(&self, name: &str, library: Option<&Path>, scale: f64) -> Result<Sample, String> {
        let scripts = |name: &str| self.scripts.join(name);
        let count = |full: f64| ((full * scale) as usize).max(1);
        let python = |script: &str| {
            let mut command = Command::new(&self.python);
            // Its own pools for small objects would hide the allocator.
            command.env("PYTHONMALLOC", "malloc").arg(scripts(script)).arg(scale.to_string());
            command
        };
        let mut command = match name {
            "python json" => python("json_text.py"),
            "python sorting" => python("sorting.py"),
            "python trees" => python("trees.py"),
            "lua" => {
                let mut command = Command::new("lua5.4");
                command.arg(scripts("tables.lua")).arg(scale.to_string());
                command
            }
            "perl" => {
                let mut command = Command::new("perl");
                command.env("PERL_HASH_SEED", "0").arg(scripts("hashes.pl")).arg(scale.to_string());
                command
            }
            "sqlite" => {
                let mut command = Command::new("sqlite3");
                command.arg(":memory:").arg(queries(count(120_000.0)));
                command
            }
            "gs" => {
                let mut command = Command::new("gs");
                command.args(["-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=ppmraw", "-r100"]);
                command.args(["-sOutputFile=/dev/null", "-c"]);
                command.arg(format!("/pages {} def", count(60.0))).arg("-f");
                command.arg(scripts("page.ps"));
                command
            }
            "git repack" => {
                let repository = self.repository(count(900.0))?;
                let mut command = git(&repository);
                command.args(["-c", "pack.threads=1", "repack", "-a", "-d", "-f", "-q"]);
                command
            }
            "g++" => {
                let mut command = Command::new("g++");
                command.args(["-std=c++17", "-O0", "-S", "-o", "/dev/null"]);
                command.arg(format!("-DCOUNT={}", count(12.0))).arg(scripts("containers.cc"));
                command
            }
            "redis" => return self.redis(library, count(150_000.0)),
            _ => return Err("no such program".into()),
        };
        if let Some(library) = library {
            command.env("LD_PRELOAD", library);
        }
        child::run(&mut command).map(|ended| ended.sample)
    }

    /// A server driven from outside: its processor time and memory, and how long its client took.
    fn redis(&self, library: Option<&Path>, requests: usize) -> Result<Sample, String> {
        let socket = self.work.join("redis.socket");
        let _ = fs::remove_file(&socket);
        let mut server = Command::new("redis-server");
        server.args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"]);
        server.arg(&socket).current_dir(&self.work);
        // It may itself be linked with another allocator: the C library's comes before that.
        let own = libc_path();
        server.env("LD_PRELOAD", library.map_or(own.as_deref(), Some).unwrap_or(Path::new("")));
        let client = |name: &str| {
            let mut command = Command::new(name);
            command.arg("-s").arg(&socket).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        thread::scope(|scope| {
            let running = scope.spawn(|| child::run(&mut server));
            let start = Instant::now();
            while !socket.exists() && !running.is_finished() && start.elapsed().as_secs() < 20 {
                thread::sleep(Duration::from_millis(10));
            }
            let start = Instant::now();
            let done = client("redis-benchmark")
                .args(["-q", "-n", &requests.to_string(), "-P", "16", "-d", "200", "-r", "50000"])
                .args(["-t", "set,get,lpush,hset,zadd"])
                .status();
            let took = start.elapsed();
            let _ = client("redis-cli").args(["shutdown", "nosave"]).status();
            let ended = running.join().map_err(|_| "the watcher panicked")??;
            match done {
                Ok(status) if status.success() => {
                    Ok(Sample { wall_ns: took.as_nanos() as u64, ..ended.sample })
                }
                _ => Err("redis-benchmark failed".into()),
            }
        })
    }

    /// A repository of `commits` changes to 40 files, made once.
    fn repository(&self, commits: usize) -> Result<PathBuf, String> {
        let path = self.work.join(format!("repository-{commits}"));
        if path.join("HEAD").exists() {
            return Ok(path);
        }
        let failed = |error: std::io::Error| format!("git: {error}");
        Command::new("git").args(["init", "-q", "--bare"]).arg(&path).status().map_err(failed)?;
        let mut import = git(&path).args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn();
        let import = import.as_mut().map_err(|error| format!("git: {error}"))?;
        let mut stream = Vec::new();
        let mut random = 1_u64;
        let mut files = vec![String::new(); 40];
        for commit in 0..commits {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as usize % files.len();
            let file = &mut files[number];
            for line in 0..60 {
                file.push_str(&format!("{:x} line {line} of {commit}\n", random.rotate_left(line)));
            }
            if file.len() > 60_000 {
                file.drain(..30_000);
            }
            let message = format!("change {commit}");
            let _ = write!(
                stream,
                "commit refs/heads/main\ncommitter Bench <bench@localhost> {} +0000\ndata {}\n{message}\n\
                 M 100644 inline file{number}\ndata {}\n{file}\n",
                1_700_000_000 + commit,
                message.len(),
                file.len(),
            );
        }
        if let Some(mut stdin) = import.stdin.take() {
            stdin.write_all(&stream).map_err(failed)?;
        }
        let status = import.wait().map_err(failed)?;
        if status.success() { Ok(path) } else { Err(format!("git fast-import: {status}")) }
    }
}

fn git(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(repository);
    command
}

fn queries(rows: usize) -> String {
    format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, grp INTEGER, value REAL);
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {rows})
         INSERT INTO t SELECT x, printf('%08x-%d', x * 2654435761 % 4294967296, x), x % 997, x * 0.5 FROM c;
         CREATE INDEX by_name ON t(name);
         SELECT count(*), sum(value) FROM t WHERE name LIKE 'a%';
         SELECT grp, count(*), group_concat(name, '|') AS names FROM t GROUP BY grp ORDER BY length(names) DESC LIMIT 5;
         UPDATE t SET name = name || '-' || grp WHERE id % 3 = 0;
         DELETE FROM t WHERE id % 5 = 0;
         SELECT a.grp, max(b.name) FROM t a JOIN t b ON b.id = a.id + 1 GROUP BY a.grp LIMIT 5;"
    )
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| File::open(folder.join(tool)).is_ok())
}

/// The C library that this program runs with.
fn libc_path() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    paths.find(|path| path.ends_with("/libc.so.6")).map(PathBuf::from)
}
