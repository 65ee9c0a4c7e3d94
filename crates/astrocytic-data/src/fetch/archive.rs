//! Archives, by the ends of their names.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use crate::error::DataError;

/// Unpacks a file of that name into a folder; what is no archive is copied.
///
/// # Errors
/// For an archive that is broken, and where files cannot be written.
pub(super) fn unpack(file: &Path, name: &str, into: &Path) -> Result<(), DataError> {
    let lower = name.to_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    let open = || File::open(file).map(BufReader::new);
    let done = if ends(&[".tar.gz", ".tgz"]) {
        open().and_then(|file| untar(GzDecoder::new(file), into))
    } else if ends(&[".tar"]) {
        open().and_then(|file| untar(file, into))
    } else if ends(&[".zip", ".whl"]) {
        open().and_then(|file| unzip(file, into))
    } else if ends(&[".gz"]) {
        open().and_then(|file| write(GzDecoder::new(file), &into.join(&name[..name.len() - ".gz".len()])))
    } else {
        open().and_then(|file| write(file, &into.join(name)))
    };
    done.map_err(|e| DataError::file(file, e))
}

fn untar(tar: impl Read, into: &Path) -> std::io::Result<()> {
    tar::Archive::new(tar).unpack(into)
}

fn unzip(file: BufReader<File>, into: &Path) -> std::io::Result<()> {
    let mut archive = zip::ZipArchive::new(file).map_err(std::io::Error::other)?;
    archive.extract(into).map_err(std::io::Error::other)
}

fn write(mut from: impl Read, path: &Path) -> std::io::Result<()> {
    std::io::copy(&mut from, &mut File::create(path)?).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An archive of that name that holds `inside/text.txt`.
    fn pack(name: &str) -> Vec<u8> {
        let text = b"a text".as_slice();
        let tar = |writer: Vec<u8>| {
            let mut tar = tar::Builder::new(writer);
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "inside/text.txt", text).unwrap();
            tar.into_inner().unwrap()
        };
        let gzip = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        };
        let zip = || {
            let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            writer.start_file("inside/text.txt", zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text).unwrap();
            writer.finish().unwrap().into_inner()
        };
        match name {
            "a.tar" => tar(Vec::new()),
            "a.tar.gz" | "A.TGZ" => gzip(&tar(Vec::new())),
            "a.zip" => zip(),
            "text.txt.gz" => gzip(text),
            _ => text.to_vec(),
        }
    }

    #[test]
    fn archives_of_every_kind_are_unpacked_and_broken_ones_refused() {
        for (name, inside) in [
            ("a.tar", "inside/text.txt"),
            ("a.tar.gz", "inside/text.txt"),
            ("A.TGZ", "inside/text.txt"),
            ("a.zip", "inside/text.txt"),
            ("text.txt.gz", "text.txt"),
            ("text.txt", "text.txt"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (file, into) = (folder.path().join("fetched"), folder.path().join("unpacked"));
            std::fs::create_dir(&into).unwrap();
            std::fs::write(&file, pack(name)).unwrap();
            unpack(&file, name, &into).unwrap();
            assert_eq!(std::fs::read_to_string(into.join(inside)).unwrap(), "a text", "{name}");
            if name != "text.txt" {
                std::fs::write(&file, b"half an archive").unwrap();
                let error = unpack(&file, name, &into).unwrap_err().to_string();
                assert!(error.contains("fetched") && !error.contains('\n'), "{error}");
            }
        }
    }
}
