//! Switches for tests and for finding faults.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static KERNELS_ARE_OFF: Cell<bool> = const { Cell::new(false) };
}

static POISONS: AtomicBool = AtomicBool::new(false);

/// Runs `work` without kernels: every operation is composed of Burn's own, as on a device that has
/// none. It holds for this thread, and for the backward pass of what is recorded here.
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

/// Fills scratch memory and fresh results with NaN from now on, in the whole process. So a number
/// that a kernel reads before writing it, or never writes, shows itself.
pub fn poison() {
    POISONS.store(true, Ordering::Relaxed);
}

pub(crate) fn kernels_are_off() -> bool {
    KERNELS_ARE_OFF.get()
}

#[cfg(feature = "host-kernels")]
pub(crate) fn poisons() -> bool {
    cfg!(any(debug_assertions, test)) || POISONS.load(Ordering::Relaxed)
}
