//! The signals that ask the runner to end.

use std::sync::atomic::{AtomicI32, Ordering};

/// A signal handler can reach nothing but a static.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn remember(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::Relaxed);
}

const WATCHED: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// From here on SIGTERM, SIGINT and SIGHUP are remembered; whatever waits, ends what it waits for.
pub fn watch_signals() {
    for signal in WATCHED {
        // SAFETY: the handler only stores into an atomic. No SA_RESTART: waiting calls must return.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = remember as extern "C" fn(libc::c_int) as libc::sighandler_t;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// The signal that asked the runner to end, if one did.
#[must_use]
pub fn interrupted() -> Option<i32> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// In a child: die by these signals again.
pub(super) fn forget_signals() {
    for signal in WATCHED {
        // SAFETY: SIG_DFL is always valid for these signals.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
