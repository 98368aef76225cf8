//! Promise: a build is code of strangers, and does nothing to this machine. Each test is a source whose backend tries one
//! thing; most of them build the published wheel afterwards, so that `bit` says that what they tried did not work.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use chiron::app::{App, OpenMode, rebuild_settings};
use chiron::config::{Config, Profile};
use chiron::rebuild::{RebuildError, Rebuilder, SandboxError, Settings};
use chiron::verify::reproducibility::{Attempt, Level};
use support::builds::Built;
use tokio_util::sync::CancellationToken;

struct Bench {
    home: tempfile::TempDir,
    app: App,
    rebuilder: Rebuilder,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.path = home.path().join("data");
        config.policy.profile = Profile::Audit;
        config.upstream = Vec::new();
        let mut settings = rebuild_settings(&config.reproducibility);
        settings.limits.wall_clock = Duration::from_secs(30);
        settings.limits.disk = 64 << 20;
        change(&mut settings);
        let app = App::open(config, OpenMode::Verb).await.unwrap();
        let rebuilder = app.rebuilder(settings).await;
        Self { home, app, rebuilder }
    }

    async fn rebuild(&self, built: &Built) -> Result<Vec<Attempt>, RebuildError> {
        let (wheel, sdist) = built.write(self.home.path());
        let cancel = CancellationToken::new();
        let rebuilt = self.rebuilder.at_hand(&wheel, Some(&sdist), None, &cancel).await;
        assert_eq!(
            built.processes(),
            Vec::<String>::new(),
            "something of the build is left"
        );
        Ok(rebuilt?.attempts)
    }

    async fn last(self, built: &Built) -> Attempt {
        let attempt = self.rebuild(built).await.unwrap().pop().unwrap();
        self.app.shutdown().await;
        attempt
    }
}

