//! The live screens in a real terminal: what is to be seen, what keys do, and that the terminal is given back and nothing
//! of the laboratory stays, however they end.
#![expect(clippy::disallowed_methods, reason = "tests start what they test")]
#![expect(clippy::unwrap_used, reason = "a test that fails, panics")]

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, panic, process, thread};

use lubdub::lab::{APART, Lab, LabError, PATIENCE, Plan, wait_for};
use lubdub::screen::{Model, Palette, Pressed, Screen, now};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PROGRAM, alone, in_lab, pair};
use crate::tmux::{CLEAN, Tmux};

const USUAL: (u16, u16) = (80, 24);
/// Which thread of this very program is to panic on a screen.
const PANICS: &str = "LUBDUB_TEST_PANICS";
/// The beginning of an arrow key, and nothing more.
const HALF_A_KEY: &str = "\u{1b}[";

/// Processes of this program, by what their arguments begin with.
fn processes(arguments: &[&str]) -> Vec<Pid> {
    let wanted: String =
        [PROGRAM].iter().chain(arguments).map(|word| format!("{word}\0")).collect();
    let found = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.starts_with(wanted.as_bytes()).then(|| Pid::from_raw(pid))
    });
    found.collect()
}

/// Starts the demo, and waits until the pair serves and its hearts beat.
fn demo(tmux: &Tmux) {
    tmux.start(&format!("{PROGRAM} demo"));
    tmux.wait("both boxes are drawn", |text| {
        text.contains("a · alpha") && text.contains("b · beta")
    });
    tmux.wait("alpha has the address, heartbeats pass, the client is answered", |text| {
        text.contains("♥ 10.77.0.100")
            && text.contains('▸')
            && text.contains('◂')
            && text.contains("aaaaaaaa")
    });
}

fn assert_nothing_left() {
    let left = wait_for("nothing is left", PATIENCE, || Ok(processes(&[]).is_empty()));
    assert!(left.is_ok(), "{:?}", processes(&[]));
}

#[test]
fn keys_are_faults_and_captions_say_what_came_of_them() {
    let _turn = alone();
    let tmux = Tmux::open(USUAL, &[]);
    demo(&tmux);

    tmux.press("x");
    tmux.wait("the refusal is told, with its reason", |text| {
        text.contains("NOTHING MOVED") && text.contains("10.77.0.100 still answers from alpha")
    });
    assert!(tmux.text().contains("does not take web"), "{}", tmux.text());
    tmux.press("r");
    tmux.wait("the nodes hear each other again", |text| text.contains("is up again after"));

    tmux.press("s");
    tmux.wait("the service is restarted", |text| {
        text.contains("failed on alpha · started again in place · client saw")
    });
    tmux.press("w");
    tmux.wait("beta takes it", |text| {
        text.contains("alpha agreed") && text.contains("beta took web")
    });
    tmux.press("p");
    tmux.wait("alpha takes it from beta, which has no power", |text| {
        text.contains("> deadtime 500 · ping node answered · address silent")
            && text.contains("alpha took web · client saw")
            && text.contains("no power")
            && text.contains("××××××××")
    });
    assert!(tmux.coloured().contains("\u{1b}[48;5;160m"), "{:?}", tmux.coloured());

    tmux.resize((60, 15));
    tmux.wait("it says how large it must be", |text| text.contains("needs 78 columns and 20 rows"));
    tmux.resize((120, 40));
    tmux.wait("it is drawn larger", |text| {
        text.lines().any(|line| line.contains("a · alpha") && line.chars().count() > 110)
    });

    tmux.press("q");
    tmux.wait("it ends with the way to a pair of one's own", |text| text.contains("4 commands"));
    assert_eq!(tmux.ended(), 0);
    assert_eq!(tmux.modes(), CLEAN);
    assert_nothing_left();
}

