//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs programs on the Casemate heap, without recompiling them
#[derive(Parser)]
#[command(name = "casemate", version, about, long_about = LONG, after_long_help = AFTER)]
#[command(max_term_width = 100, infer_subcommands = false)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const LONG: &str = "Runs programs on the Casemate heap, without recompiling them.

Casemate is a hardened memory allocator. It ends a program at the first misuse of its heap that it \
finds: double and invalid frees, writes past the end or before the start of an object, writes to \
freed memory. It wipes what is freed and puts objects at places that cannot be guessed.";

const AFTER: &str = "Examples:
  casemate run -- python3 -c 'print(\"hello\")'
  casemate run --stats --log heap.log -- make -j4
  casemate run --policy strict -- ./server
  casemate doctor
  casemate demo";

/// See [`Options`].
#[derive(Subcommand)]
pub enum Command {
    /// Run a program on the Casemate heap
    #[command(long_about = RUN, after_long_help = RUN_AFTER)]
    Run(Run),
    /// Show which protections this machine gives, and test them
    #[command(long_about = "Shows which protections this machine gives, which limits bind and \
        what to change to get more, and runs a self-test.\n\nEnds with 0 if every part of the \
        self-test passed, otherwise with 1.")]
    Doctor(Doctor),
    /// Run misuse programs with and without Casemate, side by side
    #[command(long_about = "Runs misuse programs, each in a process of its own, with and without \
        Casemate, and shows what came of it.\n\nEnds with 0 if Casemate stopped or prevented \
        every one, otherwise with 1.")]
    Demo(Demo),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write the pages of all subcommands into this directory instead
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// One of the misuse programs of `demo` and `doctor`
    #[command(hide = true, name = "misuse-program")]
    Misuse {
        /// Which one
        name: String,
    },
}

const RUN: &str = "Runs a program, and all that it starts, on the Casemate heap.

The program keeps its standard streams, its terminal, its environment (with LD_PRELOAD and \
CASEMATE_REPORT added) and its signals; signals sent to the launcher are passed on. The launcher \
ends as the program does: with its status, or by the same signal. After a violation it says on \
standard error, or in the file given by --log, what was found and what it means.";

const RUN_AFTER: &str = "Exit status:
  125  the launcher itself failed, or refused the program; it has not run
  126  the program was found but cannot be executed
  127  the program was not found
  else the program's own

Refused: static executables, programs that gain privileges when executed (setuid, setgid, file \
capabilities), programs for another processor, programs linked with another libc than the library.

A program that closes inherited descriptors before it executes another hides that one from the \
report; its heap is protected all the same.

A signal sent to the whole process group, other than by the terminal's keys, reaches the program \
twice: by itself and passed on.";

/// See [`Command::Run`].
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    pub heap: Heap,
    /// Print a heap report of every process after the end
    #[arg(long)]
    pub stats: bool,
    /// Append explanations and reports to this file instead of printing them on standard error
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    #[arg(value_name = "PROGRAM [ARGUMENTS]", value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// See [`Command::Doctor`].
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    pub heap: Heap,
}

/// See [`Command::Demo`].
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    pub heap: Heap,
}

/// Which library.
#[derive(Args)]
pub struct Heap {
    /// How much protection
    #[arg(long, value_enum, default_value_t = Policy::Full)]
    pub policy: Policy,
    /// Use this shared object instead of looking for one
    #[arg(long, value_name = "PATH", conflicts_with = "policy")]
    pub lib: Option<PathBuf>,
}

/// One shared object each.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Isolation, canaries, guards; no wiping, no delayed reuse
    Light,
    /// Everything but what is costly
    Full,
    /// Everything; allocation and free by different interfaces are fatal too
    Strict,
}

impl Policy {
    /// The file name of its shared object.
    pub fn library(self) -> &'static str {
        match self {
            Policy::Light => "libcasemate_light.so",
            Policy::Full => "libcasemate.so",
            Policy::Strict => "libcasemate_strict.so",
        }
    }

    /// The package that builds it.
    pub fn package(self) -> &'static str {
        match self {
            Policy::Light => "casemate-preload-light",
            Policy::Full => "casemate-preload",
            Policy::Strict => "casemate-preload-strict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_its_own() {
        for line in [
            &["casemate", "run", "--stats", "--", "ls", "--stats", "-l"][..],
            &["casemate", "run", "--stats", "ls", "--stats", "-l"],
        ] {
            let Command::Run(run) = Options::try_parse_from(line).ok().unwrap().command else {
                panic!("not run");
            };
            assert!(run.stats);
            assert_eq!(run.command, ["ls", "--stats", "-l"]);
        }
    }
}
