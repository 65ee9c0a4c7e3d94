//! Switches for tests and for finding faults.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static KERNELS_ARE_OFF: Cell<bool> = const { Cell::new(false) };
}

static POISONS: AtomicBool = AtomicBool::new(false);

/// Runs `work` with every operation composed of Burn's own, as on a device that has no kernels (a
/// GPU). Holds for this thread, and for the backward pass of what is recorded here.
pub fn without_kernels<R>(work: impl FnOnce() -> R) -> R {
    /// On again however `work` ends.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            KERNELS_ARE_OFF.set(self.0);
        }
    }
    let _restore = Restore(KERNELS_ARE_OFF.replace(true));
    work()
}

/// From now on kernels find NaN in scratch memory and in results that they have not written: what
/// is read before it is written, or never written, shows itself. For the whole process.
pub fn poison() {
    POISONS.store(true, Ordering::Relaxed);
}

pub(crate) fn kernels_are_off() -> bool {
    KERNELS_ARE_OFF.get()
}

pub(crate) fn poisons() -> bool {
    cfg!(any(debug_assertions, test)) || POISONS.load(Ordering::Relaxed)
}
