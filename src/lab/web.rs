//! What answers the client: the machine's nginx, or where there is none a small server of our own. Each page is the name
//! of its node.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::error::{LabError, file};
use super::node::Node;
use super::plan::millis;
use super::tool;

/// The agent of the small server; installed beside lubdub's own.
const AGENT: &str = include_str!("www.sh");
/// A client that sends nothing does not hold up the next for longer.
const PATIENCE: Duration = Duration::from_millis(200);

/// A web server for the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebServer {
    /// The machine's nginx.
    Nginx(PathBuf),
    /// The small server in this program.
    BuiltIn,
}

impl WebServer {
    /// nginx where there is one.
    #[must_use]
    pub fn find() -> Self {
        tool::find("nginx").map_or(Self::BuiltIn, Self::Nginx)
    }

    /// What the command lines of all its processes contain.
    #[must_use]
    pub fn pattern(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "nginx: ",
            Self::BuiltIn => "lab-www",
        }
    }

    /// The resource that runs it, as the configuration takes it.
    pub(super) fn resource_toml(&self, monitor: Duration) -> String {
        let monitor = millis(monitor);
        match self {
            Self::Nginx(program) => format!(
                "\n[[group.resource]]\nname = \"nginx\"\nagent = \"nginx\"\nmonitor = \"{monitor}\"\n\
                 params = {{ configfile = \"/etc/lubdub/nginx.conf\", httpd = \"{}\" }}\n",
                program.display()
            ),
            Self::BuiltIn => {
                format!(
                    "\n[[group.resource]]\nname = \"www\"\nagent = \"www\"\nmonitor = \"{monitor}\"\n"
                )
            }
        }
    }

    /// Lays its files into a node's `/etc/lubdub`.
    pub(super) fn install(&self, node: &Node) -> Result<(), LabError> {
        match self {
            Self::Nginx(_) => write(&node.etc().join("nginx.conf"), &nginx_conf(node.name())),
            Self::BuiltIn => {
                let agent = node.etc().join("agents/www");
                write(&agent, AGENT)?;
                fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).map_err(file(&agent))
            }
        }
    }

    /// Starts it on a node without any cluster.
    pub(super) fn start(&self, node: &Node) -> Result<(), LabError> {
        let command = match self {
            Self::Nginx(program) => {
                let mut command = tool::command(program);
                command.args(["-c", "/etc/lubdub/nginx.conf"]);
                command
            }
            Self::BuiltIn => {
                let mut command = tool::command("/etc/lubdub/agents/www");
                command.arg("start");
                command
            }
        };
        let output = node.run(command)?;
        if output.status.success() {
            return Ok(());
        }
        Err(LabError::Failed {
            command: "start of the web server".to_owned(),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// The small server: answers every request with one page. It writes its process id once it can answer.
pub(super) fn serve(listen: SocketAddr, page: &str, pid_file: &Path) -> Result<ExitCode, LabError> {
    let listener = TcpListener::bind(listen).map_err(file(Path::new("port 80")))?;
    write(pid_file, &format!("{}\n", std::process::id()))?;
    let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{page}\n");
    loop {
        // A client that went away, or is too slow, is its own affair.
        let _ = listener.accept().and_then(|(stream, _)| serve_one(stream, answer.as_bytes()));
    }
}

fn serve_one(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    // Unread bytes at the close would make it a reset, and the answer be lost.
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => break,
            read => request.extend(buffer.iter().take(read)),
        }
    }
    stream.write_all(answer)
}

fn nginx_conf(page: &str) -> String {
    // In a user namespace there is one user. Everything that nginx writes lies in the node's own /run and /var/log.
    format!(
        "user root;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path /run/nginx-body;\n  proxy_temp_path /run/nginx-proxy;\n  \
         fastcgi_temp_path /run/nginx-fastcgi;\n  uwsgi_temp_path /run/nginx-uwsgi;\n  scgi_temp_path /run/nginx-scgi;\n  \
         server {{\n    listen 80;\n    location / {{ default_type text/plain; return 200 \"{page}\\n\"; }}\n  }}\n}}\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(file(path))
}
