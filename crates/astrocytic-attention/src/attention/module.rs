//! [`Attention`] as a Burn module. By hand, because a derived one adds the variant to every
//! parameter's name, and records of Burn's layer would not load.

use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::tensor::Device;

use super::Attention;

/// The layer inside, whichever it is.
macro_rules! inside {
    ($of:expr, $layer:ident => $result:expr) => {
        match $of {
            Attention::Astrocytic($layer) => $result,
            Attention::Softmax($layer) => $result,
            Attention::Burn($layer) => $result,
            Attention::Lstm($layer) => $result,
            Attention::Off($layer) => $result,
        }
    };
}

/// The same kind of layer made from the one inside.
macro_rules! changed {
    ($of:expr, $layer:ident => $result:expr) => {
        match $of {
            Attention::Astrocytic($layer) => Attention::Astrocytic($result),
            Attention::Softmax($layer) => Attention::Softmax($result),
            Attention::Burn($layer) => Attention::Burn($result),
            Attention::Lstm($layer) => Attention::Lstm($result),
            Attention::Off($layer) => Attention::Off($result),
        }
    };
}

impl Module for Attention {
    fn collect_devices(&self, devices: Devices) -> Devices {
        inside!(self, layer => layer.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        changed!(self, layer => layer.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        changed!(self, layer => layer.to_device(device))
    }

    fn train(self) -> Self {
        changed!(self, layer => layer.train())
    }

    fn valid(&self) -> Self {
        changed!(self, layer => layer.valid())
    }

    fn materialize(self) -> Self {
        changed!(self, layer => layer.materialize())
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        inside!(self, layer => layer.visit(visitor))
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        changed!(self, layer => layer.map(mapper))
    }
}

impl ModuleDisplayDefault for Attention {
    fn content(&self, content: Content) -> Option<Content> {
        inside!(self, layer => content.add_single(layer).optional())
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for Attention {}

impl std::fmt::Display for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        inside!(self, layer => std::fmt::Display::fmt(layer, f))
    }
}
