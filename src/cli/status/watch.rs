//! `lubdub status --watch`: the live screen for a real cluster, seen from this node. Where stdout is no terminal: the page,
//! then each thing that happens, a line each.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::finding::{Grade, findings};
use super::page::{self, Row};
use super::{exit, print};
use crate::cli::daemon::Daemon;
use crate::cli::exit::{Exit, Failure};
use crate::cli::history;
use crate::cli::output::{self, Paint, Tone};
use crate::control::Status;
use crate::screen::{self, Key, Model, Palette, Poller, Pressed, Screen, Sighting, Target, Words};

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(50);
/// Time between two questions to the daemon.
const LOOK: Duration = Duration::from_millis(100);

/// Lines of the history from before, where there is no terminal.
const BEFORE: usize = 10;

/// Shows how everything is until somebody has seen enough; ends as `status` would have ended at the last look.
pub(in crate::cli) fn watch(socket: &Path) -> Result<Exit, Failure> {
    // A daemon that is not there at the start is an error; one that goes away later is news.
    let first = Daemon::connect(socket)?.status()?;
    if screen::is_usable() { show(socket, &first) } else { follow(socket, &first) }
}

fn show(socket: &Path, first: &Status) -> Result<Exit, Failure> {
    // Before there is a second thread.
    let mut screen = Screen::open(Palette::of_environment()).map_err(Failure::Print)?;
    let (poller, sightings) = ask(socket, first)?;
    let mut model = Model::of_nodes([first.snapshot.node.as_str()], &[]);
    model.keys = vec![Key { key: 'q', word: "quit" }];
    let mut end = exit(first);
    caption(&mut model, first);
    loop {
        for sighting in sightings.try_iter() {
            end = take(&mut model, &sighting);
            model.saw(sighting);
        }
        screen.draw(&model, screen::now()).map_err(Failure::Print)?;
        match screen.wait(FRAME).map_err(Failure::Print)? {
            Some(Pressed::End) => break,
            Some(Pressed::Key(_)) | None => {}
        }
    }
    drop(poller);
    Ok(end)
}

/// Without a terminal.
fn follow(socket: &Path, first: &Status) -> Result<Exit, Failure> {
    print(first)?;
    output::result("\nhistory")?;
    let (_poller, sightings) = ask(socket, first)?;
    let (mut silent, mut most) = (false, BEFORE);
    for sighting in &sightings {
        match sighting.seen {
            Err(why) if !silent => {
                output::say(&why);
                silent = true;
            }
            Err(_) => {}
            Ok(_) => silent = false,
        }
        let old = sighting.fresh.len().saturating_sub(most);
        if !sighting.fresh.is_empty() {
            most = usize::MAX;
        }
        for record in sighting.fresh.iter().skip(old) {
            output::result(&history::line(record, Paint::for_stdout()))?;
        }
    }
    Ok(Exit::Fine)
}

fn ask(socket: &Path, first: &Status) -> Result<(Poller, Receiver<Sighting>), Failure> {
    let (news, sightings) = mpsc::channel();
    let tell = move |sighting| news.send(sighting).is_ok();
    let target = Target::at(socket.to_owned());
    let poller = Poller::start(&first.snapshot.node, target, LOOK, tell)
        .map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))?;
    Ok((poller, sightings))
}

/// What a look brought, and how `status` would end now.
fn take(model: &mut Model, sighting: &Sighting) -> Exit {
    match &sighting.seen {
        Ok(status) => {
            caption(model, status);
            exit(status)
        }
        Err(why) => {
            model.facts = Words::new(screen::Tone::Bad, "no answer");
            model.notes = vec![Words::new(screen::Tone::Bad, why.clone())];
            Exit::NoDaemon
        }
    }
}

/// Title, verdict, groups and findings: the words of the page.
fn caption(model: &mut Model, status: &Status) {
    let found = findings(status);
    let snapshot = &status.snapshot;
    model.title = format!("cluster {} · seen from {}", snapshot.cluster, snapshot.node);
    let (tone, verdict) = page::verdict(&found);
    model.facts = Words::new(tone_of(tone), verdict);
    let rows: Vec<Row> =
        snapshot.groups.iter().map(|group| page::group_row(snapshot, group)).collect();
    let groups = rows.into_iter().map(|Row { name, state, tone, details }| {
        let on = if snapshot.nodes.iter().any(|node| node.name == state) { "on " } else { "" };
        Words::new(tone_of(tone), format!("{name} {on}{state}: {}", details.join(" · ")))
    });
    let findings = found.into_iter().flat_map(|finding| {
        let tone = match finding.grade {
            Grade::Degraded => screen::Tone::Bad,
            Grade::Warning => screen::Tone::Warn,
        };
        let head = Words::new(tone, finding.what);
        let plain = |text: String| Words::new(screen::Tone::Plain, text);
        let why = finding.why.into_iter().map(move |why| plain(format!("  {why}")));
        let todo = finding.todo.into_iter().map(move |todo| plain(format!("  → {todo}")));
        std::iter::once(head).chain(why).chain(todo)
    });
    model.notes = groups.chain(findings).collect();
}

fn tone_of(tone: Tone) -> screen::Tone {
    match tone {
        Tone::Good => screen::Tone::Good,
        Tone::Warn => screen::Tone::Warn,
        Tone::Bad => screen::Tone::Bad,
        Tone::Head => screen::Tone::Strong,
    }
}
