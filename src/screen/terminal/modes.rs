//! The terminal's modes: taken for a screen, given back from wherever the end comes.

use std::fs::File;
use std::io::{self, Write, stdout};
use std::os::fd::AsFd;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// The modes of the terminal on stdout.
///
/// They are given back in the order that tells a [`Guard`] the truth: the line discipline last, so that a terminal with
/// its old one lacks nothing.
#[derive(Debug)]
pub(super) struct Modes {
    /// A way to it past stdout's lock, which a thread that cannot write may hold.
    terminal: File,
    taken: AtomicBool,
    /// Held by whoever writes to it: a frame that is half out when a panic gives them back would hide the cursor again,
    /// and whoever ended the program before the panic is told would lose its words.
    turn: Mutex<()>,
}

impl Modes {
    /// Of the terminal on stdout, which is left as it is.
    pub(super) fn of_stdout() -> io::Result<Self> {
        let terminal = File::from(stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { terminal, taken: AtomicBool::new(false), turn: Mutex::new(()) })
    }

    /// Whether they are taken now.
    pub(super) fn are_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // It protects nothing that could be left half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes them: keys come one by one and are not shown, and there is a screen beside the ordinary one. Whoever is in
    /// the background is stopped here until it is not, as every program is.
    pub(super) fn take(&self) -> io::Result<()> {
        let _turn = self.turn();
        enable_raw_mode()?;
        self.taken.store(true, Ordering::SeqCst);
        execute!(&self.terminal, EnterAlternateScreen)
    }

    /// The same where somebody else may have changed them meanwhile.
    pub(super) fn take_again(&self) -> io::Result<()> {
        disable_raw_mode()?;
        self.take()
    }

    /// Gives them back, once. Returns when no panic is being told any more.
    pub(super) fn give_back(&self) {
        let _turn = self.turn();
        self.give_back_in_turn();
    }

    fn give_back_in_turn(&self) {
        if self.taken.swap(false, Ordering::SeqCst) {
            // A terminal that refuses is gone, and nobody looks at it.
            in_background_too(|| {
                let _ = execute!(&self.terminal, LeaveAlternateScreen, Show);
                let _ = disable_raw_mode();
            });
        }
    }

    /// The same where another thread may be stuck in writing: what cannot be written is left out.
    pub(super) fn give_back_at_once(&self) {
        let mut fds = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            self.give_back_in_turn();
        } else if self.taken.swap(false, Ordering::SeqCst) {
            in_background_too(|| drop(disable_raw_mode()));
        }
    }
}

/// From now on a panic of any thread gives them back before it is told, and before it aborts.
pub(super) fn give_back_on_panic(modes: &Arc<Modes>) {
    let (modes, told) = (Arc::clone(modes), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        let _turn = modes.turn();
        modes.give_back_in_turn();
        told(info);
    }));
}

/// What is drawn. It reaches the terminal piece by piece as it is flushed, and as long as the modes are taken.
#[derive(Debug)]
pub(super) struct Canvas {
    modes: Arc<Modes>,
    piece: Vec<u8>,
}

impl Canvas {
    /// On the terminal of these modes.
    pub(super) fn new(modes: &Arc<Modes>) -> Self {
        Self { modes: Arc::clone(modes), piece: Vec::new() }
    }
}

impl Write for Canvas {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let _turn = self.modes.turn();
        let piece = std::mem::take(&mut self.piece);
        if self.modes.are_taken() { (&self.modes.terminal).write_all(&piece) } else { Ok(()) }
    }
}

/// Remembers how the terminal is, for a parent whose child draws on it.
#[derive(Debug)]
pub struct Guard {
    terminal: File,
    before: Termios,
}

impl Guard {
    /// Looks at the controlling terminal.
    ///
    /// # Errors
    /// If there is none.
    pub fn new() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(terminal.as_fd())?;
        Ok(Self { terminal, before })
    }

    /// Gives the terminal back as it was. Whether that was needed: a child that ended in order has done it itself, and
    /// its last words stand on the screen.
    #[must_use]
    pub fn give_back(mut self) -> bool {
        if tcgetattr(self.terminal.as_fd()).is_ok_and(|now| now == self.before) {
            return false;
        }
        // A terminal that refuses is gone, and nobody looks at it.
        in_background_too(|| {
            let _ = execute!(self.terminal, LeaveAlternateScreen, Show);
            let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSANOW, &self.before);
        });
        true
    }
}

/// Does something to the terminal for which the kernel would stop a program in the background.
fn in_background_too(act: impl FnOnce()) {
    let mut output = SigSet::empty();
    output.add(Signal::SIGTTOU);
    let before = output.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    act();
    if let Ok(before) = before {
        // It was the mask a moment ago.
        let _ = before.thread_set_mask();
    }
}