#[track_caller]
fn failed_for(attempt: &Attempt, why: &str) {
    assert_eq!(attempt.level, Level::Failed, "{attempt:#?}");
    assert!(
        attempt
            .problem
            .as_deref()
            .is_some_and(|problem| problem.contains(why)),
        "{attempt:#?}"
    );
    assert_eq!(attempt.output, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_build_is_the_same_bit_for_bit() {
    let built = Built::new("honest", "1.0");
    let attempt = Bench::new(|_| ()).await.last(&built).await;
    assert_eq!(
        (attempt.level, attempt.problem.as_deref()),
        (Level::Bit, None),
        "{attempt:#?}"
    );
    assert_eq!(attempt.output, Some(attempt.wheel.sha256));
    assert!(attempt.sandbox.starts_with("bubblewrap "), "{}", attempt.sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_cannot_reach_the_network() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let built = Built::new("reaches", "1.0").hostile(&format!(
        "import socket\n\
         for address in (('127.0.0.1', {port}), ('192.0.2.1', 80), ('1.1.1.1', 53)):\n    \
             try: socket.create_connection(address, 1)\n    \
             except OSError: continue\n    \
             raise SystemExit('reached %r' % (address,))\n\
         try: socket.getaddrinfo('example.com', 80)\n\
         except OSError: pass\n\
         else: raise SystemExit('it asked a name server')"
    ));
    let attempt = Bench::new(|_| ()).await.last(&built).await;
    assert_eq!(attempt.level, Level::Bit, "{attempt:#?}");
    assert!(server.accept().is_err(), "somebody connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_and_changes_nothing_outside() {
    let bench = Bench::new(|_| ()).await;
    let secret = bench.home.path().join("data/secret");
    std::fs::write(&secret, "secret").unwrap();
    let home = std::env::var("HOME").unwrap();
    let built = Built::new("looks", "1.0").hostile(&format!(
        "import glob\n\
         places = ['/etc/shadow', '/etc/passwd', '/root/.ssh', '{home}/.ssh', '{home}/.bashrc', '{home}/.cache', '/home',\n          \
                   '/proc/1/environ', '/sys/kernel', '/var', '/run', '/dev/kmsg', '/dev/sda', {secret:?}, {here:?}, '/opt']\n\
         found = [place for place in places if os.path.exists(place)]\n\
         if found: raise SystemExit('it sees %r' % found)\n\
         if glob.glob(sys.prefix + '/lib/python*/site-packages/*'): raise SystemExit('it sees packages of this machine')\n\
         for place in ('/', '/usr', '/usr/bin', '/etc', '/dev', sys.prefix, os.path.dirname(os.__file__)):\n    \
             try: open(place + '/chiron-was-here', 'w')\n    \
             except OSError: continue\n    \
             raise SystemExit('it wrote to ' + place)\n\
         if os.getuid() == 0: raise SystemExit('it is root')\n\
         extra = set(os.environ) - set('HOME TMPDIR PATH LANG LC_CTYPE TZ PYTHONHASHSEED PYTHONNOUSERSITE'.split())\n\
         extra -= set('PYTHONPYCACHEPREFIX PYTHONPATH SOURCE_DATE_EPOCH PWD'.split())\n\
         if extra: raise SystemExit('it sees the environment: %r' % extra)\n\
         import resource\n\
         try: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n\
         except (ValueError, OSError): pass\n\
         else: raise SystemExit('it raised a limit')",
        secret = secret.to_str().unwrap(),
        here = env!("CARGO_MANIFEST_DIR")
    ));
    let attempt = bench.last(&built).await;
    assert_eq!(attempt.level, Level::Bit, "{attempt:#?}");
    assert!(!std::path::Path::new("/usr/chiron-was-here").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_killed() {
    let built =
        Built::new("forks", "1.0").hostile("while True:\n    try: os.fork()\n    except OSError: pass");
    let began = Instant::now();
    let attempt = Bench::new(|settings| settings.limits.processes = 64)
        .await
        .last(&built)
        .await;
    failed_for(&attempt, "killed with more than 64 processes");
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "before the clock would have ended it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_is_killed() {
    let built = Built::new("sleeps", "1.0").hostile("time.sleep(3600)");
    let began = Instant::now();
    let bench = Bench::new(|settings| settings.limits.wall_clock = Duration::from_secs(2)).await;
    failed_for(&bench.last(&built).await, "killed after 2 s");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_filler_fills_nothing() {
    let built = Built::new("fills", "1.0").hostile(
        "for place in ('/tmp', '/dev/shm'):\n    \
             for n in range(10000):\n        \
                 try: open('%s/%d' % (place, n), 'wb').write(bytes(1 << 20))\n        \
                 except OSError: break",
    );
    let temp = std::env::temp_dir();
    let before = rustix::fs::statvfs(&temp).unwrap().f_bavail;
    let attempt = Bench::new(|_| ()).await.last(&built).await;
    assert_eq!(attempt.level, Level::Failed, "{attempt:#?}");
    let after = rustix::fs::statvfs(&temp).unwrap();
    assert!(before.saturating_sub(after.f_bavail) * after.f_frsize < 1 << 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_empty_files_are_stopped() {
    let built = Built::new("litters", "1.0")
        .hostile("n = 0\nwhile True:\n    open('/tmp/%d' % n, 'w').close()\n    n += 1");
    let bench = Bench::new(|settings| settings.limits.files = 5_000).await;
    failed_for(&bench.last(&built).await, "more than 5000 files");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_for_one_and_for_many() {
    let one = Built::new("hogs", "1.0").hostile("hog = []\nwhile True: hog.append(b'x' * (1 << 20))");
    let bench = Bench::new(|settings| settings.limits.memory = 512 << 20).await;
    failed_for(&bench.last(&one).await, "");
    let many = Built::new("herds", "1.0").hostile(
        "for _ in range(30):\n    \
             if os.fork() == 0:\n        \
                 hog = b'x' * (100 << 20)\n        \
                 time.sleep(60)\n\
         time.sleep(60)",
    );
    let bench = Bench::new(|settings| settings.limits.memory = 512 << 20).await;
    failed_for(&bench.last(&many).await, "it ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_is_cut_and_then_killed() {
    let some = Built::new("talks", "1.0").hostile("for n in range(20000): print('line', n)");
    let attempt = Bench::new(|settings| settings.limits.max_log = 8 << 10)
        .await
        .last(&some)
        .await;
    assert_eq!(attempt.level, Level::Bit, "{attempt:#?}");
    assert!(
        attempt.log_cut && attempt.log.len() < 9 << 10,
        "{} bytes",
        attempt.log.len()
    );
    assert!(
        attempt.log.starts_with("line 0\n") && attempt.log.ends_with("line 19999\n"),
        "{}",
        attempt.log
    );
    let flood = Built::new("floods", "1.0").hostile("while True: print('x' * 1000)");
    let bench = Bench::new(|settings| settings.limits.max_log = 8 << 10).await;
    failed_for(&bench.last(&flood).await, "as much log");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_wheel_each_time_differs() {
    let built = Built::new("dices", "1.0").hostile(
        "global VERSION_FILE\nold = entries\n\
         import random\n\
         def other():\n    return old()[:-1] + [('dices/luck.py', os.urandom(16).hex().encode()), old()[-1]]\n\
         globals()['entries'] = other",
    );
    let attempt = Bench::new(|_| ()).await.last(&built).await;
    assert_eq!(attempt.level, Level::Differs, "{attempt:#?}");
    assert!(attempt.diff.contains("luck.py"), "{}", attempt.diff);
    assert_ne!(attempt.output, Some(attempt.wheel.sha256));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_wheel_is_only_ever_compared() {
    for (n, write) in [
        "open(path, 'wb').write(b'PK')",
        "open(path, 'wb').write(os.urandom(100000))",
        "z = zipfile.ZipFile(path, 'w'); z.writestr('../../../../tmp/chiron-escaped', 'x'); z.close()",
        "z = zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED); z.writestr('bomb', bytes(1 << 30)); z.close()",
        "os.symlink('/etc/passwd', path)",
        "os.mkfifo(path)",
    ]
    .into_iter()
    .enumerate()
    {
        let built = Built::new(&format!("bites{n}"), "1.0").hostile(write);
        let attempt = Bench::new(|_| ()).await.last(&built).await;
        assert!(
            attempt.level == Level::Differs || attempt.level == Level::Failed,
            "{write}: {attempt:#?}"
        );
        assert!(!std::path::Path::new("/tmp/chiron-escaped").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_die_with_the_build() {
    let built = Built::new("spawns", "1.0").hostile(
        "if os.fork() == 0:\n    \
             os.setsid()\n    \
             if os.fork() == 0:\n        \
                 for fd in range(256):\n            \
                     try: os.close(fd)\n            \
                     except OSError: pass\n        \
                 time.sleep(3600)\n    \
             os._exit(0)",
    );
    let attempt = Bench::new(|_| ()).await.last(&built).await;
    assert_eq!(attempt.level, Level::Bit, "{attempt:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_its_parents_ends_only_itself() {
    let built = Built::new("kills", "1.0").hostile(
        "import signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(1, signal.SIGKILL)\nos.kill(-1, signal.SIGKILL)",
    );
    failed_for(&Bench::new(|_| ()).await.last(&built).await, "no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wheel_without_end_is_not_taken() {
    let built = Built::new("swells", "1.0").hostile("open(path, 'wb').write(bytes(32 << 20))");
    let bench = Bench::new(|settings| settings.limits.max_wheel = 1 << 20).await;
    failed_for(&bench.last(&built).await, "max_wheel");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_paths_are_no_requirements() {
    for requires in [
        "['evil @ http://127.0.0.1:9/evil.whl']",
        "['./evil']",
        "['evil' + '(' * 3000]",
        "'notalist'",
    ] {
        let built = Built::new("wants", "1.0").requires(requires);
        let attempt = Bench::new(|_| ()).await.last(&built).await;
        assert_eq!(attempt.level, Level::Failed, "{requires}: {attempt:#?}");
        assert!(attempt.environment.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_is_gone() {
    let bench = Bench::new(|_| ()).await;
    let built = Built::new("cancelled", "1.0").hostile("time.sleep(3600)");
    let (wheel, sdist) = built.write(bench.home.path());
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let watched = built.clone();
    let killer = tokio::spawn(async move {
        let deadline = Instant::now() + Duration::from_secs(20);
        while watched.processes().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let running = watched.processes().len();
        stop.cancel();
        running
    });
    let ended = bench.rebuilder.at_hand(&wheel, Some(&sdist), None, &cancel).await;
    assert!(matches!(ended, Err(RebuildError::Cancelled)), "{ended:?}");
    assert!(killer.await.unwrap() > 0, "it never ran");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !built.processes().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", built.processes());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sandbox_nothing_is_built() {
    let built = Built::new("unsealed", "1.0");
    let none = Bench::new(|settings| settings.bubblewrap = "/nonexistent/bwrap".into()).await;
    let error = none.rebuild(&built).await.unwrap_err();
    assert!(
        matches!(error, RebuildError::Sandbox(SandboxError::NoBubblewrap { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("install bubblewrap"), "{error}");

    // One that claims to be bubblewrap and seals nothing is found out by the probe.
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("bwrap");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo bubblewrap 9.9; exit 0; }\n\
                  while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n";
    std::fs::write(&fake, script).unwrap();
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let leaky = Bench::new(|settings| settings.bubblewrap = fake).await;
    let error = leaky.rebuild(&built).await.unwrap_err();
    assert!(
        matches!(error, RebuildError::Sandbox(SandboxError::Leaky { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("does not hold"), "{error}");
}
