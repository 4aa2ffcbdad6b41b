//! What can go wrong for a client.

use std::fmt;
use std::io;

use crate::frame::FrameError;
use crate::protocol::{Malformed, Refusal, Response};

/// Why a client gave up.
#[derive(Debug)]
pub enum Failure {
    Io(io::Error),
    /// The connection ended where an answer was due.
    Closed,
    /// The answer is no response.
    Unreadable,
    /// The service refused what it should have done.
    Refused(Refusal),
    /// The answer is a response, but not the right one.
    Wrong(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(error) => write!(f, "connection: {error}"),
            Failure::Closed => f.write_str("the service closed the connection"),
            Failure::Unreadable => f.write_str("the answer is no response"),
            Failure::Refused(why) => write!(f, "refused: {why}"),
            Failure::Wrong(what) => write!(f, "wrong answer: {what}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLong => Failure::Unreadable,
            FrameError::Io(error) => Failure::Io(error),
        }
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Failure::Unreadable
    }
}

impl Failure {
    /// For an answer that is not the one to the question.
    pub fn unexpected(response: Response<'_>) -> Failure {
        match response {
            Response::Refused(why) => Failure::Refused(why),
            _ => Failure::Wrong("a response to another request"),
        }
    }
}
