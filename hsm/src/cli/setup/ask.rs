//! Questions on the terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};

/// Asks for what the command line does not say.
pub(super) struct Ask {
    /// None where there is no terminal, or where nothing is to be asked.
    terminal: Option<File>,
    /// Whether defaults are taken without a question.
    defaults: bool,
}

impl Ask {
    pub(super) fn new(defaults: bool) -> Self {
        let terminal = || OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        Self { terminal: (!defaults).then(terminal).flatten(), defaults }
    }

    /// Says something, if somebody sits there.
    pub(super) fn say(&mut self, text: &str) {
        if let Some(terminal) = &mut self.terminal {
            let _ = writeln!(terminal, "{text}\n");
        }
    }

    /// What the command line gave, or the answer to `question`. An empty default is none.
    pub(super) fn text(
        &mut self,
        given: Option<String>,
        flag: &str,
        question: &str,
        default: &str,
    ) -> Result<String, String> {
        match (given, &mut self.terminal) {
            (Some(given), _) => Ok(given),
            (None, _) if self.defaults && !default.is_empty() => Ok(default.to_owned()),
            (None, Some(terminal)) => loop {
                let answer = asked(terminal, question, default).map_err(|error| format!("the terminal: {error}"))?;
                if !answer.is_empty() {
                    return Ok(answer);
                }
            },
            (None, None) => {
                Err(format!("there is no terminal to ask on: give --{flag}, or --yes to take what is usual"))
            }
        }
    }

    /// The same for several answers, with commas between them.
    pub(super) fn list(
        &mut self,
        given: Vec<String>,
        flag: &str,
        question: &str,
        default: &str,
    ) -> Result<Vec<String>, String> {
        let given = (!given.is_empty()).then(|| given.join(","));
        let answer = self.text(given, flag, question, default)?;
        Ok(answer.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
    }
}

fn asked(terminal: &mut File, question: &str, default: &str) -> std::io::Result<String> {
    match default {
        "" => write!(terminal, "{question}: ")?,
        default => write!(terminal, "{question} [{default}]: ")?,
    }
    let mut answer = String::new();
    if BufReader::new(terminal.try_clone()?).read_line(&mut answer)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}
