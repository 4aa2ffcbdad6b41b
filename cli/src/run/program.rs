//! What kind of file the program is, and whether the library can be loaded into it.

use super::library::Library;
use crate::Failure;
use crate::system::process;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::{Endianness, ReadCache};
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Finds a program as a shell does.
pub fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    if name.is_empty() {
        return Err(Failure::with(Failure::NOT_FOUND, "the program's name is empty"));
    }
    if name.as_bytes().contains(&b'/') {
        return check(PathBuf::from(name));
    }
    let search = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut refused = None;
    for directory in env::split_paths(&search) {
        match check(directory.join(name)) {
            Ok(path) => return Ok(path),
            Err(failure) if failure.status == Failure::NOT_EXECUTABLE => {
                refused.get_or_insert(failure);
            }
            Err(_) => {}
        }
    }
    let not_found = || format!("{}: no such program in PATH", name.display());
    Err(refused.unwrap_or_else(|| Failure::with(Failure::NOT_FOUND, not_found())))
}

fn check(path: PathBuf) -> Result<PathBuf, Failure> {
    let about = path.metadata().map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::NOT_EXECUTABLE,
            _ => Failure::NOT_FOUND,
        };
        Failure::with(status, format!("{}: {error}", path.display()))
    })?;
    let refuse = |why| Failure::with(Failure::NOT_EXECUTABLE, format!("{}: {why}", path.display()));
    if about.is_dir() {
        return Err(refuse("is a directory"));
    }
    if !about.is_file() || !process::may_execute(&path) {
        return Err(refuse("is not executable"));
    }
    Ok(path)
}

/// What the headers of an ELF file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Class and machine.
    pub machine: (u8, u16),
    /// The dynamic loader that it asks for.
    pub interpreter: Option<PathBuf>,
    /// The shared objects that it names.
    pub needed: Vec<Vec<u8>>,
    /// It defines `malloc` for itself and what it loads.
    pub own_malloc: bool,
}

/// Looks at the program and, through the first lines of scripts, at what executes it. Refuses
/// what the library cannot be loaded into.
pub fn look_through(program: &Path, library: &Library) -> Result<Object, Failure> {
    let mut path = program.to_owned();
    let mut by_shell = false;
    // As many as the kernel allows.
    for _ in 0..5 {
        let file = match File::open(&path) {
            Ok(file) => file,
            // May be executed but not read: it cannot be told what it is, but what its mode says.
            Err(_) => {
                refuse_privileged(&path)?;
                return Ok(Object::unknown(library));
            }
        };
        if let Some(next) = script(&file) {
            path = next;
            continue;
        }
        // `execvp` gives to the shell what the kernel refuses, for itself or for its interpreter.
        if !by_shell && is_for_the_shell(&file, path == program) {
            path = SHELL.into();
            by_shell = true;
            continue;
        }
        let shown = path.display();
        let object = read(&file).ok_or_else(|| {
            let why = format!("{shown}: is neither an ELF program nor a script");
            Failure::with(Failure::NOT_EXECUTABLE, why)
        })?;
        // Of scripts the kernel heeds no such marks.
        refuse_privileged(&path)?;
        object.refuse(&path, library)?;
        return Ok(object);
    }
    let shown = program.display();
    Err(Failure::with(Failure::NOT_EXECUTABLE, format!("{shown}: too many scripts in a row")))
}

impl Object {
    fn unknown(library: &Library) -> Object {
        Object { interpreter: None, own_malloc: false, ..library.object.clone() }
    }

    fn refuse(&self, path: &Path, library: &Library) -> Result<(), Failure> {
        let refuse = |why: String| Err(Failure::new(format!("{}: {why}", path.display())));
        let theirs = &library.object;
        if self.machine != theirs.machine {
            return refuse(format!(
                "is a program for {}, the library is for {}",
                machine(self.machine),
                machine(theirs.machine)
            ));
        }
        let Some(interpreter) = &self.interpreter else {
            return refuse(
                "is a static program: it loads no libraries, so its heap cannot be replaced. Link \
                 it dynamically, or build Casemate into it"
                    .into(),
            );
        };
        if is_musl(interpreter) != library.is_musl() {
            let name = |musl| if musl { "musl" } else { "glibc" };
            return refuse(format!(
                "is linked with {}, the library with {}",
                name(is_musl(interpreter)),
                name(library.is_musl())
            ));
        }
        Ok(())
    }
}

fn is_musl(interpreter: &Path) -> bool {
    interpreter.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl"))
}

