//! A program in another language that answers the same requests.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_train::observer::Observer;
use serde::Deserialize;

use super::request::Request;
use super::row::Row;

/// Bytes that glibc keeps, rather than return them to the system.
const KEEP: &str = "1073741824";

/// A running peer. It ends with its input.
pub struct Peer {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    hello: Hello,
}

#[derive(Deserialize)]
struct Hello {
    torch: String,
    threads: usize,
    peers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Failed { error: String },
    Found(Row),
}

impl Peer {
    /// Starts `python script`.
    ///
    /// # Errors
    /// Where it does not start or does not say what it can.
    pub fn start(python: &str, script: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .arg(script)
            // The same threads, and the same courtesy: our allocator keeps freed pages, glibc's
            // then does as well.
            .env("PEER_THREADS", rayon::current_num_threads().to_string())
            .env("MALLOC_MMAP_THRESHOLD_", KEEP)
            .env("MALLOC_TRIM_THRESHOLD_", KEEP)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {python} {}", script.display()))?;
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let hello = Hello { torch: String::new(), threads: 0, peers: Vec::new() };
        let mut peer = Self { _child: child, input, output, hello };
        let line = peer.ask(r#"{"op":"hello"}"#)?;
        peer.hello = serde_json::from_str(&line).with_context(|| format!("the peer's greeting: {}", line.trim()))?;
        Ok(peer)
    }

    /// What it can measure.
    pub fn names(&self) -> &[String] {
        &self.hello.peers
    }

    /// Its version and threads in a few words.
    pub fn describe(&self) -> String {
        format!("PyTorch {}, {} threads", self.hello.torch, self.hello.threads)
    }

    /// The row, or `None` where it cannot measure that, the reason told to the observer.
    ///
    /// # Errors
    /// Where it ended or its answer cannot be read.
    pub(super) fn measure(&mut self, request: &Request, observer: &dyn Observer) -> Result<Option<Row>> {
        let line = self.ask(&serde_json::to_string(request)?)?;
        match serde_json::from_str(&line).with_context(|| format!("the peer's answer: {}", line.trim()))? {
            Answer::Found(row) => Ok(Some(row)),
            Answer::Failed { error } => {
                observer.say(&format!("peer: {error}"));
                Ok(None)
            }
        }
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        // Not as an error of writing, which would be taken for a reader of ours that has gone.
        writeln!(self.input, "{line}").map_err(|error| anyhow!("asking the peer: {error}"))?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            bail!("the peer ended; try it by itself: python benches/pytorch/peers.py --check");
        }
        Ok(answer)
    }
}
