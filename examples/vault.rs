//! A small password vault whose secrets live in secure memory only.
//!
//! ```text
//! cargo run --release --example vault -- init FILE         make a vault; asks for a passphrase
//! cargo run --release --example vault -- add FILE NAME     add or replace a secret; asks for it
//! cargo run --release --example vault -- get FILE NAME     write a secret to standard output
//! cargo run --release --example vault -- list FILE         write the names to standard output
//! ```
//!
//! Passphrase and secrets are asked for at the terminal, without echo; if standard input is not a
//! terminal, each is a line of it. On standard error it prints which protections each buffer has.
//!
//! The key comes from the passphrase by Argon2id, computed in secure memory; the entries are
//! encrypted by XChaCha20-Poly1305, which authenticates the header too. The file is written to a
//! new one beside it and moved over it, so that there is always a whole one.
//!
//! ```text
//! "casemate-vault-1" | salt 16 | memory KiB 4 | passes 4 | lanes 4 | nonce 24 |   the header
//! entries, encrypted | tag 16
//! entry: length of name 4 | name | length of secret 4 | secret
//! ```
//!
//! The exit code is 0 if all went well, 1 if not, 2 if the command line was wrong.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use casemate::secure::{
    Protections, ReadError, SecretBox, SecretString, SecretVec, secure_stats, with_wiped_stack,
};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

type Outcome<T> = Result<T, Box<dyn Error>>;

const MAGIC: &[u8; 16] = b"casemate-vault-1";
const HEADER: usize = 68;
const TAG: usize = 16;
/// Largest vault that is read, in bytes.
const MOST: u64 = 16 << 20;
/// Most that a file may ask of Argon2: it is not authentic before the key is known.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 16;

const HELP: &str = "usage: vault init FILE | add FILE NAME | get FILE NAME | list FILE\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["init", file] => init(Path::new(file)),
        ["add", file, name] => add(Path::new(file), name),
        ["get", file, name] => get(Path::new(file), name),
        ["list", file] => list(Path::new(file)),
        _ => {
            let _ = io::stderr().write_all(HELP.as_bytes());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "vault: {error}");
            ExitCode::FAILURE
        }
    }
}

fn init(file: &Path) -> Outcome<()> {
    if file.exists() {
        return Err(format!("{} is there already", file.display()).into());
    }
    let passphrase = ask("New passphrase: ")?;
    if io::stdin().is_terminal() && passphrase != ask("Once more: ")? {
        return Err("the two are not the same".into());
    }
    let header = Header::new()?;
    let cipher = header.cipher(&passphrase)?;
    Vault { header, cipher, entries: SecretVec::new() }.save(file)?;
    report_totals();
    Ok(())
}

fn add(file: &Path, name: &str) -> Outcome<()> {
    let mut vault = Vault::load(file, &ask("Passphrase: ")?)?;
    let secret = ask("Secret: ")?;
    report("secret", secret.protections());
    let mut entries = SecretVec::new();
    for entry in vault.entries() {
        let (other, kept) = entry?;
        if other != name.as_bytes() {
            write_entry(&mut entries, other, kept)?;
        }
    }
    write_entry(&mut entries, name.as_bytes(), secret.expose_secret().as_bytes())?;
    vault.entries = entries;
    vault.header.renew()?;
    vault.save(file)?;
    report_totals();
    Ok(())
}

fn get(file: &Path, name: &str) -> Outcome<()> {
    let vault = Vault::load(file, &ask("Passphrase: ")?)?;
    for entry in vault.entries() {
        let (other, secret) = entry?;
        if other == name.as_bytes() {
            // The descriptor itself: `std`'s standard output keeps what it writes in a buffer.
            let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            out.write_all(secret)?;
            out.write_all(b"\n")?;
            return Ok(());
        }
    }
    Err(format!("there is no secret called {name}").into())
}

fn list(file: &Path) -> Outcome<()> {
    let vault = Vault::load(file, &ask("Passphrase: ")?)?;
    for entry in vault.entries() {
        writeln!(io::stdout(), "{}", String::from_utf8_lossy(entry?.0))?;
    }
    Ok(())
}

/// A line from the terminal without echo, or from standard input if that is none.
fn ask(prompt: &str) -> Result<SecretString, ReadError> {
    if io::stdin().is_terminal() {
        SecretString::read_password(prompt)
    } else {
        SecretString::read_password_from(io::stdin())
    }
}

fn report(what: &str, has: Option<Protections>) {
    if let Some(has) = has {
        let _ = writeln!(io::stderr(), "{what:<12}{has}");
    }
}

fn report_totals() {
    let _ = writeln!(io::stderr(), "{}", secure_stats());
}

/// What precedes the entries, and is no secret.
struct Header([u8; HEADER]);

