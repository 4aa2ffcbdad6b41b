//! The command line.

use crate::arena::scenario::Scenario;
use lexopt::{Arg, ValueExt};

/// What to run and where to write it.
pub struct Options {
    /// Processes for each attack and heap; fewer where all are the same or on the controls.
    pub runs: u64,
    /// Only attacks whose name contains this.
    only: Option<String>,
    pub json: Option<String>,
    pub markdown: Option<String>,
    /// A document in which the summary is replaced.
    pub security: Option<String>,
}

const DEFAULT_RUNS: u64 = 200;

impl Options {
    /// The command line's, or what is wrong with it.
    pub fn parse() -> Result<Options, String> {
        let mut options =
            Options { runs: DEFAULT_RUNS, only: None, json: None, markdown: None, security: None };
        options.read().map_err(|error| error.to_string())?;
        Ok(options)
    }

    fn read(&mut self) -> Result<(), lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("runs") => self.runs = parser.value()?.parse::<u64>()?.max(1),
                Arg::Long("only") => self.only = Some(parser.value()?.string()?),
                Arg::Long("json") => self.json = Some(parser.value()?.string()?),
                Arg::Long("markdown") => self.markdown = Some(parser.value()?.string()?),
                Arg::Long("security") => self.security = Some(parser.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    /// Whether this attack is to be run.
    pub fn takes(&self, scenario: &Scenario) -> bool {
        self.only.as_ref().is_none_or(|words| scenario.name.contains(words.as_str()))
    }
}
