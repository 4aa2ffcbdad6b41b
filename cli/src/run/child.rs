//! Starting the program, passing signals on, and waiting for its end.
//!
//! The program stays in the launcher's process group, so the terminal's keys reach both of them:
//! those the launcher does not pass on. When a key stopped the program, the launcher stops too. What
//! others send to the group looks like what they send to the launcher, so the program has it twice: to
//! pass on too little would be worse.

use super::channel::Channel;
use crate::report::End;
use crate::system::environment::Environment;
use crate::system::process::{self, Event};
use crate::system::signals;
use casemate_report::layout::Table;
use casemate_report::reader;
use std::io;
use std::process::Command;
use std::time::Duration;

/// How often a running program is looked at for violations in one of its processes.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the command, which sets no variables itself, to its end; `tell` is called when a violation has been found meanwhile.
pub fn run(
    mut command: Command,
    environment: Environment,
    channel: &Channel,
    mut tell: impl FnMut(&Table),
) -> io::Result<End> {
    let held = signals::hold_back();
    process::prepare(&mut command, held, environment, channel.descriptor());
    let child = match command.spawn() {
        Ok(child) => child.id(),
        Err(error) => {
            held.restore();
            return Err(error);
        }
    };
    let mut seen = 0;
    loop {
        match signals::next(LOOK) {
            Some(arrived) if arrived.signal == libc::SIGCHLD => {}
            // What the program sends to its whole group has reached it.
            Some(arrived) if !arrived.by_kernel && arrived.sender != child as i32 => {
                signals::send(child, arrived.signal);
            }
            _ => {}
        }
        match process::look(child) {
            Event::Ended(status, resident) => return Ok(End { child, status, resident }),
            Event::Stopped(signal) if signals::is_stop(signal) => {
                signals::suffer(signal);
                // Whoever continued the launcher means the program.
                signals::send(child, libc::SIGCONT);
            }
            // One that tidies up at the terminal's key stops itself so: the shell must learn of it.
            Event::Stopped(libc::SIGSTOP) if signals::is_foreground() => {
                signals::stop();
                signals::send(child, libc::SIGCONT);
            }
            Event::Stopped(_) | Event::None => {}
        }
        let found = reader::violations(channel.table());
        if found != seen {
            seen = found;
            tell(channel.table());
        }
    }
}