#[test]
fn a_killed_daemon_keeps_its_address_until_the_lease_ends() {
    let _turn = alone();
    // A user who wants no colours.
    let tmux = Tmux::open(USUAL, &[("NO_COLOR", "1")]);
    demo(&tmux);
    assert!(!tmux.coloured().contains("[38;") && !tmux.coloured().contains("[48;"));
    tmux.press("k");
    tmux.wait("first refused, then taken", |text| {
        text.contains("10.77.0.100 still answers from alpha") && text.contains("beta took web")
    });
    tmux.press("r");
    tmux.wait("the daemon is back and cleans up", |text| text.contains("web stays on beta"));
    tmux.press("l");
    tmux.wait("beta's cable is out", |text| {
        text.contains("beta does not see the ping node") && text.contains("alpha took web")
    });
    tmux.press("C-c");
    tmux.wait("it ends", |text| text.contains("4 commands"));
    assert_eq!(tmux.ended(), 0);
    assert_eq!(tmux.modes(), CLEAN);
    assert_nothing_left();
}

#[test]
fn the_terminal_is_given_back_whoever_is_killed() {
    let _turn = alone();
    let tmux = Tmux::open(USUAL, &[]);
    // The process that the user sees; one that draws, by signals that it takes and by two that it cannot.
    for (arguments, signal, status) in [
        (["demo"].as_slice(), Signal::SIGTERM, 143),
        (&["demo"], Signal::SIGQUIT, 131),
        (&["demo", "--inside"], Signal::SIGINT, 0),
        (&["demo", "--inside"], Signal::SIGKILL, 1),
        (&["demo", "--inside"], Signal::SIGABRT, 1),
    ] {
        demo(&tmux);
        let inside = processes(&["demo", "--inside"]);
        let victims = processes(arguments);
        let victim = victims.iter().find(|pid| arguments.len() > 1 || !inside.contains(pid));
        kill(*victim.unwrap(), signal).unwrap();
        assert_eq!(tmux.ended(), status, "{arguments:?} {signal}");
        assert_eq!(tmux.modes(), CLEAN, "{arguments:?} {signal}");
        assert_nothing_left();
    }
    demo(&tmux);
    tmux.close();
    assert_nothing_left();
}

#[test]
fn a_demo_that_is_stopped_gives_the_terminal_back_and_goes_on() {
    let _turn = alone();
    let tmux = Tmux::open(USUAL, &[]);
    demo(&tmux);
    tmux.press("C-z");
    // As a shell tells of a job that SIGTSTP stopped.
    assert_eq!(tmux.ended(), 148);
    assert_eq!(tmux.modes(), CLEAN);
    assert!(!processes(&["demo", "--inside"]).is_empty());

    tmux.start("fg");
    tmux.wait("it is drawn again", |text| text.contains("♥ 10.77.0.100") && text.contains('▸'));
    tmux.press("w");
    tmux.wait("keys are read again", |text| text.contains("beta took web"));
    tmux.press("q");
    assert_eq!(tmux.ended(), 0);
    assert_eq!(tmux.modes(), CLEAN);
    assert_nothing_left();
}

#[test]
fn a_panic_is_told_on_the_ordinary_screen() {
    const TEST: &str = "screen::a_panic_is_told_on_the_ordinary_screen";
    if let Some(whose) = env::var_os(PANICS) {
        return panic_on_a_screen(whose == "another");
    }
    let tmux = Tmux::open(USUAL, &[]);
    let program = env::current_exe().unwrap();
    for whose in ["own", "another"] {
        let environment = format!("{PANICS}={whose} RUST_BACKTRACE=0");
        tmux.start(&format!("{environment} {} {TEST} --exact --nocapture", program.display()));
        tmux.wait("a screen is drawn", |text| text.contains("a · alpha"));
        tmux.press("p");
        // As a shell tells of a program that aborted.
        assert_eq!(tmux.ended(), 134);
        assert!(tmux.text().contains("it panicked"), "{}", tmux.text());
        assert_eq!(tmux.modes(), CLEAN, "{whose}");
    }
}

