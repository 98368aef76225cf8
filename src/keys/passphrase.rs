//! The passphrase of key files: who gives it, in which order, and how it is kept out of sight.

use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::file::{self, Guard};

/// The environment variable with the passphrase itself.
pub const VARIABLE: &str = "CHIRON_TUF_PASSPHRASE";

/// The name of the systemd credential.
const CREDENTIAL: &str = "chiron-tuf-passphrase";

/// The file beside the keys, when Chiron made the passphrase itself.
pub const BESIDE: &str = "passphrase";

/// Characters of a passphrase that a person types for new keys, at least. Threat: guessing, where the file was copied:
/// at the cost of [`super::encrypted::Stretch::Person`] each, 8 random words or 12 random characters last.
const MIN_TYPED: usize = 12;

/// Bytes of a passphrase that are read (threat: the path of something else).
const MAX_BYTES: usize = 1024;

/// Random bytes of a passphrase that Chiron makes: as many as the strongest key it protects.
const MADE_BYTES: usize = 32;

/// How a person gives one when none of the sources has it.
pub const HOW: &str = "set CHIRON_TUF_PASSPHRASE, tuf.passphrase_file, or the systemd credential chiron-tuf-passphrase, or run the command on a terminal";

/// A passphrase, and where it came from. Wiped when dropped; never shown.
#[derive(Clone, Debug)]
pub struct Passphrase {
    secret: SecretString,
    source: String,
    made: bool,
    typed: bool,
}

impl Passphrase {
    /// A passphrase that came from `source`, in words for errors.
    pub fn new(secret: SecretString, source: impl Into<String>) -> Self {
        Self {
            secret,
            source: source.into(),
            made: false,
            typed: false,
        }
    }

    /// The passphrase itself. Only for what derives a key from it.
    pub(super) fn expose(&self) -> &[u8] {
        self.secret.expose_secret().as_bytes()
    }

    /// Where it came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The secret, for what takes it in this form.
    pub(super) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// True when both hold the same secret.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }

    /// True when a person typed it just now.
    pub(super) fn is_typed(&self) -> bool {
        self.typed
    }

    /// True when Chiron made it: 256 random bits, which nobody guesses.
    pub(super) fn is_made(&self) -> bool {
        self.made
    }
}

/// Who may give the passphrase, in this order: the variable `CHIRON_TUF_PASSPHRASE`, a file, the systemd credential
/// `chiron-tuf-passphrase`, the file beside the keys, a person.
#[derive(Clone, Default)]
pub struct PassphraseSource {
    variable: Option<SecretString>,
    file: Option<PathBuf>,
    credential: Option<PathBuf>,
    prompt: bool,
    /// New keys are opened by a daemon later.
    for_a_daemon: bool,
    /// What a person has typed and what has opened a key, so that nobody is asked twice.
    typed: Arc<Mutex<Vec<Passphrase>>>,
    /// One key after the other asks, so that the second finds what was typed for the first.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl PassphraseSource {
    /// What this process's environment gives, and `file` (the setting `tuf.passphrase_file`). With `prompt` a person at
    /// the terminal is asked last; a daemon asks nobody.
    pub fn here(file: Option<PathBuf>, prompt: bool) -> Self {
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self {
            variable: variable.map(SecretString::from),
            file,
            credential: credentials
                .map(|folder| folder.join(CREDENTIAL))
                .filter(|path| path.exists()),
            prompt,
            for_a_daemon: false,
            typed: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// For new keys that a daemon opens later, which asks nobody: nobody is asked for their passphrase either. For keys
    /// that exist a person may still be asked.
    #[must_use]
    pub fn for_a_daemon(self) -> Self {
        Self {
            for_a_daemon: true,
            ..self
        }
    }

    /// True when a person may be asked.
    pub fn may_ask(&self) -> bool {
        self.prompt && std::io::stdin().is_terminal()
    }

    /// Waits for other keys that are asking a person. Keys that ask nobody open at the same time.
    pub(super) async fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        if self.may_ask() {
            Some(Arc::clone(&self.turn).lock_owned().await)
        } else {
            None
        }
    }

    /// Every passphrase that somebody gives without being asked, in the order of the sources. Reads files: may wait.
    pub(super) fn given(&self) -> Result<Vec<Passphrase>, KeyError> {
        let mut known = Vec::new();
        if let Some(secret) = &self.variable {
            known.push(Passphrase::new(secret.clone(), format!("${VARIABLE}")));
        }
        if let Some(path) = &self.file {
            known.push(read(path, Guard::Owner)?);
        }
        if let Some(path) = &self.credential {
            // systemd gives a unit's user access by an ACL, whose mask shows as the group's permission.
            known.push(read(path, Guard::None)?);
        }
        Ok(known)
    }

    /// What [`Self::given`] has, and what lies beside the keys, and what a person has typed before.
    pub(super) fn known(&self, beside: &Path) -> Result<Vec<Passphrase>, KeyError> {
        let mut known = self.given()?;
        let path = beside.join(BESIDE);
        if path.exists() {
            let mut passphrase = read(&path, Guard::Owner)?;
            passphrase.made = true;
            known.push(passphrase);
        }
        let typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(typed.iter().cloned());
        Ok(known)
    }

    /// Keeps what a person typed and what has opened a key, for the next one.
    pub(super) fn remember(&self, passphrase: &Passphrase) {
        let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        typed.push(passphrase.clone());
    }

    /// A passphrase that does not lie beside the keys: the first that is given, or one that a person types twice.
    pub(super) fn for_good(&self) -> Result<Passphrase, KeyError> {
        match self.given()?.into_iter().next() {
            Some(passphrase) => Ok(passphrase),
            None if self.may_ask() => ask_new(),
            None => Err(KeyError::NoSecret {
                place: "the keyring".to_owned(),
                secret: "passphrase",
                how: HOW,
            }),
        }
    }

    /// The passphrase that new keys are encrypted with: the first that is known, or one that a person types twice, or
    /// one that is made and written beside the keys. May wait.
    pub(super) fn for_new(&self, beside: &Path) -> Result<Passphrase, KeyError> {
        if let Some(passphrase) = self.known(beside)?.into_iter().next() {
            return Ok(passphrase);
        }
        if self.may_ask() && !self.for_a_daemon {
            let passphrase = ask_new()?;
            self.remember(&passphrase);
            return Ok(passphrase);
        }
        make(&beside.join(BESIDE))
    }
}

impl fmt::Debug for PassphraseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseSource")
            .field("variable", &self.variable.is_some())
            .field("file", &self.file)
            .field("credential", &self.credential)
            .field("prompt", &self.prompt)
            .finish_non_exhaustive()
    }
}

