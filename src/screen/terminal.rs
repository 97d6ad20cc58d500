//! The terminal: what is drawn on it, its keys, its end.
//!
//! ```text
//! keys      a thread that reads them ──────┐
//! signals   a thread that waits for them ──┴─► whoever draws waits here, and for neither of them
//! ```
//!
//! So that a read that blocks (half of a key's sequence, a terminal that is gone) holds up neither the picture nor the
//! end. What ends in order gives the terminal back with [`Screen`], a panic by a hook (also where it aborts), a child that
//! was killed by [`Guard`] in its parent; see [`Modes`].

mod modes;
mod signals;

use std::fs::File;
use std::io::{self, IsTerminal, stdout};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::colour::Palette;
use super::draw::draw;
use super::model::Model;
pub use modes::Guard;
use modes::{Canvas, Modes};
use signals::{Heard, Watch};

/// Keys that were pressed and not taken yet; whoever types faster than is drawn waits.
const TYPED_AHEAD: usize = 16;

/// What somebody pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    /// A letter.
    Key(char),
    /// The screen is to end: `q`, Ctrl-C, or a signal.
    End,
}

/// What wakes the one who draws.
#[derive(Debug)]
enum Input {
    Pressed(Pressed),
    /// A signal was heard.
    Signal,
    /// There will be no more keys.
    NoKeys(io::Error),
}

/// A terminal that is drawn on. It is as it was before when this value ends.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Canvas>>,
    modes: Arc<Modes>,
    inputs: Receiver<Input>,
    heard: Arc<Heard>,
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
        let modes = Arc::new(Modes::of_stdout()?);
        let heard = Arc::new(Heard::default());
        let (tell, inputs) = mpsc::sync_channel(TYPED_AHEAD);
        let watch = Watch::block()?;
        let terminal = Terminal::new(CrosstermBackend::new(Canvas::new(&modes)))?;
        let screen = Self { terminal, modes, inputs, heard, palette };
        modes::give_back_on_panic(&screen.modes);
        // From here on this value gives it back.
        screen.modes.take()?;
        let (heard, modes, wake) =
            (Arc::clone(&screen.heard), Arc::clone(&screen.modes), tell.clone());
        spawn("signals", move || {
            // A full queue wakes whoever draws as well.
            watch.listen(&heard, &modes, || drop(wake.try_send(Input::Signal)));
        })?;
        spawn("keys", move || read_keys(&tell))?;
        Ok(screen)
    }

    /// Draws the model as it is at this moment.
    ///
    /// # Errors
    /// If the terminal is gone, or was given back since another thread panicked.
    pub fn draw(&mut self, model: &Model, now: Duration) -> io::Result<()> {
        let palette = self.palette;
        self.terminal.draw(|frame| draw(frame, model, now, palette))?;
        if self.modes.are_taken() {
            Ok(())
        } else {
            Err(io::Error::other("given back, since a part of this program failed"))
        }
    }

    /// Waits for a key, for so long at most. Ctrl-Z stops the program meanwhile, as anywhere.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn wait(&mut self, patience: Duration) -> io::Result<Option<Pressed>> {
        let input = self.inputs.recv_timeout(patience);
        if self.heard.end() {
            return Ok(Some(Pressed::End));
        }
        if self.heard.stop() {
            self.modes.give_back();
            signals::stop()?;
            self.modes.take()?;
            self.begin_anew()?;
        }
        if self.heard.going_on() {
            self.modes.take_again()?;
            self.begin_anew()?;
        }
        match input {
            Ok(Input::Pressed(pressed)) => Ok(Some(pressed)),
            Ok(Input::Signal) | Err(RecvTimeoutError::Timeout) => Ok(None),
            Ok(Input::NoKeys(error)) => Err(error),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("nobody reads keys")),
        }
    }

    /// The next frame is drawn whole: somebody else has written on the terminal.
    fn begin_anew(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.modes.give_back();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Reads keys until nobody wants them any more. It may well block in the middle of one, or find no end where the terminal
/// is gone: nobody waits for this thread.
fn read_keys(tell: &SyncSender<Input>) {
    loop {
        let input = match event::read() {
            Ok(event) if is_stop(&event) => {
                // The way of the signal that the key is elsewhere.
                signals::send_to_itself(Signal::SIGTSTP);
                continue;
            }
            Ok(event) => match pressed(&event) {
                Some(pressed) => Input::Pressed(pressed),
                None => continue,
            },
            Err(error) => Input::NoKeys(error),
        };
        let last = matches!(input, Input::NoKeys(_));
        if tell.send(input).is_err() || last {
            return;
        }
    }
}

/// The letter of an event, and whether it was pressed with Ctrl. A new size needs nothing: the next frame has it.
fn letter(event: &Event) -> Option<(char, bool)> {
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
    Some((letter.to_ascii_lowercase(), key.modifiers.contains(KeyModifiers::CONTROL)))
}

/// What a terminal's event means here.
fn pressed(event: &Event) -> Option<Pressed> {
    match letter(event)? {
        ('c', true) | ('q', false) => Some(Pressed::End),
        (_, true) => None,
        (letter, false) => Some(Pressed::Key(letter)),
    }
}

fn is_stop(event: &Event) -> bool {
    letter(event) == Some(('z', true))
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys() {
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        for (code, modifiers, meant, stops) in [
            (KeyCode::Char('p'), none, Some(Pressed::Key('p')), false),
            (KeyCode::Char('P'), KeyModifiers::SHIFT, Some(Pressed::Key('p')), false),
            (KeyCode::Char('q'), none, Some(Pressed::End), false),
            (KeyCode::Char('c'), control, Some(Pressed::End), false),
            (KeyCode::Char('c'), none, Some(Pressed::Key('c')), false),
            (KeyCode::Char('p'), control, None, false),
            (KeyCode::Char('z'), none, Some(Pressed::Key('z')), false),
            (KeyCode::Char('z'), control, None, true),
            (KeyCode::Enter, none, None, false),
        ] {
            let event = Event::Key(KeyEvent::new(code, modifiers));
            assert_eq!((pressed(&event), is_stop(&event)), (meant, stops), "{code:?}");
        }
    }
}