impl Header {
    fn new() -> Outcome<Header> {
        let params = Params::default();
        let mut header = Header([0; HEADER]);
        header.0[..16].copy_from_slice(MAGIC);
        getrandom::fill(&mut header.0[16..32])?;
        for (at, number) in [(32, params.m_cost()), (36, params.t_cost()), (40, params.p_cost())] {
            header.0[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        header.renew()?;
        Ok(header)
    }

    /// A nonce encrypts once.
    fn renew(&mut self) -> Outcome<()> {
        Ok(getrandom::fill(&mut self.0[44..])?)
    }

    fn salt(&self) -> &[u8] {
        &self.0[16..32]
    }

    fn nonce(&self) -> Outcome<&XNonce> {
        Ok(self.0[44..].try_into()?)
    }

    fn params(&self) -> Outcome<Params> {
        let number =
            |at: usize| -> Outcome<u32> { Ok(u32::from_le_bytes(self.0[at..at + 4].try_into()?)) };
        let (memory, passes, lanes) = (number(32)?, number(36)?, number(40)?);
        if memory > MOST_MEMORY || passes > MOST_PASSES || lanes > MOST_LANES {
            return Err("the file asks for too much work".into());
        }
        Params::new(memory, passes, lanes, Some(32)).map_err(|error| error.to_string().into())
    }

    /// The key, computed in secure memory; on the stack nothing stays of it.
    fn cipher(&self, passphrase: &SecretString) -> Outcome<SecretBox<XChaCha20Poly1305>> {
        let params = self.params()?;
        let mut blocks = SecretVec::<Block>::try_with_capacity(params.block_count())?;
        blocks.extend((0..params.block_count()).map(|_| Block::new()));
        let mut key = SecretBox::<[u8; 32]>::zeroed();
        report("passphrase", passphrase.protections());
        report("key", key.protections());
        report("derivation", blocks.protections());
        with_wiped_stack(|| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into_with_memory(
                    passphrase.expose_secret().as_bytes(),
                    self.salt(),
                    key.expose_secret_mut(),
                    blocks.expose_secret_mut(),
                )
                .map_err(|error| error.to_string())?;
            Ok(SecretBox::try_new(XChaCha20Poly1305::new(key.expose_secret().into()))?)
        })
    }
}

struct Vault {
    header: Header,
    cipher: SecretBox<XChaCha20Poly1305>,
    entries: SecretVec<u8>,
}

impl Vault {
    fn load(file: &Path, passphrase: &SecretString) -> Outcome<Vault> {
        let mut text = Vec::new();
        File::open(file)?.take(MOST).read_to_end(&mut text)?;
        let (header, sealed) = text.split_at_checked(HEADER).ok_or("not a vault")?;
        let (sealed, tag) = sealed.split_last_chunk::<TAG>().ok_or("not a vault")?;
        let header = Header(header.try_into()?);
        if !header.0.starts_with(MAGIC) {
            return Err("not a vault".into());
        }
        let cipher = header.cipher(passphrase)?;
        let mut entries = SecretVec::new();
        let plain = entries.try_extend_zeroed(sealed.len())?;
        let both = InOutBuf::new(sealed, plain).map_err(|error| error.to_string())?;
        let nonce = header.nonce()?;
        with_wiped_stack(|| {
            let tag: &Tag = tag.into();
            cipher.expose_secret().decrypt_inout_detached(nonce, &header.0, both, tag)
        })
        .map_err(|_| "wrong passphrase, or the file was changed")?;
        report("entries", entries.protections());
        Ok(Vault { header, cipher, entries })
    }

    fn save(&self, file: &Path) -> Outcome<()> {
        let mut sealed = vec![0; self.entries.len()];
        let both = InOutBuf::new(self.entries.expose_secret(), &mut sealed)
            .map_err(|error| error.to_string())?;
        let nonce = self.header.nonce()?;
        let tag = with_wiped_stack(|| {
            self.cipher.expose_secret().encrypt_inout_detached(nonce, &self.header.0, both)
        })
        .map_err(|_| "too many entries")?;
        write_whole(file, &[&self.header.0, &sealed, &tag])
    }

    /// Names and secrets, as they lie in secure memory.
    fn entries(&self) -> impl Iterator<Item = Outcome<(&[u8], &[u8])>> {
        let mut rest = self.entries.expose_secret();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let entry = part(&mut rest).and_then(|name| Some((name, part(&mut rest)?)));
            if entry.is_none() {
                rest = &[];
            }
            Some(entry.ok_or_else(|| "an entry is cut short".into()))
        })
    }
}

/// Takes a length and that many bytes off the front.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, behind) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (part, behind) = behind.split_at_checked(len)?;
    *rest = behind;
    Some(part)
}

fn write_entry(entries: &mut SecretVec<u8>, name: &[u8], secret: &[u8]) -> Outcome<()> {
    for part in [name, secret] {
        entries.try_extend_from_slice(&u32::try_from(part.len())?.to_le_bytes())?;
        entries.try_extend_from_slice(part)?;
    }
    Ok(())
}

/// Writes a new file beside the old one and moves it there once it is on the disk.
fn write_whole(file: &Path, parts: &[&[u8]]) -> Outcome<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = file.file_name().ok_or("not the name of a file")?.to_string_lossy();
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = parts.iter().try_for_each(|part| out.write_all(part));
    let moved = written.and_then(|()| out.sync_all()).and_then(|()| fs::rename(&new, file));
    if let Err(error) = moved {
        let _ = fs::remove_file(&new);
        return Err(error.into());
    }
    Ok(File::open(folder)?.sync_all()?)
}
