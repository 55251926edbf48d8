//! llama.cpp, through its C interface: `-fa on`, the weights mapped, one unified KV cache.

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_void};
use std::path::Path;

use anyhow::{Context as _, bail};
use llama_cpp_sys_2 as sys;

use crate::peer::Peer;

/// Positions in its KV cache: what the measurements need at most.
const CONTEXT: u32 = 2560;

/// Sequences: the prompts that are kept, and the lanes of a batch.
const MAX_SEQUENCES: u32 = 16;

pub struct Llama {
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
    batch: sys::llama_batch,
    /// Length of sequence 0.
    len: usize,
    lanes: usize,
    /// Prompts of [`Peer::first_token`], each in the sequence of its index.
    prompts: Vec<Vec<u32>>,
}

/// What llama.cpp says it was compiled for.
pub fn system_info() -> String {
    // SAFETY: returns a static string.
    unsafe { CStr::from_ptr(sys::llama_print_system_info()) }.to_string_lossy().into_owned()
}

unsafe extern "C" fn quiet(_level: sys::ggml_log_level, _text: *const c_char, _data: *mut c_void) {}

impl Llama {
    pub fn load(path: &Path, threads: usize, repack: bool) -> anyhow::Result<Self> {
        let file = CString::new(path.to_string_lossy().as_bytes())?;
        let threads = i32::try_from(threads)?;
        // SAFETY: plain C calls; every pointer is checked before it is used, and freed once, in `drop`.
        unsafe {
            sys::llama_log_set(Some(quiet), std::ptr::null_mut());
            sys::llama_backend_init();
            let mut params = sys::llama_model_default_params();
            params.use_extra_bufts = repack;
            let model = sys::llama_model_load_from_file(file.as_ptr(), params);
            if model.is_null() {
                bail!("llama.cpp cannot load {}", path.display());
            }
            let mut params = sys::llama_context_default_params();
            params.n_ctx = CONTEXT;
            params.n_seq_max = MAX_SEQUENCES;
            params.kv_unified = true;
            params.n_threads = threads;
            params.n_threads_batch = threads;
            params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED;
            let context = sys::llama_init_from_model(model, params);
            if context.is_null() {
                sys::llama_model_free(model);
                bail!("llama.cpp makes no context of {CONTEXT} positions");
            }
            let batch = sys::llama_batch_init(i32::try_from(CONTEXT)?, 0, 1);
            Ok(Self { model, context, batch, len: 0, lanes: 0, prompts: Vec::new() })
        }
    }

    /// One pass over `(sequence, position, token)`s; logits of those from `logits_from` on.
    fn pass(&mut self, entries: &[(usize, usize, u32)], logits_from: usize) -> anyhow::Result<()> {
        self.batch.n_tokens = i32::try_from(entries.len())?;
        for (index, &(sequence, position, token)) in entries.iter().enumerate() {
            // SAFETY: the batch was made for `CONTEXT` tokens of one sequence each, and no more are fed.
            unsafe {
                *self.batch.token.add(index) = i32::try_from(token)?;
                *self.batch.pos.add(index) = i32::try_from(position)?;
                *self.batch.n_seq_id.add(index) = 1;
                **self.batch.seq_id.add(index) = i32::try_from(sequence)?;
                *self.batch.logits.add(index) = i8::from(index >= logits_from);
            }
        }
        // SAFETY: the context and the batch are alive.
        let status = unsafe { sys::llama_decode(self.context, self.batch) };
        if status != 0 {
            bail!("llama.cpp: llama_decode returned {status}");
        }
        // SAFETY: as above.
        unsafe { sys::llama_synchronize(self.context) };
        Ok(())
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is alive.
        unsafe { sys::llama_get_memory(self.context) }
    }

    /// Drops the positions of `sequence` from `from` on.
    fn cut(&self, sequence: usize, from: usize) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_memory_seq_rm(self.memory(), sequence as i32, from as i32, -1) };
    }

    /// Makes sequence `to` go on from the first `len` positions of `from`.
    fn copy(&self, from: usize, to: usize, len: usize) {
        self.cut(to, 0);
        // SAFETY: the context is alive.
        unsafe { sys::llama_memory_seq_cp(self.memory(), from as i32, to as i32, 0, len as i32) };
    }

    /// Tokens of `sequence` from `position` on; the last one's logits.
    fn read(&mut self, sequence: usize, position: usize, tokens: &[u32]) -> anyhow::Result<()> {
        let entries: Vec<_> =
            tokens.iter().enumerate().map(|(index, &token)| (sequence, position + index, token)).collect();
        self.pass(&entries, tokens.len().saturating_sub(1))
    }
}

impl Peer for Llama {
    fn feed(&mut self, keep: usize, tokens: &[u32]) -> anyhow::Result<()> {
        for sequence in 1..MAX_SEQUENCES as usize {
            self.cut(sequence, 0);
        }
        self.prompts.clear();
        self.cut(0, keep);
        self.len = keep + tokens.len();
        self.read(0, keep, tokens)
    }

    fn fork(&mut self, lanes: usize) -> anyhow::Result<()> {
        for lane in 0..lanes {
            self.copy(0, 1 + lane, self.len);
        }
        self.lanes = self.len;
        Ok(())
    }

    fn decode(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        let entries: Vec<_> = tokens.iter().enumerate().map(|(lane, &token)| (1 + lane, self.lanes, token)).collect();
        self.lanes += 1;
        self.pass(&entries, 0)
    }

    /// Every earlier prompt is kept in a sequence of its own, which is the best a user of the library can do; its server
    /// keeps fewer.
    fn first_token(&mut self, prompt: &[u32]) -> anyhow::Result<()> {
        if self.prompts.is_empty() {
            (0..MAX_SEQUENCES as usize).for_each(|sequence| self.cut(sequence, 0));
        }
        let common = |earlier: &Vec<u32>| earlier.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let best = self.prompts.iter().map(common).enumerate().max_by_key(|(_, common)| *common);
        let sequence = self.prompts.len();
        let keep = match best {
            Some((from, common)) if common > 0 => {
                let keep = common.min(prompt.len() - 1);
                self.copy(from, sequence, keep);
                keep
            }
            _ => 0,
        };
        self.prompts.push(prompt.to_vec());
        self.read(sequence, keep, prompt.get(keep..).context("a prompt has a token")?)
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        // SAFETY: each was made in `load` and is freed once.
        unsafe {
            sys::llama_batch_free(self.batch);
            sys::llama_free(self.context);
            sys::llama_model_free(self.model);
        }
    }
}
