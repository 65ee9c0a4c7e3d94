//! The matrix of a feature map: trained, or random directions that stay as they were drawn.

use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

/// Hedgehog's W or the random directions Ω, `[heads, directions, d]`.
///
/// Records hold either under the same name. Random directions are a buffer: nothing makes them trainable, `unfreeze`
/// included. (Burn's `RunningState` is a buffer too, but clones of it share their numbers.)
#[derive(Debug, Clone)]
pub struct Projection {
    param: Param<Tensor<3>>,
    trained: bool,
}

impl Projection {
    /// A matrix that is trained.
    pub fn trained(value: Tensor<3>) -> Self {
        Self { param: Param::from_tensor(value), trained: true }
    }

    /// A buffer: kept in records, never trained.
    pub fn buffer(value: Tensor<3>) -> Self {
        Self { param: Param::from_tensor(value), trained: false }.frozen()
    }

    /// Whether it is trained.
    pub fn is_trained(&self) -> bool {
        self.trained
    }

    /// The numbers.
    pub fn val(&self) -> Tensor<3> {
        self.param.val()
    }

    fn with(self, change: impl FnOnce(Param<Tensor<3>>) -> Param<Tensor<3>>) -> Self {
        Self { param: change(self.param), ..self }.frozen()
    }

    fn frozen(self) -> Self {
        let param = if self.trained { self.param } else { self.param.set_require_grad(false) };
        Self { param, ..self }
    }
}

impl Module for Projection {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.param.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.with(|param| param.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(|param| param.to_device(device))
    }

    fn train(self) -> Self {
        self.with(Module::train)
    }

    fn valid(&self) -> Self {
        self.clone().with(|param| param.valid())
    }

    fn materialize(self) -> Self {
        self.with(Module::materialize)
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        self.param.visit(visitor);
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        self.with(|param| Module::map(param, mapper))
    }
}

impl ModuleDisplayDefault for Projection {
    fn content(&self, content: Content) -> Option<Content> {
        self.param.content(content)
    }
}

impl ModuleDisplay for Projection {}

impl std::fmt::Display for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.param, f)
    }
}