/// The dynamic loader ignores LD_PRELOAD in programs that gain privileges.
fn refuse_privileged(path: &Path) -> Result<(), Failure> {
    const SETUID: u32 = 0o4000;
    const SETGID: u32 = 0o2010;
    let Ok(about) = path.metadata() else { return Ok(()) };
    let (user, group) = process::real_ids();
    let mode = about.mode();
    let by = if mode & SETUID != 0 && about.uid() != user {
        "setuid"
    } else if mode & SETGID == SETGID && about.gid() != group {
        "setgid"
    } else if user != 0 && process::has_capabilities(path) {
        "file capabilities"
    } else {
        return Ok(());
    };
    if process::gains_nothing() || process::on_nosuid(path) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{}: gains privileges when it is executed ({by}): the dynamic loader then ignores \
         LD_PRELOAD. /etc/ld.so.preload works for such programs too",
        path.display()
    )))
}

/// As much of a file as the kernel looks at.
const START: usize = 256;

/// The interpreter that a script's first line names, if all of its name is in what the kernel sees.
fn script(file: &File) -> Option<PathBuf> {
    let mut start = [0; START];
    let length = file.read_at(&mut start, 0).ok()?;
    let line = start.get(..length)?.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let name = words.next()?;
    let is_cut = line.len() == START - 2 && line.ends_with(name);
    (!is_cut).then(|| PathBuf::from(OsStr::from_bytes(name)))
}

/// What executes scripts that do not name an interpreter, as in `execvp` of the C library.
const SHELL: &str = "/bin/sh";

/// Whether this ends the search for what the kernel could execute: for the program itself, whether it
/// is a script without a `#!` line: its first line is text. Shells look for the same.
fn is_for_the_shell(file: &File, is_program: bool) -> bool {
    let mut start = [0; START];
    let Ok(length) = file.read_at(&mut start, 0) else { return false };
    let text = start.get(..length).unwrap_or_default();
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    !(text.starts_with(&elf::ELFMAG) || is_program && line.contains(&0))
}

/// Reads the headers; `None` if it is no ELF program or library, or a damaged one.
pub fn read(mut file: &File) -> Option<Object> {
    let mut ident = [0; 16];
    file.read_exact(&mut ident).ok()?;
    let data = ReadCache::new(file);
    if ident.get(..4)? != elf::ELFMAG {
        return None;
    }
    match ident[4] {
        elf::ELFCLASS64 => headers::<elf::FileHeader64<Endianness>>(&data),
        elf::ELFCLASS32 => headers::<elf::FileHeader32<Endianness>>(&data),
        _ => None,
    }
}

fn headers<H: FileHeader<Endian = Endianness>>(data: &ReadCache<&File>) -> Option<Object> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) {
        return None;
    }
    let mut object = Object {
        machine: (header.e_ident().class, header.e_machine(endian)),
        interpreter: None,
        needed: Vec::new(),
        own_malloc: false,
    };
    for segment in header.program_headers(endian, data).ok()? {
        if let Ok(Some(path)) = segment.interpreter(endian, data) {
            object.interpreter = Some(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    // Without section headers the rest cannot be told, which refuses nothing.
    if let Ok(sections) = header.sections(endian, data) {
        if let Ok(Some((entries, link))) = sections.dynamic(endian, data)
            && let Ok(strings) = sections.strings(endian, data, link)
        {
            for entry in entries {
                if entry.tag32(endian) == Some(elf::DT_NEEDED)
                    && let Some(offset) = entry.val32(endian)
                    && let Ok(name) = strings.get(offset)
                {
                    object.needed.push(name.to_vec());
                }
            }
        }
        if let Ok(symbols) = sections.symbols(endian, data, elf::SHT_DYNSYM) {
            object.own_malloc = symbols.iter().any(|symbol| {
                symbol.is_definition(endian)
                    && symbol.name(endian, symbols.strings()) == Ok(b"malloc")
            });
        }
    }
    Some(object)
}

fn machine((class, machine): (u8, u16)) -> String {
    let name = match machine {
        elf::EM_X86_64 if class == elf::ELFCLASS32 => "x32",
        elf::EM_X86_64 => "x86-64",
        elf::EM_386 => "32-bit x86",
        elf::EM_AARCH64 => "64-bit ARM",
        elf::EM_ARM => "32-bit ARM",
        elf::EM_RISCV => "RISC-V",
        elf::EM_PPC64 => "64-bit PowerPC",
        elf::EM_S390 => "s390",
        elf::EM_LOONGARCH => "LoongArch",
        other => return format!("another processor (ELF machine {other})"),
    };
    name.to_owned()
}
