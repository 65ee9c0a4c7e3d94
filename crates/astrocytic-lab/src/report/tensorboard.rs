//! Curves as TensorBoard's event files: TFRecords (length, masked CRC-32C, bytes, masked CRC-32C)
//! of `tensorflow.Event` messages (tensorflow/core/util/event.proto,
//! tensorflow/core/framework/summary.proto). Only the fields that scalars need are declared. No
//! maintained crate writes them without a protobuf compiler.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use astrocytic_data::write_atomically;
use prost::Message;

use crate::results::{Line, Phase};

/// The format of what follows, in the first event.
const VERSION: &str = "brain.Event:2";
/// `SessionLog.START`: voids what an earlier file says of this step and later ones.
const START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Scalars>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalars {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    /// Optional, so that a 0 is written too.
    #[prost(float, optional, tag = "2")]
    value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Event {
    fn version() -> Self {
        Self { file_version: Some(VERSION.into()), ..Self::default() }
    }

    fn scalars(wall_time: f64, step: u64, scalars: &[(&str, f64)]) -> Self {
        let values =
            scalars.iter().map(|&(tag, value)| Scalar { tag: tag.into(), value: Some(value as f32) }).collect();
        Self { wall_time, step: step as i64, summary: Some(Scalars { values }), ..Self::default() }
    }

    fn record(&self) -> Vec<u8> {
        let message = self.encode_to_vec();
        let length = (message.len() as u64).to_le_bytes();
        [&length[..], &masked(&length), &message, &masked(&message)].concat()
    }
}

/// TFRecord's masked CRC. It is rotated and shifted, so that the CRC of data that hold their own
/// CRC is not a constant.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// An event file that grows with a run, so that TensorBoard can follow it.
pub(crate) struct EventFile(File);

impl EventFile {
    /// Begins a new file that goes on after `step`. The folder may hold older files of the same
    /// run.
    ///
    /// # Errors
    /// For a folder that cannot be written.
    pub(crate) fn begin(folder: &Path, step: u64) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let now = seconds();
        let path = folder.join(format!("events.out.tfevents.{now:.0}.{}", std::process::id()));
        let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let start = Event {
            wall_time: now,
            step: step as i64 + 1,
            session_log: Some(SessionLog { status: START }),
            ..Event::default()
        };
        file.write_all(&[Event::version().record(), start.record()].concat())?;
        Ok(Self(file))
    }

    /// Appends scalars of a step.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<()> {
        Ok(self.0.write_all(&Event::scalars(seconds(), step, scalars).record())?)
    }
}

/// Seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Writes a run `ARM-SIZE-SEED` into the folder for every final run. Times count from the run's
/// beginning.
///
/// # Errors
/// For a folder that cannot be written.
pub(crate) fn write_finals(folder: &Path, lines: &[Line]) -> Result<()> {
    for line in lines {
        let Line::Result { cell, best_step, test, tokens_per_second, .. } = line else { continue };
        if cell.phase != Phase::Final {
            continue;
        }
        let mut events = Event::version().record();
        let mut last = 0.0;
        for line in lines {
            if let Line::Evaluation { cell: own, step, tokens, train_loss, tuning_loss, .. } = line
                && own.id == cell.id
            {
                last = *tokens as f64 / tokens_per_second;
                let losses = [("loss/train", *train_loss), ("loss/tuning", *tuning_loss)];
                events.extend(Event::scalars(last, *step, &losses).record());
            }
        }
        if let Some(test) = test {
            let mut found = vec![("loss/test", test.loss)];
            found.extend(test.accuracy.map(|accuracy| ("accuracy/test", accuracy)));
            events.extend(Event::scalars(last, *best_step, &found).record());
        }
        let run = folder.join(format!("{}-{}-{}", cell.arm, cell.size, cell.seed));
        std::fs::create_dir_all(&run).with_context(|| format!("cannot make the folder {}", run.display()))?;
        let path = run.join("events.out.tfevents.0.final");
        write_atomically(&path, &events).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file, its checksums checked by their definition.
    fn events(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let count = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (message, end) = (&rest[4..4 + count], &rest[4 + count..]);
            assert_eq!((&rest[..4], &end[..4]), (&masked(length)[..], &masked(message)[..]));
            events.push(Event::decode(message).unwrap());
            bytes = &end[4..];
        }
        events
    }

    #[test]
    fn a_record_is_as_tensorflow_writes_it() {
        // The first record of every event file that TensorFlow writes at time 0.
        let first = Event { wall_time: 1.0, ..Event::version() }.record();
        assert_eq!(first[..8], 24u64.to_le_bytes());
        assert_eq!(first[12..21], [9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(&first[21..36], b"\x1a\x0dbrain.Event:2");
        // The check value of CRC-32C, 0xe3069283, masked by hand.
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5u32.to_le_bytes());
    }

    #[test]
    fn what_is_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::begin(folder.path(), 40).unwrap();
        file.write(50, &[("loss/train", 0.0), ("loss/tuning", 3.0)]).unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let found = events(&std::fs::read(path).unwrap());
        assert_eq!(found[0].file_version.as_deref(), Some(VERSION));
        assert_eq!((found[1].step, found[1].session_log.as_ref().unwrap().status), (41, START));
        let values = &found[2].summary.as_ref().unwrap().values;
        assert_eq!((found[2].step, values[1].tag.as_str(), values[1].value), (50, "loss/tuning", Some(3.0)));
        assert_eq!(values[0].value, Some(0.0));

        let (_, lines) = crate::report::synthetic::quick();
        write_finals(folder.path(), &lines).unwrap();
        let finals: Vec<_> = lines
            .iter()
            .filter(|line| matches!(line, Line::Result { cell, .. } if cell.phase == Phase::Final))
            .collect();
        let cell = finals[0].cell();
        let run = folder.path().join(format!("{}-{}-{}", cell.arm, cell.size, cell.seed));
        let found = events(&std::fs::read(run.join("events.out.tfevents.0.final")).unwrap());
        let own = lines.iter().filter(|line| line.cell().id == cell.id).count();
        assert_eq!(found.len(), 1 + own);
        assert_eq!(found.last().unwrap().summary.as_ref().unwrap().values[0].tag, "loss/test");
    }
}
