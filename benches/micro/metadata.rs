//! The signed repository: one bin, from its stored rows to its file and back.

use std::hint::black_box;
use std::sync::Arc;

use chiron_storage::Digest;
use chiron_tuf::{
    Authority, Bin, BinCount, Draft, Edition, Envelope, Ledger, LocalKey, Role, RoleKeys, Scheme, Signer,
    TargetEntry, TargetFile, TargetPath, Targets, Threshold, canonical, sign_document,
};
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;

use super::row;

/// Targets of a bin: of 256 bins at 60,000 targets, and of 1,024 at 1,000,000.
const BINS: [usize; 2] = [234, 977];

/// One bin of the signed repository, from its stored rows to its file, and as a client reads it.
pub(super) fn metadata(criterion: &mut Criterion) {
    let (runtime, now) = (Runtime::new().unwrap(), jiff::Timestamp::UNIX_EPOCH);
    let edition = Edition::after(Ledger::default(), now);
    let bin = Bin::new(7, BinCount::DEFAULT.get()).unwrap();
    let mut group = criterion.benchmark_group("tuf");
    for targets in BINS {
        let entries: Vec<TargetEntry> = (0..targets).map(target).collect();
        let draft = edition.bin(bin, &entries).unwrap();
        group.throughput(Throughput::Bytes(draft.payload().len() as u64));
        group.bench_function(BenchmarkId::new("join", targets), |bench| {
            bench.iter(|| black_box(edition.bin(bin, &entries).unwrap()));
        });
        for scheme in [Scheme::Ed25519, Scheme::EcdsaP256] {
            let key = LocalKey::generate(scheme).unwrap();
            let public = key.public().clone();
            let role = RoleKeys::new([public.id()], Threshold::ONE).unwrap();
            let keys = [(public.id(), public)].into();
            let signers: [Arc<dyn Signer>; 1] = [Arc::new(key)];
            let authority = [Authority {
                keys: &keys,
                role: &role,
            }];
            let sign = || {
                runtime
                    .block_on(sign_document(&draft, &authority, &signers))
                    .unwrap()
            };
            group.bench_function(
                BenchmarkId::new(format!("sign-{}", scheme.name()), targets),
                |bench| {
                    bench.iter(|| black_box(sign()));
                },
            );
            let signed = sign();
            let read = Envelope::<Targets>::parse(signed.bytes()).unwrap();
            group.bench_function(
                BenchmarkId::new(format!("verify-{}", scheme.name()), targets),
                |bench| {
                    bench.iter(|| {
                        chiron_tuf::verify(&keys, &role, draft.payload(), &read.signatures).unwrap()
                    });
                },
            );
            if scheme == Scheme::Ed25519 {
                group.bench_function(BenchmarkId::new("read", targets), |bench| {
                    bench.iter(|| Envelope::<Targets>::parse(signed.bytes()).unwrap());
                });
                group.bench_function(BenchmarkId::new("canonical", targets), |bench| {
                    bench.iter(|| black_box(canonical(&read.signed).unwrap()));
                });
            }
        }
    }
    let delegations = delegations();
    group.throughput(Throughput::Bytes(delegations.payload().len() as u64));
    group.bench_function(BenchmarkId::new("delegations", 1_024), |bench| {
        bench.iter(|| black_box(self::delegations()));
    });
    group.finish();
}

/// As a publication stores it: a file with the digests of its verdict and its bill of materials.
fn target(place: usize) -> TargetEntry {
    let project = format!("project-{}", place / 10);
    let path = TargetPath::file(&project, &row(place).filename).unwrap();
    let digest = |what: &str| format!("sha256:{}", Digest::of(format!("{what} of {path}").as_bytes()));
    let custom = serde_json::json!({"chiron": {"sbom": digest("bill"), "verdict": digest("verdict")}});
    let file = TargetFile::new(
        1_234_567,
        &Digest::of(path.as_str().as_bytes()).to_string(),
        Some(custom),
    );
    TargetEntry::of(&path, &file).unwrap()
}

/// The metadata of `bins` with 1,024 of them.
fn delegations() -> Draft {
    let key = LocalKey::generate(Scheme::Ed25519).unwrap();
    let public = key.public().clone();
    let role = RoleKeys::new([public.id()], Threshold::ONE).unwrap();
    let bins = BinCount::new(1_024)
        .unwrap()
        .delegations(&[(public.id(), public)].into(), &role);
    let edition = Edition::after(Ledger::default(), jiff::Timestamp::UNIX_EPOCH);
    edition.targets(Role::Bins, [].into(), Some(bins)).unwrap()
}
