//! Stand-ins for the services that keep keys: they check requests as the real ones do and answer in their words, and on
//! demand they are faulty. They are no proof that the real ones agree; docs/keys-services.md says what was tried against what.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod aws;
pub mod azure;
pub mod machine;
pub mod vault;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn query(&self) -> BTreeMap<String, String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form(query.as_bytes())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The fields of a form.
pub fn form(body: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// It takes the request and never answers.
    Hang,
    /// It answers each request with this status and its own words for it.
    Status(u16),
    /// As [`Fault::Status`] with 503, but only this often.
    Passing(u32),
    /// It sends to another host.
    Redirect,
    /// It answers without end.
    Oversized,
    /// It answers with something that is no JSON.
    Malformed,
    /// It refuses, and repeats every header of the request in its words.
    Echo,
    /// It signs, and one bit of the signature is another.
    WrongSignature,
    /// It signs with another key than it says.
    OtherKey,
}

/// What a stand-in shares with its threads.
#[derive(Default)]
pub struct Shared {
    fault: Mutex<Fault>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

impl Shared {
    pub fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }
}

/// A running stand-in. Its connections end when it is dropped.
pub struct Server {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one; `answer` is asked when nothing is wrong with the service, and for wrong signatures.
    pub fn start(answer: impl Fn(&Request, &Shared) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (of_threads, answer) = (Arc::clone(&shared), Arc::new(answer));
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_threads.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), shared, answer) = (stream, Arc::clone(&of_threads), Arc::clone(&answer))
                else {
                    continue;
                };
                std::thread::spawn(move || {
                    let _ = serve(stream, &shared, &*answer);
                });
            }
        });
        Self {
            addr,
            shared,
            accepting: Some(accepting),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn forget_requests(&self) {
        self.shared.requests.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    shared: &Shared,
    answer: &(impl Fn(&Request, &Shared) -> Reply + ?Sized),
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream)?;
    shared.requests.lock().unwrap().push(request.clone());
    let fault = {
        let mut fault = shared.fault.lock().unwrap();
        let now = *fault;
        if let Fault::Passing(left) = now {
            *fault = if left > 1 {
                Fault::Passing(left - 1)
            } else {
                Fault::None
            };
        }
        now
    };
    let out = stream.get_mut();
    let reply = match fault {
        Fault::None | Fault::WrongSignature | Fault::OtherKey => answer(&request, shared),
        Fault::Hang => {
            while !shared.stopped.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(());
        }
        Fault::Status(status) => Reply::json(status, &serde_json::json!({"errors": ["Vault is sealed"]})),
        Fault::Passing(_) => Reply::text(503, "busy"),
        Fault::Redirect => Reply::text(307, "").with("location", "https://elsewhere.example/v1/"),
        Fault::Oversized => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"data\": \"")?;
            // The reader gives up long before; so does this, in case it does not.
            let much = "x".repeat(64 << 10);
            for _ in 0..1024 {
                out.write_all(much.as_bytes())?;
            }
            return Ok(());
        }
        Fault::Malformed => Reply::text(200, "<html>Welcome to the guest network</html>"),
        Fault::Echo => {
            let words = format!("you said {:?}", request.headers);
            let document = serde_json::json!({
                "errors": [words], "__type": "ValidationException", "message": words,
                "error": {"code": words, "message": words}
            });
            Reply::json(400, &document)
        }
    };
    let phrase = if reply.status < 400 { "OK" } else { "No" };
    write!(out, "HTTP/1.1 {} {phrase}\r\nconnection: close\r\n", reply.status)?;
    for (name, value) in &reply.headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    write!(out, "content-length: {}\r\n\r\n", reply.body.len())?;
    out.write_all(&reply.body)?;
    out.flush()
}

fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split(' ');
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        ..Request::default()
    };
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        request.headers.insert(name, value.trim().to_owned());
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body)?;
    Ok(request)
}

/// A private key inside a service.
pub enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Key {
    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    /// `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::P256(pair) => {
                let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                der.as_ref().to_vec()
            }
        }
    }

    /// The 32 bytes of Ed25519, or the point.
    pub fn raw(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Self::P256(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
        }
    }

    /// A signature over a digest; `None` when it is no digest, or the scheme signs none.
    pub fn sign_digest(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let Self::P256(pair) = self else { return None };
        let digest = Digest::import_less_safe(digest, &SHA256).ok()?;
        Some(pair.sign_digest(&digest).unwrap().as_ref().to_vec())
    }

    /// As a faulty service signs: `how` says what goes wrong.
    pub fn signature(&self, message: &[u8], is_digest: bool, how: Fault) -> Option<Vec<u8>> {
        let other;
        let key = match (how, self) {
            (Fault::OtherKey, Self::Ed25519(_)) => {
                other = Self::ed25519();
                &other
            }
            (Fault::OtherKey, Self::P256(_)) => {
                other = Self::p256();
                &other
            }
            _ => self,
        };
        let mut signature = if is_digest {
            key.sign_digest(message)?
        } else {
            key.sign(message)
        };
        if how == Fault::WrongSignature {
            *signature.last_mut().unwrap() ^= 1;
        }
        Some(signature)
    }
}
