//! Devices by name.

use anyhow::{Result, bail};
use burn::tensor::Device;

/// The names that this build knows.
pub const NAMES: &[&str] = if cfg!(feature = "wgpu") { &["flex", "ndarray", "wgpu"] } else { &["flex", "ndarray"] };

/// The device of that name.
///
/// # Errors
/// For a name that this build does not know.
pub fn parse(name: &str) -> Result<Device> {
    match name {
        "flex" => Ok(Device::flex()),
        // Deprecated by Burn, but asked for: the last backend that is plain ndarray.
        #[allow(deprecated)]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(not(feature = "wgpu"))]
        "wgpu" => bail!("device wgpu is not in this build; build with `--features wgpu`"),
        _ => bail!("unknown device \"{name}\"; choose from {}", NAMES.join(", ")),
    }
}
