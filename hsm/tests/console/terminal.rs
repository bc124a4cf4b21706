//! `signet-signer` on a terminal of its own, which util-linux's `script` makes.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Longest wait for a question, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program, and what its terminal showed.
pub(crate) struct Terminal {
    script: Child,
    shown: Receiver<Vec<u8>>,
    text: String,
    /// Up to where the text was looked at.
    seen: usize,
}

impl Terminal {
    /// Starts `signet-signer`.
    pub(crate) fn run(arguments: &[String]) -> Self {
        let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let command = format!("'{}' {}", env!("CARGO_BIN_EXE_signet-signer"), words.join(" "));
        let mut script = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux's script");
        let mut out = script.stdout.take().unwrap();
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut piece) {
                let _ = sender.send(piece[..read].to_vec());
            }
        });
        Self { script, shown, text: String::new(), seen: 0 }
    }

    /// Waits for a question, and types a line.
    pub(crate) fn answer(&mut self, question: &str, line: &str) {
        let until = Instant::now() + PATIENCE;
        let at = loop {
            if let Some(at) = self.text[self.seen..].find(question) {
                break self.seen + at + question.len();
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(piece) => self.text.push_str(&String::from_utf8_lossy(&piece)),
                Err(error) => panic!("`{question}` is not asked ({error}): {}", self.text),
            }
        };
        self.seen = at;
        writeln!(self.script.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Waits for the end; the exit code, and all that the terminal showed.
    pub(crate) fn end(mut self) -> (i32, String) {
        while let Ok(piece) = self.shown.recv_timeout(PATIENCE) {
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
        let status = self.script.wait().unwrap();
        (status.code().unwrap_or(-1), std::mem::take(&mut self.text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
