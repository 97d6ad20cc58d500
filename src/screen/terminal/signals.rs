//! Signals that concern a terminal: those that end the program, that stop it, and that let it go on.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::unistd::{Pid, getpid};

use super::modes::Modes;

/// Those that end a program.
const ENDS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// What was heard and not acted upon yet.
#[derive(Debug, Default)]
pub(super) struct Heard {
    end: AtomicBool,
    stop: AtomicBool,
    going_on: AtomicBool,
}

impl Heard {
    /// The program is to end.
    pub(super) fn end(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }

    /// The program is to stop for a while; tells it once.
    pub(super) fn stop(&self) -> bool {
        self.stop.swap(false, Ordering::SeqCst)
    }

    /// The program was stopped, and goes on; tells it once.
    pub(super) fn going_on(&self) -> bool {
        self.going_on.swap(false, Ordering::SeqCst)
    }
}

/// The right to wait for the signals: nobody else gets them any more.
#[derive(Debug)]
pub(super) struct Watch {
    signals: SigSet,
}

impl Watch {
    /// Blocks them in this thread and in those that it starts from now on.
    pub(super) fn block() -> io::Result<Self> {
        let signals: SigSet = ENDS.into_iter().chain([Signal::SIGTSTP, Signal::SIGCONT]).collect();
        signals.thread_block()?;
        Ok(Self { signals })
    }

    /// Waits for them for ever. `wake`: to be called when one was heard.
    pub(super) fn listen(mut self, heard: &Heard, modes: &Modes, wake: impl Fn()) {
        while let Ok(signal) = self.signals.wait() {
            if ENDS.contains(&signal) {
                // Asked a second time, or nobody draws any more who would act upon it: then as without a screen.
                if heard.end.swap(true, Ordering::SeqCst) || !modes.are_taken() {
                    modes.give_back_at_once();
                    take_effect(signal);
                }
            } else if signal == Signal::SIGTSTP {
                // The next one is for `stop`, until the program goes on.
                self.signals.remove(Signal::SIGTSTP);
                heard.stop.store(true, Ordering::SeqCst);
            } else {
                self.signals.add(Signal::SIGTSTP);
                heard.going_on.store(true, Ordering::SeqCst);
            }
            wake();
        }
    }
}

/// Stops this program and all others of its job until somebody lets them go on. Does nothing where nobody could.
pub(super) fn stop() -> io::Result<()> {
    let stop = SigSet::from(Signal::SIGTSTP);
    stop.thread_unblock()?;
    // The kernel stops the caller before this returns.
    let stopped = kill(Pid::from_raw(0), Signal::SIGTSTP);
    stop.thread_block()?;
    Ok(stopped?)
}

/// As if somebody else had sent it.
pub(super) fn send_to_itself(signal: Signal) {
    // One may always send a signal to oneself.
    let _ = kill(getpid(), signal);
}

/// Lets a signal do what it does to programs that do not care.
fn take_effect(signal: Signal) {
    if SigSet::from(signal).thread_unblock().is_ok() {
        // Where it is ignored nothing happens.
        let _ = raise(signal);
    }
}
