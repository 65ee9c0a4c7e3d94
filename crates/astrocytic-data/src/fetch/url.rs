//! Files that a server has.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::progress::Progress;
use super::wanted::Wanted;
use crate::error::DataError;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes between two reports of progress.
const REPORT: usize = 1 << 18;

/// The name of the file that a URL names, never empty and never a path.
pub(super) fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
    let name = path.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    if name.is_empty() || name == ".." || name == "." { "file" } else { name }
}

/// Fetches a file into a folder; a `file://` is taken where it lies. Proxies are those of the environment, trusted certificates
/// those of the system.
///
/// # Errors
/// For a server that cannot be reached or that refuses, and a file that cannot be written.
pub(super) fn download(wanted: Wanted, url: &str, folder: &Path) -> Result<PathBuf, DataError> {
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(path.into());
    }
    let label = format!("fetching {url}");
    let progress = Progress::begin(&label);
    let failed = |why: String| wanted.fault(format!("{url}: {why}; check the network, or {}", wanted.otherwise));
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(concat!("astrocytic/", env!("CARGO_PKG_VERSION")))
        .build();
    let response = Agent::new_with_config(config).get(url).call().map_err(|e| failed(e.to_string()))?;
    let path = folder.join(format!("fetched-{}", file_name(url)));
    let mut file = File::create(&path).map_err(|e| DataError::file(&path, e))?;
    let mut body = response.into_body().into_reader();
    let (mut buffer, mut bytes) = (vec![0; REPORT], 0);
    loop {
        let count = body.read(&mut buffer).map_err(|e| failed(e.to_string()))?;
        if count == 0 {
            return Ok(path);
        }
        file.write_all(&buffer[..count]).map_err(|e| DataError::file(&path, e))?;
        bytes += count as u64;
        progress.reached(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const WANTED: Wanted = Wanted { name: "own", otherwise: "give a file you have with --from" };

    /// A server that answers one request with these bytes; returns its address.
    fn serve(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                request.push(byte[0]);
            }
            stream.write_all(&answer).unwrap();
        });
        format!("http://{address}")
    }

    #[test]
    fn a_file_is_fetched_whole_and_failures_are_told_in_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = "a line of the text\n".repeat(50_000);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
        let url = serve((head.clone() + &text).into_bytes()) + "/folder/text.txt?raw=true";
        let path = download(WANTED, &url, folder.path()).unwrap();
        assert!(path.ends_with("fetched-text.txt"), "{}", path.display());
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);

        for (answer, part) in [
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404"),
            // The connection ends before the file does.
            ((head + "only the beginning").into_bytes(), "http://"),
            (b"no HTTP at all".to_vec(), "http://"),
        ] {
            let error = download(WANTED, &serve(answer), folder.path()).unwrap_err().to_string();
            assert!(error.starts_with("fetching own: http://127.0.0.1") && error.contains(part), "{error}");
            assert!(error.ends_with("--from") && !error.contains('\n'), "{error}");
        }
        // Nobody listens there any more.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = download(WANTED, &format!("http://{address}/a"), folder.path()).unwrap_err().to_string();
        assert!(error.contains("check the network"), "{error}");
    }

    #[test]
    fn names_of_files_are_no_paths() {
        for (url, name) in [
            ("https://a.org/b/c.tar.gz", "c.tar.gz"),
            ("https://a.org/b/c.txt?x=/y/z#t", "c.txt"),
            ("https://a.org/b/", "b"),
            ("file:///a/..", "file"),
            ("https://", "file"),
        ] {
            assert_eq!(file_name(url), name, "{url}");
        }
    }
}