/// The first line of a file, without its line break.
pub(super) fn read(path: &Path, guard: Guard) -> Result<Passphrase, KeyError> {
    let place = || format!("file {}", path.display());
    let not = |why: &str| KeyError::NotAKey {
        place: path.display().to_string(),
        why: why.to_owned(),
    };
    let bytes = file::read_guarded(path, MAX_BYTES, guard)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not("is not text, so it holds no passphrase"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(not("is empty, so it holds no passphrase"));
    }
    if text.contains('\n') {
        return Err(not(
            "has several lines, so it is not clear which is the passphrase",
        ));
    }
    Ok(Passphrase::new(SecretString::from(text), place()))
}

/// Asks for the passphrase of keys that exist.
pub(super) fn ask(question: &str) -> Result<Passphrase, KeyError> {
    let typed = rpassword::prompt_password(question).map(Zeroizing::new);
    let typed = typed.map_err(|source| KeyError::file("read from", Path::new("/dev/tty"), source))?;
    let mut passphrase = Passphrase::new(SecretString::from(typed.as_str()), "terminal");
    passphrase.typed = true;
    Ok(passphrase)
}

/// Asks for the passphrase of new keys, twice.
fn ask_new() -> Result<Passphrase, KeyError> {
    let first = ask("Passphrase for the new key: ")?;
    if first.secret.expose_secret().chars().count() < MIN_TYPED {
        return Err(KeyError::Crypto(
            "a passphrase for keys has 12 characters at least; 6 random words are easy to type",
        ));
    }
    let second = ask("The same again: ")?;
    if first.secret.expose_secret() != second.secret.expose_secret() {
        return Err(KeyError::Crypto(
            "the two passphrases differ; nothing was changed",
        ));
    }
    Ok(first)
}

/// Makes a passphrase and keeps it in a file that only its owner can read.
fn make(path: &Path) -> Result<Passphrase, KeyError> {
    let mut random = Zeroizing::new([0_u8; MADE_BYTES]);
    aws_lc_rs::rand::fill(random.as_mut())
        .map_err(|_| KeyError::Crypto("the machine gives no randomness"))?;
    let text = Zeroizing::new(hex::encode(random.as_ref()));
    match file::write_new(path, text.as_bytes()) {
        Ok(()) => {}
        // Another process has made one since we looked.
        Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let mut passphrase = read(path, Guard::Owner)?;
    passphrase.made = true;
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const SECRET: &str = "lamp-quartz-otter";

    fn source(variable: Option<&str>, file: Option<&Path>) -> PassphraseSource {
        PassphraseSource {
            variable: variable.map(|text| SecretString::from(text.to_owned())),
            file: file.map(Path::to_owned),
            ..PassphraseSource::default()
        }
    }

    fn sources(known: &[Passphrase]) -> Vec<&str> {
        known.iter().map(Passphrase::source).collect()
    }

    #[test]
    fn debug_shows_no_secret() {
        let source = source(Some(SECRET), None);
        source.remember(&Passphrase::new(SECRET.to_owned().into(), "terminal"));
        let shown = format!("{source:?} {:?}", source.known(Path::new("/nowhere")).unwrap());
        assert!(
            shown.contains("CHIRON_TUF_PASSPHRASE") && !shown.contains(SECRET),
            "{shown}"
        );
    }

    #[test]
    fn the_sources_are_asked_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("given");
        file::write_new(&file, b"from the file\r\n").unwrap();
        let none = source(None, None);
        assert!(none.known(folder.path()).unwrap().is_empty());
        let made = none.for_new(folder.path()).unwrap();
        assert!(made.is_made());
        let mode = folder
            .path()
            .join(BESIDE)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        // Made once.
        assert!(none.for_new(folder.path()).unwrap().is_same(&made));
        let all = source(Some(SECRET), Some(&file));
        let known = all.known(folder.path()).unwrap();
        assert_eq!(sources(&known)[0], "$CHIRON_TUF_PASSPHRASE");
        assert_eq!(known[1].expose(), b"from the file");
        assert!(known[2].is_same(&made) && known.len() == 3);
        // What is given goes before what lies beside.
        assert_eq!(all.for_new(folder.path()).unwrap().expose(), SECRET.as_bytes());
    }

    #[test]
    fn a_source_that_is_named_and_not_there_is_an_error() {
        let missing = source(None, Some(Path::new("/nowhere/passphrase")));
        assert!(matches!(
            missing.known(Path::new("/nowhere")),
            Err(KeyError::File { doing: "read", .. })
        ));
        assert!(missing.for_new(Path::new("/nowhere")).is_err());
    }
}
