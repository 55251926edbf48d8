//! What is measured, the same for every engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use phi_ls::kernels::buffer::AlignedBytes;
use serde::{Deserialize, Serialize};

use crate::peer::Peer;

/// Numbers by the row of the table they belong to.
pub type Numbers = BTreeMap<String, f64>;

/// The result of one run of one side.
#[derive(Debug, Serialize, Deserialize)]
pub enum Outcome {
    Measured {
        /// The instruction sets it ran with.
        instructions: String,
        numbers: Numbers,
    },
    /// The reason why the engine cannot run the model.
    DoesNotLoad(String),
}

/// Tokens decoded to measure decoding.
const DECODED: usize = 16;

/// The number of passes over a batch.
const BATCH_PASSES: usize = 8;

/// Loads an engine and measures it; with `short`, only the two most important rows.
pub fn measure<P: Peer>(
    load: impl FnOnce() -> anyhow::Result<P>,
    model: &Path,
    short: bool,
) -> anyhow::Result<Outcome> {
    // Reads the file into the page cache, so that loading is measured and not the disk.
    let file_bytes = std::io::copy(&mut std::fs::File::open(model)?, &mut std::io::sink())?;
    warm_memory(file_bytes as usize);
    let mut numbers = Numbers::new();
    let started = Instant::now();
    let mut peer = match load() {
        Ok(peer) => peer,
        Err(error) => return Ok(Outcome::DoesNotLoad(format!("{error:#}"))),
    };
    numbers.insert("load".into(), started.elapsed().as_secs_f64());
    // The first pass touches memory for the first time, so it is not measured.
    peer.feed(0, &tokens(0, 8))?;
    let prefills: &[usize] = if short { &[128] } else { &[64, 128, 512] };
    for &len in prefills {
        let started = Instant::now();
        peer.feed(0, &tokens(0, len))?;
        numbers.insert(format!("prefill {len}"), len as f64 / started.elapsed().as_secs_f64());
    }
    peer.feed(0, &tokens(0, 16))?;
    numbers.insert("decode at 16".into(), decode(&mut peer, 1, DECODED)?);
    if !short {
        peer.feed(16, &tokens(16, 112))?;
        numbers.insert("decode at 128".into(), decode(&mut peer, 1, DECODED)?);
        peer.feed(128, &tokens(128, 384))?;
        numbers.insert("decode at 512".into(), decode(&mut peer, 1, DECODED)?);
        for lanes in [2, 4, 8] {
            numbers.insert(format!("decode at 512, {lanes} rows"), decode(&mut peer, lanes, BATCH_PASSES)?);
        }
        peer.feed(512, &tokens(512, 1536))?;
        numbers.insert("decode at 2048".into(), decode(&mut peer, 1, DECODED)?);
        first_tokens(&mut peer, &mut numbers)?;
    }
    if let Some(mib) = peak_mib() {
        numbers.insert("peak memory".into(), mib);
    }
    Ok(Outcome::Measured { instructions: peer.instructions(), numbers })
}

/// Allocates and frees somewhat more memory than a model of `file_bytes` needs. A virtual machine returns memory that
/// has been free for seconds to its host, and waits when it is touched again (2.7 s for 2.4 GB, as measured). Otherwise
/// this would count for the side that loads first.
fn warm_memory(file_bytes: usize) {
    let mut memory = AlignedBytes::zeroed(file_bytes + file_bytes / 4);
    memory.as_mut_slice().chunks_mut(4096).for_each(|page| page[0] = 1);
    std::hint::black_box(memory.as_slice());
    drop(memory);
    // This resets the peak resident size on Linux.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Arbitrary tokens, because the speed does not depend on them.
fn tokens(from: usize, len: usize) -> Vec<u32> {
    (from..from + len).map(|index| ((index * 7919 + 13) % 30_000) as u32).collect()
}

/// Tokens per second over `passes` passes of `lanes` rows.
fn decode(peer: &mut impl Peer, lanes: usize, passes: usize) -> anyhow::Result<f64> {
    peer.fork(lanes)?;
    let started = Instant::now();
    for pass in 0..passes {
        peer.decode(&tokens(4000 + pass * lanes, lanes))?;
    }
    Ok((lanes * passes) as f64 / started.elapsed().as_secs_f64())
}

/// Time to the first token of prompts that have more or less in common with earlier ones.
fn first_tokens(peer: &mut impl Peer, numbers: &mut Numbers) -> anyhow::Result<()> {
    let first = tokens(10_000, 512);
    let appended = [first.as_slice(), &tokens(20_000, 1)].concat();
    let changed = |keep: usize, from: usize| [&first[..keep], &tokens(from, 512 - keep)].concat();
    // The first pass on sequence 0 clears what was kept before.
    peer.feed(0, &tokens(0, 8))?;
    let prompts = [
        ("first token: 512 new", first.clone()),
        ("first token: the same again", first.clone()),
        ("first token: last 16 differ", changed(496, 21_000)),
        ("first token: one appended", appended),
        ("first token: second half differs", changed(256, 22_000)),
        ("first token: another 64", tokens(24_000, 64)),
        ("first token: back to the first", first.clone()),
    ];
    for (name, prompt) in prompts {
        let started = Instant::now();
        peer.first_token(&prompt)?;
        numbers.insert(name.into(), started.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The peak resident size in MiB; known on Linux only.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
