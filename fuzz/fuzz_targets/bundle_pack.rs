//! Packs and runs of log entries: the first byte says as what, the next four how many bytes are promised.
#![no_main]

use chiron::bundle::pack::{PackLimits, read_documents, read_entries, read_pack, read_proven, read_tuf};
use libfuzzer_sys::fuzz_target;

/// Bytes that a fuzzer may ask for: less than the format, for speed.
const MOST: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((head, packed)) = bytes.split_first_chunk::<6>() else {
        return;
    };
    let [kind, count, unpacked @ ..] = *head;
    let (count, unpacked) = (u64::from(count), u64::from(u32::from_be_bytes(unpacked)) % MOST);
    let mut total = 0;
    match kind % 5 {
        0 => {
            let _ = read_entries("fuzz", packed, count, unpacked, |entry| {
                total += 2 + entry.len() as u64;
                Ok(())
            });
        }
        1 => {
            let _ = read_proven("fuzz", packed, count, unpacked, |_, entry, proof| {
                total += (entry.len() + 32 * proof.len()) as u64;
                Ok(())
            });
        }
        2 => {
            let _ = read_documents("fuzz", packed, count, unpacked, |_, document| {
                total += document.len() as u64;
                Ok(())
            });
        }
        3 => {
            for (_, file) in read_tuf("fuzz", packed, unpacked).into_iter().flatten() {
                total += file.len() as u64;
            }
        }
        _ => {
            let limits = PackLimits {
                unpacked,
                members: usize::from(head[1]),
                member_bytes: 1 << 16,
            };
            let Ok(members) = read_pack("fuzz", packed, limits) else {
                return;
            };
            for (_, file) in members.flatten() {
                total += file.len() as u64;
            }
        }
    }
    assert!(total <= unpacked);
});
