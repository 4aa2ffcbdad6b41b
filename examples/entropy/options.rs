//! The command line.

use lexopt::{Arg, ValueExt};

/// What to run and where to write it.
pub struct Options {
    /// Starts of the program for each heap; a tenth of them for each curve.
    pub starts: usize,
    /// Only the heap of this name.
    pub only: Option<String>,
    /// Further heaps: name and library.
    pub heaps: Vec<(String, String)>,
    pub json: Option<String>,
    pub markdown: Option<String>,
    pub plots: Option<String>,
}

impl Options {
    /// The command line's, or what is wrong with it.
    pub fn parse() -> Result<Options, String> {
        let mut options = Options {
            starts: 4000,
            only: None,
            heaps: Vec::new(),
            json: None,
            markdown: None,
            plots: None,
        };
        options.read().map_err(|error| error.to_string())?;
        Ok(options)
    }

    fn read(&mut self) -> Result<(), lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("starts") => self.starts = parser.value()?.parse::<usize>()?.max(100),
                Arg::Long("only") => self.only = Some(parser.value()?.string()?),
                Arg::Long("heap") => {
                    let text = parser.value()?.string()?;
                    let (name, library) = text.split_once('=').ok_or("--heap NAME=LIBRARY")?;
                    self.heaps.push((name.to_owned(), library.to_owned()));
                }
                Arg::Long("json") => self.json = Some(parser.value()?.string()?),
                Arg::Long("markdown") => self.markdown = Some(parser.value()?.string()?),
                Arg::Long("plots") => self.plots = Some(parser.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }
}
