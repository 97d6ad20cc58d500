//! The terminal: its modes, its keys, its end. Whatever ends the program, the terminal is given back as it was: by
//! [`Screen`] when it ends in order, by a hook when it panics (also where a panic aborts), by [`Guard`] in a parent when
//! a child that drew was killed.

use std::fs::File;
use std::io::{self, IsTerminal, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::LeaveAlternateScreen;

use super::colour::Palette;
use super::draw::draw;
use super::model::Model;

/// Signals that end a screen in order.
const ENDS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// What somebody pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    /// A letter.
    Key(char),
    /// The screen is to end: `q`, Ctrl-C, or a signal.
    End,
}

/// A terminal that is drawn on. It is as it was before when this value ends.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
    signals: SignalFd,
    palette: Palette,
}

/// Whether a screen can be drawn and used here: stdout is a terminal that can move its cursor, and keys can be read.
#[must_use]
pub fn is_usable() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stdout().is_terminal() && !dumb && File::open("/dev/tty").is_ok()
}

impl Screen {
    /// Takes the terminal. To be called before other threads start: they must not get the signals that end it.
    ///
    /// # Errors
    /// What the terminal or the kernel refuses; the terminal is left as it was.
    pub fn open(palette: Palette) -> io::Result<Self> {
        let mut set = SigSet::empty();
        ENDS.iter().for_each(|signal| set.add(*signal));
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        // This sets the hook for panics too.
        Ok(Self { terminal: ratatui::try_init()?, signals, palette })
    }

    /// Draws the model as it is at this moment.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, model: &Model, now: Duration) -> io::Result<()> {
        let palette = self.palette;
        self.terminal.draw(|frame| draw(frame, model, now, palette))?;
        Ok(())
    }

    /// Waits for a key, for so long at most.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn wait(&mut self, patience: Duration) -> io::Result<Option<Pressed>> {
        let pressed = if event::poll(patience)? { pressed(&event::read()?) } else { None };
        match self.signals.read_signal() {
            Ok(Some(_)) => Ok(Some(Pressed::End)),
            Ok(None) => Ok(pressed),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Says itself on stderr if it cannot.
        ratatui::restore();
    }
}

/// What a terminal's event means here. A new size needs nothing: the next frame has it.
fn pressed(event: &Event) -> Option<Pressed> {
    let key = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        Event::Key(_)
        | Event::FocusGained
        | Event::FocusLost
        | Event::Mouse(_)
        | Event::Paste(_)
        | Event::Resize(..) => return None,
    };
    let KeyCode::Char(letter) = key.code else { return None };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match letter.to_ascii_lowercase() {
        'c' if control => Some(Pressed::End),
        _ if control => None,
        'q' => Some(Pressed::End),
        letter => Some(Pressed::Key(letter)),
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
        let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSANOW, &self.before);
        let _ = execute!(self.terminal, LeaveAlternateScreen, Show);
        true
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Pressed> {
        pressed(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys() {
        let none = KeyModifiers::NONE;
        for (code, modifiers, meant) in [
            (KeyCode::Char('p'), none, Some(Pressed::Key('p'))),
            (KeyCode::Char('P'), KeyModifiers::SHIFT, Some(Pressed::Key('p'))),
            (KeyCode::Char('q'), none, Some(Pressed::End)),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Pressed::End)),
            (KeyCode::Char('c'), none, Some(Pressed::Key('c'))),
            (KeyCode::Char('p'), KeyModifiers::CONTROL, None),
            (KeyCode::Enter, none, None),
        ] {
            assert_eq!(key(code, modifiers), meant, "{code:?}");
        }
    }
}
