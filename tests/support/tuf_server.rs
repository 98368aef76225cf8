//! An HTTP server that a TUF client should not trust: it replays, substitutes, never ends, hangs and dawdles.
//!
//! What it says at which path is a [`Site`]; a test changes that while clients ask. Nothing is interpreted: no decoding
//! of the path, no ranges, one answer for each connection.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A server that hangs lets go after this, so that a client without a timeout of its own fails a test, and not the run.
const LONGEST_HANG: Duration = Duration::from_mins(2);

/// What is sent without an end stops here; a client that has taken so much has no limit.
pub const ENDLESS_STOPS_AT: u64 = 512 * 1024 * 1024;

/// What is said at one path.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 with these bytes.
    Bytes(Arc<[u8]>),
    /// A status without a body.
    Status(u16),
    /// 200, these bytes, and then spaces without an end: JSON that is never finished, a file that never is.
    Endless(Arc<[u8]>),
    /// 200 and half of these bytes; then silence.
    Hang(Arc<[u8]>),
    /// 200 and these bytes, one at a time.
    Dawdle(Arc<[u8]>, Duration),
}

impl Reply {
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bytes(bytes.as_ref().into())
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    sent: Arc<AtomicU64>,
}

impl Asked {
    /// Bytes of the body that went out before the client hung up. Some of them only fill buffers on the way.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// What is where, by the path as asked (`/tuf/metadata/1.root.json`).
#[derive(Clone, Debug, Default)]
pub struct Site(Arc<Mutex<BTreeMap<String, Reply>>>);

impl Site {
    pub fn put(&self, path: &str, reply: Reply) {
        self.0.lock().unwrap().insert(path.to_owned(), reply);
    }

    pub fn get(&self, path: &str) -> Option<Reply> {
        self.0.lock().unwrap().get(path).cloned()
    }

    /// The bytes at `path`; ends the test if there are none.
    #[track_caller]
    pub fn bytes(&self, path: &str) -> Arc<[u8]> {
        match self.get(path) {
            Some(Reply::Bytes(bytes)) => bytes,
            other => panic!("{path} is {other:?}"),
        }
    }

    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().remove(path);
    }

    /// Everything as it is now, to be replayed later.
    pub fn record(&self) -> BTreeMap<String, Reply> {
        self.0.lock().unwrap().clone()
    }

    /// Says what was recorded and nothing that came since.
    pub fn replay(&self, then: &BTreeMap<String, Reply>) {
        self.0.lock().unwrap().clone_from(then);
    }
}

/// A server on a free port of this machine, until it is dropped.
pub struct TufServer {
    pub site: Site,
    addr: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
    accepts: Option<JoinHandle<()>>,
}

impl TufServer {
    pub fn start(site: Site) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let over = Arc::new(AtomicBool::new(false));
        let accepts = std::thread::spawn({
            let (site, asked, over) = (site.clone(), Arc::clone(&asked), Arc::clone(&over));
            move || {
                for stream in listener.incoming() {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let (site, asked, over) = (site.clone(), Arc::clone(&asked), Arc::clone(&over));
                    // A client that hangs up is no failure of the server.
                    std::thread::spawn(move || {
                        let _ = answer(stream, &site, &asked, &over);
                    });
                }
            }
        });
        Self {
            site,
            addr,
            asked,
            over,
            accepts: Some(accepts),
        }
    }

    /// What stands above `/metadata` and `/targets`.
    pub fn base(&self) -> String {
        format!("http://{}/tuf", self.addr)
    }

    /// What was asked since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The metadata files that were asked for since the last call, by name, in order.
    pub fn take_metadata_asked(&self) -> Vec<String> {
        self.take_asked()
            .iter()
            .filter_map(|asked| asked.path.strip_prefix("/tuf/metadata/").map(str::to_owned))
            .collect()
    }
}

impl Drop for TufServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
    }
}

fn answer(
    stream: TcpStream,
    site: &Site,
    asked: &Mutex<Vec<Asked>>,
    over: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LONGEST_HANG))?;
    stream.set_write_timeout(Some(LONGEST_HANG))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let sent = Arc::<AtomicU64>::default();
    asked.lock().unwrap().push(Asked {
        path: path.clone(),
        sent: Arc::clone(&sent),
    });
    let mut body = Body { stream, sent };
    say(&mut body, site.get(&path), over)
}

/// The body as it goes out.
struct Body {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
}

impl Body {
    fn head(&mut self, status: &str, length: Option<usize>) -> std::io::Result<()> {
        let length = length.map_or(String::new(), |length| format!("Content-Length: {length}\r\n"));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n{length}Connection: close\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn say(body: &mut Body, reply: Option<Reply>, over: &AtomicBool) -> std::io::Result<()> {
    match reply {
        None => body.head("404 Not Found", Some(0)),
        Some(Reply::Status(status)) => body.head(&format!("{status} As Told"), Some(0)),
        Some(Reply::Bytes(bytes)) => {
            body.head("200 OK", Some(bytes.len()))?;
            body.send(&bytes)
        }
        Some(Reply::Endless(start)) => {
            body.head("200 OK", None)?;
            body.send(&start)?;
            let spaces = [b' '; 8 * 1024];
            while body.sent.load(Ordering::Relaxed) < ENDLESS_STOPS_AT && !over.load(Ordering::Relaxed) {
                body.send(&spaces)?;
            }
            Ok(())
        }
        Some(Reply::Hang(bytes)) => {
            body.head("200 OK", Some(bytes.len()))?;
            body.send(&bytes[..bytes.len() / 2])?;
            let until = Instant::now() + LONGEST_HANG;
            while Instant::now() < until && !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        Some(Reply::Dawdle(bytes, pause)) => {
            body.head("200 OK", Some(bytes.len()))?;
            for byte in bytes.iter() {
                if over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                std::thread::sleep(pause);
                body.send(std::slice::from_ref(byte))?;
            }
            Ok(())
        }
    }
}
