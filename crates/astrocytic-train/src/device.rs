//! Devices by name.

#[cfg(feature = "wgpu")]
use anyhow::Context;
use anyhow::{Result, bail};
use burn::tensor::Device;

/// The names that this build knows.
pub const NAMES: &[&str] = if cfg!(feature = "wgpu") { &["flex", "ndarray", "wgpu"] } else { &["flex", "ndarray"] };

/// The devices of those names.
///
/// # Errors
/// As [`parse`], and for a device that is there twice, or might be: "wgpu" is one of those that
/// have numbers.
pub fn parse_all(names: &[String]) -> Result<Vec<Device>> {
    let devices: Vec<Device> = names.iter().map(|name| parse(name)).collect::<Result<_>>()?;
    if let Some(twice) = (0..devices.len()).find(|&place| devices[..place].contains(&devices[place])) {
        bail!("device \"{}\" is named twice", names[twice]);
    }
    if names.iter().any(|name| name == "wgpu") && names.iter().any(|name| name.starts_with("wgpu:")) {
        bail!("device \"wgpu\" is one of those with numbers; give its number too");
    }
    Ok(devices)
}

/// The device of that name; "wgpu:N" is the one of that number, from 0, of those that wgpu finds.
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
        #[cfg(feature = "wgpu")]
        _ if let Some(Ok(number)) = name.strip_prefix("wgpu:").map(str::parse) => {
            let found = Device::enumerate(burn::tensor::DeviceType::Wgpu);
            let device = found.get::<usize>(number).cloned();
            device.with_context(|| format!("device {name}: this machine shows wgpu {} devices, from 0", found.len()))
        }
        #[cfg(not(feature = "wgpu"))]
        _ if name == "wgpu" || name.starts_with("wgpu:") => {
            bail!("device wgpu is not in this build; build with `--features wgpu`")
        }
        _ => bail!("unknown device \"{name}\"; choose from {}", NAMES.join(", ")),
    }
}

/// A name that [`parse`] makes such a device of, or else what Burn calls it.
pub fn name(device: &Device) -> String {
    let named = NAMES.iter().find(|name| parse(name).is_ok_and(|named| named == *device));
    named.map_or_else(|| format!("{device:?}"), ToString::to_string)
}