/// Draws, and panics at a key as a release build does: nothing is unwound.
#[expect(clippy::panic, reason = "that is what is tried")]
fn panic_on_a_screen(in_another_thread: bool) {
    let mut screen = Screen::open(Palette::of_environment()).unwrap();
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        told(info);
        process::abort();
    }));
    let model = Model::of_nodes(["alpha", "beta"], &[]);
    loop {
        screen.draw(&model, now()).unwrap();
        match screen.wait(Duration::from_millis(20)).unwrap() {
            Some(Pressed::Key('p')) if in_another_thread => {
                thread::spawn(|| panic!("it panicked"));
            }
            Some(Pressed::Key('p')) => panic!("it panicked"),
            Some(Pressed::Key(_) | Pressed::End) | None => {}
        }
    }
}

#[test]
fn an_installed_demo_finds_the_installed_agents() {
    let _turn = alone();
    let bin = tempfile::tempdir().unwrap();
    let script = r#"
        mount -t tmpfs installed /usr/lib/ocf/resource.d
        cp -r "$AGENTS" /usr/lib/ocf/resource.d/lubdub
        cp "$PROGRAM" "$BIN"
        cd /
        exec "$BIN/lubdub" demo --scenario switchover --json"#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-euc", script])
        .env("AGENTS", concat!(env!("CARGO_MANIFEST_DIR"), "/resource-agents"))
        .env("PROGRAM", PROGRAM)
        .env("BIN", bin.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(r#""scenario":"switchover""#), "{text}");
}

#[test]
fn a_pipe_gets_the_same_as_lines() {
    let _turn = alone();
    let output = Command::new(PROGRAM).arg("demo").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "nothing moved: silence",
        "10.77.0.100 still answers from alpha",
        "started again in place · client saw",
        "root asked: web to beta · alpha agreed · beta took web",
        "does not see the ping node",
        "> deadtime 500 · ping node answered · address silent",
        "More than one node had the address for 0 ms",
        "Your own pair: 4 commands",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_nothing_left();
}

#[test]
fn a_cluster_of_two_is_watched() {
    let plan = Plan { links: APART, ..pair() };
    in_lab("screen::a_cluster_of_two_is_watched", plan, |lab| {
        let client = lab.begin()?;
        let (tmux, command) = watch(lab)?;
        tmux.wait("both nodes and what runs are to be seen", |text| {
            text.contains("cluster demo · seen from beta")
                && text.contains("all fine")
                && text.contains("♥ web")
                && text.contains("web on alpha: started ")
                && text.contains(" ago, preferred node")
                && text.contains('◂')
        });
        lab.switch().stop(&APART)?;
        tmux.wait("the refusal is to be seen", |text| {
            text.contains("LOST") && text.contains("does not take web") && text.contains("DEGRADED")
        });
        lab.switch().restore()?;
        tmux.wait("they hear each other again", |text| text.contains("alpha is up again after"));
        lab.node("beta")?.kill_daemon()?;
        tmux.wait("the daemon is missed", |text| {
            text.contains("no answer") && text.contains("no daemon answers on")
        });
        lab.node("beta")?.start_daemon()?;
        tmux.wait("the daemon is back", |text| text.contains("all fine"));
        tmux.press("q");
        assert_eq!((tmux.ended(), tmux.modes()), (0, CLEAN));

        tmux.start(&command);
        tmux.wait("it is drawn again", |text| text.contains("all fine"));
        tmux.press("C-c");
        assert_eq!((tmux.ended(), tmux.modes()), (0, CLEAN));

        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            tmux.start(&command);
            tmux.wait("it is drawn again", |text| text.contains("all fine"));
            signal_watchers(lab, signal)?;
            assert_eq!((tmux.ended(), tmux.modes()), (0, CLEAN), "{signal}");
        }
        client.finish().map(drop)
    });
}

