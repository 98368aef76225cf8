//! A daemon with clients that know it, and what an operator and clients do.

use crate::support::daemon::{Daemon, DaemonOptions, Output};
use crate::support::jobs::wait_for;
use crate::support::upstream::FakeFile;
use crate::support::wheels::wheel;
use crate::thief::Thief;
use crate::tuf_clients::{CLIENTS, Client, Holder, Kind};
use crate::tuf_mirror::Published;

/// A daemon with one signed file, and a client of each kind that has seen it.
pub struct Site {
    pub daemon: Daemon,
    pub file: FakeFile,
    pub holders: Vec<Holder>,
}

impl Site {
    pub fn new() -> Self {
        let daemon = Daemon::start(DaemonOptions::alone());
        let file = wheel("chirontest-kept", "1.0", &[]);
        let root = std::fs::read(daemon.data_dir().join("tuf/root.json")).unwrap();
        let mut site = Self {
            daemon,
            file,
            holders: Vec::new(),
        };
        let file = site.file.clone();
        site.publish(&file);
        site.holders = CLIENTS
            .iter()
            .filter_map(|client| Holder::new(*client, &root))
            .collect();
        site.all_clients_work();
        site
    }

    pub fn base(&self) -> String {
        format!("{}/tuf", self.daemon.base())
    }

    pub fn target(&self) -> String {
        format!("files/chirontest-kept/{}", self.file.filename)
    }

    pub fn publish(&self, file: &FakeFile) {
        let result = self.daemon.put_file(&file.filename, &file.bytes);
        assert_eq!(result["outcome"], "admitted", "{result:#}");
        let path = format!("files/chirontest-kept/{}", file.filename);
        wait_for("the file is signed", || Published::by(&self.daemon).target(&path));
    }

    /// `chiron tuf …` against the daemon, with `--yes`.
    #[track_caller]
    pub fn tuf(&self, args: &[&str]) -> Output {
        self.daemon.cli(&[&["tuf"], args, &["--yes"]].concat()).expect(0)
    }

    /// Every client gets the file from the daemon, with whatever state it has.
    #[track_caller]
    pub fn all_clients_work(&self) {
        for holder in &self.holders {
            holder
                .fetch(&self.base(), &[&self.target()])
                .brings(&holder.client, &[&self.file.bytes]);
        }
    }

    /// A client that begins now works as well.
    #[track_caller]
    pub fn new_clients_work(&self) {
        let first = self.daemon.get("/tuf/metadata/1.root.json").body;
        for holder in CLIENTS.iter().filter_map(|client| Holder::new(*client, &first)) {
            holder
                .fetch(&self.base(), &[&self.target()])
                .brings(&holder.client, &[&self.file.bytes]);
        }
    }

    /// Every client is led to the thief, and takes what a stolen key can sign.
    #[track_caller]
    pub fn all_are_fooled(&self, thief: &Thief, target: &str, content: &[u8]) {
        for holder in &self.holders {
            holder
                .fetch(&thief.base(), &[target])
                .brings(&holder.client, &[content]);
        }
    }

    /// Every client refuses the thief's mirror from now on.
    #[track_caller]
    pub fn all_refuse(&self, thief: &Thief, target: &str, kinds: &[Kind]) {
        for holder in &self.holders {
            if holder.client == Client::Tough && !thief.shows_the_new_root() {
                // tough keeps no roots: to one that the newest root is hidden from, the thief is who he was.
                continue;
            }
            match holder.fetch(&thief.base(), &[target]).result {
                Err(refusal) => assert!(
                    kinds.contains(&refusal.kind),
                    "{:?}: {:?}: {}",
                    holder.client,
                    refusal.kind,
                    refusal.text
                ),
                Ok(_) => panic!("{:?} still believes the thief", holder.client),
            }
        }
    }

    pub fn version(&self, role: &str) -> u64 {
        Published::by(&self.daemon).version(role)
    }
}