#[test]
fn half_a_key_holds_nothing_up_and_a_terminal_that_is_gone_ends_it() {
    in_lab(
        "screen::half_a_key_holds_nothing_up_and_a_terminal_that_is_gone_ends_it",
        pair(),
        |lab| {
            let client = lab.begin()?;
            let (tmux, command) = watch(lab)?;
            tmux.wait("it is drawn", |text| text.contains("all fine"));
            tmux.send(HALF_A_KEY);
            lab.node("beta")?.kill_daemon()?;
            tmux.wait("the daemon is missed", |text| text.contains("no answer"));
            lab.node("beta")?.start_daemon()?;
            tmux.wait("the daemon is back", |text| text.contains("all fine"));

            // Stopped from elsewhere: so that it may give the terminal back first, and so that it may not.
            signal_watchers(lab, Signal::SIGTSTP)?;
            assert_eq!((tmux.ended(), tmux.modes()), (148, CLEAN));
            go_on(&tmux)?;
            signal_watchers(lab, Signal::SIGSTOP)?;
            // In raw mode Enter ends no line.
            tmux.send("\nstty sane\n");
            wait_for("the shell has the terminal", PATIENCE, || Ok(tmux.modes().cooked))?;
            go_on(&tmux)?;
            signal_watchers(lab, Signal::SIGTERM)?;
            assert_eq!((tmux.ended(), tmux.modes()), (0, CLEAN));

            // Nobody tells it of the end.
            tmux.enter("trap '' HUP");
            tmux.start(&command);
            tmux.wait("it is drawn again", |text| text.contains("all fine"));
            tmux.close();
            wait_for("it ends with its terminal", PATIENCE, || Ok(watchers(lab)?.is_empty()))?;
            client.finish().map(drop)
        },
    );
}

#[test]
fn a_cluster_of_three_is_watched() {
    let mut plan = pair();
    plan.nodes.push("gamma".to_owned());
    in_lab("screen::a_cluster_of_three_is_watched", plan, |lab| {
        let client = lab.begin()?;
        let (tmux, _) = watch(lab)?;
        tmux.wait("all three are to be seen", |text| {
            ["a · beta", "b · alpha", "c · gamma", "♥ web", "◂", "all fine"]
                .iter()
                .all(|words| text.contains(words))
        });
        lab.power_off("gamma")?;
        tmux.wait("the loss is to be seen", |text| text.contains("LOST"));
        tmux.press("q");
        // Degraded, as `status` would say.
        assert_eq!((tmux.ended(), tmux.modes()), (3, CLEAN));
        client.finish().map(drop)
    });
}

/// Lets the job of before go on, and waits until it has the terminal and draws.
fn go_on(tmux: &Tmux) -> Result<(), LabError> {
    tmux.start("fg");
    wait_for("it takes the terminal again", PATIENCE, || Ok(!tmux.modes().cooked))?;
    tmux.wait("it is drawn again", |text| text.contains("all fine"));
    Ok(())
}

/// A terminal in which beta's daemon is watched, and the command that does it.
fn watch(lab: &Lab) -> Result<(Tmux, String), LabError> {
    let tmux = Tmux::open(USUAL, &[]);
    let socket = lab.node("beta")?.control_socket()?;
    let command = format!("{PROGRAM} --socket {} status --watch", socket.display());
    tmux.start(&command);
    Ok((tmux, command))
}

fn signal_watchers(lab: &Lab, signal: Signal) -> Result<(), LabError> {
    watchers(lab)?.into_iter().for_each(|pid| kill(pid, signal).unwrap());
    Ok(())
}

fn watchers(lab: &Lab) -> Result<Vec<Pid>, LabError> {
    let socket = lab.node("beta")?.control_socket()?;
    Ok(processes(&["--socket", &socket.display().to_string(), "status", "--watch"]))
}
